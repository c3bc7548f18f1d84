//! Whether what a backup names is there and undamaged. Needs no identity.
//!
//! With an identity more can be said, see [`join`](super::join): that only proves what it reads is what was written. That the
//! data comes back is proven by loading it. Segments of the log, which no manifest names, are proven by their MAC, so their
//! content needs an identity; that none is missing is seen from their names. Nothing tells that the last one is missing.

use std::collections::HashSet;

use super::archive::{self, Stored};
use super::{JobError, catalog};
use crate::repo::crypt::Identities;
use crate::repo::object::{ObjectError, check_object};
use crate::repo::{BackupId, Chunk, Manifest, Position, RepositoryKey};
use crate::store::{BackupStore, ObjectName};

/// Checks objects, each once however many backups name it.
#[derive(Debug, Default)]
pub struct Verifier {
    good: HashSet<(String, String)>,
    segments: HashSet<ObjectName>,
    /// Objects read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Verifier {
    /// Reads every object of a backup, until it is cancelled; what is wrong, and the manifest if it can be read.
    pub fn backup(
        &mut self,
        store: &dyn BackupStore,
        id: &BackupId,
        cancelled: &dyn Fn() -> bool,
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
            if cancelled() {
                wrong.push(JobError::Cancelled);
                break;
            }
            if let Err(error) = self.chunk(store, chunk) {
                wrong.push(error);
            }
        }
        (Some(manifest), wrong)
    }

    /// Whether the log goes on without a gap from a backup as far as it, or a later backup of the same stream, says.
    ///
    /// # Errors
    /// What the store says, and [`JobError::Missing`].
    pub fn log(
        &mut self,
        store: &dyn BackupStore,
        from: &Position,
        later: &[Position],
    ) -> Result<Vec<Stored>, JobError> {
        let route = archive::route(store, from, None, &[])?;
        let end = route.segments.last().map(|stored| stored.segment.last);
        let end = end.unwrap_or(from.index);
        let known = later.iter().filter(|later| later.stream == from.stream);
        let known = known.map(|later| later.index).max().unwrap_or(0);
        if end < known {
            return Err(JobError::Missing(format!(
                "effects {} to {known} of stream {} are missing from the archive",
                end.saturating_add(1),
                from.stream
            )));
        }
        Ok(route.segments)
    }

    /// Reads a segment of the log and proves that it is as it was written.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn segment(
        &mut self,
        store: &dyn BackupStore,
        stored: &Stored,
        identities: &Identities,
        key: &RepositoryKey,
    ) -> Result<(), JobError> {
        if self.segments.contains(&stored.name) {
            return Ok(());
        }
        self.objects += 1;
        self.bytes += stored.bytes;
        let content = archive::read(store, stored, identities, key)?;
        let effects = archive::replay(&stored.name, &content, None, &mut std::io::sink())?;
        let segment = &stored.segment;
        let expected = segment.last.saturating_sub(segment.first).saturating_add(1);
        if effects != expected {
            return Err(JobError::Content {
                name: stored.name.to_string(),
                reason: format!("it holds {effects} effects, not {expected}"),
            });
        }
        self.segments.insert(stored.name.clone());
        Ok(())
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
