//! The bytes of Redis 7.2.4 for the same elements, and that no bytes do harm.

use basalt_formats::crc64::crc64;

use super::*;

const LIMIT: usize = 3000;

fn add(bytes: &mut Vec<u8>, element: &[u8]) -> Result<bool, Corrupt> {
    let (index, count) = place(element);
    raise(bytes, index, count, LIMIT)
}

/// Says what `PFADD`, `PFCOUNT` and `GET` say in the end.
fn counted(bytes: &mut [u8]) -> u64 {
    let count = count(bytes).expect("sound");
    store_count(bytes, count);
    count
}

#[test]
fn small_values_have_the_bytes_of_redis() {
    let mut hll = empty();
    assert_eq!(hll, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(stored_count(&hll), Some(0));
    for element in [b"a", b"b", b"c"] {
        assert_eq!(add(&mut hll, element), Ok(true));
        assert_eq!(add(&mut hll, element), Ok(false));
    }
    assert_eq!(
        hll,
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ"
    );
    let runs = "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603";
    assert_eq!(describe(&hll), runs);
    assert_eq!(stored_count(&hll), None);
    assert_eq!(counted(&mut hll), 3);
    assert_eq!(stored_count(&hll), Some(3));
    let mut hll = empty();
    assert_eq!(add(&mut hll, b""), Ok(true));
    assert_eq!(hll[HEADER..], *b"W1\x84h\xcc");
}

#[test]
fn growing_values_have_the_bytes_of_redis() {
    let (mut hll, mut done) = (empty(), 0);
    for (n, encoding, count, len, crc) in [
        (1, Encoding::Sparse, 1, 21, 0x25e7_48d1_0189_85ca),
        (10, Encoding::Sparse, 10, 48, 0x3efe_e4d8_b01d_d411),
        (100, Encoding::Sparse, 100, 287, 0x26de_7cf2_6bbd_886d),
        (700, Encoding::Sparse, 690, 1355, 0xe948_d89c_4426_2f84),
        (1200, Encoding::Sparse, 1191, 2195, 0xa968_125a_3ee6_fae9),
        (3000, Encoding::Dense, 2991, 12304, 0x5e24_6034_bbf0_1814),
        (
            10_000,
            Encoding::Dense,
            10_016,
            12304,
            0x3e0c_faa5_3535_4258,
        ),
        (
            100_000,
            Encoding::Dense,
            100_917,
            12304,
            0x2529_e962_1774_8fc4,
        ),
    ] {
        for i in done..n {
            let raised = add(&mut hll, format!("element-{i}").as_bytes());
            if raised == Ok(true) {
                make_stale(&mut hll);
            }
        }
        done = n;
        assert_eq!(counted(&mut hll), count, "{n}");
        assert_eq!((encoding_of(&hll), hll.len()), (Some(encoding), len), "{n}");
        assert_eq!(crc64(0, &hll), crc, "{n}");
    }
}

/// Both encodings and plain registers agree, whatever the order and the limit.
#[test]
fn encodings_agree() {
    let mut registers = Box::new([0; REGISTERS]);
    let (mut sparse, mut dense) = (empty(), empty());
    assert_eq!(make_dense(&mut dense), Ok(true));
    let mut random = numbers(1);
    for step in 0..20_000 {
        let (index, count) = place(&random().to_le_bytes());
        registers[index] = registers[index].max(count);
        let raised = raise(&mut sparse, index, count, 20_000);
        assert_eq!(raise(&mut dense, index, count, 20_000), raised);
        if step % 1000 == 0 {
            let mut merged = Box::new([0; REGISTERS]);
            assert_eq!(merge_into(&mut merged, &sparse), Ok(()));
            assert!(merged == registers);
            assert_eq!(
                count_registers(&registers),
                super::count(&dense).expect("sound")
            );
            assert_eq!(super::count(&sparse), super::count(&dense));
        }
    }
    assert_eq!(make_dense(&mut sparse), Ok(true));
    assert!(sparse[HEADER..] == dense[HEADER..]);
    assert_eq!(make_dense(&mut sparse), Ok(false));
}

#[test]
fn counts_beyond_the_runs_make_it_dense() {
    let mut hll = empty();
    assert_eq!(raise(&mut hll, 5, 32, LIMIT), Ok(true));
    assert_eq!(encoding_of(&hll), Some(Encoding::Sparse));
    assert_eq!(raise(&mut hll, 5, 33, LIMIT), Ok(true));
    assert_eq!(dense_register(&hll, 5), Some(33));
    let mut hll = empty();
    assert_eq!(raise(&mut hll, 16_383, 1, 18), Ok(true));
    assert_eq!(dense_register(&hll, 16_383), Some(1));
}

#[test]
fn neighbours_are_joined() {
    let mut hll = empty();
    for index in [3, 5, 4, 6, 7, 2] {
        assert_eq!(raise(&mut hll, index, 2, LIMIT), Ok(true));
    }
    assert_eq!(describe(&hll), "z:2 v:2,1 v:2,4 v:2,1 Z:16376");
    assert_eq!(raise(&mut hll, 5, 9, LIMIT), Ok(true));
    assert_eq!(describe(&hll), "z:2 v:2,3 v:9,1 v:2,2 Z:16376");
}

#[test]
fn only_some_strings_count() {
    let sound = empty();
    for (bytes, expected) in [
        (&sound[..], Some(Encoding::Sparse)),
        (&sound[..16], Some(Encoding::Sparse)),
        (&sound[..15], None),
        (b"", None),
        (b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", None),
        (b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", None),
        (b"HYLl\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", None),
    ] {
        assert_eq!(encoding_of(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn damaged_runs_are_refused() {
    let value = |runs: &[u8]| [&empty()[..HEADER], runs].concat();
    let many = b"\x7f\xff".repeat(200_000);
    for runs in [
        &b""[..],
        b"\x7f\xfe",
        b"\x7f\xff\x00",
        b"\x7f\xff\x80",
        b"\x7f",
        // Lengths whose sum wraps around 32 bits and reaches the registers again.
        &[&many[..], b"\x80"].concat(),
    ] {
        let mut hll = value(runs);
        assert_eq!(count(&hll), Err(Corrupt));
        assert_eq!(
            merge_into(&mut Box::new([0; REGISTERS]), &hll),
            Err(Corrupt)
        );
        assert_eq!(make_dense(&mut hll), Err(Corrupt));
        assert!(hll == value(runs));
    }
    let mut short = value(b"\x3f");
    assert_eq!(raise(&mut short, 64, 1, LIMIT), Err(Corrupt));
    assert_eq!(raise(&mut short, 63, 1, LIMIT), Ok(true));
    assert_eq!(describe(&short), "z:63 v:1,1");
}

fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }
}

/// Damaged strings, as `SET` and `SETRANGE` can make them: every operation ends, with a result
/// or with [`Corrupt`], and a sparse value stays within a few bytes of its length.
#[test]
fn no_string_does_harm() {
    let mut random = numbers(2);
    let mut sources = vec![empty(); 4];
    for (source, elements) in sources.iter_mut().zip([0, 5, 300, 3000]) {
        for _ in 0..elements {
            add(source, &random().to_le_bytes()).expect("sound");
        }
    }
    let mut refused = 0;
    for _ in 0..100_000 {
        let choice = random();
        // The dense one is long: now and then is enough.
        let source = if choice.is_multiple_of(100) {
            3
        } else {
            choice as usize % 3
        };
        let mut hll = sources[source].clone();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % hll.len().max(1);
            match random() % 4 {
                0 => hll.truncate(at),
                1 => hll.insert(at, random() as u8),
                2 if at < hll.len() => hll[at] ^= 1 << (random() % 8),
                _ if at < hll.len() => hll[at] = random() as u8,
                _ => {}
            }
        }
        if encoding_of(&hll).is_none() {
            refused += 1;
            continue;
        }
        let len = hll.len();
        let sound = count(&hll).is_ok();
        let merged = merge_into(&mut Box::new([0; REGISTERS]), &hll);
        assert_eq!(merged.is_ok(), sound);
        assert_eq!(make_dense(&mut hll.clone()).is_ok(), sound);
        let text = describe(&hll);
        assert!(text.len() <= 8 * len);
        for _ in 0..4 {
            let (index, count) = (random() as usize % REGISTERS, random() as u8 % 52);
            if raise(&mut hll, index, count.max(1), LIMIT).is_err() {
                break;
            }
            assert!(hll.len() == DENSE_LEN || hll.len() <= len + 16);
        }
    }
    assert!(refused > 1000 && refused < 90_000, "{refused}");
}
