//! The RDB format: how values are written in snapshot files and `DUMP` payloads.
//!
//! ```text
//! value   = | type byte | body |                      the key, in a file, stands between
//! payload = | value | version u16 LE | crc64 LE |     what DUMP answers
//! ```
//!
//! [`Writer`] writes version 11, which Redis 7.2 and Valkey 8 read. [`Reader`] and [`Body`]
//! read every version up to that. Nothing here knows how values are kept in memory: a body
//! is a packed container or a run of strings to be taken one by one.
//!
//! Invariants of reading: a length is compared with what is left of the input before
//! anything is allocated for it; packed containers are walked whole; only the type says what
//! elements mean, so repeated or unordered elements are for the caller to refuse.

mod body;
pub mod file;
mod kind;
mod payload;
mod reader;
mod recode;
#[cfg(test)]
mod samples;
mod skip;
mod stream;
mod target;
mod writer;

pub use body::{Body, Nodes, Pairs, RawNode, Scored, Strings, TtlField, TtlFields};
pub use kind::ObjectType;
pub use payload::{FOOTER, PayloadError, open_payload, seal_payload};
pub use reader::Reader;
pub use recode::{RecodeError, recode};
pub use skip::skip_value;
pub use stream::{
    StreamBody, StreamConsumer, StreamFault, StreamGroup, StreamHistory, StreamMeta, StreamPending,
};
pub use target::Target;
pub use writer::{Spill, Writer};

use crate::lzf::LzfError;
use crate::packed::PackedError;

/// The version written, and the newest that is read.
pub const VERSION: u16 = 11;

/// Why bytes are no value. Offsets count from where the reader began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RdbError {
    /// The input ends too early.
    #[error("{needed} bytes needed at offset {offset}, {left} left")]
    Truncated {
        /// Where they were needed.
        offset: usize,
        /// How many.
        needed: u64,
        /// How many there are.
        left: usize,
    },
    /// A byte that begins no length.
    #[error("unknown length byte {byte:#04x} at offset {offset}")]
    BadLength {
        /// Where it is.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// A type that does not exist or is not supported.
    #[error("unknown object type {0}")]
    UnknownType(u8),
    /// A list node that is neither packed nor plain.
    #[error("unknown container {0} of a list node")]
    BadContainer(u64),
    /// A part of a module's value that is of no known kind.
    #[error("unknown opcode {opcode} of a module's value at offset {offset}")]
    BadModuleOpcode {
        /// Where it is.
        offset: usize,
        /// The opcode.
        opcode: u64,
    },
    /// A score that is not a number.
    #[error("score at offset {offset} is not a number")]
    BadScore {
        /// Where it is.
        offset: usize,
    },
    /// A hash's fields, values and expiry times do not come in threes, or a time is none.
    #[error("bad expiry time of a hash field at offset {offset}")]
    BadFieldExpiry {
        /// Where it is, or where the packed hash ends.
        offset: usize,
    },
    /// A collection without elements.
    #[error("collection without elements")]
    Empty,
    /// Compressed bytes are damaged.
    #[error("compressed string: {0}")]
    Lzf(#[from] LzfError),
    /// A packed container is damaged.
    #[error("packed container: {0}")]
    Packed(#[from] PackedError),
    /// The parts of a stream do not fit together.
    #[error("stream: {0}")]
    Stream(#[from] StreamFault),
}
