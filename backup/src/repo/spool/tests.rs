//! Tests of the spool: every cut, every flipped bit, and tails that only look torn.

use std::fs::{self, File};
use std::io::{self, Cursor, Write};

use proptest::prelude::*;

use super::*;

type Payloads = Vec<Vec<u8>>;
type Outcome = (Payloads, Result<Option<TornTail>, Damage>);

fn write(payloads: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for payload in payloads {
        let expected = writer.offset();
        assert_eq!(writer.append(payload).unwrap(), expected);
    }
    let offset = writer.offset();
    let file = writer.into_inner();
    assert_eq!(offset, file.len() as u64);
    file
}

fn read(file: &[u8]) -> Outcome {
    let mut reader = Reader::new(Cursor::new(file)).unwrap();
    let mut payloads = Vec::new();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => payloads.push(frame.payload.to_vec()),
            Ok(None) => {
                let torn = reader.torn_tail();
                assert_eq!(
                    reader.file_bytes(),
                    reader.offset() + torn.map_or(0, |tail| tail.bytes)
                );
                assert!(reader.next_frame().unwrap().is_none());
                return (payloads, Ok(torn));
            }
            Err(SpoolError::Damaged(damage)) => {
                assert_eq!(
                    (damage.offset, damage.frames_before),
                    (reader.offset(), reader.frames())
                );
                let again = reader.next_frame().unwrap_err();
                assert!(matches!(again, SpoolError::Damaged(same) if same == damage));
                return (payloads, Err(damage));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

const SAMPLE: [&[u8]; 4] = [b"first", b"", b"*1\r\n$4\r\nPING\r\n", b"the last one"];

#[test]
fn the_bytes_of_a_frame() {
    // The checksum is that of Python's zlib.crc32 over 8 zero bytes, 02 00 00 00 and "hi".
    let frame = b"BSF\x01\x02\x00\x00\x00\x9f\xe0\x39\x05hi";
    assert_eq!(write(&[b"hi"]), frame);
    assert_eq!(read(frame), (vec![b"hi".to_vec()], Ok(None)));
}

#[test]
fn an_empty_file_is_whole() {
    assert_eq!(read(b""), (vec![], Ok(None)));
}

#[test]
fn every_cut_is_a_torn_tail() {
    let file = write(&SAMPLE);
    let starts: Vec<usize> = (0..=SAMPLE.len())
        .map(|count| write(&SAMPLE[..count]).len())
        .collect();
    for keep in 0..=file.len() {
        let whole = starts.iter().filter(|start| **start <= keep).count() - 1;
        let bytes = (keep - starts[whole]) as u64;
        let offset = starts[whole] as u64;
        let tail = (bytes > 0).then_some(TornTail { offset, bytes });
        let (payloads, end) = read(&file[..keep]);
        assert_eq!(payloads, SAMPLE[..whole], "{keep} bytes");
        assert_eq!(end, Ok(tail), "{keep} bytes");
    }
}

#[test]
fn every_flipped_bit_is_damage_in_its_frame() {
    let file = write(&SAMPLE);
    let starts: Vec<usize> = (0..=SAMPLE.len())
        .map(|count| write(&SAMPLE[..count]).len())
        .collect();
    for bit in 0..file.len() * 8 {
        let mut file = file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        let hit = starts.iter().filter(|start| **start <= bit / 8).count() - 1;
        let (payloads, end) = read(&file);
        assert_eq!(payloads, SAMPLE[..hit], "bit {bit}");
        match end {
            Err(damage) => {
                assert_eq!(damage.offset, starts[hit] as u64, "bit {bit}");
                let next = (hit + 1 < SAMPLE.len()).then(|| starts[hit + 1] as u64);
                assert_eq!(damage.next_frame, next, "bit {bit}");
            }
            // A longer length in the last frame cannot be told from a cut payload.
            Ok(tail) => {
                let in_length = (4..8).contains(&(bit / 8 - starts[hit]));
                assert!(
                    hit == SAMPLE.len() - 1 && in_length && tail.is_some(),
                    "bit {bit}"
                );
            }
        }
    }
}

#[test]
fn faults_are_named() {
    let damage = |file: &[u8]| read(file).1.unwrap_err();
    let file = write(&[b"one", b"two"]);
    let with = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        file
    };
    let wrong_magic = damage(&with(3, 2));
    assert_eq!(wrong_magic.fault, Fault::Magic(*b"BSF\x02"));
    assert_eq!(
        wrong_magic.to_string(),
        "frame 0 at offset 0 begins with bytes 42 53 46 02, which no frame does"
    );
    assert_eq!(damage(&with(7, 0xff)).fault, Fault::TooLong(0xff00_0003));
    let past_end = damage(&with(5, 1));
    assert_eq!(
        (past_end.fault, past_end.next_frame),
        (Fault::PastEnd(259), Some(15))
    );
    assert!(matches!(
        damage(&with(29, b'x')).fault,
        Fault::Checksum { .. }
    ));
    assert_eq!(
        damage(&[&file[..], b"xyz"].concat()).fault,
        Fault::Magic(*b"xyz\0")
    );
}

#[test]
fn zeros_to_the_end_are_torn() {
    let file = write(&SAMPLE);
    for zeros in [1, 3, 4, 11, 12, 100, 200_000] {
        let mut longer = file.clone();
        longer.resize(file.len() + zeros, 0);
        let tail = TornTail {
            offset: file.len() as u64,
            bytes: zeros as u64,
        };
        assert_eq!(read(&longer).1, Ok(Some(tail)));
        longer.push(1);
        assert!(read(&longer).1.is_err());
    }
}

#[test]
fn a_lost_block_in_the_middle_is_damage() {
    let file = write(&[b"one", &[7; 9000], b"three"]);
    let mut holed = file.clone();
    holed[15..15 + 9012].fill(0);
    let damage = read(&holed).1.unwrap_err();
    assert_eq!((damage.offset, damage.next_frame), (15, Some(15 + 9012)));
}

#[test]
fn a_frame_inside_a_payload_is_no_frame() {
    // A cut value that holds a copy of a spool file is still a torn tail.
    let copy = write(&[b"one", b"two"]);
    let file = write(&[b"zero", &[&copy[..], &[0; 50]].concat()]);
    let cut = &file[..file.len() - 10];
    assert_eq!(read(cut).1.unwrap().unwrap().offset, 16);
    // Whole frames are found behind it, at their own place only.
    let mut file = write(&[b"zero", &copy, b"end"]);
    file[16] ^= 1;
    assert_eq!(
        read(&file).1.unwrap_err().next_frame,
        Some(16 + 12 + copy.len() as u64)
    );
}

#[test]
fn frames_are_found_across_window_borders() {
    for length in 65_500..65_560 {
        let mut file = write(&[&vec![7; length], b"next"]);
        file[0] = 0;
        let next = (HEADER_BYTES + length) as u64;
        assert_eq!(read(&file).1.unwrap_err().next_frame, Some(next));
    }
}

#[test]
fn hostile_bytes_do_not_take_forever() {
    // 400,000 headers, each of which claims the 3 MiB behind it: checking all would read hundreds of GiB.
    let header = [MAGIC, (3u32 << 20).to_le_bytes(), [0; 4]].concat();
    let file = header.repeat(400_000);
    let damage = read(&file).1.unwrap_err();
    assert_eq!((damage.offset, damage.next_frame), (0, None));
}

#[test]
fn long_payloads_are_refused_and_the_writer_goes_on() {
    let mut writer = Writer::new(io::sink());
    let long = vec![0; MAX_PAYLOAD_BYTES + 1];
    assert!(
        matches!(writer.append(&long), Err(SpoolError::TooLong { bytes }) if bytes == long.len())
    );
    assert_eq!(writer.append(b"x").unwrap(), 0);
    assert_eq!(writer.append(&long[1..]).unwrap(), 13);
}

#[test]
fn a_writer_that_failed_stays_failed() {
    /// Takes so many bytes, fails once, and then takes everything.
    struct FullOnce(Option<usize>);
    impl Write for FullOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match &mut self.0 {
                None => Ok(bytes.len()),
                Some(0) => {
                    self.0 = None;
                    Err(io::ErrorKind::StorageFull.into())
                }
                Some(left) => {
                    let count = bytes.len().min(*left);
                    *left -= count;
                    Ok(count)
                }
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(FullOnce(Some(20)));
    writer.append(b"one").unwrap();
    assert!(matches!(writer.append(b"two"), Err(SpoolError::Io(_))));
    // There is room again, but half a frame stands in the file.
    assert!(matches!(
        writer.append(b"two"),
        Err(SpoolError::FailedBefore)
    ));
    assert_eq!(writer.offset(), 15);
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let mut writer = Writer::create(&path).unwrap();
    writer.append(b"one").unwrap();
    writer.sync().unwrap();
    writer.append(b"two").unwrap();
    writer.sync().unwrap();
    assert!(
        Writer::create(&path).is_err(),
        "an existing file is taken over"
    );
    assert_eq!(fs::read(&path).unwrap(), write(&[b"one", b"two"]));
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(
        reader.next_frame().unwrap().unwrap(),
        Frame {
            offset: 0,
            payload: b"one"
        }
    );
    assert_eq!(
        reader.next_frame().unwrap().unwrap(),
        Frame {
            offset: 15,
            payload: b"two"
        }
    );
    assert!(reader.next_frame().unwrap().is_none());
}

proptest! {
    #[test]
    fn any_payloads_survive(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12)) {
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(read(&write(&slices)), (payloads, Ok(None)));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(prop_oneof![Just(b'B'), Just(b'S'), Just(b'F'), Just(1u8), Just(0u8), any::<u8>()], 0..400)) {
        let _ = read(&bytes);
    }

    /// Whatever is written over the file, the frames before it are read, no other bytes come out, and unless the last frame is
    /// hit it is damage.
    #[test]
    fn damage_is_never_silent(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 2..8),
        at in any::<prop::sample::Index>(), with in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let file = write(&slices);
        let last = write(&slices[..slices.len() - 1]).len();
        let at = at.index(last);
        let end = at + with.len().min(last - at);
        let mut wrong = file.clone();
        wrong.splice(at..end, with[..end - at].iter().copied());
        prop_assume!(wrong != file);
        let (found, outcome) = read(&wrong);
        prop_assert!(outcome.is_err());
        prop_assert_eq!(&found[..], &payloads[..found.len()]);
    }
}
