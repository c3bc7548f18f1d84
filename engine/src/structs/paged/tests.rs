//! Tests of the paged map against standard maps, with schemas whose hashes are
//! made to collide.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::node::Node;
use super::page::Leaf;
use super::record::Span;
use super::*;

/// Real hashes; the hint is the first payload byte.
struct Real;

impl Schema for Real {
    type Obj = String;
    fn hint(payload: &[u8]) -> u64 {
        payload.first().map_or(u64::MAX, |b| u64::from(*b))
    }
}

/// Three hashes in all.
struct Tiny;

impl Schema for Tiny {
    type Obj = String;
    fn hint(payload: &[u8]) -> u64 {
        Real::hint(payload)
    }
    fn hash(key: &[u8]) -> u64 {
        [0, 7 << 40, u64::MAX][hash::hash(key) as usize % 3]
    }
}

/// Hashes crowded into few bits at both ends of the range.
struct Skewed;

impl Schema for Skewed {
    type Obj = String;
    fn hint(payload: &[u8]) -> u64 {
        Real::hint(payload)
    }
    fn hash(key: &[u8]) -> u64 {
        let h = hash::hash(key);
        if h & 1 == 0 {
            h >> 50
        } else {
            u64::MAX - (h >> 54)
        }
    }
}

/// Checks every invariant of the tree; returns its entries.
fn check<S: Schema>(map: &PagedMap<S>) -> usize {
    let Some(root) = &map.root else { return 0 };
    let mut depths = BTreeSet::new();
    let n = check_node(root, Span::FULL, 0, &mut depths);
    assert_eq!(depths.len(), 1, "pages at different depths");
    assert_eq!(n, map.len());
    assert_eq!(map.iter().count(), n);
    n
}

fn check_node<S: Schema>(
    node: &Node<S>,
    span: Span,
    depth: usize,
    depths: &mut BTreeSet<usize>,
) -> usize {
    match node {
        Node::Leaf(leaf) => {
            depths.insert(depth);
            check_leaf(leaf, span);
            leaf.len()
        }
        Node::Inner(inner) => {
            assert!(inner.kids.len() >= 2 && inner.kids.len() <= node::MAX_FANOUT);
            assert_eq!(inner.kids.len(), inner.seps.len());
            assert_eq!(inner.seps[0], span.lo);
            let mut total = 0;
            for (i, kid) in inner.kids.iter().enumerate() {
                let n = check_node(&kid.node, inner.span(i, span), depth + 1, depths);
                assert_eq!(n as u64, kid.count);
                assert!(kid.hint <= kid.node.hint());
                total += n;
            }
            assert_eq!(total as u64, inner.total);
            total
        }
    }
}

fn check_leaf<S: Schema>(leaf: &Leaf<S>, span: Span) {
    let v = leaf.view();
    assert!(v.len() > 0 && v.len() <= v.cap() && v.used() <= v.0.len());
    let mut before = span.lo;
    let mut live = 0;
    for i in 0..v.len() {
        let h = leaf.hash_at(i);
        assert!(h >= before && h <= span.hi);
        assert_eq!(v.tags()[i], span.tag(h));
        assert!(leaf.hint() <= S::hint(leaf.entry(i).payload));
        live += v.rec(i).len();
        before = h;
    }
    assert_eq!(live, v.live());
}

#[derive(Clone, Debug)]
enum Op {
    Put(u16, usize, usize, bool),
    Remove(u16),
    Rewrite(u16, u8),
    Snapshot,
    RemoveRun(u16, u16),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![8 => 0usize..40, 2 => 100usize..300, 1 => 505usize..1500];
    let pad = prop_oneof![20 => 0usize..12, 1 => 200usize..800];
    prop_oneof![
        12 => (0u16..600, pad, len, any::<bool>()).prop_map(|(k, p, l, o)| Op::Put(k, p, l, o)),
        4 => (0u16..600).prop_map(Op::Remove),
        3 => (0u16..600, any::<u8>()).prop_map(|(k, b)| Op::Rewrite(k, b)),
        1 => Just(Op::Snapshot),
        1 => (0u16..600, 0u16..300).prop_map(|(a, n)| Op::RemoveRun(a, n)),
    ]
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<String>)>;

fn key(k: u16, pad: usize) -> Vec<u8> {
    let mut key = format!("key:{k}:").into_bytes();
    key.resize(key.len() + pad / 4 * 4, b'x');
    key
}

fn same<S: Schema<Obj = String>>(map: &PagedMap<S>, model: &Model) {
    assert_eq!(check(map), model.len());
    let mut hashes = Vec::new();
    for e in map {
        let (payload, obj) = &model[e.key];
        assert_eq!((e.payload, e.obj), (payload.as_slice(), obj.as_ref()));
        hashes.push(S::hash(e.key));
    }
    assert!(hashes.is_sorted());
    for (key, (payload, obj)) in model {
        let e = map.get(key).unwrap();
        assert_eq!((e.payload, e.obj), (payload.as_slice(), obj.as_ref()));
    }
}

fn run<S: Schema<Obj = String>>(ops: &[Op]) {
    let (mut map, mut model) = (PagedMap::<S>::new(), Model::new());
    let mut snapshots = Vec::new();
    for (step, op) in ops.iter().enumerate() {
        match op {
            Op::Put(k, pad, len, obj) => {
                let key = key(*k, *pad);
                let payload = vec![step as u8; *len];
                let obj = obj.then(|| format!("obj{step}"));
                let (a, b) = payload.split_at(len / 3);
                let old = map.put_hashed(S::hash(&key), &key, &[a, b], obj.clone());
                let expected = model.insert(key, (payload, obj));
                assert_eq!(old.map(|o| o.obj), expected.map(|(_, o)| o));
            }
            Op::Remove(k) => remove(&mut map, &mut model, &key(*k, 0)),
            Op::RemoveRun(from, n) => {
                let keys = model.keys().skip(*from as usize).take(*n as usize);
                let keys: Vec<_> = keys.cloned().collect();
                for key in keys {
                    remove(&mut map, &mut model, &key);
                }
            }
            Op::Rewrite(k, byte) => {
                let key = key(*k, 0);
                let entry = map.get_mut(&key);
                assert_eq!(entry.is_some(), model.contains_key(&key));
                if let Some(entry) = entry {
                    let (payload, obj) = model.get_mut(&key).unwrap();
                    entry.payload.fill(*byte);
                    payload.fill(*byte);
                    if let Some(o) = entry.obj {
                        o.push('!');
                        obj.as_mut().unwrap().push('!');
                    }
                    map.lower_hint(S::hash(&key), u64::from(*byte));
                }
            }
            Op::Snapshot => snapshots.push((map.clone(), model.clone())),
        }
    }
    same(&map, &model);
    for (map, model) in &snapshots {
        same(map, model);
    }
}

fn remove<S: Schema<Obj = String>>(map: &mut PagedMap<S>, model: &mut Model, key: &[u8]) {
    let got = map.remove(key).map(|(p, o)| (p.to_vec(), o));
    assert_eq!(got, model.remove(key));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn agrees_with_a_model(ops in prop::collection::vec(op(), 1..900)) {
        run::<Real>(&ops);
    }

    #[test]
    fn agrees_with_a_model_when_hashes_are_equal(ops in prop::collection::vec(op(), 1..500)) {
        run::<Tiny>(&ops);
    }

    #[test]
    fn agrees_with_a_model_when_hashes_are_crowded(ops in prop::collection::vec(op(), 1..900)) {
        run::<Skewed>(&ops);
    }

    /// Whatever comes and goes between calls, a full scan meets every key that
    /// stayed, and goes forward by whole groups.
    #[test]
    fn scan_meets_every_key_that_stays(
        start in 0u32..3000, count in 1usize..200, align in 0u32..20,
        changes in prop::collection::vec((any::<bool>(), 0u32..2000), 1..20),
    ) {
        let mut map = PagedMap::<Real>::new();
        for i in 0..start {
            map.put(format!("stay{i}").as_bytes(), b"", None);
        }
        let (mut seen, mut from, mut changes) = (BTreeSet::new(), 0, changes.iter().cycle());
        loop {
            let (mut calls, mut last) = (0, from);
            let next = map.scan(from, align, count, &mut |h, e| {
                assert_eq!(h, hash::hash(e.key));
                assert!(h >= last);
                last = h;
                calls += 1;
                seen.insert(e.key.to_vec());
            });
            let Some(next) = next else { break };
            prop_assert!(calls >= count && next > last);
            prop_assert_eq!(next.checked_shl(align).unwrap_or(0), 0);
            from = next;
            let (grow, n) = changes.next().unwrap();
            for i in 0..*n {
                let key = format!("flux{i}");
                if *grow {
                    map.put(key.as_bytes(), b"", None);
                } else {
                    map.remove(key.as_bytes());
                }
            }
        }
        check(&map);
        for i in 0..start {
            let met = seen.contains(format!("stay{i}").as_bytes());
            prop_assert!(met);
        }
    }
}

#[test]
fn holds_many_keys_of_one_hash() {
    struct One;
    impl Schema for One {
        type Obj = ();
        fn hash(_: &[u8]) -> u64 {
            42
        }
    }
    let mut map = PagedMap::<One>::new();
    for i in 0..3000u32 {
        // Together above 64 KiB, so offsets get wide.
        map.put(&i.to_le_bytes(), &[i as u8; 40], None);
    }
    assert_eq!((check(&map), map.page_count()), (3000, 1));
    let mut n = 0;
    assert_eq!(map.scan(0, 64, 10, &mut |_, _| n += 1), None);
    assert_eq!(n, 3000);
    for i in 0..3000u32 {
        assert_eq!(map.get(&i.to_le_bytes()).unwrap().payload, [i as u8; 40]);
        if i >= 10 {
            map.remove(&i.to_le_bytes()).unwrap();
        }
    }
    assert_eq!(check(&map), 10);
    assert!(map.heap_bytes() < 1024);
}

fn filled(n: u32) -> PagedMap<Real> {
    let mut map = PagedMap::new();
    for i in 0..n {
        map.put(format!("member:{i}").as_bytes(), b"\x7fpayload", None);
    }
    map
}

fn addrs(map: &PagedMap<Real>) -> Vec<usize> {
    fn walk(node: &Node<Real>, out: &mut Vec<usize>) {
        match node {
            Node::Leaf(leaf) => out.push(leaf.addr()),
            Node::Inner(inner) => inner.kids.iter().for_each(|k| walk(&k.node, out)),
        }
    }
    let mut out = Vec::new();
    map.root.iter().for_each(|root| walk(root, &mut out));
    out
}

#[test]
fn unshared_writes_stay_in_place_and_shared_ones_copy_one_page() {
    let mut map = filled(50_000);
    let before = addrs(&map);
    for i in 0..50_000 {
        let key = format!("member:{i}");
        map.put(key.as_bytes(), b"\x7fPAYLOAD", None);
        map.get_mut(key.as_bytes()).unwrap().payload[1] = b'p';
    }
    assert_eq!(addrs(&map), before);

    let snapshot = map.clone();
    assert_eq!(addrs(&snapshot), before);
    map.get_mut(b"member:77").unwrap().payload[1] = b'Q';
    let after = addrs(&map);
    let copied = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(copied, 1);
    assert!(map.get_mut(b"absent").is_none() && map.remove(b"absent").is_none());
    assert_eq!(addrs(&map), after);
    assert_eq!(snapshot.get(b"member:77").unwrap().payload, b"\x7fpAYLOAD");
    assert_eq!(map.get(b"member:77").unwrap().payload, b"\x7fQAYLOAD");
}

#[test]
fn mass_deletes_give_memory_back() {
    let mut map = filled(100_000);
    let full = map.heap_bytes();
    for i in 0..99_000 {
        assert!(map.remove(format!("member:{i}").as_bytes()).is_some());
    }
    assert_eq!(check(&map), 1000);
    assert!(
        map.heap_bytes() < full / 40,
        "{} of {full}",
        map.heap_bytes()
    );
    assert!(map.page_count() < 100);
    for i in 99_000..100_000 {
        map.remove(format!("member:{i}").as_bytes());
    }
    assert!(map.is_empty() && map.heap_bytes() == 0);
}

#[test]
fn ranks_reach_every_entry_once() {
    let map = filled(20_000);
    let by_rank: Vec<&[u8]> = (0..20_000).map(|r| map.nth(r).unwrap().key).collect();
    let in_order: Vec<&[u8]> = map.iter().map(|e| e.key).collect();
    assert_eq!(by_rank, in_order);
    assert!(map.nth(20_000).is_none());
    assert_eq!(by_rank.iter().collect::<BTreeSet<_>>().len(), 20_000);
}

#[test]
fn expiry_finds_due_pages_only() {
    let mut map = PagedMap::<Real>::new();
    let mut due = HashMap::new();
    for i in 0..30_000u32 {
        let key = format!("k{i}");
        let hint = if i % 1000 == 0 { 3 } else { 200 };
        map.put(key.as_bytes(), &[hint, 0], None);
        if hint == 3 {
            due.insert(key.into_bytes(), false);
        }
    }
    assert_eq!(map.min_hint(), 3);
    let (mut from, mut visited, mut rounds) = (0, 0, 0);
    while let Some(next) = map.pages_due(from, 10, 5, &mut |e| {
        visited += 1;
        if e.payload[0] <= 10 {
            due.insert(e.key.to_vec(), true);
        }
    }) {
        assert!(next > from);
        from = next;
        rounds += 1;
    }
    assert!(due.values().all(|seen| *seen));
    assert!((4..7).contains(&rounds) && visited <= 30 * page::MAX_ENTRIES);

    // Removing what is due makes the bounds exact again.
    for key in due.keys() {
        map.remove(key);
    }
    assert_eq!(map.min_hint(), 200);
    assert_eq!(
        map.pages_due(0, 199, 1, &mut |_| panic!("none is due")),
        None
    );

    // So do rewrites; those in place need to say so.
    map.put(b"k1", &[5, 0], None);
    assert_eq!(map.min_hint(), 5);
    map.put(b"k1", &[250, 0], None);
    assert_eq!(map.min_hint(), 200);
    map.get_mut(b"k1").unwrap().payload[0] = 9;
    map.lower_hint(Real::hash(b"k1"), 9);
    assert_eq!(map.min_hint(), 9);
    map.get_mut(b"k1").unwrap().payload[0] = 201;
    assert_eq!(map.min_hint(), 9);
    map.refresh_hint(Real::hash(b"k1"));
    assert_eq!(map.min_hint(), 200);
}

#[test]
fn long_keys_and_payloads_do_not_bloat_pages() {
    let mut map = PagedMap::<Real>::new();
    for i in 0..40u8 {
        let key = vec![i; 500 + usize::from(i)];
        map.put(
            &key,
            &vec![i; 480 + usize::from(i) * 2],
            Some(i.to_string()),
        );
    }
    let long = vec![7u8; 100_000];
    map.put(&long, &long, None);
    assert_eq!(check(&map), 41);
    let e = map.get(&long).unwrap();
    assert_eq!((e.key, e.payload), (&long[..], &long[..]));
    map.get_mut(&long).unwrap().payload[0] = 8;
    assert_eq!(map.get(&long).unwrap().payload[0], 8);
    assert_eq!(map.put(&long, b"short", None), Some(Old { obj: None }));
    assert_eq!(map.get(&long).unwrap().payload, b"short");
    assert_eq!(map.remove(&long).unwrap().0.as_slice(), b"short");
    for i in 0..40u8 {
        let (payload, obj) = map.remove(&vec![i; 500 + usize::from(i)]).unwrap();
        assert_eq!(payload.as_slice(), vec![i; 480 + usize::from(i) * 2]);
        assert_eq!(obj, Some(i.to_string()));
    }
    assert!(map.is_empty());
}

#[test]
fn rewriting_with_changing_lengths_keeps_the_page_compact() {
    let mut map = PagedMap::<Real>::new();
    for round in 0..200usize {
        for i in 0..40u8 {
            map.put(
                &[i],
                &vec![round as u8; 10 + (round * 7 + usize::from(i) * 3) % 50],
                None,
            );
        }
        check(&map);
        let live: usize = map.iter().map(|e| e.key.len() + e.payload.len() + 5).sum();
        assert!(map.heap_bytes() < live * 3 / 2 + 64, "{round}");
    }
}

#[test]
fn room_for_what_is_expected() {
    let key = |i: u32| i.to_be_bytes();
    let put = |map: &mut PagedMap<Real>, i: u32, room| {
        let key = key(i);
        map.put_expecting(Real::hash(&key), &key, &[b"pay", b"load"], None, room)
    };
    let mut map = PagedMap::new();
    put(&mut map, 0, (50, 50 * 11));
    let before = map.heap_bytes();
    // The room of the first put is that of the page; later ones have no say.
    (1..50).for_each(|i| assert_eq!(put(&mut map, i, (1, 1)), None));
    assert_eq!((check(&map), map.heap_bytes()), (50, before));
    let mut grown = PagedMap::new();
    (0..50).for_each(|i| assert_eq!(put(&mut grown, i, (0, 0)), None));
    assert_eq!(grown.heap_bytes(), before);
    let keys = |map: &PagedMap<Real>| {
        map.iter()
            .map(|entry| entry.key.to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&grown), keys(&map));

    // Too little and far too much.
    for room in [
        (1, 0),
        (1, 1),
        (3, 4),
        (usize::MAX, 1),
        (1, usize::MAX),
        (usize::MAX, usize::MAX),
    ] {
        let mut map = PagedMap::new();
        put(&mut map, 0, room);
        assert!(map.heap_bytes() <= 2 * page::MAX_BYTES, "{room:?}");
        (1..1000).for_each(|i| assert_eq!(put(&mut map, i, room), None));
        assert_eq!(check(&map), 1000);
        (0..1000).for_each(|i| assert!(map.remove(&key(i)).is_some()));
        assert!(map.is_empty());
    }
}
