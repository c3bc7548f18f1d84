//! Encodings and node layouts recorded from Redis 7.2.4, a model of a plain
//! deque, and snapshots that must not move.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Written by a Redis 7.2.4 server. `fill F T` starts a list under
/// `list-max-listpack-size` F and packed threshold T. Then a command:
/// R/L values: push right/left; S index value: set; A/B pivot value: insert
/// after/before; M count value: remove; T start end: trim; l/r count: pop many
/// left/right; p/q: pop left/right; o XY: move from end X to end Y.
/// `x*9` stands for nine times x. After each, `= encoding nodes hash`, the
/// hash being FNV-1a over each node's container number and bytes.
const LAYOUTS: &str = include_str!("layouts.txt");

fn expand(token: &str) -> Vec<u8> {
    match token.split_once('*') {
        Some((text, times)) => text.repeat(times.parse().expect("a number")).into_bytes(),
        None => token.as_bytes().to_vec(),
    }
}

fn number<T: std::str::FromStr>(token: &str) -> T {
    token.parse().ok().expect("a number")
}

/// The state line Redis recorded, for our list.
fn state(list: &List) -> String {
    if list.is_empty() {
        return "= none".into();
    }
    let nodes: Vec<(u8, &[u8])> = match list {
        List::Packed(list) => vec![(2, list.as_bytes())],
        List::Quick(list) => list
            .nodes()
            .map(|node| match node {
                Node::Packed(list) => (2, list.as_bytes()),
                Node::Plain(value) => (1, &**value),
            })
            .collect(),
    };
    let mut hash: u32 = 0x811c_9dc5;
    for (container, bytes) in &nodes {
        for byte in std::iter::once(container).chain(*bytes) {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
    format!("= {} {} {hash:08x}", &list.encoding()[..1], nodes.len())
}

fn run(list: &mut List, limits: &ListLimits, line: &str) {
    let mut words = line.split(' ');
    let command = words.next().unwrap_or_default();
    let args: Vec<&str> = words.collect();
    let side = |name: &str| match name {
        "L" | "l" | "p" => Side::Left,
        _ => Side::Right,
    };
    match command {
        "R" | "L" => {
            let values: Vec<_> = args.iter().map(|token| expand(token)).collect();
            list.push(limits, side(command), &values);
        }
        "S" => assert!(list.set(limits, number(args[0]), &expand(args[1]))),
        "A" | "B" => {
            let (pivot, value) = (expand(args[0]), expand(args[1]));
            assert!(list.insert(limits, &pivot, command == "A", &value));
        }
        "M" => assert!(list.remove(limits, number(args[0]), &expand(args[1])) > 0),
        "T" => {
            list.trim(limits, number(args[0]), number(args[1]));
        }
        "l" | "r" => {
            let count = number(args[0]);
            assert_eq!(list.pop_many(limits, side(command), count, |_| {}), count);
        }
        "p" | "q" => assert!(list.pop(limits, side(command)).is_some()),
        "o" => {
            let (from, to) = args[0].split_at(1);
            assert!(list.rotate(limits, side(from), side(to)).is_some());
        }
        _ => panic!("unknown command {line:?}"),
    }
}

#[test]
fn encodings_and_node_bytes_are_those_of_redis() {
    let mut list = List::new();
    let mut limits = ListLimits::default();
    let mut checked = 0;
    let mut last = "";
    for (number_of_line, line) in LAYOUTS.lines().enumerate() {
        if let Some(settings) = line.strip_prefix("fill ") {
            let (fill, threshold) = settings.split_once(' ').expect("two numbers");
            limits.max_listpack_size = number(fill);
            limits.packed_threshold = number(threshold);
            list = List::new();
        } else if line.starts_with('=') {
            assert_eq!(state(&list), line, "line {}: {last}", number_of_line + 1);
            if list.is_empty() {
                list = List::new();
            }
            checked += 1;
        } else {
            run(&mut list, &limits, line);
            last = line;
        }
    }
    assert!(checked > 2000, "{checked} states");
}

fn limits(max_listpack_size: i32) -> ListLimits {
    ListLimits {
        max_listpack_size,
        ..ListLimits::default()
    }
}

fn contents(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|entry| entry.to_vec()).collect()
}

#[test]
fn conversion_happens_before_a_failing_insert_or_set() {
    let limits = limits(2);
    let mut list = List::new();
    list.push(&limits, Side::Right, &["a", "b"]);
    assert_eq!(list.encoding(), "listpack");
    assert!(!list.insert(&limits, b"nope", true, b"c"));
    assert_eq!(list.encoding(), "quicklist");

    let mut list = List::new();
    list.push(&limits, Side::Right, &["a", "b"]);
    assert!(!list.set(&limits, 7, b"c"));
    assert_eq!(list.encoding(), "quicklist");
    // Two elements are more than half of the limit, one is not.
    assert!(list.set(&limits, 0, b"c"));
    assert_eq!(list.encoding(), "quicklist");
    assert_eq!(
        list.pop(&limits, Side::Left),
        Some(Popped::Bytes(b"c".to_vec()))
    );
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn an_integer_moved_from_a_quicklist_counts_no_bytes() {
    let limits = limits(-1);
    let full = vec![b'x'; 4096 - 7 - 1 - 5 - 2];
    let mut target = List::new();
    target.push(&limits, Side::Right, &[&full]);
    let bytes = match &target {
        List::Packed(list) => list.bytes(),
        List::Quick(_) => panic!("fits a listpack"),
    };
    assert!(bytes <= 4096);
    let mut text = target.clone();
    target.push_popped(&limits, Side::Right, &Popped::Int(12_345));
    assert_eq!(target.encoding(), "listpack");
    text.push_popped(&limits, Side::Right, &Popped::Bytes(b"12345".to_vec()));
    assert_eq!(text.encoding(), "quicklist");
}

#[test]
fn lists_built_as_a_whole_take_the_fitting_encoding() {
    let two = limits(2);
    assert_eq!(List::from_values(&two, ["a", "b"]).encoding(), "listpack");
    let three = List::from_values(&two, ["a", "b", "c"]);
    assert_eq!((three.encoding(), three.len()), ("quicklist", 3));
    let nodes = [Node::Packed(Listpack::new()), Node::Plain(b"p"[..].into())];
    let plain = List::from_nodes(&two, nodes);
    assert_eq!((plain.encoding(), plain.len()), ("quicklist", 1));
    assert!(List::from_nodes(&two, []).is_empty());
}

#[test]
fn positions_follow_rank_count_and_length() {
    for fill in [-2, 2] {
        let list = List::from_values(&limits(fill), ["a", "b", "c", "1", "2", "3", "c", "c"]);
        let at = |rank, count, max_len| list.positions(b"c", rank, count, max_len);
        assert_eq!(at(1, 1, 0), [2]);
        assert_eq!(at(2, 1, 0), [6]);
        assert_eq!(at(-1, 1, 0), [7]);
        assert_eq!(at(1, 0, 0), [2, 6, 7]);
        assert_eq!(at(-1, 2, 0), [7, 6]);
        assert_eq!(at(-2, 0, 0), [6, 2]);
        assert_eq!(at(1, 0, 7), [2, 6]);
        assert_eq!(at(4, 0, 0), [0usize; 0]);
        assert_eq!(at(i64::MIN, 0, 0), [0usize; 0]);
        assert_eq!(list.positions(b"2", -1, 1, 0), [4]);
        assert_eq!(list.positions(b"02", 1, 0, 0), [0usize; 0]);
    }
}

fn model_range(model: &VecDeque<Vec<u8>>, start: i64, end: i64) -> Vec<Vec<u8>> {
    let len = model.len() as i64;
    let start = if start < 0 { start + len } else { start }.max(0);
    let end = if end < 0 { end + len } else { end };
    (start..=end)
        .filter_map(|at| model.get(at as usize).cloned())
        .collect()
}

proptest! {
    #[test]
    fn behaves_like_a_deque(
        fill in prop_oneof![Just(-2), Just(-1), 0i32..8],
        ops in prop::collection::vec((0u8..9, -40i64..40, -40i64..40, 0u32..30), 0..150),
    ) {
        let limits = limits(fill);
        let mut list = List::new();
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut snapshots = Vec::new();
        for (step, (op, a, b, v)) in ops.into_iter().enumerate() {
            if step % 10 == 0 {
                snapshots.push((list.clone(), contents(&list)));
            }
            let v = if v % 3 == 0 { vec![b'v'; v as usize * 40] } else { v.to_string().into_bytes() };
            match op {
                0 | 1 => {
                    let pair = [v.clone(), b"7".to_vec()];
                    list.push(&limits, Side::Right, &pair);
                    model.extend(pair);
                }
                2 | 3 => {
                    list.push(&limits, Side::Left, &[&v]);
                    model.push_front(v);
                }
                4 => {
                    let popped = list.pop(&limits, Side::Left).map(Popped::into_bytes);
                    prop_assert_eq!(popped, model.pop_front());
                }
                5 => {
                    let count = a.unsigned_abs() as usize / 4;
                    let side = if b < 0 { Side::Left } else { Side::Right };
                    let mut seen = Vec::new();
                    list.pop_many(&limits, side, count, |entry| seen.push(entry.to_vec()));
                    for value in &seen {
                        let own = if b < 0 { model.pop_front() } else { model.pop_back() };
                        prop_assert_eq!(Some(value), own.as_ref());
                    }
                    prop_assert!(seen.len() == count || model.is_empty());
                }
                6 => {
                    let at = if a < 0 { a + model.len() as i64 } else { a };
                    let inside = (0..model.len() as i64).contains(&at);
                    prop_assert_eq!(list.set(&limits, a, &v), inside);
                    if inside {
                        model[at as usize] = v;
                    }
                }
                7 => {
                    let at = model.iter().position(|own| *own == v);
                    prop_assert_eq!(list.insert(&limits, &v, a < 0, b"new"), at.is_some());
                    if let Some(at) = at {
                        model.insert(at + usize::from(a < 0), b"new".to_vec());
                    }
                }
                _ => {
                    let kept = model_range(&model, a, b);
                    prop_assert_eq!(list.range_len(a, b), kept.len());
                    let range: Vec<_> = list.range(a, b).map(|e| e.to_vec()).collect();
                    prop_assert_eq!(&range, &kept);
                    if step % 3 == 0 {
                        list.trim(&limits, a, b);
                        model = kept.into();
                    }
                }
            }
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert!(contents(&list).iter().eq(model.iter()));
        for (at, value) in model.iter().enumerate() {
            let own = list.get(at as i64).map(|entry| entry.to_vec());
            prop_assert_eq!(own.as_ref(), Some(value));
            let back: Vec<_> = list.iter_back_from(at).map(|e| e.to_vec()).collect();
            prop_assert!(back.iter().eq(model.iter().take(at + 1).rev()));
        }
        for (snapshot, values) in snapshots {
            prop_assert_eq!(contents(&snapshot), values);
        }
    }
}
