//! Why a file could not be loaded.

use basalt_formats::rdb::RdbError;
use basalt_formats::rdb::file::FileError;

use crate::error::shown;
use crate::value::serial::LoadError;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RdbLoadCause {
    /// The frame of the file is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// A string is damaged.
    #[error(transparent)]
    Rdb(#[from] RdbError),
    /// A value is damaged.
    #[error(transparent)]
    Value(#[from] LoadError),
    /// A key is there already.
    #[error("the key comes twice")]
    DuplicateKey,
    /// A database that this server does not have.
    #[error("database {0} is out of range; see the directive databases")]
    Db(u64),
    /// Asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// Why a file could not be loaded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdbLoadError {
    /// Where in the file.
    pub offset: usize,
    /// The key whose value is bad.
    pub key: Option<Vec<u8>>,
    /// What is wrong.
    pub cause: RdbLoadCause,
}

impl std::fmt::Display for RdbLoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at offset {}", self.offset)?;
        if let Some(key) = &self.key {
            write!(f, ", key '{}'", shown(key))?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for RdbLoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl RdbLoadError {
    pub(super) fn at(offset: usize, cause: RdbLoadCause) -> Self {
        RdbLoadError {
            offset,
            key: None,
            cause,
        }
    }

    pub(super) fn of_key(offset: usize, key: &[u8], cause: RdbLoadCause) -> Self {
        RdbLoadError {
            offset,
            key: Some(key.to_vec()),
            cause,
        }
    }
}

impl From<FileError> for RdbLoadError {
    fn from(error: FileError) -> Self {
        RdbLoadError::at(error.offset, error.into())
    }
}
