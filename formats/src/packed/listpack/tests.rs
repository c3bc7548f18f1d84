//! Golden bytes, broken bytes, and a model of a plain vector of strings.

use super::encoding::{backlen, backlen_size, read_backlen};
use super::*;
use proptest::prelude::*;

fn list(values: &[&[u8]]) -> Listpack {
    let mut list = Listpack::new();
    for value in values {
        list.push_back(value);
    }
    list
}

fn values(list: &Listpack) -> Vec<Vec<u8>> {
    list.iter().map(|entry| entry.to_vec()).collect()
}

/// Entry bytes of a one-element list.
fn encoded(value: &[u8]) -> Vec<u8> {
    let list = list(&[value]);
    list.as_bytes()[HEADER..list.end()].to_vec()
}

#[test]
fn empty_and_small_lists_have_the_documented_bytes() {
    assert_eq!(Listpack::new().as_bytes(), [7, 0, 0, 0, 0, 0, 0xFF]);
    assert_eq!(
        list(&[b"a", b"1"]).as_bytes(),
        [12, 0, 0, 0, 2, 0, 0x81, b'a', 2, 1, 1, 0xFF]
    );
}

#[test]
fn integers_take_the_narrowest_encoding() {
    for (text, bytes) in [
        ("0", vec![0x00, 1]),
        ("127", vec![0x7F, 1]),
        ("128", vec![0xC0, 0x80, 2]),
        ("-1", vec![0xDF, 0xFF, 2]),
        ("4095", vec![0xCF, 0xFF, 2]),
        ("-4096", vec![0xD0, 0x00, 2]),
        ("4096", vec![0xF1, 0x00, 0x10, 3]),
        ("-32768", vec![0xF1, 0x00, 0x80, 3]),
        ("32768", vec![0xF2, 0x00, 0x80, 0x00, 4]),
        ("-8388608", vec![0xF2, 0x00, 0x00, 0x80, 4]),
        ("8388608", vec![0xF3, 0x00, 0x00, 0x80, 0x00, 5]),
        ("-2147483648", vec![0xF3, 0x00, 0x00, 0x00, 0x80, 5]),
        ("2147483648", vec![0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (
            "-9223372036854775808",
            vec![0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9],
        ),
    ] {
        assert_eq!(encoded(text.as_bytes()), bytes, "{text}");
        let entry = list(&[text.as_bytes()]);
        assert_eq!(
            entry.get(0),
            Some(Entry::Int(text.parse().expect("a number")))
        );
    }
}

#[test]
fn only_canonical_integers_are_stored_as_such() {
    for text in [
        "",
        "-",
        "-0",
        "01",
        "+1",
        " 1",
        "1 ",
        "1a",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
        "000000000000000000000",
    ] {
        assert_eq!(parse_int(text.as_bytes()), None, "{text:?}");
        assert_eq!(
            list(&[text.as_bytes()]).get(0),
            Some(Entry::Str(text.as_bytes()))
        );
    }
    assert_eq!(parse_int(b"9223372036854775807"), Some(i64::MAX));
    assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
}

#[test]
fn strings_take_the_shortest_prefix() {
    let prefix = |len: usize, n: usize| encoded(&vec![b'x'; len])[..n].to_vec();
    assert_eq!(prefix(0, 2), [0x80, 1]);
    assert_eq!(prefix(63, 1), [0xBF]);
    assert_eq!(prefix(64, 2), [0xE0, 64]);
    assert_eq!(prefix(4095, 2), [0xEF, 0xFF]);
    assert_eq!(prefix(4096, 5), [0xF0, 0, 0x10, 0, 0]);
}

#[test]
fn back_lengths_switch_size_where_redis_does() {
    for (len, size) in [
        (127, 1),
        (128, 2),
        (16_382, 2),
        (16_383, 3),
        (2_097_150, 3),
        (2_097_151, 4),
        (268_435_454, 4),
        (268_435_455, 5),
    ] {
        assert_eq!(backlen_size(len), size, "{len}");
        let (field, used) = backlen(len);
        assert_eq!(read_backlen(&field[..used]), len);
    }
    assert_eq!(backlen(300), ([2, 0x80 | 44, 0, 0, 0], 2));
}

#[test]
fn seek_and_find() {
    let list = list(&[b"f1", b"v", b"v", b"2", b"17", b"x"]);
    assert_eq!(list.get(-1), Some(Entry::Str(b"x")));
    assert_eq!(list.get(-6), Some(Entry::Str(b"f1")));
    assert_eq!(list.get(-7), None);
    assert_eq!(list.get(6), None);
    assert_eq!(list.get(i64::MIN), None);
    assert_eq!(list.get(i64::MAX), None);
    let first = list.first().expect("not empty");
    assert_eq!(list.find(first, b"v", 0), list.seek(1));
    assert_eq!(list.find(first, b"v", 1), list.seek(2), "keys only");
    assert_eq!(list.find(first, b"17", 1), list.seek(4));
    assert_eq!(list.find(first, b"x", 1), None);
    assert_eq!(list.find(list.end(), b"x", 0), None);
    let mut seen = Vec::new();
    list.visit_sorted(&[0, 3, 3, 5, 9], |position, entry| {
        seen.push((position, entry.to_vec()));
    });
    assert_eq!(
        seen,
        [
            (0, b"f1".to_vec()),
            (1, b"2".to_vec()),
            (2, b"2".to_vec()),
            (3, b"x".to_vec())
        ]
    );
}

#[test]
fn count_becomes_unknown_at_65535_and_is_settled_again() {
    let mut list = Listpack::new();
    for _ in 0..65_534 {
        list.push_back(b"1");
    }
    assert_eq!(list.as_bytes()[4..6], [0xFE, 0xFF]);
    list.push_back(b"2");
    list.push_front(b"0");
    assert_eq!(list.as_bytes()[4..6], [0xFF, 0xFF]);
    assert_eq!(list.len(), 65_536);
    assert_eq!(list.get(-1), Some(Entry::Int(2)));
    assert_eq!(list.get(65_535), Some(Entry::Int(2)));
    list.delete_range(0, 10);
    assert_eq!(list.as_bytes()[4..6], [0xFF, 0xFF]);
    assert_eq!(list.settle_len(), 65_526);
    assert_eq!(list.as_bytes()[4..6], [0xF6, 0xFF]);
}

#[test]
fn broken_bytes_are_refused_with_the_reason() {
    let check = |bytes: &[u8]| Listpack::from_bytes(bytes.to_vec()).unwrap_err();
    assert!(matches!(check(&[]), PackedError::TooShort { .. }));
    assert!(matches!(
        check(&[6, 0, 0, 0, 0, 0]),
        PackedError::BadTerminator { .. }
    ));
    assert!(matches!(
        check(&[8, 0, 0, 0, 0, 0, 0xFF]),
        PackedError::SizeMismatch { .. }
    ));
    let good = list(&[b"hello", b"12345", &[b'x'; 200]]);
    let good = good.as_bytes();
    for (at, byte, name) in [
        (4, 2, "count"),
        (6, 0xBF, "string length past the end"),
        (6, 0xFE, "unknown encoding"),
        (6, 0xFF, "early end"),
        (6, 0xF0, "huge string"),
        (12, 7, "back length"),
        (good.len() - 1, 0, "terminator"),
        (good.len() - 2, 0, "last back length"),
    ] {
        let mut bad = good.to_vec();
        bad[at] = byte;
        assert!(Listpack::from_bytes(bad).is_err(), "{name}");
    }
    assert!(Listpack::from_bytes(good.to_vec()).is_ok());
}

#[test]
fn limit_is_one_gibibyte() {
    let list = Listpack::new();
    assert!(list.fits(MAX_BYTES - 7));
    assert!(!list.fits(MAX_BYTES - 6));
    assert!(!list.fits(usize::MAX));
}

#[derive(Debug, Clone)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Before(usize, Vec<u8>),
    After(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Delete(usize),
    DeleteRange(i64, usize),
    DeleteOffsets(Vec<bool>),
    SplitMerge(usize),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        4 => (-5000i64..5000).prop_map(|v| v.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (0usize..20_000).prop_map(|len| vec![b'y'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        value().prop_map(Op::PushBack),
        value().prop_map(Op::PushFront),
        (any::<usize>(), value()).prop_map(|(i, v)| Op::Before(i, v)),
        (any::<usize>(), value()).prop_map(|(i, v)| Op::After(i, v)),
        (any::<usize>(), value()).prop_map(|(i, v)| Op::Replace(i, v)),
        any::<usize>().prop_map(Op::Delete),
        (-30i64..30, 0usize..5).prop_map(|(i, n)| Op::DeleteRange(i, n)),
        prop::collection::vec(prop::bool::weighted(0.2), 0..20).prop_map(Op::DeleteOffsets),
        (0usize..30).prop_map(Op::SplitMerge),
    ]
}

/// Applies one operation to the list and to its model.
fn apply(list: &mut Listpack, model: &mut Vec<Vec<u8>>, op: Op) {
    let pick = |raw: usize, len: usize| (len > 0).then(|| raw % len);
    let offset = |list: &Listpack, index: usize| list.seek(index as i64).expect("in range");
    match op {
        Op::PushBack(v) => {
            list.push_back(&v);
            model.push(v);
        }
        Op::PushFront(v) => {
            list.push_front(&v);
            model.insert(0, v);
        }
        Op::Before(i, v) => {
            if let Some(i) = pick(i, model.len()) {
                list.insert_before(offset(list, i), &v);
                model.insert(i, v);
            }
        }
        Op::After(i, v) => {
            if let Some(i) = pick(i, model.len()) {
                let at = list.insert_after(offset(list, i), &v);
                assert!(list.entry(at).eq_bytes(&v));
                model.insert(i + 1, v);
            }
        }
        Op::Replace(i, v) => {
            if let Some(i) = pick(i, model.len()) {
                list.replace(offset(list, i), &v);
                model[i] = v;
            }
        }
        Op::Delete(i) => {
            if let Some(i) = pick(i, model.len()) {
                let next = list.delete(offset(list, i));
                model.remove(i);
                assert_eq!(next, list.seek(i as i64));
            }
        }
        Op::DeleteRange(index, count) => {
            list.delete_range(index, count);
            let len = model.len() as i64;
            let start = if index < 0 { index + len } else { index };
            if (0..len).contains(&start) {
                let end = (start + count as i64).min(len);
                model.drain(start as usize..end as usize);
            }
        }
        Op::DeleteOffsets(mask) => {
            let doomed = |index: usize| mask.get(index) == Some(&true);
            let offsets: Vec<usize> = list
                .offsets()
                .enumerate()
                .filter(|&(index, _)| doomed(index))
                .map(|(_, offset)| offset)
                .collect();
            list.delete_offsets(&offsets);
            let mut index = 0;
            model.retain(|_| {
                index += 1;
                !doomed(index - 1)
            });
        }
        Op::SplitMerge(index) => {
            let tail = list.split_off(index);
            let cut = index.min(model.len());
            assert_eq!(values(&tail), model[cut..]);
            assert_eq!(values(list), model[..cut]);
            assert_eq!((list.len(), tail.len()), (cut, model.len() - cut));
            list.merge(tail);
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_vector_of_strings(ops in prop::collection::vec(op(), 0..120)) {
        let mut list = Listpack::new();
        let mut model = Vec::new();
        for op in ops {
            apply(&mut list, &mut model, op);
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(&values(&list), &model);
        let mut backward: Vec<_> = list.iter().rev().map(|entry| entry.to_vec()).collect();
        backward.reverse();
        prop_assert_eq!(&backward, &model);
        let mut rebuilt = Listpack::new();
        for value in &model {
            rebuilt.push_back(value);
        }
        prop_assert_eq!(rebuilt.as_bytes(), list.as_bytes());
        prop_assert!(list.heap_bytes() <= list.bytes() * 5 / 2 + 64);
        prop_assert!(Listpack::from_bytes(list.as_bytes().to_vec()).is_ok());
    }

    #[test]
    fn damaged_bytes_never_panic(
        values in prop::collection::vec(value(), 0..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut list = Listpack::new();
        for value in &values {
            list.push_back(value);
        }
        let mut bytes = list.into_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut list) = Listpack::from_bytes(bytes) {
            let forward: Vec<_> = list.iter().map(|entry| entry.to_vec()).collect();
            let mut backward: Vec<_> = list.iter().rev().map(|entry| entry.to_vec()).collect();
            backward.reverse();
            prop_assert_eq!(&forward, &backward);
            prop_assert_eq!(forward.len(), list.len());
            list.push_front(b"again");
            list.delete_range(-1, 1);
        }
    }
}
