//! What is done with a repository: creating backups, listing, verifying, joining and pruning them, and when.

pub mod archive;
pub mod catalog;
pub mod coverage;
pub mod create;
pub mod each;
mod fill;
pub mod join;
pub mod lease;
pub mod prune;
pub mod retention;
mod reuse;
pub mod schedule;
#[cfg(test)]
mod tests;
mod upload;
pub mod verify;

use std::io;

use crate::repo::object::ObjectError;
use crate::repo::{BackupId, KeyError, ManifestError};
use crate::store::{InvalidName, StoreError};

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk.
    #[error("chunk {name}: {source}")]
    Chunk {
        /// The object.
        name: String,
        /// What is wrong with it.
        source: Box<ObjectError>,
    },
    /// A chunk is whole, but not what it should be.
    #[error("chunk {name}: {reason}")]
    Content {
        /// The object.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest.
    #[error("manifest of {id}: {source}")]
    Manifest {
        /// The backup.
        id: BackupId,
        /// What is wrong with it.
        source: Box<ManifestError>,
    },
    /// The repository key.
    #[error("repository key: {0}")]
    Key(#[from] KeyError),
    /// An identity was given, but the backup is not encrypted: whoever swapped it would want that.
    #[error("backup {0} is not encrypted, although an identity was given")]
    NotEncrypted(BackupId),
    /// The restored data is not that of the cut.
    #[error("{what}: the digest should be {expected}, but is {found}")]
    Digest {
        /// Of what.
        what: String,
        /// What the manifest says.
        expected: String,
        /// What was computed.
        found: String,
    },
    /// There is no such backup.
    #[error("{0}")]
    Missing(String),
    /// The backup has taken so long that its objects may have been pruned.
    #[error("the backup has taken more than a day: its objects may have been taken for garbage")]
    TooLong,
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Something local.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something here has made a name that stores do not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl From<ObjectError> for JobError {
    fn from(error: ObjectError) -> JobError {
        match error {
            ObjectError::Store(error) => JobError::Store(error),
            ObjectError::Io(error) => JobError::Io(error),
            source => JobError::Chunk {
                name: "under way".into(),
                source: Box::new(source),
            },
        }
    }
}
