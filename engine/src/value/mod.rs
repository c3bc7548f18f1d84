//! Values: what a key can hold. Small ones are Redis's packed encodings, big ones are trees
//! of shared pages; both clone in O(1) and copy only what a write touches.

pub mod hash;
pub mod list;
pub mod serial;
pub mod set;
pub mod stream;
pub mod zset;

use std::sync::Arc;

use crate::keyspace::Kind;

pub use hash::{Hash, HashLimits};
pub use list::{List, ListLimits};
pub use set::{Set, SetLimits};
pub use stream::{Stream, StreamLimits};
pub use zset::{Zset, ZsetLimits};

/// An out-of-line value. Cloning shares it.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too long to live in its page.
    Str(Arc<Vec<u8>>),
    /// A list.
    List(Arc<List>),
    /// A set.
    Set(Arc<Set>),
    /// A hash.
    Hash(Arc<Hash>),
    /// A sorted set.
    Zset(Arc<Zset>),
    /// A stream.
    Stream(Arc<Stream>),
}

impl Value {
    /// When the first field of a hash expires, or a time before that.
    #[inline]
    pub fn next_field_expiry(&self) -> Option<i64> {
        match self {
            Value::Hash(hash) => hash.next_expiry(),
            _ => None,
        }
    }

    /// Its type; strings count as raw.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Str(_) => Kind::Raw,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Hash(_) => Kind::Hash,
            Value::Zset(_) => Kind::Zset,
            Value::Stream(_) => Kind::Stream,
        }
    }

    /// What `OBJECT ENCODING` answers; for strings the header knows better.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::Str(_) => "raw",
            Value::List(v) => v.encoding(),
            Value::Set(v) => v.encoding(),
            Value::Hash(v) => v.encoding(),
            Value::Zset(v) => v.encoding(),
            Value::Stream(v) => v.encoding(),
        }
    }

    /// How many allocations freeing it takes, roughly: 1 for packed values.
    pub fn free_effort(&self) -> usize {
        match self {
            Value::Str(_) => 1,
            Value::List(v) => v.free_effort(),
            Value::Set(v) => v.free_effort(),
            Value::Hash(v) => v.free_effort(),
            Value::Zset(v) => match **v {
                Zset::Packed(_) => 1,
                Zset::Tree(_) => v.len(),
            },
            Value::Stream(v) => v.free_effort(),
        }
    }

    /// Bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        const SHARED: usize = 16;
        match self {
            Value::Str(v) => SHARED + 24 + v.capacity(),
            Value::List(v) => SHARED + size_of::<List>() + v.heap_bytes(),
            Value::Set(v) => SHARED + size_of::<Set>() + v.heap_bytes(),
            Value::Hash(v) => SHARED + size_of::<Hash>() + v.heap_bytes(),
            Value::Zset(v) => SHARED + size_of::<Zset>() + v.heap_bytes(),
            Value::Stream(v) => SHARED + size_of::<Stream>() + v.heap_bytes(),
        }
    }
}
