//! What of an entry goes into a digest: what it means, not how it is kept. Described in `docs/formats/repository.md`.

use basalt_backup::repo::{Digest, DigestKey};
use basalt_engine::keyspace::Kind;
use basalt_engine::snapshot::SnapshotEntry;
use basalt_engine::value::serial::Content;
use basalt_engine::value::stream::{Group, StreamId};
use basalt_engine::value::{Stream, Value};
use blake3::Hasher;

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
    hasher.update(&db.to_le_bytes());
    let expires = entry.header.expire_ms.unwrap_or(-1);
    hasher.update(&expires.to_le_bytes());
    let kind = match entry.content {
        Content::Str(_) => Kind::Raw,
        Content::Value(value) => value.kind(),
    };
    hasher.update(&[type_number(kind)]);
    string(&mut hasher, entry.key);
    match entry.content {
        Content::Str(text) => string(&mut hasher, text),
        Content::Value(value) => content(&mut hasher, key, value),
    }
    sum.add_hash(&hasher);
}

fn content(hasher: &mut Hasher, key: &DigestKey, value: &Value) {
    match value {
        Value::Str(text) => string(hasher, text),
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
