//! Streams: nodes and whole bodies. A node that is accepted can be walked from both ends and
//! changed in every way, and is a node again; a body that is accepted is written for every type
//! and read the same.

use basalt_formats::packed::stream::{StreamId, StreamNode};
use basalt_formats::rdb::{ObjectType, Reader, StreamBody, Writer};

use crate::Input;
use crate::alloc::bounded;
use crate::listpack::with_length;

const KINDS: [ObjectType; 3] = [
    ObjectType::StreamListpacks,
    ObjectType::StreamListpacks2,
    ObjectType::StreamListpacks3,
];

/// One case: a byte that says what to do; bytes of a node or of a body.
pub fn stream(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 8 {
        0 => decode_node(rest.to_vec(), rest),
        1 => decode_node(with_length(rest), rest),
        2 => build(&mut Input::new(rest)),
        kind => body(KINDS[usize::from(kind) % 3], rest),
    }
}

fn id(input: &mut Input<'_>) -> StreamId {
    StreamId::new(input.integer() as u64, input.integer() as u64)
}

fn walk(node: &StreamNode, master: StreamId) -> usize {
    let read = |entry: basalt_formats::packed::stream::StreamEntry<'_>| {
        let words: Vec<_> = entry
            .pairs()
            .flat_map(|(field, value)| [field.to_vec(), value.to_vec()])
            .collect();
        assert_eq!(words.len(), 2 * entry.len());
        (entry.id, entry.deleted, entry.at, words)
    };
    let forward: Vec<_> = node.entries(master).map(read).collect();
    let mut back: Vec<_> = node.entries(master).rev().map(read).collect();
    back.reverse();
    assert_eq!(forward, back);
    assert_eq!(forward.len() as u64, node.live() + node.deleted());
    assert_eq!(node.last_id(master), forward.last().map(|entry| entry.0));
    forward.len()
}

fn change(mut node: StreamNode, input: &mut Input<'_>) {
    let master = id(input);
    let mut count = walk(&node, master);
    for _ in 0..40 {
        match input.below(4) {
            0 => {
                let words = [input.bytes(12), input.bytes(20), b"b", b"1"];
                let words = &words[..2 + 2 * input.below(2)];
                node.push(master, id(input), words);
                count += 1;
            }
            1 if count > 0 => {
                let entry = node.entries(master).nth(input.below(count));
                node.delete(entry.expect("as many").at);
            }
            2 => {
                let below = (input.byte() % 2 == 0).then(|| id(input));
                node.delete_front(master, input.below(9) as u64, below);
            }
            _ => {}
        }
        assert_eq!(walk(&node, master), count);
        if input.is_empty() {
            break;
        }
    }
    node.delete_front(master, u64::MAX, None);
    assert!(node.entries(master).all(|entry| entry.deleted));
    let again = StreamNode::from_bytes(node.as_bytes().to_vec());
    assert_eq!(again.as_ref(), Ok(&node), "a node after changes");
}

fn decode_node(bytes: Vec<u8>, choices: &[u8]) {
    if let Ok(node) = bounded(bytes.len(), || StreamNode::from_bytes(bytes.clone())) {
        assert_eq!(node.as_bytes().get(6..), bytes.get(6..));
        change(node, &mut Input::new(choices));
    }
}

fn build(input: &mut Input<'_>) {
    let words = [input.bytes(12), input.bytes(20)];
    change(StreamNode::new(&words), input);
}

fn body(kind: ObjectType, bytes: &[u8]) {
    let read = |kind, bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        StreamBody::read(kind, &mut reader).map(|body| (body, reader.left()))
    };
    let Ok((body, left)) = bounded(bytes.len(), || read(kind, bytes)) else {
        return;
    };
    for to in KINDS {
        let mut writer = Writer::new(bytes.len() % 2 == 0);
        body.write(to, &mut writer);
        let (again, rest) = read(to, writer.as_bytes()).expect("what was written is read");
        assert_eq!(rest, 0);
        if to == kind {
            assert_eq!(again, body);
        }
        assert_eq!(again.nodes, body.nodes);
        assert_eq!(again.meta.length, body.meta.length);
    }
    let choices = &bytes[bytes.len() - left.min(bytes.len())..];
    for (master, node) in body.nodes.into_iter().take(3) {
        walk(&node, master);
        change(node, &mut Input::new(choices));
    }
}
