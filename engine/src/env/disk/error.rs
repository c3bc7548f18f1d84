//! What went wrong on a disk: which call, on which file, and what the system said.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a call on a disk.
pub type Result<T> = std::result::Result<T, DiskError>;

/// A call on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiskOp {
    /// Opening a file to append to it.
    Open,
    /// Creating a file.
    Create,
    /// Opening a file to read it, or reading from it.
    Read,
    /// Appending to a file.
    Append,
    /// `fdatasync` of a file.
    Sync,
    /// Changing a file's length.
    Truncate,
    /// Looking what a path is.
    Stat,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing a directory.
    List,
    /// Creating a directory.
    CreateDir,
    /// `fsync` of a directory.
    SyncDir,
    /// Passing a failpoint; the path is its name.
    FailPoint,
}

impl fmt::Display for DiskOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskOp::Open => "open",
            DiskOp::Create => "create",
            DiskOp::Read => "read",
            DiskOp::Append => "append to",
            DiskOp::Sync => "fsync",
            DiskOp::Truncate => "truncate",
            DiskOp::Stat => "stat",
            DiskOp::Rename => "rename",
            DiskOp::Remove => "remove",
            DiskOp::List => "list",
            DiskOp::CreateDir => "create directory",
            DiskOp::SyncDir => "fsync directory",
            DiskOp::FailPoint => "pass",
        })
    }
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {op} '{}': {source}", path.display())]
pub struct DiskError {
    /// The call.
    pub op: DiskOp,
    /// The file; of a rename, the one that was to be renamed.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// An error with its call and file.
    pub fn new(op: DiskOp, path: &Path, source: io::Error) -> Self {
        DiskError {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// The error of a call on a file that is not there.
    pub(super) fn not_found(op: DiskOp, path: &Path) -> Self {
        DiskError::new(op, path, io::ErrorKind::NotFound.into())
    }

    /// The error of reading a file that is larger than it can rightly be.
    pub(super) fn too_large(path: &Path, max: usize) -> Self {
        let text = format!("it has more than {max} bytes");
        DiskError::new(
            DiskOp::Read,
            path,
            io::Error::new(io::ErrorKind::InvalidData, text),
        )
    }

    /// True when there is no such file.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// True when there is no room: it may help to wait.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// An append that failed, perhaps after a part of it.
#[derive(Debug, thiserror::Error)]
#[error("{error} ({written} bytes written)")]
pub struct AppendError {
    /// How many of the bytes are in the file.
    pub written: usize,
    /// What failed.
    #[source]
    pub error: DiskError,
}
