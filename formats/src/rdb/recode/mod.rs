//! Values in layouts that older, or other, servers read.
//!
//! What a [`Target`] reads stays as it is, byte for byte. The rest goes into the layout that
//! target itself would write: ziplists for listpacks, runs or intsets for packed sets, older
//! streams for newer ones. The result depends on the value and the target alone.

mod stream;

use super::body::TtlField;
use super::{Body, ObjectType, RawNode, RdbError, Reader, Target, TtlFields, Writer};
use crate::num::{format_f64_g17, parse_f64};
use crate::packed::ziplist::ZiplistWriter;
use crate::packed::{Entry, Intset, Listpack};

/// Redis makes no larger intset unless told.
const MAX_INTSET: usize = 512;
/// Where Redis 6.2 writes scores that are whole numbers without an exponent.
const WHOLE_SCORES: std::ops::RangeInclusive<f64> = -4503599627370494.0..=4503599627370495.0;

/// Why a value cannot be said to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecodeError {
    /// The value is damaged.
    #[error(transparent)]
    Damaged(#[from] RdbError),
    /// Elements that should come in pairs do not.
    #[error("a packed value of pairs has an odd number of elements, or a score is no number")]
    NotPairs,
    /// A field of the hash expires.
    #[error("{target} has no expiry times of hash fields")]
    FieldExpires {
        /// The target.
        target: Target,
    },
    /// An element or a packed value is too large for a ziplist.
    #[error("{target} keeps no list, hash or sorted set with so large elements")]
    TooLarge {
        /// The target.
        target: Target,
    },
    /// Libraries of functions.
    #[error("{target} has no functions")]
    Functions {
        /// The target.
        target: Target,
    },
    /// There is no way to say it at all.
    #[error("{target} cannot read a value of type {kind:?}")]
    Unsupported {
        /// The target.
        target: Target,
        /// The type.
        kind: ObjectType,
    },
}

/// Appends the value to `out` in a layout that `target` reads, without its type, which is
/// returned. On error what was appended is to be thrown away.
///
/// # Errors
/// [`RecodeError`]: it is damaged, or the target cannot keep such a value.
pub fn recode(
    kind: ObjectType,
    body: &[u8],
    target: Target,
    out: &mut Writer<'_>,
) -> Result<ObjectType, RecodeError> {
    if target.supports(kind) {
        out.raw(body);
        return Ok(kind);
    }
    let too_large = RecodeError::TooLarge { target };
    let mut reader = Reader::new(body);
    if matches!(
        kind,
        ObjectType::StreamListpacks3 | ObjectType::StreamListpacks2
    ) {
        let new = match target.supports(ObjectType::StreamListpacks2) {
            true => ObjectType::StreamListpacks2,
            false => ObjectType::StreamListpacks,
        };
        stream::recode(kind, new, body, out)?;
        return Ok(new);
    }
    match Body::read(kind, &mut reader)? {
        Body::SetPacked(list) => Ok(set(&list, out)),
        Body::HashPacked(list) => {
            if list.len() % 2 != 0 {
                return Err(RecodeError::NotPairs);
            }
            let mut packed = ZiplistWriter::new();
            let fits = list.iter().all(|entry| push(&mut packed, entry));
            out.string(&fits.then(|| packed.finish()).ok_or(too_large)?);
            Ok(ObjectType::HashZiplist)
        }
        Body::ZsetPacked(list) => {
            out.string(&zset(&list, target)?);
            Ok(ObjectType::ZsetZiplist)
        }
        Body::ListNodes(nodes) => {
            let mut parts = Vec::new();
            for node in nodes {
                match ziplist_node(node?).ok_or(too_large)? {
                    None => {}
                    Some(part) => parts.push(part),
                }
            }
            if parts.is_empty() {
                return Err(RdbError::Empty.into());
            }
            out.len(parts.len());
            for part in parts {
                out.string(&part);
            }
            Ok(ObjectType::ListQuicklist)
        }
        Body::HashTtl(fields) => {
            let times = Times::of(fields)?;
            let mut reader = Reader::new(body);
            let Body::HashTtl(fields) = Body::read(kind, &mut reader)? else {
                return Err(RecodeError::Unsupported { target, kind });
            };
            hash_fields(fields, times, target, out)
        }
        _ => Err(RecodeError::Unsupported { target, kind }),
    }
}

fn push(packed: &mut ZiplistWriter, entry: Entry<'_>) -> bool {
    match entry {
        Entry::Str(text) => packed.push(text),
        Entry::Int(int) => packed.push_int(int),
    }
}

/// An intset if Redis would keep one, else a run.
fn set(list: &Listpack, out: &mut Writer<'_>) -> ObjectType {
    let len = list.len();
    if len <= MAX_INTSET {
        let mut ints = Intset::new();
        for entry in list.iter() {
            match entry {
                Entry::Int(int) => ints.add(int),
                Entry::Str(_) => break,
            };
        }
        if ints.len() == len {
            out.string(ints.as_bytes());
            return ObjectType::SetIntset;
        }
    }
    out.len(len);
    for entry in list.iter() {
        entry.with_bytes(|text| out.string(text));
    }
    ObjectType::Set
}

/// Members and scores, the latter as Redis 6.2 spells them.
fn zset(list: &Listpack, target: Target) -> Result<Vec<u8>, RecodeError> {
    let mut packed = ZiplistWriter::new();
    let mut entries = list.iter();
    let mut text = Vec::new();
    while let Some(member) = entries.next() {
        let score = entries.next().ok_or(RecodeError::NotPairs)?;
        let score = match score {
            Entry::Int(int) => int as f64,
            Entry::Str(text) => parse_f64(text).ok_or(RecodeError::NotPairs)?,
        };
        text.clear();
        spell_score(score, &mut text)?;
        if !push(&mut packed, member) || !packed.push(&text) {
            return Err(RecodeError::TooLarge { target });
        }
    }
    Ok(packed.finish())
}

fn spell_score(score: f64, text: &mut Vec<u8>) -> Result<(), RecodeError> {
    if score.is_nan() {
        return Err(RecodeError::NotPairs);
    }
    if score == 0.0 && score.is_sign_negative() {
        text.extend_from_slice(b"-0");
    } else if WHOLE_SCORES.contains(&score) && score.fract() == 0.0 {
        text.extend_from_slice(itoa::Buffer::new().format(score as i64).as_bytes());
    } else {
        format_f64_g17(score, text);
    }
    Ok(())
}

/// The node as a ziplist; `Some(None)` if it has no elements, `None` if it is too large.
fn ziplist_node(node: RawNode<'_>) -> Option<Option<Vec<u8>>> {
    let mut packed = ZiplistWriter::new();
    let fits = match &node {
        RawNode::Plain(element) => packed.push(element),
        RawNode::Packed(list) if list.is_empty() => return Some(None),
        RawNode::Packed(list) => list.iter().all(|entry| push(&mut packed, entry)),
    };
    fits.then(|| Some(packed.finish()))
}

/// When fields expire.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    fields: usize,
    first_ms: Option<i64>,
}

impl Times {
    fn of(fields: TtlFields<'_, '_>) -> Result<Self, RecodeError> {
        let mut times = Self::default();
        for field in fields {
            times.fields += 1;
            if let Some(ms) = field?.expire_ms {
                times.first_ms = Some(times.first_ms.map_or(ms, |first| first.min(ms)));
            }
        }
        Ok(times)
    }
}

/// Fields with times as the target writes them, or without if there are none.
fn hash_fields(
    fields: TtlFields<'_, '_>,
    times: Times,
    target: Target,
    out: &mut Writer<'_>,
) -> Result<ObjectType, RecodeError> {
    let kind = match times.first_ms {
        None => ObjectType::Hash,
        Some(first) if target == Target::Redis74 => {
            out.raw(&first.to_le_bytes());
            ObjectType::HashMetadata
        }
        Some(_) if target == Target::Valkey9 => ObjectType::ValkeyHash2,
        Some(_) => return Err(RecodeError::FieldExpires { target }),
    };
    out.len(times.fields);
    for field in fields {
        let TtlField {
            field,
            value,
            expire_ms,
        } = field?;
        if kind == ObjectType::HashMetadata {
            // One more than the distance, so that zero means never.
            let distance = match (expire_ms, times.first_ms) {
                (Some(ms), Some(first)) => ms.saturating_sub(first).saturating_add(1),
                _ => 0,
            };
            out.len(usize::try_from(distance).unwrap_or(0));
        }
        out.string(&field);
        out.string(&value);
        if kind == ObjectType::ValkeyHash2 {
            out.raw(&expire_ms.unwrap_or(-1).to_le_bytes());
        }
    }
    Ok(kind)
}

#[cfg(test)]
mod tests;
