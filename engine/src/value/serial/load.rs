//! Loading values from untrusted bytes.

use std::sync::Arc;

use basalt_formats::packed::Listpack;
use basalt_formats::rdb::{
    Body, Nodes, ObjectType, Pairs, RawNode, RdbError, Reader, Scored, Strings, TtlFields,
};

use super::{Limits, shared_string};
use crate::structs::quicklist::Node;
use crate::value::zset::{AddFlags, AddOutcome, ZsetError};
use crate::value::{
    Hash, HashLimits, List, ListLimits, Set, SetLimits, Stream, Value, Zset, ZsetLimits,
};

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// They are not well-formed.
    #[error(transparent)]
    Rdb(#[from] RdbError),
    /// An element, field or member comes twice, or a field has no value.
    #[error("{0:?} with a repeated or incomplete element")]
    NotDistinct(ObjectType),
    /// A sorted set is not one.
    #[error(transparent)]
    Zset(#[from] ZsetError),
}

/// Takes a body of this type off the reader and builds the value. A string comes as
/// [`Value::Str`] whatever it spells.
///
/// # Errors
/// [`LoadError`]; [`RdbError::Empty`] for a collection without elements.
pub fn load(
    kind: ObjectType,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Value, LoadError> {
    let twice = LoadError::NotDistinct(kind);
    Ok(match Body::read(kind, reader)? {
        Body::String(bytes) => shared_string(bytes.into_owned()),
        Body::List(run) => list(load_elements(run, &limits.list)?),
        Body::ListNodes(run) => list(load_nodes(run, &limits.list)?),
        Body::ListPacked(packed) => {
            let values = packed.iter().map(|entry| entry.to_vec());
            list(List::quick_from_values(&limits.list, values))
        }
        Body::Set(run) => set(load_set(run, &limits.set, twice)?),
        Body::SetInts(ints) => set(Set::from_ints(ints, &limits.set).ok_or(twice)?),
        Body::SetPacked(packed) => set(Set::from_packed(packed, &limits.set).ok_or(twice)?),
        Body::Zset(run) => zset(load_zset(run, &limits.zset)?),
        Body::ZsetPacked(packed) => zset(Zset::from_listpack(packed, &limits.zset)?),
        Body::Hash(run) => hash(load_hash(run, &limits.hash, twice)?),
        Body::HashPacked(packed) => hash(Hash::from_packed(packed, &limits.hash).ok_or(twice)?),
        Body::Stream(saved) => Value::Stream(Arc::new(Stream::from_saved(saved))),
        Body::HashZipmap(packed) => hash(load_zipmap(&packed, &limits.hash).ok_or(twice)?),
        Body::HashTtl(run) => hash(load_lasting(run, &limits.hash, twice)?),
    })
}

fn list(list: List) -> Value {
    Value::List(Arc::new(list))
}

fn set(set: Set) -> Value {
    Value::Set(Arc::new(set))
}

fn zset(zset: Zset) -> Value {
    Value::Zset(Arc::new(zset))
}

fn hash(hash: Hash) -> Value {
    Value::Hash(Arc::new(hash))
}

/// The items of a run up to its first error, which goes to `error`.
fn until_error<T>(
    run: impl Iterator<Item = Result<T, RdbError>>,
    error: &mut Option<RdbError>,
) -> impl Iterator<Item = T> {
    run.map_while(|item| item.map_err(|e| *error = Some(e)).ok())
}

fn load_elements(run: Strings<'_, '_>, limits: &ListLimits) -> Result<List, LoadError> {
    let mut error = None;
    let list = List::from_values(limits, until_error(run, &mut error));
    error.map_or(Ok(list), |error| Err(error.into()))
}

fn load_nodes(run: Nodes<'_, '_>, limits: &ListLimits) -> Result<List, LoadError> {
    let mut error = None;
    let nodes = until_error(run, &mut error).map(|node| match node {
        RawNode::Packed(list) => Node::Packed(list),
        RawNode::Plain(element) => Node::Plain(element.into_owned().into()),
    });
    let list = List::from_nodes(limits, nodes);
    match error {
        Some(error) => Err(error.into()),
        None if list.is_empty() => Err(RdbError::Empty.into()),
        None => Ok(list),
    }
}

fn load_set(run: Strings<'_, '_>, limits: &SetLimits, twice: LoadError) -> Result<Set, LoadError> {
    let mut set = Set::for_load(run.left(), limits);
    for element in run {
        if !set.add(&element?, limits) {
            return Err(twice);
        }
    }
    Ok(set)
}

fn load_hash(run: Pairs<'_, '_>, limits: &HashLimits, twice: LoadError) -> Result<Hash, LoadError> {
    let mut hash = Hash::for_load(run.left(), limits);
    for pair in run {
        let (field, value) = pair?;
        if !hash.load(&field, &value, limits) {
            return Err(twice);
        }
    }
    hash.loaded(limits).ok_or(twice)
}

/// A hash in a layout that has room for expiry times of fields.
fn load_lasting(
    run: TtlFields<'_, '_>,
    limits: &HashLimits,
    twice: LoadError,
) -> Result<Hash, LoadError> {
    let mut hash = Hash::for_load(run.left(), limits);
    let mut times = Vec::new();
    for field in run {
        let field = field?;
        if let Some(at) = field.expire_ms {
            times.push((field.field.to_vec(), at));
        }
        if !hash.load(&field.field, &field.value, limits) {
            return Err(twice);
        }
    }
    let mut hash = hash.loaded(limits).ok_or(twice)?;
    for (field, at) in times {
        hash.set_expiry(&field, at);
    }
    Ok(hash)
}

/// A zipmap was filled under other limits, so its strings are looked at too.
fn load_zipmap(packed: &Listpack, limits: &HashLimits) -> Option<Hash> {
    let mut hash = Hash::for_load(packed.len() / 2, limits);
    let mut entries = packed.iter();
    while let (Some(field), Some(value)) = (entries.next(), entries.next()) {
        let new =
            field.with_bytes(|field| value.with_bytes(|value| hash.load(field, value, limits)));
        if !new {
            return None;
        }
    }
    hash.loaded(limits)
}

fn load_zset(run: Scored<'_, '_>, limits: &ZsetLimits) -> Result<Zset, LoadError> {
    let mut zset = Zset::new_tree();
    let (mut longest, mut total) = (0, 0usize);
    for pair in run {
        let (member, score) = pair?;
        longest = longest.max(member.len());
        total = total.saturating_add(member.len());
        match zset.add(limits, score, &member, AddFlags::default()) {
            AddOutcome::Added(_) => {}
            _ => return Err(ZsetError::DuplicateMember.into()),
        }
    }
    zset.pack_if_small(longest, total, limits);
    Ok(zset)
}
