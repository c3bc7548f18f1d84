//! The tree against a sorted vector.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::RankTree;

type Model = Vec<(f64, Vec<u8>)>;

fn order(a: &(f64, Vec<u8>), b: &(f64, Vec<u8>)) -> Ordering {
    a.0.partial_cmp(&b.0)
        .expect("no NaN")
        .then_with(|| a.1.cmp(&b.1))
}

fn contents(tree: &RankTree) -> Model {
    tree.iter().map(|(s, m)| (s, m.to_vec())).collect()
}

fn model_insert(model: &mut Model, item: (f64, Vec<u8>)) -> bool {
    match model.binary_search_by(|x| order(x, &item)) {
        Ok(_) => false,
        Err(i) => {
            model.insert(i, item);
            true
        }
    }
}

/// A small generator of pseudo-random numbers, for the long runs.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(f64, Vec<u8>),
    RemoveAt(usize),
    RemoveRange(usize, usize),
    PopMin,
    PopMax,
    Snapshot,
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        2 => any::<i32>().prop_map(|x| f64::from(x) / 64.0),
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::MIN_POSITIVE / 8.0),
        1 => any::<f64>().prop_filter("number", |x| !x.is_nan()),
    ]
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0u8..3, 0..12),
        3 => (0u32..5000).prop_map(|i| format!("member:{i:010}").into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 20..40),
        1 => (0usize..3000, any::<u8>()).prop_map(|(n, b)| vec![b; n]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (score(), member()).prop_map(|(s, m)| Op::Insert(s, m)),
        6 => any::<usize>().prop_map(Op::RemoveAt),
        1 => (any::<usize>(), 0usize..200).prop_map(|(a, n)| Op::RemoveRange(a, n)),
        1 => Just(Op::PopMin),
        1 => Just(Op::PopMax),
        1 => Just(Op::Snapshot),
    ]
}

fn compare_queries(tree: &RankTree, model: &Model) {
    tree.check();
    assert_eq!(tree.len(), model.len());
    assert_eq!(contents(tree), *model);
    let back: Model = tree
        .iter_back_from(usize::MAX)
        .map(|(s, m)| (s, m.to_vec()))
        .collect();
    assert!(back.iter().eq(model.iter().rev()));
    for (i, (score, member)) in model.iter().enumerate() {
        assert_eq!(tree.rank(*score, member), Some(i));
        assert_eq!(tree.nth(i), Some((*score, &member[..])));
        let below = model.partition_point(|x| x.0 < *score);
        let at_most = model.partition_point(|x| x.0 <= *score);
        assert_eq!(tree.lower_rank_score(*score, false), below);
        assert_eq!(tree.lower_rank_score(*score, true), at_most);
        if i % 17 == 0 {
            let rest: Model = tree.iter_from(i).map(|(s, m)| (s, m.to_vec())).collect();
            assert_eq!(rest, model[i..]);
            let down = tree.iter_back_from(i);
            assert_eq!(down.len(), i + 1);
            assert!(
                down.map(|(s, m)| (s, m.to_vec()))
                    .eq(model[..=i].iter().rev().cloned())
            );
        }
    }
    assert_eq!(tree.nth(model.len()), None);
    assert_eq!(tree.iter_from(model.len()).next(), None);
    let by_leaf: usize = tree.leaves().map(|leaf| leaf.len()).sum();
    assert_eq!(by_leaf, model.len());
    let from_leaves: Model = tree
        .leaves()
        .flat_map(|leaf| leaf.iter())
        .map(|(s, m)| (s, m.to_vec()))
        .collect();
    assert_eq!(from_leaves, *model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_sorted_vector(ops in prop::collection::vec(op(), 1..600)) {
        let mut tree = RankTree::new();
        let mut model = Model::new();
        let mut snapshots: Vec<(RankTree, Model)> = Vec::new();
        for op in ops {
            match op {
                Op::Insert(s, m) => {
                    prop_assert_eq!(tree.insert(s, &m), model_insert(&mut model, (s, m)));
                }
                Op::RemoveAt(at) if !model.is_empty() => {
                    let (s, m) = model.remove(at % model.len());
                    prop_assert!(tree.remove(s, &m));
                    prop_assert!(!tree.remove(s, &m));
                }
                Op::RemoveRange(at, n) => {
                    let start = at % (model.len() + 1);
                    let end = model.len().min(start + n);
                    let mut seen = Model::new();
                    let taken =
                        tree.remove_range_by_rank(start, n, &mut |s, m| seen.push((s, m.to_vec())));
                    prop_assert_eq!(taken, end - start);
                    let expected: Model = model.drain(start..end).collect();
                    prop_assert_eq!(seen, expected);
                }
                Op::PopMin => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(tree.pop_min(), expected);
                }
                Op::PopMax => prop_assert_eq!(tree.pop_max(), model.pop()),
                Op::Snapshot => snapshots.push((tree.clone(), model.clone())),
                Op::RemoveAt(_) => {}
            }
        }
        compare_queries(&tree, &model);
        for (tree, model) in &snapshots {
            compare_queries(tree, model);
        }
    }

    #[test]
    fn lex_ranks_agree(members in prop::collection::btree_set(member(), 0..300), probes in prop::collection::vec(member(), 20)) {
        let mut tree = RankTree::new();
        for m in &members {
            prop_assert!(tree.insert(7.0, m));
        }
        tree.check();
        for p in probes.iter().chain(members.iter().take(40)) {
            prop_assert_eq!(tree.lower_rank_lex(p, false), members.iter().filter(|m| *m < p).count());
            prop_assert_eq!(tree.lower_rank_lex(p, true), members.iter().filter(|m| *m <= p).count());
        }
    }
}

#[test]
fn long_random_run_with_ties() {
    let mut rng = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut tree = RankTree::new();
    let mut model = std::collections::BTreeSet::new();
    for step in 0..120_000usize {
        // Grow, then shrink, so that both splits and merges go several levels.
        let grow = step < 70_000;
        if rng.below(10) < if grow { 9 } else { 1 } || model.is_empty() {
            let score = rng.below(50) as i64;
            let member = format!("tie:prefix:{:06}", rng.below(200_000));
            assert_eq!(
                tree.insert(score as f64, member.as_bytes()),
                model.insert((score, member))
            );
        } else {
            let (score, member) = {
                let (s, m) = tree.nth(rng.below(tree.len())).expect("in range");
                (s, m.to_vec())
            };
            assert!(tree.remove(score, &member));
            let text = String::from_utf8(member).expect("made of text");
            assert!(model.remove(&(score as i64, text)));
        }
        if step % 20_000 == 0 {
            tree.check();
        }
    }
    tree.check();
    assert!(
        tree.iter()
            .map(|(s, m)| (s as i64, m.to_vec()))
            .eq(model.iter().map(|(s, m)| (*s, m.clone().into_bytes())))
    );
}

#[test]
fn both_zeros_are_one_position() {
    let mut tree = RankTree::new();
    assert!(tree.insert(-0.0, b"b"));
    assert!(tree.insert(0.0, b"a"));
    assert!(!tree.insert(0.0, b"b"));
    assert!(tree.nth(1).expect("b").0.is_sign_negative());
    assert_eq!(tree.lower_rank_score(0.0, false), 0);
    assert_eq!(tree.lower_rank_score(-0.0, true), 2);
    assert!(tree.remove(0.0, b"b"));
    assert!(!tree.insert(f64::NAN, b"x"));
    assert_eq!(tree.len(), 1);
}

#[test]
fn huge_members_live_alone_and_are_not_copied() {
    let mut tree = RankTree::new();
    let huge = vec![b'h'; 5 << 20];
    assert!(tree.insert(1.0, &huge));
    for i in 0..200u32 {
        assert!(tree.insert(1.0, format!("a{i}").as_bytes()));
        assert!(tree.insert(1.0, format!("z{i}").as_bytes()));
    }
    tree.check();
    assert_eq!(tree.rank(1.0, &huge), Some(200));
    let clone = tree.clone();
    assert!(tree.insert(1.0, b"b"));
    let shared = clone
        .leaves()
        .any(|leaf| leaf.len() == 1 && tree.leaves().any(|other| leaf.same_page(&other)));
    assert!(shared);
    assert!(tree.remove(1.0, &huge));
    tree.check();
    assert!(tree.heap_bytes() < 64 << 10);
    assert!(clone.contains(1.0, &huge));
}

#[test]
fn a_write_after_a_clone_copies_one_page() {
    let mut tree = RankTree::new();
    for i in 0..50_000u32 {
        tree.insert(f64::from(i % 977), format!("member:{i}").as_bytes());
    }
    let before = tree.clone();
    assert!(tree.insert(500.5, b"new"));
    let (old, new) = (before.leaves(), tree.leaves());
    let fresh = new
        .zip(old)
        .filter(|(new, old)| !new.same_page(old))
        .count();
    assert!(fresh <= 1, "{fresh} pages differ");
    assert_eq!(before.len() + 1, tree.len());
    assert!(!before.contains(500.5, b"new"));
    // Unshared again: the page is changed in place.
    drop(before);
    let probe = |t: &RankTree| t.heap_bytes();
    let size = probe(&tree);
    assert!(tree.remove(500.5, b"new"));
    assert!(probe(&tree) <= size);
}

#[test]
fn memory_per_element_stays_low() {
    let n = 100_000usize;
    let mut rng = Xorshift(42);
    for (name, fractional, limit) in [("whole", false, 29.5), ("random", true, 33.5)] {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, rng.below(i + 1));
        }
        let mut tree = RankTree::new();
        for i in order {
            let score = if fractional {
                (rng.next() >> 11) as f64 / (1u64 << 53) as f64
            } else {
                i as f64
            };
            assert!(tree.insert(score, format!("member:{i:010}").as_bytes()));
        }
        let each = tree.heap_bytes() as f64 / n as f64;
        println!("{name}: {each:.2} bytes per element");
        assert!(each < limit, "{name}: {each:.2} bytes per element");
    }
}

#[test]
fn elements_in_order_fill_their_pages() {
    for descending in [false, true] {
        let mut tree = RankTree::new();
        for i in 0..20_000u32 {
            let i = if descending { 20_000 - i } else { i };
            tree.insert(f64::from(i), format!("member:{i:010}").as_bytes());
        }
        tree.check();
        let each = tree.heap_bytes() as f64 / 20_000.0;
        assert!(each < 27.0, "{each:.2} bytes per element");
    }
}

#[test]
fn removing_a_range_of_everything_empties_the_tree() {
    let mut tree = RankTree::new();
    for i in 0..10_000u32 {
        tree.insert(f64::from(i), b"m");
    }
    let whole = tree.clone();
    assert_eq!(tree.remove_range_by_rank(100, 9_800, &mut |_, _| {}), 9_800);
    tree.check();
    assert!(tree.heap_bytes() < 8192);
    assert_eq!(
        tree.remove_range_by_rank(0, usize::MAX, &mut |_, _| {}),
        200
    );
    assert!(tree.is_empty());
    assert_eq!(tree.heap_bytes(), 0);
    assert_eq!(whole.len(), 10_000);
    whole.check();
}
