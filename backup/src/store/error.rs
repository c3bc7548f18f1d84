//! What can go wrong in a store.

use std::error::Error;
use std::fmt;

use super::ObjectName;

/// The operations of a [`BackupStore`](super::BackupStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `put`.
    Put,
    /// `put_new`.
    PutNew,
    /// `get`.
    Get,
    /// `get_range`.
    GetRange,
    /// `head`.
    Head,
    /// `list`.
    List,
    /// `delete`.
    Delete,
    /// Reaching the store in the first place.
    Open,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Put => "put",
            Operation::PutNew => "create",
            Operation::Get => "get",
            Operation::GetRange => "get a range of",
            Operation::Head => "look up",
            Operation::List => "list",
            Operation::Delete => "delete",
            Operation::Open => "open",
        })
    }
}

/// Why an operation of a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no object of that name.
    #[error("object {name} does not exist")]
    NotFound {
        /// The name.
        name: ObjectName,
    },
    /// There is already an object of that name.
    #[error("object {name} already exists")]
    AlreadyExists {
        /// The name.
        name: ObjectName,
    },
    /// The body is longer than the caller takes.
    #[error(
        "object {name} has {size_bytes} bytes, more than the {max_bytes} that were expected at most"
    )]
    TooLarge {
        /// The name.
        name: ObjectName,
        /// Its length; a lower bound if the store said less than it sent.
        size_bytes: u64,
        /// The caller's limit.
        max_bytes: u64,
    },
    /// The range does not lie within the body.
    #[error("object {name} has {size_bytes} bytes, bytes {start} to {end} were asked for")]
    OutOfRange {
        /// The name.
        name: ObjectName,
        /// The first byte of the range.
        start: u64,
        /// The byte after the last of the range.
        end: u64,
        /// The length of the body.
        size_bytes: u64,
    },
    /// The store could not do it, or did not say whether it did.
    #[error("cannot {operation} {what}: {source}")]
    Failed {
        /// What was to be done.
        operation: Operation,
        /// The object, the folder or the store itself.
        what: String,
        /// The store's reason.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether asking again cannot help: the answer was about the request, or about who asks.
    pub fn is_permanent(&self) -> bool {
        let StoreError::Failed { source, .. } = self else {
            return true;
        };
        use object_store::Error::{
            InvalidPath, NotImplemented, NotSupported, PermissionDenied, Unauthenticated,
            UnknownConfigurationKey,
        };
        matches!(
            source.downcast_ref::<object_store::Error>(),
            Some(
                InvalidPath { .. }
                    | NotImplemented { .. }
                    | NotSupported { .. }
                    | PermissionDenied { .. }
                    | Unauthenticated { .. }
                    | UnknownConfigurationKey { .. }
            )
        )
    }

    pub(super) fn failed(
        operation: Operation,
        what: impl fmt::Display,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        StoreError::Failed {
            operation,
            what: what.to_string(),
            source: source.into(),
        }
    }
}
