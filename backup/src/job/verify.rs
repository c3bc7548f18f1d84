//! Whether what a backup names is there and undamaged. Needs no identity.
//!
//! With an identity more can be said, see [`join`](super::join): that only proves what it reads is what was written. That the
//! data comes back is proven by loading it.

use std::collections::HashSet;

use super::{JobError, catalog};
use crate::repo::object::{ObjectError, check_object};
use crate::repo::{BackupId, Chunk, Manifest};
use crate::store::{BackupStore, ObjectName};

/// Checks objects, each once however many backups name it.
#[derive(Debug, Default)]
pub struct Verifier {
    good: HashSet<(String, String)>,
    /// Objects read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Verifier {
    /// Reads every object of a backup; what is wrong, and the manifest if it can be read.
    pub fn backup(
        &mut self,
        store: &dyn BackupStore,
        id: &BackupId,
    ) -> (Option<Manifest>, Vec<JobError>) {
        let manifest = match catalog::read(store, id) {
            Ok(manifest) => manifest,
            Err(error) => return (None, vec![error]),
        };
        let mut wrong = Vec::new();
        let key = ObjectName::new(&manifest.key).map_err(JobError::from);
        if let Err(error) = key.and_then(|key| Ok(store.head(&key)?)) {
            wrong.push(error);
        }
        for chunk in &manifest.chunks {
            if let Err(error) = self.chunk(store, chunk) {
                wrong.push(error);
            }
        }
        (Some(manifest), wrong)
    }

    fn chunk(&mut self, store: &dyn BackupStore, chunk: &Chunk) -> Result<(), JobError> {
        let seen = (chunk.object.clone(), chunk.blake3.clone());
        if self.good.contains(&seen) {
            return Ok(());
        }
        self.objects += 1;
        self.bytes += chunk.bytes;
        check_object(store, chunk).map_err(|source| match source {
            ObjectError::Store(error) => JobError::Store(error),
            source => JobError::Chunk {
                name: chunk.object.clone(),
                source: Box::new(source),
            },
        })?;
        self.good.insert(seen);
        Ok(())
    }
}
