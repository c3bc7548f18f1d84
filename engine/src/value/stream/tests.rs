use super::*;
use proptest::prelude::*;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn limits(node_max_entries: u64) -> StreamLimits {
    StreamLimits {
        node_max_entries,
        ..StreamLimits::default()
    }
}

/// Entries 1-0 to `n`-0 in nodes of three.
fn counting(n: u64) -> Stream {
    let mut stream = Stream::default();
    for ms in 1..=n {
        stream.add(&limits(3), id(ms, 0), &[b"f", ms.to_string().as_bytes()]);
    }
    stream
}

fn ids(stream: &Stream) -> Vec<u64> {
    let all: Vec<_> = stream
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| entry.id.ms)
        .collect();
    let mut back: Vec<_> = stream
        .range_back(StreamId::MIN, StreamId::MAX)
        .map(|entry| entry.id.ms)
        .collect();
    back.reverse();
    assert_eq!(all, back);
    all
}

#[test]
fn nodes_fill_up() {
    assert_eq!(counting(7).node_count(), 3);
    let mut stream = Stream::default();
    let small = StreamLimits {
        node_max_bytes: 60,
        node_max_entries: 0,
    };
    for ms in 1..=10 {
        stream.add(&small, id(ms, 0), &[b"field", b"0123456789"]);
    }
    // 42 bytes with one entry, 62 with two; full when 15 more make 60.
    assert_eq!(stream.node_count(), 5);
    let mut stream = Stream::default();
    let none = StreamLimits {
        node_max_bytes: 0,
        node_max_entries: 0,
    };
    for ms in 1..=1000 {
        stream.add(&none, id(ms, 0), &[b"field", b"0123456789"]);
    }
    assert_eq!(stream.node_count(), 1);
}

#[test]
fn ranges() {
    let stream = counting(8);
    let range = |from, to| -> Vec<u64> {
        stream
            .range(id(from, 0), id(to, 0))
            .map(|entry| entry.id.ms)
            .collect()
    };
    let back = |from, to| -> Vec<u64> {
        stream
            .range_back(id(from, 0), id(to, 0))
            .map(|entry| entry.id.ms)
            .collect()
    };
    assert_eq!(range(3, 6), [3, 4, 5, 6]);
    assert_eq!(back(3, 6), [6, 5, 4, 3]);
    assert_eq!(range(0, 1), [1]);
    assert_eq!(range(9, 10), [0u64; 0]);
    assert_eq!(range(6, 3), [0u64; 0]);
    assert_eq!(back(6, 3), [0u64; 0]);
    let mut over = stream.range(id(2, 0), id(2, 0));
    assert!(over.next().is_some() && over.next().is_none() && over.next().is_none());
    assert_eq!(stream.get(id(5, 0)).map(|entry| entry.id), Some(id(5, 0)));
    assert!(stream.get(id(5, 1)).is_none());
}

#[test]
fn deleting() {
    let mut stream = counting(5);
    assert_eq!(stream.delete(&[id(4, 0), id(4, 0), id(9, 0), id(0, 1)]), 1);
    assert_eq!(ids(&stream), [1, 2, 3, 5]);
    assert_eq!(stream.extent().max_deleted_id, id(4, 0));
    assert_eq!(stream.extent().first_id, id(1, 0));
    assert_eq!(stream.delete(&[id(1, 0), id(5, 0)]), 2);
    assert_eq!(stream.extent().first_id, id(2, 0));
    // The second node had two entries, both deleted.
    assert_eq!(stream.node_count(), 1);
    assert_eq!(stream.delete(&[id(2, 0), id(3, 0)]), 2);
    assert!(stream.is_empty() && stream.node_count() == 0);
    assert_eq!(stream.extent().first_id, StreamId::MIN);
    assert_eq!(stream.last_id(), id(5, 0));
    assert_eq!(stream.extent().entries_added, 5);
}

fn trim(to: TrimTo, approx: bool, limit: u64) -> Trim {
    Trim { to, approx, limit }
}

#[test]
fn trimming() {
    let mut stream = counting(10);
    let to = TrimTo::MaxLen;
    assert_eq!(stream.trim(&trim(to(20), false, 0)), 0);
    assert_eq!(stream.trim(&trim(to(8), true, 0)), 0);
    assert_eq!(stream.trim(&trim(to(6), true, 0)), 3);
    assert_eq!(ids(&stream), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(stream.trim(&trim(to(2), true, 2)), 0);
    assert_eq!(stream.trim(&trim(to(2), true, 5)), 3);
    assert_eq!(stream.trim(&trim(to(2), false, 0)), 2);
    assert_eq!(ids(&stream), [9, 10]);
    assert_eq!(stream.first_id_with_deleted(), id(7, 0));
    assert_eq!(stream.extent().first_id, id(9, 0));
    assert_eq!(stream.extent().max_deleted_id, StreamId::MIN);
    assert_eq!(stream.trim(&trim(to(0), false, 0)), 2);
    assert_eq!(stream.extent().first_id, StreamId::MIN);
    assert_eq!(stream.first_id_with_deleted(), StreamId::MAX);

    let mut stream = counting(10);
    let to = |ms| TrimTo::MinId(id(ms, 0));
    assert_eq!(stream.trim(&trim(to(3), true, 0)), 0);
    assert_eq!(stream.trim(&trim(to(5), true, 0)), 3);
    assert_eq!(stream.trim(&trim(to(6), false, 0)), 2);
    assert_eq!(stream.trim(&trim(to(6), false, 0)), 0);
    assert_eq!(ids(&stream), [6, 7, 8, 9, 10]);
    assert_eq!(stream.trim(&trim(to(100), false, 0)), 5);
    assert_eq!(stream.len(), 0);
}

/// A node may end up with deleted entries only: another entry still goes into it.
#[test]
fn nodes_of_deleted_entries() {
    let mut stream = counting(3);
    stream.delete(&[id(3, 0)]);
    assert_eq!(stream.trim(&trim(TrimTo::MinId(id(3, 0)), false, 0)), 2);
    assert_eq!((stream.len(), stream.node_count()), (0, 1));
    stream.add(&limits(4), id(4, 0), &[b"f", b"4"]);
    assert_eq!((ids(&stream), stream.node_count()), (vec![4], 1));
    assert_eq!(stream.extent().first_id, id(4, 0));
    assert!(stream.has_after(id(3, 9)) && !stream.has_after(id(4, 0)));
}

#[test]
fn clones_keep_what_they_had() {
    let mut stream = counting(50);
    let before = stream.clone();
    stream.delete(&[id(7, 0)]);
    stream.trim(&trim(TrimTo::MaxLen(20), false, 0));
    stream.add(&limits(3), id(60, 0), &[b"f", b"60"]);
    assert_eq!(ids(&before), (1..=50).collect::<Vec<_>>());
    assert_eq!(before.len(), 50);
    assert_eq!(stream.len(), 21);
}

#[derive(Debug, Clone)]
enum Op {
    Add(u64, u64),
    Delete(prop::sample::Index),
    MaxLen(u64),
    MinId(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3u64, 0..3u64).prop_map(|(ms, seq)| Op::Add(ms, seq)),
        3 => any::<prop::sample::Index>().prop_map(Op::Delete),
        1 => (0..40u64).prop_map(Op::MaxLen),
        1 => any::<prop::sample::Index>().prop_map(Op::MinId),
    ]
}

proptest! {
    #[test]
    fn streams_match_a_list(ops in prop::collection::vec(op(), 0..200), entries in 1..6u64) {
        let mut stream = Stream::default();
        let mut model: Vec<StreamId> = Vec::new();
        let (mut last, mut added, mut top) = (id(1, 0), 0, StreamId::MIN);
        for op in ops {
            match op {
                Op::Add(ms, seq) => {
                    let next = StreamId::new(last.ms + ms, if ms > 0 { seq } else { last.seq + seq });
                    if next > last {
                        last = next;
                        added += 1;
                        stream.add(&limits(entries), last, &[b"f", b"v"]);
                        model.push(last);
                    }
                }
                Op::Delete(at) if !model.is_empty() => {
                    let gone = model.remove(at.index(model.len()));
                    top = top.max(gone);
                    prop_assert_eq!(stream.delete(&[gone, gone]), 1);
                }
                Op::MaxLen(max) => {
                    let gone = (model.len() as u64).saturating_sub(max);
                    prop_assert_eq!(stream.trim(&trim(TrimTo::MaxLen(max), false, 0)), gone);
                    model.drain(..gone as usize);
                }
                Op::MinId(at) if !model.is_empty() => {
                    let min = model[at.index(model.len())];
                    let before = model.len();
                    model.retain(|id| *id >= min);
                    let gone = (before - model.len()) as u64;
                    prop_assert_eq!(stream.trim(&trim(TrimTo::MinId(min), false, 0)), gone);
                }
                _ => {}
            }
            let extent = Extent {
                length: model.len() as u64,
                entries_added: added,
                first_id: model.first().copied().unwrap_or_default(),
                last_id: if added > 0 { last } else { StreamId::MIN },
                max_deleted_id: top,
            };
            prop_assert_eq!(stream.extent(), &extent);
            prop_assert_eq!(stream.last().map(|entry| entry.id), model.last().copied());
        }
        let read = |range: &mut dyn Iterator<Item = StreamEntry<'_>>| range.map(|e| e.id).collect::<Vec<_>>();
        let all = read(&mut stream.range(StreamId::MIN, StreamId::MAX));
        prop_assert_eq!(&all, &model);
        for pair in model.windows(2) {
            let start = pair[0].next().expect("not the last");
            let from: Vec<_> = model.iter().copied().filter(|id| *id >= start).collect();
            prop_assert_eq!(read(&mut stream.range(start, StreamId::MAX)), from);
            let mut to: Vec<_> = model.iter().copied().filter(|id| *id <= start).collect();
            to.reverse();
            prop_assert_eq!(read(&mut stream.range_back(StreamId::MIN, start)), to);
        }
    }
}
