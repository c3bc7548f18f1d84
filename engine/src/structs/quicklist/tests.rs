//! A model of a plain deque, snapshots that must not move, and node layouts
//! recorded from a Redis 7.2.4 server.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn contents(list: &QuickList) -> Vec<Vec<u8>> {
    list.iter().map(|entry| entry.to_vec()).collect()
}

/// Element counts of the nodes; plain nodes are negative.
fn layout(list: &QuickList) -> Vec<i64> {
    let size = |node: &Node| match node {
        Node::Packed(entries) => entries.len() as i64,
        Node::Plain(_) => -1,
    };
    list.nodes().map(size).collect()
}

fn numbers(fill: i32, count: usize) -> QuickList {
    let mut list = QuickList::new(fill);
    for number in 0..count {
        list.push_back(number.to_string().as_bytes());
    }
    list
}

#[derive(Debug, Clone)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    PopBack,
    PopFront,
    Set(i64, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Remove(i64, usize),
    DeleteRange(usize, usize),
    Trim(usize, usize),
    Fill(usize),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0u32..40).prop_map(|v| v.to_string().into_bytes()),
        3 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0usize..3000).prop_map(|len| vec![b'z'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => value().prop_map(Op::PushBack),
        6 => value().prop_map(Op::PushFront),
        2 => Just(Op::PopBack),
        2 => Just(Op::PopFront),
        4 => (-80i64..80, value()).prop_map(|(i, v)| Op::Set(i, v)),
        8 => (any::<usize>(), any::<bool>(), value()).prop_map(|(i, a, v)| Op::Insert(i, a, v)),
        2 => (-4i64..5, any::<usize>()).prop_map(|(n, i)| Op::Remove(n, i)),
        2 => (0usize..120, 0usize..40).prop_map(|(s, n)| Op::DeleteRange(s, n)),
        1 => (0usize..20, 20usize..400).prop_map(|(s, e)| Op::Trim(s, e)),
        2 => (1usize..200).prop_map(Op::Fill),
    ]
}

/// Removes matches from the model as `LREM` does.
fn model_remove(model: &mut VecDeque<Vec<u8>>, count: i64, value: &[u8]) -> usize {
    let limit = match count.unsigned_abs() as usize {
        0 => usize::MAX,
        limit => limit,
    };
    let mut hits: Vec<usize> = (0..model.len()).filter(|&i| model[i] == value).collect();
    if count < 0 {
        hits.reverse();
    }
    hits.truncate(limit);
    hits.sort_unstable();
    for &index in hits.iter().rev() {
        model.remove(index);
    }
    hits.len()
}

fn apply(list: &mut QuickList, model: &mut VecDeque<Vec<u8>>, op: Op) {
    match op {
        Op::PushBack(v) => {
            list.push_back(&v);
            model.push_back(v);
        }
        Op::PushFront(v) => {
            list.push_front(&v);
            model.push_front(v);
        }
        Op::PopBack => assert_eq!(list.pop_back(), model.pop_back()),
        Op::PopFront => assert_eq!(list.pop_front(), model.pop_front()),
        Op::Set(index, v) => {
            let len = model.len() as i64;
            let at = if index < 0 { index + len } else { index };
            let inside = (0..len).contains(&at);
            assert_eq!(list.set(index, &v), inside);
            if inside {
                model[at as usize] = v;
            }
        }
        Op::Insert(pick, after, v) => {
            if let Some(at) = pick.checked_rem(model.len()) {
                let pivot = model[at].clone();
                let first = model.iter().position(|own| *own == pivot).expect("there");
                assert!(list.insert(&pivot, after, &v));
                model.insert(first + usize::from(after), v);
            }
            assert!(!list.insert(b"no such element", after, b"x"));
        }
        Op::Remove(count, pick) => {
            if let Some(at) = pick.checked_rem(model.len()) {
                let value = model[at].clone();
                let removed = model_remove(model, count, &value);
                assert_eq!(list.remove(count, &value), removed);
            }
        }
        Op::DeleteRange(start, count) => {
            let from = start.min(model.len());
            let to = (from + count).min(model.len());
            assert_eq!(list.delete_range(start, count), to - from);
            model.drain(from..to);
        }
        Op::Trim(start, end) => {
            list.trim(start, end);
            model.truncate(end + 1);
            model.drain(..start.min(model.len()));
        }
        Op::Fill(count) => {
            for number in 0..count {
                let v = number.to_string().into_bytes();
                list.push_back(&v);
                model.push_back(v);
            }
        }
    }
}

fn check(list: &QuickList, model: &VecDeque<Vec<u8>>) {
    list.seq.check();
    assert_eq!(list.len(), model.len());
    assert!(contents(list).iter().eq(model.iter()));
    if let Some(last) = model.len().checked_sub(1) {
        let backward: Vec<_> = list.iter_back_from(last).map(|e| e.to_vec()).collect();
        assert!(backward.iter().eq(model.iter().rev()));
    }
    for at in [0, 1, model.len() / 2, model.len().saturating_sub(1)] {
        let expected = model.get(at);
        assert_eq!(list.get(at as i64).map(|e| e.to_vec()).as_ref(), expected);
        let back = at as i64 - model.len() as i64;
        if expected.is_some() {
            assert_eq!(list.get(back).map(|e| e.to_vec()).as_ref(), expected);
        }
        let on: Vec<_> = list.iter_from(at).map(|e| e.to_vec()).collect();
        assert!(on.iter().eq(model.iter().skip(at)));
        if expected.is_some() {
            let back: Vec<_> = list.iter_back_from(at).map(|e| e.to_vec()).collect();
            assert!(back.iter().eq(model.iter().take(at + 1).rev()));
        }
    }
    assert_eq!(list.get(model.len() as i64), None);
    assert_eq!(list.get(-1 - model.len() as i64), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn behaves_like_a_deque(
        fill in prop_oneof![Just(-1), Just(-2), Just(0), 1i32..6, Just(40)],
        threshold in prop_oneof![Just(0usize), Just(20)],
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut list = QuickList::new(fill);
        list.set_packed_threshold(threshold);
        let mut model = VecDeque::new();
        let mut snapshots = Vec::new();
        for (index, op) in ops.into_iter().enumerate() {
            if index % 7 == 0 {
                snapshots.push((list.clone(), contents(&list), layout(&list)));
            }
            apply(&mut list, &mut model, op);
            list.seq.check();
        }
        check(&list, &model);
        for (snapshot, values, nodes) in snapshots {
            snapshot.seq.check();
            prop_assert_eq!(contents(&snapshot), values);
            prop_assert_eq!(layout(&snapshot), nodes);
        }
    }
}

#[test]
fn a_large_list_stays_a_tree() {
    // One element per node: 20000 nodes, three levels of pages.
    let mut list = numbers(1, 20_000);
    assert_eq!((list.len(), list.node_count()), (20_000, 20_000));
    list.seq.check();
    let snapshot = list.clone();
    for number in 0..20_000 {
        list.push_front(b"x");
        assert!(list.set(number, b"y"));
    }
    list.seq.check();
    assert_eq!(list.delete_range(5_000, 30_000), 30_000);
    list.seq.check();
    list.trim(10, 9_000);
    list.seq.check();
    while list.pop_front().is_some() && list.pop_back().is_some() {}
    list.seq.check();
    assert!(list.is_empty() && list.node_count() == 0);
    assert!(contents(&snapshot) == contents(&numbers(1, 20_000)));
}

#[test]
fn a_write_after_a_clone_copies_one_node_and_its_pages() {
    let mut list = numbers(-2, 500_000);
    let snapshot = list.clone();
    assert!(list.set(250_000, b"changed"));
    list.push_back(b"tail");
    assert!(list.set(0, b"head"));
    let shared = list
        .nodes()
        .zip(snapshot.nodes())
        .filter(|(own, old)| std::ptr::eq(*own, *old))
        .count();
    assert_eq!(list.node_count(), snapshot.node_count());
    assert_eq!(list.node_count() - shared, 3);
    assert_eq!(snapshot.get(250_000), Some(Entry::Int(250_000)));
    assert_eq!(snapshot.len() + 1, list.len());
}

#[test]
fn memory_is_accounted() {
    let mut list = QuickList::new(-2);
    assert_eq!(list.heap_bytes(), 0);
    for _ in 0..100_000 {
        list.push_back(b"seventeen bytes!!");
    }
    let per_element = list.heap_bytes() as f64 / list.len() as f64;
    assert!(per_element < 19.5, "{per_element} bytes per element");
    list.delete_range(0, usize::MAX);
    assert_eq!((list.heap_bytes(), list.node_bytes()), (0, 0));
}

#[test]
fn conversion_from_and_to_a_listpack() {
    let mut packed = Listpack::new();
    packed.push_back(b"a");
    let mut list = QuickList::from_listpack(packed.clone(), -2);
    assert_eq!(list.node_count(), 1);
    let kept = list.clone();
    assert_eq!(list.take_single_listpack(), Some(packed));
    assert!(list.is_empty());
    assert_eq!(kept.len(), 1);
    assert!(
        QuickList::from_listpack(Listpack::new(), -2)
            .single_listpack()
            .is_none()
    );
    assert!(numbers(1, 2).single_listpack().is_none());
}

#[test]
fn snapshots_may_go_to_another_thread() {
    let mut list = numbers(3, 1000);
    let snapshot = list.clone();
    let walk = std::thread::spawn(move || snapshot.iter().count());
    while list.pop_front().is_some() {}
    assert_eq!(walk.join().expect("no panic"), 1000);
}
