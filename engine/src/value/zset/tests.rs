//! Both encodings against a plain model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Member to score; ordered on demand.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.0.iter().map(|(m, s)| (m.clone(), *s)).collect();
        // Stable, and the map is in member order already.
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN"));
        all
    }

    fn add(&mut self, score: f64, member: &[u8], flags: AddFlags) -> AddOutcome {
        let Some(&old) = self.0.get(member) else {
            if flags.xx {
                return AddOutcome::Nop;
            }
            self.0.insert(member.to_vec(), score);
            return AddOutcome::Added(score);
        };
        if flags.nx {
            return AddOutcome::Nop;
        }
        let new = if flags.incr { old + score } else { score };
        if new.is_nan() {
            return AddOutcome::Nan;
        }
        if (flags.gt && new <= old) || (flags.lt && new >= old) {
            return AddOutcome::Nop;
        }
        if new == old {
            return AddOutcome::Unchanged(new);
        }
        self.0.insert(member.to_vec(), new);
        AddOutcome::Updated(new)
    }
}

fn collect(set: &Zset, span: Range<usize>, reverse: bool) -> Vec<(Vec<u8>, f64)> {
    let mut out = Vec::new();
    set.visit(span, reverse, &mut |m, s| out.push((m.to_vec(), s)));
    out
}

fn all(set: &Zset) -> Vec<(Vec<u8>, f64)> {
    collect(set, 0..set.len(), false)
}

fn small() -> ZsetLimits {
    ZsetLimits {
        max_listpack_entries: 16,
        max_listpack_value: 20,
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        2 => any::<i16>().prop_map(|x| f64::from(x) / 7.0),
        1 => Just(-0.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => any::<f64>().prop_filter("number", |x| !x.is_nan()),
    ]
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(b'a'..b'd', 0..4),
        3 => (-40i64..40).prop_map(|i| i.to_string().into_bytes()),
        1 => (0usize..40).prop_map(|n| vec![b'x'; n]),
    ]
}

fn flags() -> impl Strategy<Value = AddFlags> {
    (any::<bool>(), 0..5).prop_map(|(incr, kind)| AddFlags {
        incr,
        nx: kind == 1,
        xx: kind == 2,
        gt: kind == 3,
        lt: kind == 4,
    })
}

#[derive(Clone, Debug)]
enum Op {
    Add(f64, Vec<u8>, AddFlags),
    Remove(Vec<u8>),
    RemoveSpan(usize, usize),
    PopMin(usize),
    PopMax(usize),
    Clone,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (score(), member(), flags()).prop_map(|(s, m, f)| Op::Add(s, m, f)),
        3 => member().prop_map(Op::Remove),
        1 => (any::<usize>(), 0usize..6).prop_map(|(a, n)| Op::RemoveSpan(a, n)),
        1 => (0usize..3).prop_map(Op::PopMin),
        1 => (0usize..3).prop_map(Op::PopMax),
        1 => Just(Op::Clone),
    ]
}

fn compare(set: &Zset, model: &Model, probes: &[(f64, Vec<u8>)]) {
    set.check();
    let sorted = model.sorted();
    let len = sorted.len();
    assert_eq!(set.len(), len);
    assert_eq!(set.is_empty(), len == 0);
    assert_eq!(all(set), sorted);
    let mut back = collect(set, 0..len, true);
    back.reverse();
    assert_eq!(back, sorted);
    assert_eq!(set.iter().len(), len);
    for (i, (member, score)) in sorted.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member, false), Some((i, *score)));
        assert_eq!(set.rank(member, true), Some((len - 1 - i, *score)));
        let (own, at) = set.nth(i).expect("in range");
        assert!(own.eq_bytes(member) && at == *score);
    }
    assert!(set.nth(len).is_none());
    for (low, lowest) in probes {
        assert_eq!(set.score(lowest).is_some(), model.0.contains_key(lowest));
        for (high, _) in probes {
            for (min_exclusive, max_exclusive) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let range = ScoreRange {
                    min: *low,
                    min_exclusive,
                    max: *high,
                    max_exclusive,
                };
                let inside: Vec<_> = sorted
                    .iter()
                    .filter(|(_, s)| range.above_min(*s) && range.below_max(*s))
                    .cloned()
                    .collect();
                let span = set.score_span(&range);
                assert_eq!(collect(set, span.clone(), false), inside);
                let cut = limit_span(span, 1, 2, true);
                let expected: Vec<_> = inside.iter().rev().skip(1).take(2).cloned().collect();
                assert_eq!(collect(set, cut, true), expected);
            }
        }
    }
    let mut scanned = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 3, &mut |m, s| scanned.push((m.to_vec(), s)));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort_by(|a, b| a.0.cmp(&b.0));
    scanned.dedup();
    let by_member: Vec<_> = model.0.iter().map(|(m, s)| (m.clone(), *s)).collect();
    assert_eq!(scanned, by_member);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn agrees_with_the_model(
        ops in prop::collection::vec(op(), 1..120),
        probes in prop::collection::vec((score(), member()), 3),
        big in any::<bool>(),
    ) {
        let limits = small();
        let mut set = if big { Zset::new_tree() } else { Zset::new() };
        let mut model = Model::default();
        let mut clones = Vec::new();
        for op in ops {
            match op {
                Op::Add(s, m, flags) => {
                    let was_packed = set.encoding() == "listpack";
                    let fits = model.0.len() < 16 && m.len() <= 20;
                    let outcome = set.add(&limits, s, &m, flags);
                    prop_assert_eq!(outcome, model.add(s, &m, flags));
                    let stays = fits || !matches!(outcome, AddOutcome::Added(_));
                    prop_assert_eq!(set.encoding() == "listpack", was_packed && stays);
                }
                Op::Remove(m) => prop_assert_eq!(set.remove(&m), model.0.remove(&m)),
                Op::RemoveSpan(at, n) => {
                    let sorted = model.sorted();
                    let start = at % (sorted.len() + 1);
                    let end = sorted.len().min(start + n);
                    let mut seen = Vec::new();
                    let taken = set.remove_span(start..start + n, &mut |m, s| seen.push((m.to_vec(), s)));
                    prop_assert_eq!(taken, end - start);
                    prop_assert_eq!(&seen[..], &sorted[start..end]);
                    seen.iter().for_each(|(m, _)| { model.0.remove(m); });
                }
                Op::PopMin(n) => {
                    let mut seen = Vec::new();
                    set.pop_min(n, &mut |m, s| seen.push((m.to_vec(), s)));
                    let expected: Vec<_> = model.sorted().into_iter().take(n).collect();
                    prop_assert_eq!(&seen, &expected);
                    seen.iter().for_each(|(m, _)| { model.0.remove(m); });
                }
                Op::PopMax(n) => {
                    let mut seen = Vec::new();
                    set.pop_max(n, &mut |m, s| seen.push((m.to_vec(), s)));
                    let expected: Vec<_> = model.sorted().into_iter().rev().take(n).collect();
                    prop_assert_eq!(&seen, &expected);
                    seen.iter().for_each(|(m, _)| { model.0.remove(m); });
                }
                Op::Clone => clones.push((set.clone(), model.clone())),
            }
        }
        compare(&set, &model, &probes);
        for (set, model) in &clones {
            compare(set, model, &probes);
        }
        if let Zset::Packed(list) = &set {
            let again = Zset::from_listpack(list.clone(), &limits).expect("own bytes");
            prop_assert_eq!(all(&again), all(&set));
            prop_assert!(matches!(again, Zset::Packed(other) if other == *list));
        }
    }

    #[test]
    fn lex_ranges_agree(
        members in prop::collection::btree_set(member(), 0..60),
        low in member(),
        high in member(),
        kinds in (0u8..4, 0u8..4),
        big in any::<bool>(),
    ) {
        let bound = |kind, member| match kind {
            0 => LexBound::Inclusive(member),
            1 => LexBound::Exclusive(member),
            2 => LexBound::Lowest,
            _ => LexBound::Highest,
        };
        let range = LexRange { min: bound(kinds.0, &low[..]), max: bound(kinds.1, &high[..]) };
        let limits = ZsetLimits { max_listpack_entries: if big { 4 } else { 100 }, ..ZsetLimits::default() };
        let mut set = Zset::new();
        for m in &members {
            set.add(&limits, 2.5, m, AddFlags::default());
        }
        let inside: Vec<_> = members
            .iter()
            .filter(|m| range.above_min(m) && range.below_max(m))
            .map(|m| (m.clone(), 2.5))
            .collect();
        for reverse in [false, true] {
            let span = set.lex_span(&range, reverse);
            prop_assert_eq!(collect(&set, span, false), inside.clone());
        }
    }
}

fn of(pairs: &[(f64, &str)]) -> Zset {
    let mut set = Zset::new();
    for (score, member) in pairs {
        set.add(
            &ZsetLimits::default(),
            *score,
            member.as_bytes(),
            AddFlags::default(),
        );
    }
    set
}

#[test]
fn scores_are_stored_as_redis_stores_them() {
    let Zset::Packed(list) = of(&[
        (3.0, "a"),
        (3.5, "b"),
        (f64::INFINITY, "c"),
        (-0.0, "d"),
        (1e300, "e"),
        (4_611_686_018_427_387_904.0, "f"),
        (9_223_372_036_854_775_808.0, "g"),
        (0.1, "h"),
        (1e-7, "i"),
    ]) else {
        panic!("small sets are packed");
    };
    let stored: Vec<Entry<'_>> = list.iter().collect();
    let text = |s: &'static str| Entry::Str(s.as_bytes());
    assert_eq!(
        stored,
        [
            text("d"),
            Entry::Int(0),
            text("i"),
            text("1e-7"),
            text("h"),
            text("0.1"),
            text("a"),
            Entry::Int(3),
            text("b"),
            text("3.5"),
            text("f"),
            Entry::Int(4_611_686_018_427_387_904),
            text("g"),
            text("9223372036854776000"),
            text("e"),
            text("1e+300"),
            text("c"),
            text("inf"),
        ]
    );
}

/// The listpack that Redis 7.2.4 keeps after a `ZADD` of the scores below.
const REDIS_LISTPACK: &[&str] = &[
    "5a0100003400836d313104842d696e6605836d323504952d313233343536373839303132",
    "333435363730303016f1691703f400000000000000c009836d313704d00002f1913a03df",
    "fd02826d3203852d31652d3706f1d92e030001836d3133040001826d38038635652d3332",
    "3407836d31390487302e303030303108836d32300488302e30303031323309dff9028330",
    "2e3104836d3134040301f1b95d0391332e31343135393236353335383937393312836d31",
    "3604cfff02f12123038d3132333435363738392e3132330e836d323304f4000000000000",
    "200009836d323204f40000d9e9ac2d780309826d3503f400fcffffffffff3f09826d3403",
    "f4000000000000004009cbb1028535652b313806f14946038531652b323106826d310385",
    "31652b323206f10152038631652b31303007826d370397312e3739373639333133343836",
    "3233313537652b33303818836d31300483696e6604ff",
];

#[test]
fn the_listpack_is_byte_for_byte_that_of_redis() {
    let scores = "0.1 1e22 -1e-7 5e18 4611686018427387904 4611686018427387000 \
        -4611686018427387904 1.7976931348623157e308 5e-324 123456789.123 inf -inf -0 0 3 -3 \
        4095 -4096 1e21 1e-5 0.000123 1e100 2.5e17 9007199254740993 3.141592653589793 \
        -12345678901234567890";
    let mut set = Zset::new();
    for (i, text) in scores.split_whitespace().enumerate() {
        let member = if i % 3 == 0 {
            format!("{}", i as i64 * 1000 - 7)
        } else {
            format!("m{i}")
        };
        let score = text.parse().expect("a number");
        set.add(
            &ZsetLimits::default(),
            score,
            member.as_bytes(),
            AddFlags::default(),
        );
    }
    let Zset::Packed(list) = set else {
        panic!("small sets are packed");
    };
    let hex: String = list.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, REDIS_LISTPACK.concat());
}

#[test]
fn increments_to_nan_change_nothing() {
    let incr = AddFlags {
        incr: true,
        ..AddFlags::default()
    };
    for big in [false, true] {
        let mut set = if big { Zset::new_tree() } else { Zset::new() };
        let limits = ZsetLimits::default();
        assert_eq!(
            set.add(&limits, f64::INFINITY, b"m", incr),
            AddOutcome::Added(f64::INFINITY)
        );
        assert_eq!(
            set.add(&limits, f64::NEG_INFINITY, b"m", incr),
            AddOutcome::Nan
        );
        assert_eq!(set.add(&limits, f64::NAN, b"n", incr), AddOutcome::Nan);
        assert_eq!(set.score(b"m"), Some(f64::INFINITY));
        assert_eq!(set.len(), 1);
    }
}

#[test]
fn only_the_big_encoding_keeps_the_sign_of_zero() {
    let mut set = of(&[(-0.0, "m")]);
    assert!(set.score(b"m").expect("there").is_sign_positive());
    set = Zset::new_tree();
    set.add(&ZsetLimits::default(), -0.0, b"m", AddFlags::default());
    assert!(set.score(b"m").expect("there").is_sign_negative());
    assert_eq!(
        set.add(&ZsetLimits::default(), 0.0, b"m", AddFlags::default()),
        AddOutcome::Unchanged(0.0)
    );
    assert!(set.score(b"m").expect("there").is_sign_negative());
}

#[test]
fn results_of_store_commands_are_packed_when_small() {
    let limits = small();
    for (members, len, packed) in [(16, 20, true), (17, 20, false), (3, 21, false)] {
        let mut set = Zset::new_tree();
        for i in 0..members {
            let member = format!("{i:0len$}");
            set.add(
                &limits,
                f64::from(i),
                member.as_bytes(),
                AddFlags::default(),
            );
        }
        let before = all(&set);
        set.pack_if_small(len, len * members as usize, &limits);
        assert_eq!(set.encoding() == "listpack", packed);
        assert_eq!(all(&set), before);
    }
    assert_eq!(Zset::for_size(16, 20, &limits).encoding(), "listpack");
    assert_eq!(Zset::for_size(17, 20, &limits).encoding(), "skiplist");
    assert_eq!(Zset::for_size(1, 21, &limits).encoding(), "skiplist");
}

#[test]
fn listpacks_from_outside_are_checked() {
    let list = |entries: &[&[u8]]| {
        let mut list = Listpack::new();
        entries.iter().for_each(|e| list.push_back(e));
        list
    };
    let load = |entries: &[&[u8]]| Zset::from_listpack(list(entries), &small());
    assert_eq!(load(&[b"a"]).err(), Some(ZsetError::BrokenPair));
    assert_eq!(load(&[b"a", b"x"]).err(), Some(ZsetError::BrokenPair));
    assert_eq!(load(&[b"a", b"nan"]).err(), Some(ZsetError::BrokenPair));
    assert_eq!(
        load(&[b"a", b"1", b"a", b"2"]).err(),
        Some(ZsetError::DuplicateMember)
    );
    let set = load(&[b"b", b"2", b"c", b"1", b"a", b"2"]).expect("disorder is mended");
    assert_eq!(set.encoding(), "listpack");
    let names: Vec<_> = all(&set).into_iter().map(|(m, _)| m).collect();
    assert_eq!(names, [b"c", b"a", b"b"]);
    let long = [b'x'; 21];
    assert_eq!(load(&[&long, b"1"]).expect("valid").encoding(), "listpack");
    let many: Vec<String> = (0..17).map(|i| format!("m{i:02}")).collect();
    let entries: Vec<&[u8]> = many
        .iter()
        .flat_map(|m| [m.as_bytes(), &b"7"[..]])
        .collect();
    let set = load(&entries).expect("valid");
    assert_eq!((set.encoding(), set.len()), ("skiplist", 17));
}

#[test]
fn unequal_scores_answer_lex_ranges_as_redis_does_when_small() {
    // Order: b(1) a(2) c(3).
    let set = of(&[(1.0, "b"), (2.0, "a"), (3.0, "c")]);
    let range = LexRange::parse(b"[a", b"[b").expect("valid");
    // Forwards: b, then a, then c ends it. Backwards: c is out, a, then b.
    assert_eq!(set.lex_span(&range, false), 0..2);
    assert_eq!(set.lex_span(&range, true), 0..2);
    let range = LexRange::parse(b"[b", b"[c").expect("valid");
    // Forwards a run of b, a and c since all are at most c; backwards only c.
    assert_eq!(set.lex_span(&range, false), 0..3);
    assert_eq!(set.lex_span(&range, true), 2..3);
}

#[test]
fn a_big_set_is_scanned_once_while_it_changes() {
    let limits = ZsetLimits::default();
    let mut set = Zset::new();
    for i in 0..5000 {
        set.add(
            &limits,
            f64::from(i),
            format!("stay{i}").as_bytes(),
            AddFlags::default(),
        );
        set.add(
            &limits,
            0.5,
            format!("go{i}").as_bytes(),
            AddFlags::default(),
        );
    }
    let mut stayed = BTreeMap::new();
    let mut cursor = 0;
    let mut steps = 0;
    loop {
        let mut shown = 0;
        cursor = set.scan(cursor, 10, &mut |m, s| {
            shown += 1;
            if m.starts_with(b"stay") {
                *stayed.entry(m.to_vec()).or_insert(0) += 1;
                assert_eq!(m, format!("stay{s}").as_bytes());
            }
        });
        if cursor == 0 {
            break;
        }
        assert!((10..20).contains(&shown) && cursor < 1 << 53);
        set.remove(format!("go{steps}").as_bytes());
        set.add(
            &limits,
            1.5,
            format!("new{steps}").as_bytes(),
            AddFlags::default(),
        );
        steps += 1;
    }
    assert!(stayed.len() == 5000 && stayed.values().all(|n| *n == 1));
    set.check();
}

#[test]
fn memory_of_a_big_set_stays_low() {
    let mut set = Zset::new_tree();
    let n = 100_000u64;
    for i in 0..n {
        // A permutation of 0..n: members and scores arrive in random order.
        let i = (i * 61_803 + 7) % n;
        let member = format!("member:{i:010}");
        set.add(
            &ZsetLimits::default(),
            i as f64,
            member.as_bytes(),
            AddFlags::default(),
        );
    }
    assert_eq!(set.len() as u64, n);
    let each = set.heap_bytes() as f64 / n as f64;
    println!("{each:.2} bytes per element");
    assert!(each < 60.0, "{each:.2} bytes per element");
}

/// Draws in a fixed pattern that reaches every residue.
fn counter() -> impl FnMut(u64) -> u64 {
    let mut state = 1u64;
    move |n| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    }
}

#[test]
fn samples_are_members_and_distinct_when_asked() {
    for members in [10u32, 400] {
        let mut set = Zset::new();
        for i in 0..members {
            set.add(
                &small(),
                f64::from(i % 5),
                format!("m{i}").as_bytes(),
                AddFlags::default(),
            );
        }
        let mut below = counter();
        for count in [0, 1, 3, 5, 9, 10, 200, 399, 400, 1000] {
            let mut seen = BTreeSet::new();
            set.sample_distinct(count, &mut below, &mut |m, s| {
                assert_eq!(set.score(m), Some(s));
                assert!(seen.insert(m.to_vec()));
            });
            assert_eq!(seen.len(), count.min(members as usize));
        }
        let mut hits = BTreeMap::new();
        set.sample(u64::from(members) * 50, &mut below, &mut |m, _| {
            *hits.entry(m.to_vec()).or_insert(0u32) += 1;
            true
        });
        assert_eq!(hits.len(), members as usize);
        let mut calls = 0;
        set.sample(1000, &mut below, &mut |_, _| {
            calls += 1;
            calls < 7
        });
        assert_eq!(calls, 7);
    }
}
