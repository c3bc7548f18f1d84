//! Why a file is refused.

use super::super::RdbError;
use super::{Magic, NEWEST_REDIS};

/// A fault and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset}: {fault}")]
pub struct FileError {
    /// Offset in the input, where reading stopped.
    pub offset: usize,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// What is wrong with a file. Where Redis has words for it they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It begins with neither magic.
    #[error("Wrong signature trying to load DB from file")]
    BadMagic,
    /// A version that does not exist, or is newer than what is known.
    #[error("Can't handle RDB format version {version}")]
    BadVersion {
        /// Whose numbering.
        magic: Magic,
        /// The version; zero if it is not a number.
        version: u16,
    },
    /// The bytes of a record are damaged, or end too early. Offsets are those of the input.
    #[error(transparent)]
    Damaged(#[from] RdbError),
    /// A library of functions in the format of the release candidates of 7.0.
    #[error("Pre-release function format not supported.")]
    FunctionPreGa,
    /// A module's value in the format of the release candidates of 4.0.
    #[error("Pre-release module format not supported")]
    ModulePreGa,
    /// A module's value.
    #[error("The RDB file contains module data I can't load: no matching module type '{module}'")]
    ModuleValue {
        /// Which module.
        module: ModuleName,
    },
    /// What a module wrote beside the keys.
    #[error("The RDB file contains AUX module data I can't load: no matching module '{module}'")]
    ModuleAux {
        /// Which module.
        module: ModuleName,
    },
    /// A module's data that does not say when it was written.
    #[error("bad when_opcode")]
    BadWhenOpcode,
    /// A slot was being moved here when the file was written.
    #[error("the file was written in the middle of a migration of slots")]
    SlotImport,
    /// The content is not what was written.
    #[error(
        "Wrong RDB checksum expected: ({expected:x}) but got ({found:x}): \
         content and checksum do not fit"
    )]
    ChecksumMismatch {
        /// The checksum of the content.
        expected: u64,
        /// The checksum at the end of the file.
        found: u64,
    },
    /// A version without a checksum is claimed, yet one follows the end.
    #[error(
        "version {version} has no checksum, but 8 bytes follow the end: \
         the version is damaged"
    )]
    UnexpectedTrailer {
        /// The version claimed.
        version: u16,
    },
}

impl Fault {
    /// Whether the input ends too early, so that the whole file may be good.
    pub fn is_truncated(&self) -> bool {
        matches!(self, Fault::Damaged(RdbError::Truncated { .. }))
    }

    /// Whether a newer program may be able to read the file.
    pub fn is_too_new(&self) -> bool {
        match self {
            Fault::BadVersion { magic, version } => match magic {
                Magic::Redis => *version > NEWEST_REDIS,
                Magic::Valkey => *version != 0,
            },
            _ => false,
        }
    }
}

/// The name and version of a module's data, from the number that stands for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleName(u64);

/// Bits of the version, below the name.
const VERSION_BITS: u32 = 10;
/// Characters of a name.
const NAME_LEN: u32 = 9;
/// What six bits of a name stand for.
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl ModuleName {
    /// From the number in a file.
    pub fn from_id(id: u64) -> Self {
        Self(id)
    }

    /// The number in a file.
    pub fn id(self) -> u64 {
        self.0
    }

    /// Version of the module's own encoding.
    pub fn encoding_version(self) -> u16 {
        (self.0 & ((1 << VERSION_BITS) - 1)) as u16
    }
}

impl std::fmt::Display for ModuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        for index in (0..NAME_LEN).rev() {
            let six = (self.0 >> (VERSION_BITS + 6 * index)) & 63;
            let byte = CHARACTERS.get(six as usize).copied().unwrap_or(b'?');
            f.write_char(byte.into())?;
        }
        Ok(())
    }
}
