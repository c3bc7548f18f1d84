use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::OrderedMap;
use super::node::Node;

/// A small generator with a fixed course, so that failures repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn check(map: &OrderedMap<u64, u64>) {
    let found = map.root.as_ref().map_or(0, |root| root.check(None, None).1);
    assert_eq!(found, map.len());
}

fn assert_same(map: &OrderedMap<u64, u64>, model: &BTreeMap<u64, u64>) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter()));
    assert!(map.iter_back().eq(model.iter().rev()));
}

fn assert_seeks(map: &OrderedMap<u64, u64>, model: &BTreeMap<u64, u64>, key: u64) {
    let (at, past) = (Bound::Included(&key), Bound::Excluded(&key));
    for bound in [at, past] {
        let want: Vec<_> = model
            .range::<u64, _>((bound, Bound::Unbounded))
            .take(70)
            .collect();
        let got: Vec<_> = map.iter_from(bound).take(70).collect();
        assert_eq!(got, want, "up from {bound:?}");
        let want: Vec<_> = model
            .range::<u64, _>((Bound::Unbounded, bound))
            .rev()
            .take(70)
            .collect();
        let got: Vec<_> = map.iter_back_from(bound).take(70).collect();
        assert_eq!(got, want, "down from {bound:?}");
    }
    assert_eq!(map.at_or_after(&key), model.range(key..).next());
    assert_eq!(map.at_or_before(&key), model.range(..=key).next_back());
}

#[test]
fn random_course_matches_a_btree_and_clones_stay_as_they_were() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let mut map = OrderedMap::new();
        let mut model = BTreeMap::new();
        let mut kept: Vec<(OrderedMap<u64, u64>, BTreeMap<u64, u64>)> = Vec::new();
        let space = [50, 900, 20_000][dice.roll(3) as usize];
        for step in 0..12_000u64 {
            // Phases of growth and of shrinking, so that nodes split and join.
            let grow = (step / 3000) % 2 == 0;
            let key = dice.roll(space);
            match dice.roll(10) {
                0..=5 if grow => assert_eq!(map.insert(key, step), model.insert(key, step)),
                0..=5 => assert_eq!(map.remove(&key), model.remove(&key)),
                6 => assert_eq!(map.pop_first(), model.pop_first()),
                7 if !grow => assert_eq!(map.pop_last(), model.pop_last()),
                8 => {
                    let (a, b) = (map.get_mut(&key), model.get_mut(&key));
                    assert_eq!(a, b);
                    if let (Some(a), Some(b)) = (a, b) {
                        (*a, *b) = (step, step);
                    }
                }
                _ => {
                    assert_eq!(map.get(&key), model.get(&key));
                    assert_eq!(map.first(), model.first_key_value());
                    assert_eq!(map.last(), model.last_key_value());
                }
            }
            if step % 250 == 0 {
                check(&map);
                assert_same(&map, &model);
                assert_seeks(&map, &model, key);
                assert_seeks(&map, &model, dice.roll(space));
            }
            if dice.roll(800) == 0 {
                kept.push((map.clone(), model.clone()));
            }
        }
        for (map, model) in &kept {
            check(map);
            assert_same(map, model);
        }
        while let Some(entry) = map.pop_first() {
            assert_eq!(Some(entry), model.pop_first());
        }
        assert!(map.is_empty() && map.heap_bytes() == 0 && model.is_empty());
    }
}

#[test]
fn the_ends_can_be_changed() {
    let mut map: OrderedMap<u64, u64> = (0..500).map(|n| (n, n)).collect();
    let before = map.clone();
    if let Some((key, value)) = map.first_mut() {
        *value = key + 7;
    }
    if let Some((key, value)) = map.last_mut() {
        *value = key + 7;
    }
    assert_eq!(map.first(), Some((&0, &7)));
    assert_eq!(map.last(), Some((&499, &506)));
    assert_eq!(before.first(), Some((&0, &0)));
    assert_eq!(before.last(), Some((&499, &499)));
    assert_ne!(map, before);
    assert!(OrderedMap::<u64, u64>::new().last_mut().is_none());
}

#[test]
fn ascending_keys_fill_their_nodes() {
    let mut map = OrderedMap::new();
    let value = Arc::new(());
    for n in 0..1_000_000u64 {
        map.insert((n, 0u64), Arc::clone(&value));
    }
    let per_entry = map.heap_bytes() as f64 / 1e6;
    // 24 bytes of key and value; the rest is what nodes cost.
    assert!((24.0..26.5).contains(&per_entry), "{per_entry}");
    let depth = map.root.as_ref().map(|root| root.check(None, None).0);
    assert_eq!(depth, Some(3));

    let set: OrderedMap<(u64, u64), ()> = (0..1_000_000).map(|n| ((n, 0), ())).collect();
    let per_entry = set.heap_bytes() as f64 / 1e6;
    assert!((16.0..18.5).contains(&per_entry), "{per_entry}");
}

#[test]
fn descending_and_random_keys_use_half_at_worst() {
    let mut dice = Dice(7);
    let down: OrderedMap<(u64, u64), u64> = (0..100_000).rev().map(|n| ((n, 0), n)).collect();
    let random: OrderedMap<(u64, u64), u64> =
        (0..100_000).map(|n| ((dice.roll(1 << 31), n), n)).collect();
    for map in [down, random] {
        let per_entry = map.heap_bytes() as f64 / map.len() as f64;
        assert!(per_entry < 54.0, "{per_entry}");
    }
}

#[test]
fn a_map_emptied_to_a_tenth_gives_its_room_back() {
    let mut map: OrderedMap<u64, u64> = (0..100_000).map(|n| (n, n)).collect();
    let full = map.heap_bytes();
    for n in (0..100_000).filter(|n| n % 10 != 0) {
        map.remove(&n);
    }
    check(&map);
    assert!(
        map.heap_bytes() * 4 < full,
        "{} of {full}",
        map.heap_bytes()
    );
}

#[test]
fn a_writer_copies_its_path_only() {
    let mut map: OrderedMap<u64, u64> = (0..100_000).map(|n| (n, n)).collect();
    let before = map.clone();
    map.insert(50_000, 1);
    map.remove(&70_000);
    map.get_mut(&3);
    // A key that is not there must not copy anything.
    map.get_mut(&1_000_000);
    map.remove(&1_000_000);
    let (mut shared, mut own) = (0, 0);
    count(
        map.root.as_ref(),
        before.root.as_ref(),
        &mut shared,
        &mut own,
    );
    assert_eq!(
        own,
        1 + 3 + 3,
        "the root, and an inner node and a leaf for each"
    );
    assert!(shared > 0);
}

fn count(
    a: Option<&Node<u64, u64>>,
    b: Option<&Node<u64, u64>>,
    shared: &mut usize,
    own: &mut usize,
) {
    match (a, b) {
        (Some(Node::Leaf(a)), Some(Node::Leaf(b))) => match Arc::ptr_eq(a, b) {
            true => *shared += 1,
            false => *own += 1,
        },
        (Some(Node::Inner(a)), Some(Node::Inner(b))) => {
            if Arc::ptr_eq(a, b) {
                *shared += 1;
                return;
            }
            *own += 1;
            for (a, b) in a.kids.iter().zip(&b.kids) {
                count(Some(a), Some(b), shared, own);
            }
        }
        _ => panic!("the trees have one shape"),
    }
}

#[test]
fn keys_may_be_looked_up_by_what_they_borrow() {
    let mut map: OrderedMap<Arc<[u8]>, u32> = OrderedMap::new();
    for name in ["b", "a", "aa", "", "Z"] {
        map.insert(Arc::from(name.as_bytes()), name.len() as u32);
    }
    assert_eq!(map.get(&b"aa"[..]), Some(&2));
    assert_eq!(map.get(&b"ab"[..]), None);
    let names: Vec<&[u8]> = map.keys().map(|name| &name[..]).collect();
    assert_eq!(names, [&b""[..], b"Z", b"a", b"aa", b"b"]);
    assert_eq!(map.remove(&b""[..]), Some(0));
    assert_eq!(map.values().sum::<u32>(), 5);
}
