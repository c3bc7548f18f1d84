use super::super::samples::payloads;
use super::super::{Writer, open_payload};
use super::*;
use proptest::prelude::*;

/// Takes everything a value holds; the number of strings met.
fn drain(input: &[u8]) -> Result<usize, RdbError> {
    let mut reader = Reader::new(input);
    let kind = ObjectType::from_byte(reader.byte()?)?;
    let count = match Body::read(kind, &mut reader)? {
        Body::String(_) => 1,
        Body::List(run) | Body::Set(run) => {
            let elements: Vec<_> = run.collect::<Result<_, _>>()?;
            elements.len()
        }
        Body::Hash(run) => {
            let elements: Vec<_> = run.collect::<Result<_, _>>()?;
            elements.len() * 2
        }
        Body::Zset(run) => {
            let elements: Vec<_> = run.collect::<Result<_, _>>()?;
            elements.len()
        }
        Body::ListNodes(run) => {
            let mut count = 0;
            for node in run {
                count += match node? {
                    RawNode::Packed(list) => list.len(),
                    RawNode::Plain(_) => 1,
                };
            }
            count
        }
        Body::HashTtl(run) => {
            let elements: Vec<_> = run.collect::<Result<_, _>>()?;
            elements.len() * 2
        }
        Body::SetInts(ints) => ints.len(),
        Body::ListPacked(list)
        | Body::SetPacked(list)
        | Body::ZsetPacked(list)
        | Body::HashPacked(list)
        | Body::HashZipmap(list) => list.len(),
        Body::Stream(stream) => stream.nodes.len(),
    };
    Ok(count)
}

#[test]
fn runs_end_at_their_error() {
    // Two strings announced, the second cut off.
    let mut reader = Reader::new(b"\x02\x01a\x05b");
    let Ok(Body::Set(mut run)) = Body::read(ObjectType::Set, &mut reader) else {
        panic!("a set");
    };
    assert_eq!(run.left(), 2);
    assert!(run.next().is_some_and(|element| element.is_ok()));
    assert!(run.next().is_some_and(|element| element.is_err()));
    assert!(run.next().is_none());
}

#[test]
fn nothing_is_empty() {
    let empty = |bytes: &[u8]| assert_eq!(drain(bytes), Err(RdbError::Empty), "{bytes:?}");
    for kind in [1, 2, 3, 4, 5, 14, 18] {
        empty(&[kind, 0]);
    }
    for kind in [16, 17, 20] {
        empty(&[kind, 7, 7, 0, 0, 0, 0, 0, 0xff]);
    }
    for kind in [10, 12, 13] {
        empty(&[kind, 11, 11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff]);
    }
    for bytes in [
        &[9, 2, 0, 0xff][..],
        &[11, 8, 2, 0, 0, 0, 0, 0, 0, 0],
        &[18, 1, 1, 0],
        &[14, 1, 0],
    ] {
        assert_eq!(drain(bytes), Err(RdbError::Packed(WITHOUT_ELEMENTS)));
    }
}

#[test]
fn scores_are_numbers() {
    let mut bytes = vec![5, 1, 1, b'a'];
    bytes.extend_from_slice(&f64::NAN.to_le_bytes());
    assert_eq!(drain(&bytes), Err(RdbError::BadScore { offset: 4 }));
    assert_eq!(
        drain(b"\x03\x01\x01a\xfd"),
        Err(RdbError::BadScore { offset: 4 })
    );
    assert_eq!(drain(b"\x03\x01\x01a\x011"), Ok(1));
}

#[test]
fn unknown_types_and_containers() {
    for kind in [6, 7, 8, 22, 255] {
        assert_eq!(drain(&[kind, 1]), Err(RdbError::UnknownType(kind)));
    }
    assert_eq!(drain(&[18, 1, 3, 1, b'a']), Err(RdbError::BadContainer(3)));
}

#[test]
fn list_nodes() {
    let mut list = Listpack::new();
    list.push_back(b"a");
    list.push_back(b"1");
    let mut writer = Writer::new(true);
    writer.kind(ObjectType::ListQuicklist2);
    writer.len(2);
    writer.packed_node(&list);
    writer.plain_node(b"huge");
    assert_eq!(
        writer.as_bytes(),
        b"\x12\x02\x02\x0c\x0c\0\0\0\x02\0\x81a\x02\x01\x01\xff\x01\x04huge"
    );
    assert_eq!(drain(writer.as_bytes()), Ok(3));
}

#[test]
fn payloads_of_other_servers_are_read() {
    let mut seen = 0;
    for (row, payload) in payloads() {
        let value = open_payload(&payload, true).expect(row);
        assert!(drain(value).expect(row) > 0);
        seen += 1;
    }
    assert!(seen > 300);
}

proptest! {
    /// Damaged payloads, and any bytes behind any type, end in a value or an error.
    #[test]
    fn any_bytes_are_safe(
        kind in 0..22u8,
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        bytes.insert(0, kind);
        let _ = drain(&bytes);
    }

    #[test]
    fn flipped_bits_are_safe(row in 0..340usize, at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (_, mut payload) = payloads().nth(row).expect("as many rows");
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        if let Ok(value) = open_payload(&payload, false) {
            let _ = drain(value);
        }
    }
}
