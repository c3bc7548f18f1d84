//! Values to RDB bytes and back.
//!
//! A packed value is written as the bytes it is kept in, so that `DUMP` answers what Redis
//! would; tables and trees are written element by element. Loading derives the encoding
//! anew, from what was read and the limits of this moment, by the rules of Redis 7.2: they
//! differ from those for adding elements one by one, and a payload may come from a server
//! with other limits.

pub(crate) mod drain;
mod load;
mod save;

pub use load::{LoadError, load};
pub use save::{kind_of, write_body};

use std::sync::Arc;

use basalt_formats::rdb::{Writer, seal_payload};

use super::{HashLimits, ListLimits, SetLimits, Value, ZsetLimits};

/// All limits that decide on encodings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of hashes.
    pub hash: HashLimits,
    /// Of sorted sets.
    pub zset: ZsetLimits,
}

/// A value as a look-up gives it: strings may be without an object.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A string.
    Str(&'a [u8]),
    /// Anything.
    Value(&'a Value),
}

impl<'a> From<&crate::keyspace::Found<'a>> for Content<'a> {
    fn from(found: &crate::keyspace::Found<'a>) -> Self {
        match found.value {
            Some(value) => Content::Value(value),
            None => Content::Str(found.bytes),
        }
    }
}

/// The payload `DUMP` answers for a value.
pub fn dump(content: Content<'_>, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(compress);
    writer.kind(kind_of(content));
    write_body(&mut writer, content);
    seal_payload(writer.into_bytes())
}

fn shared_string(bytes: Vec<u8>) -> Value {
    Value::Str(Arc::new(bytes))
}

#[cfg(test)]
mod tests;
