//! Leases: a backup under way says which earlier backup it may take chunks from, so that prune leaves them.
//!
//! The backup writes its lease and then looks whether the parent is still there; prune removes manifests and then reads the
//! leases. Whichever comes first, either the backup knows that there is no parent, or prune knows of the backup.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::JobError;
use crate::repo::{BackupId, layout};
use crate::store::{BackupStore, ObjectName};

/// How long a lease is heeded, and how old an object without a manifest must be to be garbage.
pub const LEASE_MS: i64 = 24 * 3600 * 1000;
/// The longest lease that is read.
const MAX_LEASE_BYTES: u64 = 64 * 1024;

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The backup under way.
    pub id: BackupId,
    /// Whose chunks it may take.
    pub parent: Option<BackupId>,
    /// When it was taken, Unix milliseconds.
    pub began_ms: i64,
}

impl Lease {
    /// Writes it.
    ///
    /// # Errors
    /// What the store says.
    pub fn take(&self, store: &dyn BackupStore) -> Result<(), JobError> {
        let body = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        Ok(store.put(&layout::lease(&self.id)?, Bytes::from(body))?)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What the store says.
    pub fn release(store: &dyn BackupStore, id: &BackupId) -> Result<(), JobError> {
        Ok(store.delete(&layout::lease(id)?)?)
    }
}

/// All leases with their objects; one that cannot be read is as good as none once it is old, and counts as one without a
/// parent until then.
///
/// # Errors
/// What the store says.
pub fn all(store: &dyn BackupStore) -> Result<Vec<(ObjectName, Option<Lease>)>, JobError> {
    let folder = ObjectName::new(layout::LEASES)?;
    let mut leases = Vec::new();
    for object in store.list(Some(&folder), None, usize::MAX)? {
        let body = match store.get(&object.name, MAX_LEASE_BYTES) {
            Ok(body) => body,
            // Released meanwhile.
            Err(crate::store::StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        leases.push((object.name, serde_json::from_slice(&body).ok()));
    }
    Ok(leases)
}
