//! Where backups live: named objects in a store that keeps them whole.
//!
//! [`BackupStore`] is the contract that the repository is built on. It asks for little, so that a directory, a bucket and
//! a map in memory can all keep it: objects are written in one piece, and creating a name that is taken fails. The last
//! point is what keeps one backup from overwriting another, so every implementation must pass the same conformance suite.

mod bucket;
pub mod conformance;
mod credentials;
mod driver;
mod error;
mod faulty;
mod local;
mod memory;
mod name;
mod retry;
#[cfg(test)]
mod signed_tests;
pub mod url;

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use bucket::{BucketStore, DEFAULT_DEADLINE};
pub use error::{Operation, StoreError};
pub use faulty::{Fault, FaultyStore};
pub use local::open_local;
pub use memory::MemoryStore;
pub use name::{InvalidName, MAX_NAME_BYTES, MAX_SEGMENT_BYTES, ObjectName};
pub use retry::{Backoff, RetryingStore};

/// Bytes that one system call reads or writes at most where much is moved beside a server that answers requests.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// What a store tells of an object without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The object's name.
    pub name: ObjectName,
    /// The length of its body in bytes.
    pub size_bytes: u64,
}

/// Gives the pieces of an object.
pub type NextPart<'a> = dyn FnMut() -> io::Result<Option<Bytes>> + 'a;

/// A place for backups.
///
/// The contract, which the callers rely on and the conformance suite checks where that is possible:
///
/// - **Whole or absent.** A body is visible entirely or not at all, at every moment and to every reader, also after a
///   crash in the middle of [`put`](Self::put).
/// - **Durable.** After `Ok` from `put` or [`put_new`](Self::put_new) the object survives a crash of this process and of
///   this machine, as far as the medium keeps what it has confirmed. [`MemoryStore`] is the exception: it ends with the
///   process.
/// - **An error leaves the outcome open**, except [`StoreError::AlreadyExists`] and the errors that say that the request
///   itself was wrong: the object may be as before or as asked, never anything else. Whoever must know asks again.
///   [`publish`] does that.
/// - **Reads see writes.** After `Ok` every later read and listing, from anywhere, sees the change.
/// - **A name is an object or a folder, not both.** While `a/b` exists, a store may refuse to create `a`, and the
///   other way round.
///
/// Calls block until they are done; any thread may make them, also several at once.
pub trait BackupStore: fmt::Debug + Send + Sync {
    /// Writes an object, replacing the one of that name.
    fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError>;

    /// Writes an object of any length, replacing the one of that name. `next` gives it in pieces of
    /// [`PART_BYTES`](crate::repo::object::PART_BYTES), only the last of which may be shorter, and `None` at its end; each
    /// is asked for once. If it fails, or the store does, there is no such object or the old one. Pieces already sent may
    /// stay with the store as an upload that never ended, which buckets remove by a rule.
    ///
    /// The default gathers the object in memory.
    fn put_parts(&self, name: &ObjectName, next: &mut NextPart<'_>) -> Result<(), StoreError> {
        let mut body = Vec::new();
        while let Some(part) =
            next().map_err(|error| StoreError::failed(Operation::Put, name, error))?
        {
            body.extend_from_slice(&part);
        }
        self.put(name, Bytes::from(body))
    }

    /// A directory on the store's own file system, where files without a name can be made for [`adopt`](Self::adopt). Most
    /// stores have none.
    fn staging(&self) -> Option<Arc<Path>> {
        None
    }

    /// Makes an object of a file without a name that was made in [`staging`](Self::staging), replacing the one of that
    /// name. False if that cannot be done, and nothing is changed: then the bytes have to be sent.
    ///
    /// # Errors
    /// The file, or its name, cannot be made durable.
    fn adopt(&self, _name: &ObjectName, _file: &File) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Writes an object if none of that name exists; of several callers at most one succeeds.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is one, which is left as it is. Over a network that may be the caller's own
    /// object: a request can be carried out, lose its reply and be sent again.
    fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError>;

    /// The whole body of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::TooLarge`] if the body is longer than `max_bytes`, of which no more is
    /// read into memory than that.
    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError>;

    /// The bytes of `range` of an object's body, exactly.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::OutOfRange`] if the range is reversed or does not lie within the body.
    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// What there is to know of an object without its body.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError>;

    /// The first `limit` objects below `folder` (or in the whole store) whose names come after `after`, in the byte order
    /// of their names. Fewer than `limit` means that there are no more.
    ///
    /// What others keep in the same place under names that are no [`ObjectName`] is passed over.
    fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Removes an object; it is no error if there is none.
    fn delete(&self, name: &ObjectName) -> Result<(), StoreError>;
}

/// How [`publish`] found the object to be in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It has been created now.
    Created,
    /// An object with the same body was there, perhaps from an attempt whose reply was lost.
    Already,
}

/// Creates an object, or finds it there with the same body: the way to write what must never change, as often as it takes.
///
/// # Errors
/// [`StoreError::AlreadyExists`] if an object of that name has another body; it is left as it is. Whatever the store says
/// otherwise; the call may be repeated then.
pub fn publish(
    store: &dyn BackupStore,
    name: &ObjectName,
    body: Bytes,
) -> Result<Published, StoreError> {
    match store.put_new(name, body.clone()) {
        Ok(()) => Ok(Published::Created),
        Err(taken @ StoreError::AlreadyExists { .. }) => match store.get(name, body.len() as u64) {
            Ok(there) if there == body => Ok(Published::Already),
            Ok(_) | Err(StoreError::TooLarge { .. }) => Err(taken),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Whether `range` lies within a body of `size_bytes`.
fn range_within(name: &ObjectName, range: &Range<u64>, size_bytes: u64) -> Result<(), StoreError> {
    if range.start <= range.end && range.end <= size_bytes {
        Ok(())
    } else {
        Err(StoreError::OutOfRange {
            name: name.clone(),
            start: range.start,
            end: range.end,
            size_bytes,
        })
    }
}
