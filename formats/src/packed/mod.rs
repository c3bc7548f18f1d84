//! Packed containers: a whole small collection in one byte string.
//!
//! The bytes are the ones Redis keeps in memory and writes inside RDB files
//! and `DUMP` payloads, so a value travels between servers without being
//! rebuilt. Everything here is safe on untrusted bytes: `from_bytes` walks the
//! whole input before any other method may see it.

mod size_class;

pub mod intset;
pub mod listpack;
pub mod stream;
pub mod ziplist;
pub mod zipmap;

pub use intset::Intset;
pub use listpack::{Entry, Listpack, Needle, parse_int};

use thiserror::Error;

/// Why a byte string is not a valid packed container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackedError {
    /// Fewer bytes than the fixed header (and terminator) take.
    #[error("{found} bytes are too few for a packed header of {needed}")]
    TooShort {
        /// Bytes given.
        found: usize,
        /// Bytes needed at least.
        needed: usize,
    },
    /// The size written in the header is not the size of the input.
    #[error("header announces {expected} bytes, input has {found}")]
    SizeMismatch {
        /// Size according to the header.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// The last byte is not the terminator, or it comes too early.
    #[error("terminator missing or misplaced at offset {offset}")]
    BadTerminator {
        /// Where the terminator was expected or found.
        offset: usize,
    },
    /// An entry starts with a byte no encoding uses, or runs past the end.
    #[error("bad entry at offset {offset}")]
    BadEntry {
        /// Start of the entry.
        offset: usize,
    },
    /// The length stored behind an entry is not the length of that entry.
    #[error("bad back length of the entry at offset {offset}")]
    BadBacklen {
        /// Start of the entry.
        offset: usize,
    },
    /// The element count in the header is wrong.
    #[error("header announces {expected} elements, found {found}")]
    CountMismatch {
        /// Count according to the header.
        expected: u64,
        /// Entries walked.
        found: u64,
    },
    /// The elements are not those of a node of a stream.
    #[error("element at offset {offset} has no place in a stream node")]
    BadStreamNode {
        /// Start of the element, or where one is missing.
        offset: usize,
    },
    /// An integer set names an element width other than 2, 4 or 8.
    #[error("unknown intset encoding {0}")]
    BadEncoding(u32),
    /// An integer set is not strictly ascending.
    #[error("element {index} is not above the one before it")]
    NotSorted {
        /// Position of the offending element.
        index: usize,
    },
}
