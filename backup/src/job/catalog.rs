//! What backups there are.
//!
//! A manifest's head tells what a listing shows; its tables are only read for what needs to know the chunks.

use super::JobError;
use crate::repo::crypt::Identities;
use crate::repo::manifest::MAX_MANIFEST_BYTES;
use crate::repo::tables::MAX_TABLES_BYTES;
use crate::repo::{BackupId, Manifest, RepositoryKey, layout};
use crate::store::{BackupStore, ObjectName};

/// A backup in a listing.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: BackupId,
    /// Its manifest without tables, or why it cannot be read.
    pub manifest: Result<Manifest, JobError>,
}

/// The IDs of all backups, oldest first.
///
/// # Errors
/// What the store says.
pub fn ids(store: &dyn BackupStore) -> Result<Vec<BackupId>, JobError> {
    let folder = ObjectName::new(layout::BACKUPS)?;
    let objects = store.list(Some(&folder), None, usize::MAX)?;
    let mut ids: Vec<_> = objects
        .iter()
        .filter_map(|object| layout::manifest_id(&object.name))
        .collect();
    ids.sort();
    Ok(ids)
}

/// All backups, oldest first.
///
/// # Errors
/// What the store says to the listing.
pub fn all(store: &dyn BackupStore) -> Result<Vec<Listed>, JobError> {
    let list = ids(store)?.into_iter().map(|id| Listed {
        manifest: head(store, &id),
        id,
    });
    Ok(list.collect())
}

/// Reads a manifest without its tables; its hash is right, who wrote it is not known.
///
/// # Errors
/// [`JobError`].
pub fn head(store: &dyn BackupStore, id: &BackupId) -> Result<Manifest, JobError> {
    let bytes = store.get(&layout::manifest(id)?, MAX_MANIFEST_BYTES)?;
    Manifest::parse(&bytes, id, None).map_err(|source| JobError::Manifest {
        id: id.clone(),
        source: Box::new(source),
    })
}

/// Reads a manifest with its tables; the hashes are right, who wrote it is not known.
///
/// # Errors
/// [`JobError`].
pub fn read(store: &dyn BackupStore, id: &BackupId) -> Result<Manifest, JobError> {
    complete(store, head(store, id)?)
}

/// Adds its tables to a manifest.
///
/// # Errors
/// [`JobError`].
pub fn complete(store: &dyn BackupStore, mut manifest: Manifest) -> Result<Manifest, JobError> {
    let name = ObjectName::new(&manifest.tables.object)?;
    let body = store.get(&name, MAX_TABLES_BYTES)?;
    match manifest.attach(&body) {
        Ok(()) => Ok(manifest),
        Err(source) => Err(JobError::Manifest {
            id: manifest.id,
            source: Box::new(source),
        }),
    }
}

/// Reads a manifest that was written by who holds the repository key, and that key.
///
/// # Errors
/// [`JobError`]; [`JobError::NotEncrypted`] if there are identities and nothing to use them on.
pub fn open(
    store: &dyn BackupStore,
    id: &BackupId,
    identities: &Identities,
) -> Result<(Manifest, RepositoryKey), JobError> {
    let bytes = store.get(&layout::manifest(id)?, MAX_MANIFEST_BYTES)?;
    let failed = |source| JobError::Manifest {
        id: id.clone(),
        source: Box::new(source),
    };
    let unproven = Manifest::parse(&bytes, id, None).map_err(failed)?;
    let encrypted = unproven.key.ends_with(".age");
    if !identities.is_empty() && (unproven.recipients.is_empty() || !encrypted) {
        return Err(JobError::NotEncrypted(id.clone()));
    }
    let name = ObjectName::new(&unproven.key)?;
    let key = RepositoryKey::fetch(store, &name, identities)?;
    let manifest = Manifest::parse(&bytes, id, Some(&key)).map_err(failed)?;
    Ok((complete(store, manifest)?, key))
}

/// Which backup is meant: `latest`, an ID, or the unambiguous beginning of one.
///
/// # Errors
/// [`JobError::Missing`] if there is none, or more than one.
pub fn find(store: &dyn BackupStore, wanted: &str) -> Result<BackupId, JobError> {
    let ids = ids(store)?;
    if wanted == "latest" {
        let missing = || JobError::Missing("there is no backup".into());
        return ids.into_iter().next_back().ok_or_else(missing);
    }
    let mut meant = ids.into_iter().filter(|id| id.as_str().starts_with(wanted));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(JobError::Missing(format!("there is no backup {wanted}"))),
        (Some(_), Some(_)) => Err(JobError::Missing(format!(
            "{wanted} is the beginning of several backups"
        ))),
    }
}
