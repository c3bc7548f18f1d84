//! Writing values.

use basalt_formats::rdb::{ObjectType, Writer};

use super::Content;
use crate::structs::quicklist::Node;
use crate::value::{Hash, List, Set, Value, Zset};

/// The type under which a value is written.
pub fn kind_of(content: Content<'_>) -> ObjectType {
    let value = match content {
        Content::Str(_) => return ObjectType::String,
        Content::Value(value) => value,
    };
    match value {
        Value::Str(_) => ObjectType::String,
        Value::List(_) => ObjectType::ListQuicklist2,
        Value::Set(set) => match **set {
            Set::Ints(_) => ObjectType::SetIntset,
            Set::Packed(_) => ObjectType::SetListpack,
            Set::Table(_) => ObjectType::Set,
        },
        Value::Hash(hash) => match **hash {
            Hash::Packed(_) => ObjectType::HashListpack,
            Hash::Table(_) => ObjectType::Hash,
            // Of Redis 7.4; what is older has no place for the times.
            Hash::Lasting(_) => ObjectType::HashMetadata,
        },
        Value::Zset(zset) => match **zset {
            Zset::Packed(_) => ObjectType::ZsetListpack,
            Zset::Tree(_) => ObjectType::Zset2,
        },
        Value::Stream(_) => ObjectType::StreamListpacks3,
    }
}

/// Writes a value without its type.
pub fn write_body(writer: &mut Writer<'_>, content: Content<'_>) {
    let value = match content {
        Content::Str(bytes) => return writer.string(bytes),
        Content::Value(value) => value,
    };
    match value {
        Value::Str(bytes) => writer.string(bytes),
        Value::List(list) => write_list(writer, list),
        Value::Set(set) => write_set(writer, set),
        Value::Hash(hash) => write_hash(writer, hash),
        Value::Zset(zset) => write_zset(writer, zset),
        Value::Stream(stream) => stream.save(ObjectType::StreamListpacks3, writer),
    }
}

fn write_list(writer: &mut Writer<'_>, list: &List) {
    match list {
        List::Packed(list) => {
            writer.len(1);
            writer.packed_node(list);
        }
        List::Quick(quick) => {
            writer.len(quick.node_count());
            for node in quick.nodes() {
                match node {
                    Node::Packed(list) => writer.packed_node(list),
                    Node::Plain(element) => writer.plain_node(element),
                }
            }
        }
    }
}

fn write_set(writer: &mut Writer<'_>, set: &Set) {
    match set {
        Set::Ints(ints) => writer.string(ints.as_bytes()),
        Set::Packed(list) => writer.string(list.as_bytes()),
        Set::Table(_) => {
            writer.len(set.len());
            set.for_each(|element| writer.string(element));
        }
    }
}

fn write_hash(writer: &mut Writer<'_>, hash: &Hash) {
    match hash {
        Hash::Packed(list) => writer.string(list.as_bytes()),
        Hash::Table(_) => {
            writer.len(hash.len());
            hash.for_each(|field, value| {
                writer.string(field);
                writer.string(value);
            });
        }
        Hash::Lasting(_) => {
            // Times count from just before the first; 0 is for never.
            let first = hash.next_expiry().unwrap_or(0);
            writer.raw(&first.to_le_bytes());
            writer.len(hash.len());
            hash.for_each(|field, value| {
                write_field(writer, first, hash.expiry(field), field, value);
            });
        }
    }
}

/// Writes a field of a hash of which some expire, the first of them at `first` or later.
pub(super) fn write_field(
    writer: &mut Writer<'_>,
    first: i64,
    at: Option<i64>,
    field: &[u8],
    value: &[u8],
) {
    let distance = at.map_or(0, |at| (at - first).max(0) + 1);
    writer.len(usize::try_from(distance).unwrap_or(0));
    writer.string(field);
    writer.string(value);
}

fn write_zset(writer: &mut Writer<'_>, zset: &Zset) {
    match zset {
        Zset::Packed(list) => writer.string(list.as_bytes()),
        Zset::Tree(_) => {
            writer.len(zset.len());
            // Highest first, as Redis does for the sake of its loader.
            zset.visit(0..zset.len(), true, &mut |member, score| {
                writer.string(member);
                writer.double(score);
            });
        }
    }
}
