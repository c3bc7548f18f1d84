//! Whole RDB files: a header, records, a checksum.
//!
//! ```text
//! file   = | "REDIS" 4 digits, or "VALKEY" 3 digits | record ... | 0xFF | crc64 LE |
//! record = | opcode | what belongs to it |
//!        | | attribute opcodes of a key | type | key | body |
//! ```
//!
//! The checksum covers everything before it; versions below 5 have none, and a checksum of
//! zero means that none was computed. [`FileReader`] cuts a file into [`Record`]s and does
//! not decode values, which [`Body`](super::Body) does from [`KeyRecord::body`], on other
//! threads if wanted.

mod error;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;

pub use error::{Fault, FileError, ModuleName};
pub use reader::{FileReader, check_trailer};
pub use writer::{FileWriter, KeyHead, Remarks, version_field};

use super::ObjectType;

/// Newest version of Redis's numbering that is read: Redis 7.4.
pub const NEWEST_REDIS: u16 = 12;
/// The version of Valkey's numbering that is read: Valkey 9.
pub const VALKEY_9: u16 = 80;
/// The first version with a checksum.
const CHECKSUM_SINCE: u16 = 5;
/// The first version of Redis's numbering that tells the sizes of slots.
const SLOT_INFO_SINCE: u16 = 12;
/// Bytes of magic and version.
const HEADER: usize = 9;
/// Bytes of the checksum.
const TRAILER: usize = 8;

/// The bytes in front of a record that is no key.
pub(super) mod opcode {
    pub const SLOT_IMPORT: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION2: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZEDB: u8 = 251;
    pub const EXPIRETIME_MS: u8 = 252;
    pub const EXPIRETIME: u8 = 253;
    pub const SELECTDB: u8 = 254;
    pub const EOF: u8 = 255;
    /// A type, not an opcode: values of modules before Redis 4.0 was released.
    pub const MODULE_PRE_GA: u8 = 6;
}

/// Whose numbering a version belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Magic {
    /// `REDIS`, four digits.
    Redis,
    /// `VALKEY`, three digits.
    Valkey,
}

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Whose numbering.
    pub magic: Magic,
    /// The version.
    pub version: u16,
}

impl Header {
    /// Whether files of the version end in a checksum.
    pub fn has_checksum(self) -> bool {
        self.version >= CHECKSUM_SINCE
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.magic {
            Magic::Redis => write!(f, "REDIS{:04}", self.version),
            Magic::Valkey => write!(f, "VALKEY{:03}", self.version),
        }
    }
}

/// One thing a file says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A remark on the file. Unknown ones are to be ignored.
    Aux {
        /// What it is about.
        key: Cow<'a, [u8]>,
        /// What it says.
        value: Cow<'a, [u8]>,
    },
    /// The database of the keys that follow; zero where it is never said.
    SelectDb(u64),
    /// How many keys the database has: a hint, not to be trusted.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys that expire.
        expires: u64,
    },
    /// How many keys a slot of a cluster has: likewise a hint.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// Its keys.
        keys: u64,
        /// Those that expire.
        expires: u64,
    },
    /// The source of a library of functions.
    Function(Cow<'a, [u8]>),
    /// What a module wrote beside the keys; see [`FileReader::keep_modules`].
    ModuleAux {
        /// Which module.
        module: ModuleName,
        /// Before the keys (1) or after them (2).
        when: u64,
        /// The parts written, without the opcode that ends them.
        body: &'a [u8],
    },
    /// A key.
    Key(KeyRecord<'a>),
    /// The end; nothing is to be read after it.
    Eof {
        /// What became of the checksum.
        checksum: Checksum,
        /// Where the file ends. What the input holds beyond is for the caller to judge: the
        /// log, where the file is the preamble of one.
        end: usize,
    },
}

/// A key and its value, not decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// When it expires, in milliseconds since 1970.
    pub expire_ms: Option<i64>,
    /// Seconds since it was used.
    pub idle_s: Option<u64>,
    /// How frequently it was used, as the logarithmic counter of the LFU policies.
    pub freq: Option<u8>,
    /// How the body is laid out.
    pub kind: ObjectType,
    /// The bytes of the value, without its type.
    pub body: &'a [u8],
    /// Where in the input the type byte is.
    pub offset: usize,
}

/// What became of the checksum at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The version has none.
    Absent,
    /// None was computed when the file was written.
    Zero,
    /// It was not looked at, as asked.
    Unchecked(u64),
    /// It is right.
    Good(u64),
}
