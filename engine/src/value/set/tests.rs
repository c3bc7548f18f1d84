//! Tests of the set value against an ordered set and against recorded encodings.

use std::collections::BTreeSet;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SMALL: SetLimits = SetLimits {
    max_intset_entries: 6,
    max_listpack_entries: 4,
    max_listpack_value: 8,
};

/// What SADD does with its words.
fn sadd(set: Option<Set>, words: &str) -> Set {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut set = match set {
        None => Set::create(words[0], words.len(), &SMALL),
        Some(mut set) => {
            set.prepare(words.len(), &SMALL);
            set
        }
    };
    for word in words {
        set.add(word, &SMALL);
    }
    set
}

fn elements(set: &Set) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    set.for_each(|element| elements.push(element.to_vec()));
    elements
}

/// Encodings and lengths as Redis 7.2.4 answered with these limits.
#[test]
fn adding_converts_when_redis_does() {
    let cases: &[(&[&str], &str, usize)] = &[
        (&["1 2 3 4 5 6"], "intset", 6),
        (&["1 2 3 4 5 6 7"], "hashtable", 7),
        (&["1 2 3 4 5 6", "7"], "hashtable", 7),
        (&["1 2 3", "a"], "listpack", 4),
        (&["1 2 3 4", "a"], "hashtable", 5),
        (&["1 2 3 4 5", "a"], "hashtable", 6),
        (&["a b c d"], "listpack", 4),
        (&["a b c d e"], "hashtable", 5),
        (&["a b c", "d e f g h"], "hashtable", 8),
        (&["a a a a a"], "hashtable", 1),
        (&["abcdefghi"], "hashtable", 1),
        (&["1 abcdefghi"], "hashtable", 2),
        (&["123456789", "a"], "hashtable", 2),
        (&["1 1 1 1 1 1 1"], "hashtable", 1),
        (&["1", "1 1 1 1 1 1 1"], "hashtable", 1),
        (&["1 a b c d"], "hashtable", 5),
        (&["a 1 2 3 4 5"], "hashtable", 6),
        (&["1 a 2 3"], "listpack", 4),
    ];
    for (adds, encoding, len) in cases {
        let mut set = None;
        for words in *adds {
            set = Some(sadd(set, words));
        }
        let set = set.expect("every case adds");
        assert_eq!((set.encoding(), set.len()), (*encoding, *len), "{adds:?}");
    }
}

/// Encodings and lengths of stored results as Redis 7.2.4 answered with these limits.
#[test]
fn results_are_encoded_as_redis_does() {
    enum Do {
        Inter,
        Union,
        Diff,
    }
    let cases: &[(Do, &[&str], &str, usize)] = &[
        (Do::Inter, &["1 2 3", "2 3 4"], "intset", 2),
        (Do::Inter, &["1 2 3 x", "2 3 4"], "intset", 2),
        (
            Do::Inter,
            &["1 2 3 x y z w v", "1 2 3 p q r s t"],
            "intset",
            3,
        ),
        (Do::Inter, &["1 2 3 x", "1 x p q"], "listpack", 2),
        (Do::Inter, &["p q r s t u v"], "hashtable", 7),
        (Do::Union, &["1 2 3 x y z", "4 5"], "hashtable", 8),
        (Do::Union, &["1 2 3", "4 5"], "intset", 5),
        (Do::Union, &["1 2 3 4", "5 6 7 8"], "hashtable", 8),
        (Do::Diff, &["1 2 x", "x"], "intset", 2),
        (Do::Diff, &["1 2 3 x y z", "x y z"], "intset", 3),
        // Here elements are taken out of a copy, which had to be a table.
        (
            Do::Diff,
            &["1 2 3 4 x y z", "x y 9", "y", "z", "z q"],
            "hashtable",
            4,
        ),
    ];
    for (operation, words, encoding, len) in cases {
        let sets: Vec<Set> = words.iter().map(|words| sadd(None, words)).collect();
        let sets: Vec<&Set> = sets.iter().collect();
        let result = match operation {
            Do::Inter => intersect(&sets, &SMALL),
            Do::Union => union(&sets, &SMALL),
            Do::Diff => difference(sets[0], &sets[1..], &SMALL),
        };
        assert_eq!(
            (result.encoding(), result.len()),
            (*encoding, *len),
            "{words:?}"
        );
    }
    let mut table = sadd(None, "1 2 3 4 5 6 a");
    table.remove(b"a");
    assert_eq!(table.encoding(), "hashtable");
    assert_eq!(intersect(&[&table], &SMALL).encoding(), "intset");
    assert!(difference(&table, &[&table], &SMALL).is_empty());
    assert!(intersect(&[], &SMALL).is_empty());
}

/// After popping almost everything, Redis 7.2.4 builds the rest anew.
#[test]
fn popping_many_rebuilds_the_rest_when_little_is_left() {
    let cases = [
        ("1 2 3 4 5 6 7 8 9 10", 9, "listpack"),
        ("a b c d e f g h i j", 8, "hashtable"),
        ("a b c d e f g h i j", 9, "listpack"),
        ("1 2 3 4 5 6", 5, "intset"),
    ];
    for (words, count, encoding) in cases {
        let mut set = sadd(None, words);
        let mut all: BTreeSet<Vec<u8>> = elements(&set).into_iter().collect();
        let total = all.len();
        let mut state = 1u64;
        let mut popped = 0;
        set.pop_many(
            count,
            &SMALL,
            &mut || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(99);
                state
            },
            &mut |element| {
                assert!(all.remove(&element.to_vec()), "popped twice: {element:?}");
                popped += 1;
            },
        );
        assert_eq!(popped, count);
        assert_eq!((set.encoding(), set.len()), (encoding, total - count));
        assert_eq!(elements(&set).into_iter().collect::<BTreeSet<_>>(), all);
    }
}

#[test]
fn order_is_ascending_in_an_intset_and_of_adding_in_a_listpack() {
    let text = |set: &Set| {
        let words: Vec<String> = elements(set)
            .into_iter()
            .map(|e| String::from_utf8_lossy(&e).into_owned())
            .collect();
        words.join(" ")
    };
    assert_eq!(text(&sadd(None, "5 -3 100000 4")), "-3 4 5 100000");
    assert_eq!(text(&sadd(None, "b 7 a")), "b 7 a");
    let set = sadd(Some(sadd(None, "9 7")), "x");
    assert_eq!(text(&set), "7 9 x");
    assert_eq!(set.nth(1), Some(Element::Int(9)));
    assert_eq!(set.nth(3), None);
    assert_eq!(set.random(0), Some(Element::Int(7)));
    assert_eq!(set.random(u64::MAX), Some(Element::Str(b"x")));
    assert_eq!(Set::default().random(3), None);
    assert_eq!(Set::default().pop_random(3), None);
}

#[test]
fn sets_from_outside_are_checked() {
    let list = |elements: &[&[u8]]| {
        let mut list = Listpack::new();
        elements.iter().for_each(|element| list.push_back(element));
        list
    };
    assert!(Set::from_packed(list(&[]), &SMALL).is_none());
    assert!(Set::from_packed(list(&[b"a", b"b", b"a"]), &SMALL).is_none());
    assert!(Set::from_packed(list(&[b"7", b"b", b"7"]), &SMALL).is_none());
    let encoding = |set: Option<Set>| set.map(|set| (set.encoding(), set.len()));
    let four = Set::from_packed(list(&[b"a", b"1", b"b", b"2"]), &SMALL);
    assert_eq!(encoding(four), Some(("listpack", 4)));
    let five = Set::from_packed(list(&[b"a", b"1", b"b", b"2", b"c"]), &SMALL);
    assert_eq!(encoding(five), Some(("hashtable", 5)));
    let ints = |count: i64| {
        let mut ints = Intset::new();
        (0..count).for_each(|int| {
            ints.add(int);
        });
        Set::from_ints(ints, &SMALL)
    };
    assert_eq!(encoding(ints(0)), None);
    assert_eq!(encoding(ints(6)), Some(("intset", 6)));
    assert_eq!(encoding(ints(7)), Some(("hashtable", 7)));
}

#[test]
fn every_rank_is_drawn_equally_often() {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for count in [1, 2, 5, 9, 10, 12] {
        let mut drawn: HashMap<usize, usize> = HashMap::new();
        for _ in 0..10_000 {
            let ranks = distinct_ranks(10, count, &mut random);
            assert_eq!(ranks.len(), count.min(10));
            assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]));
            for rank in ranks {
                *drawn.entry(rank).or_default() += 1;
            }
        }
        let mean = 1000.0 * count.min(10) as f64;
        for rank in 0..10 {
            let times = drawn[&rank] as f64;
            assert!((times - mean).abs() < 200.0, "{count}: {rank} {times}");
        }
    }
}

type Model = BTreeSet<Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    Pop(u64),
    PopMany(usize),
    Share,
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-20..20i32).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => "[a-e]{0,2}".prop_map(String::into_bytes),
        1 => "[a-b]{9,10}".prop_map(String::into_bytes),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => element().prop_map(Op::Add),
        3 => element().prop_map(Op::Remove),
        1 => any::<u64>().prop_map(Op::Pop),
        1 => (0usize..30).prop_map(Op::PopMany),
        1 => Just(Op::Share),
    ]
}

fn limits() -> impl Strategy<Value = SetLimits> {
    (0usize..30, 0usize..30, 0usize..12).prop_map(|(ints, entries, value)| SetLimits {
        max_intset_entries: ints,
        max_listpack_entries: entries,
        max_listpack_value: value,
    })
}

proptest! {
    #[test]
    fn behaves_as_a_set(ops in proptest::collection::vec(op(), 1..120), limits in limits()) {
        let mut set = Set::default();
        let mut model: Model = BTreeSet::new();
        let mut shared = Vec::new();
        let mut state = 3u64;
        for op in ops {
            match op {
                Op::Add(e) => prop_assert_eq!(set.add(&e, &limits), model.insert(e)),
                Op::Remove(e) => prop_assert_eq!(set.remove(&e), model.remove(&e)),
                Op::Pop(random) => match set.pop_random(random) {
                    Some(e) => prop_assert!(model.remove(&e)),
                    None => prop_assert!(model.is_empty()),
                },
                Op::PopMany(count) if count < model.len() => {
                    let mut popped = Vec::new();
                    let mut random = || {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                        state
                    };
                    set.pop_many(count, &limits, &mut random, &mut |e| popped.push(e.to_vec()));
                    prop_assert_eq!(popped.len(), count);
                    for e in popped {
                        prop_assert!(model.remove(&e));
                    }
                }
                Op::PopMany(_) => {}
                Op::Share => shared.push((set.clone(), model.clone())),
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        shared.push((set, model));
        for (set, model) in shared {
            let order = elements(&set);
            let all: BTreeSet<_> = order.iter().cloned().collect();
            prop_assert_eq!(&all, &model);
            prop_assert_eq!(order.len(), model.len());
            for (rank, e) in order.iter().enumerate() {
                prop_assert!(set.contains(e));
                prop_assert!(set.nth(rank).is_some_and(|found| found.eq_bytes(e)));
            }
            let even: Vec<usize> = (0..order.len()).step_by(2).collect();
            let few: Vec<usize> = (0..order.len()).step_by(5).collect();
            for ranks in [even, few] {
                let mut got = Vec::new();
                set.at_ranks(&ranks, &mut |e| got.push(e.to_vec()));
                let want: Vec<_> = ranks.iter().map(|&rank| order[rank].clone()).collect();
                prop_assert_eq!(got, want);
            }
            let mut scanned = Vec::new();
            let mut cursor = 0;
            loop {
                cursor = set.scan(cursor, 3, &mut |e| scanned.push(e.to_vec()));
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(scanned.len(), model.len());
            prop_assert_eq!(scanned.into_iter().collect::<BTreeSet<_>>(), model);
        }
    }

    #[test]
    fn algebra_agrees_with_the_model(
        contents in proptest::collection::vec(proptest::collection::vec(element(), 0..25), 1..5),
        each in limits(),
        limits in limits(),
    ) {
        let models: Vec<Model> =
            contents.iter().map(|c| c.iter().cloned().collect()).collect();
        let sets: Vec<Set> = contents
            .iter()
            .map(|content| {
                let mut set = Set::default();
                content.iter().for_each(|e| {
                    set.add(e, &each);
                });
                set
            })
            .collect();
        let sets: Vec<&Set> = sets.iter().collect();
        let collect = |set: Set| {
            let list = elements(&set);
            assert_eq!(list.len(), set.len());
            list.into_iter().collect::<BTreeSet<_>>()
        };
        let fold = |f: fn(&Model, &Model) -> Model| {
            models[1..].iter().fold(models[0].clone(), |a, b| f(&a, b))
        };
        prop_assert_eq!(collect(intersect(&sets, &limits)), fold(|a, b| a & b));
        prop_assert_eq!(collect(union(&sets, &limits)), fold(|a, b| a | b));
        prop_assert_eq!(collect(difference(sets[0], &sets[1..], &limits)), fold(|a, b| a - b));
    }
}
