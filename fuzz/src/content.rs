//! [`Content`]: what a value holds, in whatever layout it was written.

use basalt_formats::num::parse_f64;
use basalt_formats::packed::Listpack;
use basalt_formats::rdb::{Body, ObjectType, RawNode, RdbError, Reader, StreamBody};

/// A field, its value and when it expires.
type Field = (Vec<u8>, Vec<u8>, Option<i64>);

/// What a value holds. What has no order is sorted.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    Zset(Vec<(Vec<u8>, f64)>),
    Hash(Vec<Field>),
    Stream(StreamBody),
    /// Elements that should come in pairs do not, or a score is no number: readers that build
    /// values refuse it.
    Odd,
}

/// Reads a value to its end and keeps nothing: what a reader must be able to do in little memory.
pub fn drain(kind: ObjectType, body: &[u8]) -> Result<(), RdbError> {
    let mut reader = Reader::new(body);
    match Body::read(kind, &mut reader)? {
        Body::List(mut run) | Body::Set(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::Hash(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::Zset(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::ListNodes(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::HashTtl(mut run) => run.try_for_each(|item| item.map(drop))?,
        _ => {}
    }
    assert_eq!(reader.left(), 0, "{kind:?} was cut where it does not end");
    Ok(())
}

/// Reads a value.
pub fn read(kind: ObjectType, body: &[u8]) -> Result<Content, RdbError> {
    let mut reader = Reader::new(body);
    Ok(match Body::read(kind, &mut reader)? {
        Body::String(text) => Content::String(text.into_owned()),
        Body::List(run) => Content::List(run.map(|e| e.map(Vec::from)).collect::<Result<_, _>>()?),
        Body::ListPacked(list) => Content::List(elements(&list)),
        Body::ListNodes(nodes) => {
            let mut all = Vec::new();
            for node in nodes {
                match node? {
                    RawNode::Packed(list) => all.extend(elements(&list)),
                    RawNode::Plain(element) => all.push(element.into_owned()),
                }
            }
            Content::List(all)
        }
        Body::Set(run) => set(run.map(|e| e.map(Vec::from)).collect::<Result<_, _>>()?),
        Body::SetInts(ints) => set(ints.iter().map(|n| n.to_string().into_bytes()).collect()),
        Body::SetPacked(list) => set(elements(&list)),
        Body::Zset(run) => {
            let mut all = Vec::new();
            for item in run {
                let (member, score) = item?;
                all.push((member.into_owned(), score));
            }
            zset(all)
        }
        Body::ZsetPacked(list) => {
            let (all, odd) = pairs(&list);
            let scored = all.into_iter().map(|(member, score)| {
                let score = parse_f64(&score).filter(|score| !score.is_nan())?;
                Some((member, score))
            });
            match scored.collect::<Option<Vec<_>>>() {
                Some(all) if !odd => zset(all),
                _ => Content::Odd,
            }
        }
        Body::Hash(run) => {
            let mut all = Vec::new();
            for item in run {
                let (field, value) = item?;
                all.push((field.into_owned(), value.into_owned(), None));
            }
            hash(all)
        }
        Body::HashPacked(list) | Body::HashZipmap(list) => match pairs(&list) {
            (_, true) => Content::Odd,
            (all, false) => hash(all.into_iter().map(|(f, v)| (f, v, None)).collect()),
        },
        Body::HashTtl(run) => {
            let mut all = Vec::new();
            for item in run {
                let item = item?;
                all.push((item.field.into(), item.value.into(), item.expire_ms));
            }
            hash(all)
        }
        Body::Stream(stream) => Content::Stream(stream),
    })
}

impl Content {
    /// Whether it is the same value, as far as streams of old servers tell.
    pub fn agrees(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Stream(a), Content::Stream(b)) => {
                let meta = |s: &StreamBody| (s.meta.length, s.meta.last_id);
                let groups = |s: &StreamBody| -> Vec<_> {
                    let all = s.groups.iter();
                    all.map(|g| (g.name.clone(), g.last_id, g.pending.clone()))
                        .collect()
                };
                a.nodes == b.nodes && meta(a) == meta(b) && groups(a) == groups(b)
            }
            (a, b) => a == b,
        }
    }
}

fn elements(list: &Listpack) -> Vec<Vec<u8>> {
    list.iter().map(|entry| entry.to_vec()).collect()
}

/// Pairs of elements, and whether one is left over.
fn pairs(list: &Listpack) -> (Vec<(Vec<u8>, Vec<u8>)>, bool) {
    let (mut all, mut entries) = (Vec::new(), list.iter());
    while let Some(first) = entries.next() {
        let Some(second) = entries.next() else {
            return (all, true);
        };
        all.push((first.to_vec(), second.to_vec()));
    }
    (all, false)
}

/// A set; an element that comes twice, which only who builds the set notices, counts once.
fn set(mut all: Vec<Vec<u8>>) -> Content {
    all.sort_unstable();
    all.dedup();
    Content::Set(all)
}

fn zset(mut all: Vec<(Vec<u8>, f64)>) -> Content {
    all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    Content::Zset(all)
}

fn hash(mut all: Vec<Field>) -> Content {
    all.sort_unstable();
    Content::Hash(all)
}
