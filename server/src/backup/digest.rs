//! What of an entry goes into a digest: what it means, not how it is kept. Described in `docs/formats/repository.md`.

use std::cell::RefCell;

use basalt_backup::repo::{Digest, DigestKey};
use basalt_engine::keyspace::Kind;
use basalt_engine::snapshot::SnapshotEntry;
use basalt_engine::value::serial::Content;
use basalt_engine::value::stream::{Group, StreamId};
use basalt_engine::value::{Stream, Value};
use blake3::Hasher;

/// Strings up to this length are put behind what comes before them, so that all is hashed at once. BLAKE3 takes several pieces of
/// 1,024 bytes side by side only if they come together from a boundary of such pieces on.
const AT_ONCE: usize = 64 << 10;

thread_local! {
    /// What is hashed of an entry, as far as it is put together.
    static TOGETHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The number of a type; that of the type of key in RDB files of old.
fn type_number(kind: Kind) -> u8 {
    match kind {
        Kind::Int | Kind::Embstr | Kind::Raw => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

fn number(hasher: &mut Hasher, number: u64) {
    hasher.update(&number.to_le_bytes());
}

fn string(hasher: &mut Hasher, text: &[u8]) {
    number(hasher, text.len() as u64);
    hasher.update(text);
}

fn stream_id(hasher: &mut Hasher, id: StreamId) {
    number(hasher, id.ms);
    number(hasher, id.seq);
}

/// Adds an entry to a sum.
pub fn add(sum: &mut Digest, key: &DigestKey, entry: &SnapshotEntry<'_>) {
    let mut hasher = key.hasher();
    let db = u32::try_from(entry.db).unwrap_or(u32::MAX);
    let expires = entry.header.expire_ms.unwrap_or(-1);
    let (kind, text) = match entry.content {
        Content::Str(text) => (Kind::Raw, Some(text)),
        Content::Value(Value::Str(text)) => (Kind::Raw, Some(&text[..])),
        Content::Value(value) => (value.kind(), None),
    };
    TOGETHER.with_borrow_mut(|head| {
        head.clear();
        head.extend_from_slice(&db.to_le_bytes());
        head.extend_from_slice(&expires.to_le_bytes());
        head.push(type_number(kind));
        head.extend_from_slice(&(entry.key.len() as u64).to_le_bytes());
        let short = |text: &[u8]| text.len() <= AT_ONCE;
        if short(entry.key) && text.is_none_or(short) {
            head.extend_from_slice(entry.key);
            if let Some(text) = text {
                head.extend_from_slice(&(text.len() as u64).to_le_bytes());
                head.extend_from_slice(text);
            }
            hasher.update(head);
            return;
        }
        hasher.update(head);
        hasher.update(entry.key);
        if let Some(text) = text {
            string(&mut hasher, text);
        }
    });
    if let Content::Value(value) = entry.content {
        content(&mut hasher, key, value);
    }
    sum.add_hash(&hasher);
}

fn content(hasher: &mut Hasher, key: &DigestKey, value: &Value) {
    match value {
        // Has been hashed with what is in front of it.
        Value::Str(_) => {}
        Value::List(list) => {
            number(hasher, list.len() as u64);
            for element in list.iter() {
                element.with_bytes(|bytes| string(hasher, bytes));
            }
        }
        Value::Set(set) => {
            let mut sum = Digest::default();
            set.for_each(|member| {
                let mut element = key.hasher();
                string(&mut element, member);
                sum.add_hash(&element);
            });
            unordered(hasher, set.len(), sum);
        }
        Value::Zset(zset) => {
            let mut sum = Digest::default();
            zset.visit(0..zset.len(), false, &mut |member, score| {
                let mut element = key.hasher();
                string(&mut element, member);
                // Minus zero is zero to every command.
                element.update(&(score + 0.0).to_le_bytes());
                sum.add_hash(&element);
            });
            unordered(hasher, zset.len(), sum);
        }
        Value::Hash(hash) => {
            let mut sum = Digest::default();
            hash.for_each(|field, value| {
                let mut element = key.hasher();
                string(&mut element, field);
                string(&mut element, value);
                if let Some(at_ms) = hash.expiry(field) {
                    element.update(&at_ms.to_le_bytes());
                }
                sum.add_hash(&element);
            });
            unordered(hasher, hash.len(), sum);
        }
        Value::Stream(value) => stream(hasher, value),
    }
}

fn unordered(hasher: &mut Hasher, len: usize, sum: Digest) {
    number(hasher, len as u64);
    hasher.update(&sum.to_bytes());
}

fn stream(hasher: &mut Hasher, stream: &Stream) {
    number(hasher, stream.len());
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        number(hasher, entry.id.ms);
        number(hasher, entry.id.seq);
        number(hasher, entry.pairs().count() as u64);
        for (field, value) in entry.pairs() {
            field.with_bytes(|bytes| string(hasher, bytes));
            value.with_bytes(|bytes| string(hasher, bytes));
        }
    }
    let extent = stream.extent();
    stream_id(hasher, extent.last_id);
    stream_id(hasher, extent.max_deleted_id);
    number(hasher, extent.entries_added);
    number(hasher, stream.groups.iter().count() as u64);
    for (name, group) in stream.groups.iter() {
        string(hasher, name);
        self::group(hasher, group);
    }
}

fn group(hasher: &mut Hasher, group: &Group) {
    stream_id(hasher, group.last_id);
    number(hasher, group.entries_read.unwrap_or(u64::MAX));
    let pending = &group.pending;
    number(hasher, pending.len() as u64);
    for (id, nack) in pending.entries().iter() {
        stream_id(hasher, *id);
        hasher.update(&nack.delivery_time.to_le_bytes());
        number(hasher, nack.delivery_count);
        string(hasher, pending.name(nack.consumer));
    }
    number(hasher, pending.consumer_count() as u64);
    let mut names: Vec<&[u8]> = pending
        .consumers()
        .map(|consumer| consumer.name())
        .collect();
    names.sort_unstable();
    names.iter().for_each(|name| string(hasher, name));
}

#[cfg(test)]
mod tests {
    use basalt_engine::keyspace::Header;

    use super::*;

    #[test]
    fn strings_of_any_length_are_hashed_as_described() {
        let key = DigestKey::new([7; 32]);
        let long = vec![b'k'; AT_ONCE + 1];
        for name in [&b""[..], b"key", &long] {
            for length in [0, 1, 100, 4096, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE] {
                let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
                let mut described = Vec::new();
                described.extend(3u32.to_le_bytes());
                described.extend(12_345i64.to_le_bytes());
                described.push(0);
                described.extend((name.len() as u64).to_le_bytes());
                described.extend(name);
                described.extend((length as u64).to_le_bytes());
                described.extend(&text);
                let mut hasher = key.hasher();
                hasher.update(&described);
                let mut expected = Digest::default();
                expected.add_hash(&hasher);
                let value = Value::Str(std::sync::Arc::new(text.clone()));
                for content in [Content::Str(&text), Content::Value(&value)] {
                    let entry = SnapshotEntry {
                        db: 3,
                        key: name,
                        header: Header {
                            kind: Kind::Raw,
                            expire_ms: Some(12_345),
                            lru: 0,
                            fields_ms: None,
                        },
                        content,
                    };
                    let mut found = Digest::default();
                    add(&mut found, &key, &entry);
                    assert_eq!(found, expected, "{} {length}", name.len());
                }
            }
        }
    }
}
