use super::*;
use proptest::prelude::*;

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

/// The node of `XADD s 5-1 a 1 b x`, `5-2 a 2 b y`, `7-0 c hello`, `1000-0 a 300 b -7` and
/// `XDEL s 5-2`, as `DUMP` of Redis 7.2.4 shows it.
const NODE: &[u8] = b"\x54\0\0\0\x1f\0\x03\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\0\x01\
    \x02\x01\0\x01\0\x01\x01\x01\x81x\x02\x05\x01\
    \x03\x01\0\x01\x01\x01\x02\x01\x81y\x02\x05\x01\
    \0\x01\x02\x01\xdf\xff\x02\x01\x01\x81c\x02\x85hello\x06\x06\x01\
    \x02\x01\xc3\xe3\x02\xdf\xff\x02\xc1\x2c\x02\xdf\xf9\x02\x05\x01\xff";

fn sample() -> StreamNode {
    let mut node = StreamNode::new(&words("a 1 b x"));
    node.push(id(5, 1), id(5, 2), &words("a 2 b y"));
    node.push(id(5, 1), id(7, 0), &words("c hello"));
    node.push(id(5, 1), id(1000, 0), &words("a 300 b -7"));
    node
}

#[test]
fn bytes_are_those_of_redis() {
    let mut node = sample();
    let second = node.entries(id(5, 1)).nth(1).expect("four entries");
    node.delete(second.at);
    assert_eq!(node.as_bytes(), NODE);
    assert_eq!(StreamNode::from_bytes(NODE.to_vec()), Ok(node));
}

#[test]
fn entries_from_both_ends() {
    let node = sample();
    let all: Vec<_> = node.entries(id(5, 1)).map(|entry| entry.id).collect();
    assert_eq!(all, [id(5, 1), id(5, 2), id(7, 0), id(1000, 0)]);
    let mut back: Vec<_> = node.entries(id(5, 1)).rev().map(|entry| entry.id).collect();
    back.reverse();
    assert_eq!(back, all);
    let mut both = node.entries(id(5, 1));
    assert_eq!(both.next().map(|entry| entry.id), Some(id(5, 1)));
    assert_eq!(both.next_back().map(|entry| entry.id), Some(id(1000, 0)));
    assert_eq!(both.next_back().map(|entry| entry.id), Some(id(7, 0)));
    assert_eq!(both.next().map(|entry| entry.id), Some(id(5, 2)));
    assert!(both.next().is_none() && both.next_back().is_none());
    assert_eq!(node.last_id(id(5, 1)), Some(id(1000, 0)));
}

#[test]
fn pairs() {
    let node = sample();
    let shown = |index| {
        let entry = node.entries(id(5, 1)).nth(index).expect("an entry");
        let pairs = entry.pairs().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]);
        String::from_utf8(pairs.collect::<Vec<_>>().join(&b' ')).expect("text")
    };
    assert_eq!(shown(1), "a 2 b y");
    assert_eq!(shown(2), "c hello");
    assert_eq!(shown(3), "a 300 b -7");
}

#[test]
fn fields_that_look_alike_are_not_the_same() {
    let mut node = StreamNode::new(&words("10 1"));
    node.push(id(1, 0), id(1, 1), &words("010 1"));
    node.push(id(1, 0), id(1, 2), &words("10 1"));
    let fields: Vec<_> = node
        .entries(id(1, 0))
        .flat_map(|entry| entry.pairs().map(|(field, _)| field.to_vec()))
        .collect();
    assert_eq!(fields, [&b"10"[..], b"010", b"10"]);
}

#[test]
fn deleting_from_the_front() {
    let mut node = sample();
    assert_eq!(node.delete_front(id(5, 1), 1, None), 1);
    assert_eq!((node.live(), node.deleted()), (3, 1));
    assert_eq!(node.delete_front(id(5, 1), u64::MAX, Some(id(7, 0))), 1);
    assert_eq!(node.delete_front(id(5, 1), u64::MAX, Some(id(7, 0))), 0);
    assert_eq!((node.live(), node.deleted()), (2, 2));
    let deleted: Vec<_> = node.entries(id(5, 1)).map(|entry| entry.deleted).collect();
    assert_eq!(deleted, [true, true, false, false]);
}

/// Elements changed one at a time; each makes the listpack something other than a node.
#[test]
fn what_is_no_node() {
    let elements = |changes: &[(usize, i64)]| {
        let mut list = Listpack::from_bytes(sample().as_bytes().to_vec()).expect("a listpack");
        for (index, value) in changes {
            let at = list.seek(*index as i64).expect("an element");
            list.replace_int(at, *value);
        }
        StreamNode::from_bytes(list.into_bytes())
    };
    assert!(elements(&[]).is_ok());
    // Which entries the counts speak of is not compared with the flags.
    assert!(elements(&[(0, 0), (1, 4)]).is_ok());
    for changes in [
        &[(0, 3)][..],
        &[(0, 5)],
        &[(0, -1), (1, 5)],
        &[(0, i64::MAX), (1, i64::MAX)],
        &[(2, 1)],
        &[(2, -1)],
        &[(2, i64::MAX)],
        &[(5, 1)],
        &[(6, 0)],
        &[(11, 6)],
        &[(21, 2)],
        &[(21, -1)],
        &[(21, i64::MAX)],
    ] {
        assert!(
            matches!(elements(changes), Err(PackedError::BadStreamNode { .. })),
            "{changes:?}"
        );
    }
    assert!(StreamNode::from_bytes(Listpack::new().into_bytes()).is_err());
    let mut list = Listpack::new();
    list.push_back(b"x");
    assert!(StreamNode::from_bytes(list.into_bytes()).is_err());
}

/// Counts that say less than the flags: deleting marks entries that were never counted as live.
#[test]
fn deleting_more_than_is_counted() {
    let mut list = Listpack::from_bytes(sample().as_bytes().to_vec()).expect("a listpack");
    for (index, value) in [(0, 1), (1, 3)] {
        let at = list.seek(index).expect("a count");
        list.replace_int(at, value);
    }
    let mut node = StreamNode::from_bytes(list.into_bytes()).expect("a node");
    assert_eq!(node.delete_front(id(5, 1), u64::MAX, None), 4);
    assert_eq!((node.live(), node.deleted()), (0, 4));
    assert_eq!(node.entries(id(5, 1)).count(), 4);
    assert_eq!(
        StreamNode::from_bytes(node.as_bytes().to_vec()),
        Ok(node.clone())
    );
    node.delete_front(id(5, 1), u64::MAX, None);
    assert_eq!((node.live(), node.deleted()), (0, 4));
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (0..300i64).prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80),
        Just(b"field".to_vec()),
    ]
}

#[derive(Debug, Clone)]
enum Op {
    Push(u64, u64, Vec<(Vec<u8>, Vec<u8>)>),
    Delete(prop::sample::Index),
    Front(u64, prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    let pairs = prop::collection::vec((word(), word()), 1..4);
    prop_oneof![
        4 => (0..3u64, any::<u64>(), pairs).prop_map(|(ms, seq, pairs)| Op::Push(ms, seq, pairs)),
        1 => any::<prop::sample::Index>().prop_map(Op::Delete),
        1 => (0..6u64, any::<prop::sample::Index>()).prop_map(|(n, at)| Op::Front(n, at)),
    ]
}

type Model = Vec<(StreamId, bool, Vec<Vec<u8>>)>;

fn content(node: &StreamNode, master: StreamId) -> Model {
    let read = |entry: StreamEntry<'_>| {
        let words = entry.pairs().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]);
        (entry.id, entry.deleted, words.collect())
    };
    let all: Model = node.entries(master).map(read).collect();
    let mut back: Model = node.entries(master).rev().map(read).collect();
    back.reverse();
    assert_eq!(all, back);
    all
}

proptest! {
    #[test]
    fn nodes_match_a_list(ops in prop::collection::vec(op(), 1..60), ms in any::<u32>()) {
        let master = id(ms.into(), 3);
        let mut node = StreamNode::new(&words("field 1"));
        let mut model: Model = vec![(master, false, vec![b"field".to_vec(), b"1".to_vec()])];
        let mut last = master;
        for op in ops {
            match op {
                Op::Push(ms, seq, pairs) => {
                    let ms = last.ms + ms;
                    let next = StreamId { ms, seq };
                    if next <= last {
                        continue;
                    }
                    last = next;
                    let words: Vec<Vec<u8>> = pairs.into_iter().flat_map(|(f, v)| [f, v]).collect();
                    let slices: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    node.push(master, last, &slices);
                    model.push((last, false, words));
                }
                Op::Delete(at) => {
                    let at = at.index(model.len());
                    let entry = node.entries(master).nth(at).expect("as many entries");
                    if !entry.deleted {
                        node.delete(entry.at);
                        model[at].1 = true;
                    }
                }
                Op::Front(limit, at) => {
                    let below = model[at.index(model.len())].0;
                    let done = node.delete_front(master, limit, Some(below));
                    let mut marked = 0;
                    for entry in &mut model {
                        if entry.0 < below && !entry.1 && marked < limit {
                            entry.1 = true;
                            marked += 1;
                        }
                    }
                    prop_assert_eq!(done, marked);
                }
            }
            let live = model.iter().filter(|entry| !entry.1).count() as u64;
            prop_assert_eq!(node.live(), live);
            prop_assert_eq!(node.deleted(), model.len() as u64 - live);
        }
        prop_assert_eq!(&content(&node, master), &model);
        prop_assert_eq!(StreamNode::from_bytes(node.as_bytes().to_vec()), Ok(node));
    }

    /// Whatever passes as a node can be walked and changed.
    #[test]
    fn damaged_nodes_are_safe(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        master in any::<(u64, u64)>(),
    ) {
        let mut bytes = NODE.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut node) = StreamNode::from_bytes(bytes) {
            let master = id(master.0, master.1);
            let forward: Vec<_> = node.entries(master).map(|entry| entry.pairs().count()).collect();
            prop_assert_eq!(node.entries(master).rev().count(), forward.len());
            prop_assert_eq!(forward.len() as u64, node.live() + node.deleted());
            node.push(master, StreamId::MAX, &words("a b"));
            node.delete_front(master, u64::MAX, None);
            prop_assert!(StreamNode::from_bytes(node.as_bytes().to_vec()).is_ok());
        }
    }
}
