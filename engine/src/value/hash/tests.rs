//! Tests of the hash value against a map and against recorded encodings.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SMALL: HashLimits = HashLimits {
    max_listpack_entries: 4,
    max_listpack_value: 8,
};

fn pairs(hash: &Hash) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    hash.for_each(|field, value| pairs.push((field.to_vec(), value.to_vec())));
    pairs
}

/// What HSET does with its words.
fn hset(hash: &mut Hash, words: &str) {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    hash.prepare(words.iter().copied(), &SMALL);
    for pair in words.chunks(2) {
        hash.set(pair[0], pair[1], &SMALL);
    }
}

/// Encodings and lengths as Redis 7.2.4 answered with these limits.
#[test]
fn converts_when_redis_does() {
    let cases: &[(&[&str], &str, usize)] = &[
        (&["a 1 b 2 c 3 d 4"], "listpack", 4),
        (&["a 1 b 2 c 3 d 4 e 5"], "hashtable", 5),
        (&["a 1 a 2 a 3 a 4 a 5"], "hashtable", 1),
        (&["a 1 b 2 c 3 d 4", "e 1"], "hashtable", 5),
        (&["a 12345678"], "listpack", 1),
        (&["a 123456789"], "hashtable", 1),
        (&["abcdefghi 1"], "hashtable", 1),
    ];
    for (sets, encoding, len) in cases {
        let mut hash = Hash::default();
        for words in *sets {
            hset(&mut hash, words);
        }
        assert_eq!((hash.encoding(), hash.len()), (*encoding, *len), "{sets:?}");
    }
}

#[test]
fn a_grown_value_converts_and_removal_does_not_convert_back() {
    let mut hash = Hash::default();
    assert!(hash.set(b"a", b"99999999", &SMALL));
    assert_eq!(hash.encoding(), "listpack");
    assert!(!hash.set(b"a", b"100000000", &SMALL));
    assert_eq!(hash.encoding(), "hashtable");
    assert!(hash.set_nx(b"b", b"1", &SMALL));
    assert!(!hash.set_nx(b"b", b"2", &SMALL));
    assert!(hash.remove(b"a"));
    assert!(!hash.remove(b"a"));
    assert_eq!(
        (hash.encoding(), hash.get(b"b")),
        ("hashtable", Some(Element::Str(b"1")))
    );
    assert!(hash.remove(b"b"));
    assert!(hash.is_empty());
}

#[test]
fn a_listpack_keeps_order_and_integers() {
    let mut hash = Hash::default();
    hset(&mut hash, "b 10 a -5 c x");
    assert_eq!(hash.get(b"a"), Some(Element::Int(-5)));
    assert_eq!(hash.str_len(b"a"), 2);
    assert_eq!(hash.str_len(b"none"), 0);
    assert!(!hash.contains(b"10"), "values are not fields");
    hset(&mut hash, "b 7");
    let expected = [("b", "7"), ("a", "-5"), ("c", "x")];
    let expected: Vec<_> = expected
        .iter()
        .map(|(f, v)| (f.as_bytes().to_vec(), v.as_bytes().to_vec()))
        .collect();
    assert_eq!(pairs(&hash), expected);
    assert_eq!(hash.packed().map(Listpack::len), Some(6));
    assert_eq!(hash.nth(1), Some((Element::Str(b"a"), Element::Int(-5))));
    assert_eq!(hash.nth(3), None);
}

#[test]
fn long_values_live_beside_their_page_and_come_back_whole() {
    let mut hash = Hash::default();
    let long = vec![b'x'; 5000];
    hash.set(b"f", &long, &SMALL);
    let shared = hash.clone();
    hash.set(b"f", b"short", &SMALL);
    assert_eq!(shared.get(b"f"), Some(Element::Str(&long)));
    assert_eq!(hash.get(b"f"), Some(Element::Str(b"short")));
    assert!(shared.heap_bytes() >= 5000);
    assert!(hash.heap_bytes() < 2000);
    let mut seen = 0;
    shared.scan(0, 10, &mut |_, value| seen += value.len());
    assert_eq!(seen, 5000);
}

#[test]
fn listpacks_from_outside_are_checked() {
    let list = |elements: &[&[u8]]| {
        let mut list = Listpack::new();
        elements.iter().for_each(|element| list.push_back(element));
        list
    };
    assert!(Hash::from_packed(list(&[]), &SMALL).is_none());
    assert!(Hash::from_packed(list(&[b"a"]), &SMALL).is_none());
    assert!(Hash::from_packed(list(&[b"1", b"x", b"1", b"y"]), &SMALL).is_none());
    let hash = Hash::from_packed(list(&[b"a", b"a", b"1", b"a"]), &SMALL);
    assert_eq!(hash.map(|h| h.encoding()), Some("listpack"));
    let many: Vec<Vec<u8>> = (0..10u8).map(|n| vec![b'a' + n]).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let hash = Hash::from_packed(list(&many), &SMALL).expect("five distinct fields");
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 5));
    assert_eq!(hash.get(b"i"), Some(Element::Str(b"j")));
}

#[test]
fn scan_meets_all_that_stays_while_others_come_and_go() {
    let limits = HashLimits::default();
    let mut hash = Hash::default();
    for n in 0..2000 {
        hash.set(format!("keep{n}").as_bytes(), b"v", &limits);
        hash.set(format!("drop{n}").as_bytes(), b"v", &limits);
    }
    let mut seen = std::collections::HashSet::new();
    let (mut cursor, mut round) = (0, 0);
    loop {
        cursor = hash.scan(cursor, 7, &mut |field, _| {
            seen.insert(field.to_vec());
        });
        assert!(cursor < 1 << 48);
        hash.remove(format!("drop{round}").as_bytes());
        hash.set(format!("late{round}").as_bytes(), b"v", &limits);
        round += 1;
        if cursor == 0 {
            break;
        }
    }
    assert!(round > 100, "a table is walked in steps");
    for n in 0..2000 {
        assert!(seen.contains(format!("keep{n}").as_bytes()), "keep{n}");
    }
    // A cursor nobody gave out ends or goes on, but is safe.
    hash.scan(u64::MAX, usize::MAX, &mut |_, _| {});
}

#[test]
fn ranks_pick_the_pairs_of_the_iteration() {
    for count in [3, 300] {
        let mut hash = Hash::default();
        for n in 0..count {
            hash.set(format!("f{n}").as_bytes(), b"v", &HashLimits::default());
        }
        let all = pairs(&hash);
        for ranks in [vec![0, 2], (0..count).collect::<Vec<_>>(), vec![]] {
            let mut got = Vec::new();
            hash.at_ranks(&ranks, &mut |field, value| {
                got.push((field.to_vec(), value.to_vec()));
            });
            let want: Vec<_> = ranks.iter().map(|&rank| all[rank].clone()).collect();
            assert_eq!(got, want);
        }
        assert_eq!(
            hash.random(0).map(|(f, _)| f.to_vec()),
            Some(all[0].0.clone())
        );
        let last = hash.random(u64::MAX).map(|(f, _)| f.to_vec());
        assert_eq!(last, all.last().map(|(f, _)| f.clone()));
    }
    assert!(Hash::default().random(5).is_none());
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>),
    SetNx(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Share,
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..40i32).prop_map(|n| n.to_string().into_bytes()),
        "[a-e]{1,2}".prop_map(String::into_bytes),
        "[a-b]{9,10}".prop_map(String::into_bytes),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..12),
        (500usize..530).prop_map(|n| vec![b'v'; n]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (field(), value()).prop_map(|(f, v)| Op::Set(f, v)),
        1 => (field(), value()).prop_map(|(f, v)| Op::SetNx(f, v)),
        2 => field().prop_map(Op::Remove),
        1 => Just(Op::Share),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_map(
        ops in proptest::collection::vec(op(), 1..120),
        entries in 0usize..40,
        longest in prop_oneof![Just(8usize), Just(1000)],
    ) {
        let limits = HashLimits { max_listpack_entries: entries, max_listpack_value: longest };
        let mut hash = Hash::default();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut shared = Vec::new();
        for op in ops {
            match op {
                Op::Set(f, v) => {
                    prop_assert_eq!(hash.set(&f, &v, &limits), model.insert(f, v).is_none());
                }
                Op::SetNx(f, v) => {
                    let new = !model.contains_key(&f);
                    prop_assert_eq!(hash.set_nx(&f, &v, &limits), new);
                    if new {
                        model.insert(f, v);
                    }
                }
                Op::Remove(f) => {
                    prop_assert_eq!(hash.remove(&f), model.remove(&f).is_some());
                }
                Op::Share => shared.push((hash.clone(), model.clone())),
            }
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.is_empty(), model.is_empty());
        }
        shared.push((hash, model));
        for (hash, model) in shared {
            let mut all = pairs(&hash);
            all.sort();
            prop_assert_eq!(&all, &model.clone().into_iter().collect::<Vec<_>>());
            for (f, v) in &model {
                prop_assert!(hash.contains(f));
                prop_assert!(hash.get(f).is_some_and(|e| e.eq_bytes(v)));
                prop_assert_eq!(hash.str_len(f), v.len());
            }
            let mut scanned = Vec::new();
            let mut cursor = 0;
            loop {
                cursor = hash.scan(cursor, 3, &mut |f, v| scanned.push((f.to_vec(), v.to_vec())));
                if cursor == 0 {
                    break;
                }
            }
            scanned.sort();
            prop_assert_eq!(scanned, all);
        }
    }
}

#[test]
fn times_come_and_go_with_their_fields() {
    let limits = HashLimits::default();
    let mut hash = Hash::default();
    for (field, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")] {
        hash.set(field, value, &limits);
    }
    assert!(!hash.set_expiry(b"none", 5));
    assert_eq!((hash.lasting_len(), hash.next_expiry()), (0, None));
    assert!(hash.set_expiry(b"a", 500) && hash.set_expiry(b"b", 300));
    assert_eq!((hash.lasting_len(), hash.next_expiry()), (2, Some(300)));
    assert_eq!((hash.expiry(b"a"), hash.expiry(b"c")), (Some(500), None));
    assert_eq!((hash.len(), hash.encoding()), (3, "listpack"));
    // A changed value keeps the time, a set one has none.
    assert!(!hash.set_value(b"a", b"9", &limits));
    assert_eq!(hash.expiry(b"a"), Some(500));
    assert!(!hash.set(b"b", b"8", &limits));
    assert_eq!((hash.expiry(b"b"), hash.next_expiry()), (None, Some(500)));
    assert!(hash.remove(b"a"));
    assert!(matches!(hash, Hash::Packed(_)), "nothing expires any more");
    assert!(hash.set_expiry(b"c", i64::MAX));
    assert_eq!(hash.expiry(b"c"), Some(super::MAX_EXPIRE_MS));
    assert!(hash.persist(b"c") && !hash.persist(b"c"));
    assert!(matches!(hash, Hash::Packed(_)));
}

#[test]
fn what_is_due_is_taken_out_and_nothing_else() {
    let limits = HashLimits::default();
    let mut hash = Hash::default();
    for n in 0..5000i64 {
        let field = format!("field:{n}");
        hash.set(field.as_bytes(), b"v", &limits);
        if n % 2 == 0 {
            hash.set_expiry(field.as_bytes(), 1000 + n);
        }
    }
    let before = hash.clone();
    assert!(
        hash.take_due(1000, 10_000).is_empty(),
        "its time, not past it"
    );
    assert_eq!(hash.take_due(1001, 10_000), [b"field:0"]);
    assert_eq!(hash.take_due(3000, 10).len(), 10);
    assert_eq!(hash.take_due(3000, 10_000).len(), 989);
    assert_eq!((hash.len(), hash.lasting_len()), (4000, 1500));
    assert_eq!(hash.next_expiry(), Some(3000));
    assert!(hash.contains(b"field:1") && hash.contains(b"field:2000"));
    assert_eq!(hash.take_due(i64::MAX, 10_000).len(), 1500);
    assert!(matches!(hash, Hash::Table(_)));
    assert_eq!(
        (before.len(), before.lasting_len()),
        (5000, 2500),
        "a copy stays as it was"
    );
}

#[test]
fn times_cost_only_those_who_have_them() {
    /// An enum of only the other two.
    enum Plain {
        _Packed(Listpack),
        _Table(PagedMap<HashSchema>),
    }
    assert_eq!(size_of::<Hash>(), size_of::<Plain>());
}
