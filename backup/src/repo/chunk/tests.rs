//! Tests of the chunk codecs: round trips, lying claims, damage of every kind.

use proptest::prelude::*;

use super::*;

/// The last one needs much time to set up, so generated cases leave it out.
const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Lz4,
    Codec::Zstd { level: 1 },
    Codec::Zstd {
        level: DEFAULT_ZSTD_LEVEL,
    },
    Codec::Zstd { level: 19 },
];

fn sample() -> Vec<u8> {
    (0..2000u32)
        .flat_map(|i| format!("key:{} {}\n", i % 97, i.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn round_trip(codec: Codec, plain: &[u8]) {
    let body = encode(codec, plain).unwrap();
    let claimed = plain.len() as u64;
    assert_eq!(
        decode(codec.format(), &body, claimed, claimed).unwrap(),
        plain,
        "{codec}"
    );
}

#[test]
fn round_trips() {
    // Longer than a block of LZ4 and than zstd's buffers.
    let long = sample().repeat(100);
    assert!(long.len() > 3 << 20);
    for codec in CODECS {
        round_trip(codec, b"");
        round_trip(codec, b"x");
        round_trip(codec, &sample());
        round_trip(codec, &long);
    }
}

#[test]
fn compression_compresses() {
    let plain = sample();
    for codec in &CODECS[1..] {
        assert!(
            encode(*codec, &plain).unwrap().len() < plain.len() * 9 / 10,
            "{codec}"
        );
    }
}

#[test]
fn bodies_begin_as_the_public_formats_say() {
    assert!(
        encode(Codec::Lz4, b"x")
            .unwrap()
            .starts_with(&0x184d_2204u32.to_le_bytes())
    );
    let zstd = encode(Codec::Zstd { level: 3 }, b"x").unwrap();
    assert!(zstd.starts_with(&0xfd2f_b528u32.to_le_bytes()));
    assert_eq!(encode(Codec::None, b"x").unwrap(), b"x");
}

#[test]
fn names() {
    for (text, codec) in [
        ("none", Codec::None),
        ("lz4", Codec::Lz4),
        ("zstd:1", Codec::Zstd { level: 1 }),
        ("zstd:19", Codec::Zstd { level: 19 }),
    ] {
        assert_eq!(text.parse::<Codec>().unwrap(), codec);
        assert_eq!(codec.to_string(), text);
    }
    assert_eq!("zstd".parse::<Codec>().unwrap(), Codec::Zstd { level: 3 });
    for bad in [
        "", "gzip", "ZSTD", "zstd:", "zstd:0", "zstd:20", "zstd:+3", "zstd:300", "zstd: 3", "lz4:1",
    ] {
        assert!(bad.parse::<Codec>().is_err(), "{bad}");
    }
    assert!(matches!(
        encode(Codec::Zstd { level: 20 }, b""),
        Err(ChunkError::Level(20))
    ));
}

#[test]
fn claims_are_exact() {
    let plain = sample();
    let length = plain.len() as u64;
    for codec in CODECS {
        let body = encode(codec, &plain).unwrap();
        for wrong in [0, 1, length - 1] {
            let error = decode(codec.format(), &body, wrong, length).unwrap_err();
            assert!(
                matches!(error, ChunkError::Longer { claimed } if claimed == wrong),
                "{codec} {error}"
            );
        }
        let error = decode(codec.format(), &body, length + 1, MAX_CHUNK_BYTES).unwrap_err();
        assert!(
            matches!(error, ChunkError::Shorter { found, .. } if found == length),
            "{codec} {error}"
        );
        let error = decode(codec.format(), &body, length, length - 1).unwrap_err();
        assert!(
            matches!(error, ChunkError::TooLarge { .. }),
            "{codec} {error}"
        );
    }
    let too_much = MAX_CHUNK_BYTES + 1;
    let error = decode(Format::None, b"", too_much, u64::MAX).unwrap_err();
    assert!(matches!(error, ChunkError::TooLarge { bytes, .. } if bytes == too_much));
}

#[test]
fn a_bomb_costs_what_is_claimed() {
    // 64 MiB of zeros in a few kilobytes, claimed to be 1000 bytes.
    let mut encoder = Encoder::new(Codec::Zstd { level: 3 }, Vec::new()).unwrap();
    for _ in 0..64 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let (body, plain_bytes) = encoder.finish().unwrap();
    assert_eq!(plain_bytes, 64 << 20);
    assert!(body.len() < 10_000);
    let mut decoder = Decoder::new(Format::Zstd, body.as_slice(), 1000).unwrap();
    let mut out = Vec::new();
    let error = ChunkError::from(decoder.read_to_end(&mut out).unwrap_err());
    assert!(
        matches!(error, ChunkError::Longer { claimed: 1000 }),
        "{error}"
    );
    assert!(out.len() <= 1000);
}

#[test]
fn the_writer_stops_where_the_reader_does() {
    for codec in CODECS {
        let mut encoder = Encoder::new(codec, Vec::new()).unwrap();
        assert_eq!(encoder.limit, MAX_CHUNK_BYTES);
        encoder.limit = 10;
        encoder.write_all(b"0123456789").unwrap();
        let error = ChunkError::from(encoder.write_all(b"x").unwrap_err());
        assert!(
            matches!(
                error,
                ChunkError::TooLarge {
                    bytes: 11,
                    limit: 10
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn windows_are_bounded() {
    // A frame header that asks for a window of 16 MiB, twice the limit: magic, descriptor, window descriptor.
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3];
    let frame = [&header[..], &[0x01, 0, 0]].concat();
    let error = decode(Format::Zstd, &frame, 0, 0).unwrap_err();
    assert!(matches!(error, ChunkError::Io(_)), "{error}");
    // The same with 8 MiB is an empty frame.
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    let frame = [&header[..], &[0x01, 0, 0]].concat();
    assert_eq!(decode(Format::Zstd, &frame, 0, 0).unwrap(), b"");
}

#[test]
fn cut_frames_are_noticed_at_every_byte() {
    let plain = &sample()[..3000];
    for codec in CODECS {
        let body = encode(codec, plain).unwrap();
        for keep in 0..body.len() {
            let result = decode(codec.format(), &body[..keep], plain.len() as u64, u64::MAX);
            assert!(result.is_err(), "{codec}: {keep} of {} bytes", body.len());
        }
    }
}

#[test]
fn cut_empty_frames_are_noticed() {
    for codec in &CODECS[1..] {
        let body = encode(*codec, b"").unwrap();
        for keep in 0..body.len() {
            let error = decode(codec.format(), &body[..keep], 0, 0).unwrap_err();
            assert!(
                matches!(error, ChunkError::Truncated),
                "{codec}: {keep} bytes: {error}"
            );
        }
    }
}

#[test]
fn more_behind_the_frame_is_noticed() {
    for codec in &CODECS[1..] {
        let body = encode(*codec, b"plain").unwrap();
        for more in [&b"\0"[..], &body, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
            let both = [&body[..], more].concat();
            let error = decode(codec.format(), &both, 5, 5).unwrap_err();
            assert!(matches!(error, ChunkError::Trailing), "{codec}: {error}");
        }
    }
}

#[test]
fn flipped_bits_never_give_wrong_bytes() {
    let plain = &sample()[..700];
    for codec in &CODECS[1..] {
        let mut body = encode(*codec, plain).unwrap();
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            // A bit without a meaning may flip unnoticed.
            if let Ok(found) = decode(codec.format(), &body, plain.len() as u64, u64::MAX) {
                assert_eq!(found, plain, "{codec}: bit {bit}");
            }
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = Decoder::new(Format::None, &b"abc"[..], 2).unwrap();
    let mut buffer = [0; 8];
    assert!(decoder.read(&mut buffer).is_err());
    assert!(decoder.read(&mut buffer).is_err());
}

proptest! {
    #[test]
    fn any_bytes_survive(plain in proptest::collection::vec(any::<u8>(), 0..5000), which in 0..CODECS.len() - 1, piece in 1usize..700) {
        let codec = CODECS[which];
        let mut encoder = Encoder::new(codec, Vec::new()).unwrap();
        for part in plain.chunks(piece) {
            encoder.write_all(part).unwrap();
        }
        let (body, claimed) = encoder.finish().unwrap();
        prop_assert_eq!(claimed, plain.len() as u64);
        // From a source that gives little at a time, into a small buffer.
        let source = io::BufReader::with_capacity(3, body.as_slice());
        let mut decoder = Decoder::new(codec.format(), source, claimed).unwrap();
        let mut found = Vec::new();
        let mut buffer = vec![0; piece];
        loop {
            match decoder.read(&mut buffer).unwrap() {
                0 => break,
                count => found.extend_from_slice(&buffer[..count]),
            }
        }
        prop_assert_eq!(found, plain);
    }

    #[test]
    fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300), which in 0..CODECS.len() - 1, claimed in 0u64..400) {
        let _ = decode(CODECS[which].format(), &body, claimed, 1000);
    }

    #[test]
    fn damaged_bodies_never_panic_nor_lie(
        seed in 0usize..2000, at in any::<prop::sample::Index>(), with in proptest::collection::vec(any::<u8>(), 1..8), which in 1..CODECS.len() - 1,
    ) {
        let (codec, plain) = (CODECS[which], &sample()[seed..seed + 900]);
        let mut body = encode(codec, plain).unwrap();
        let at = at.index(body.len());
        let end = body.len().min(at + with.len());
        body.splice(at..end, with);
        if let Ok(found) = decode(codec.format(), &body, 900, 900) {
            prop_assert_eq!(found, plain);
        }
    }
}
