//! Removing what is no longer to be kept.
//!
//! Manifests first: from then on the backup does not exist. Then objects, keys and leases that no manifest and no valid lease
//! needs. Interrupted anywhere, what is left is garbage for the next time, and no backup lacks anything.

use std::collections::HashSet;

use super::lease::{self, LEASE_MS};
use super::retention::Retention;
use super::{JobError, archive, catalog};
use crate::repo::{BackupId, Manifest, layout};
use crate::store::{BackupStore, ObjectName};

/// What was, or would be, removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Backups.
    pub backups: Vec<BackupId>,
    /// Objects besides manifests.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Backups that remain.
    pub kept: u64,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is kept of each data set.
    pub retention: Retention,
    /// Only of this data set; objects of others that nothing names are removed all the same.
    pub lineage: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Unix milliseconds.
    pub now_ms: i64,
}

/// Prunes a repository.
///
/// # Errors
/// [`JobError`]. If a manifest that is kept cannot be read, no object is removed.
pub fn prune(store: &dyn BackupStore, wish: &Wish) -> Result<Pruned, JobError> {
    let listed = catalog::all(store)?;
    let mut pruned = Pruned::default();
    let mut lineages: Vec<&str> = Vec::new();
    let readable = || {
        listed
            .iter()
            .filter_map(|listed| listed.manifest.as_ref().ok())
    };
    for manifest in readable() {
        if !lineages.contains(&manifest.lineage.as_str()) {
            lineages.push(&manifest.lineage);
        }
    }
    for lineage in lineages {
        if wish.lineage.as_deref().is_some_and(|only| only != lineage) {
            continue;
        }
        let ids: Vec<_> = readable()
            .filter(|manifest| manifest.lineage == lineage)
            .map(|manifest| manifest.id.clone())
            .collect();
        pruned.backups.extend(wish.retention.expired(&ids));
    }
    if !wish.dry_run {
        for id in &pruned.backups {
            store.delete(&layout::manifest(id)?)?;
        }
    }
    let gone: HashSet<&BackupId> = pruned.backups.iter().collect();
    // From here on the leases say which parents are still needed.
    let leases = lease::all(store)?;
    let valid = |began_ms: i64| wish.now_ms.saturating_sub(began_ms) <= LEASE_MS;
    let leased: HashSet<BackupId> = leases
        .iter()
        .filter_map(|(_, lease)| lease.as_ref())
        .filter(|lease| valid(lease.began_ms))
        .filter_map(|lease| lease.parent.clone())
        .collect();
    let mut needed: HashSet<String> = HashSet::new();
    let mut need = |manifest: &Manifest| {
        needed.insert(manifest.key.clone());
        needed.insert(manifest.tables.object.clone());
        needed.extend(manifest.chunks.iter().map(|chunk| chunk.object.clone()));
    };
    let mut kept = Vec::new();
    // Backups may have been published since the first listing.
    for listed in catalog::all(store)? {
        if gone.contains(&listed.id) && !leased.contains(&listed.id) {
            continue;
        }
        let manifest = catalog::complete(store, listed.manifest?)?;
        need(&manifest);
        if !gone.contains(&listed.id) {
            pruned.kept += 1;
            kept.push(manifest);
        }
    }
    for manifest in readable().filter(|manifest| leased.contains(&manifest.id)) {
        need(&catalog::complete(store, manifest.clone())?);
    }
    for folder in [layout::OBJECTS, layout::KEYS] {
        let folder = ObjectName::new(folder)?;
        for object in store.list(Some(&folder), None, usize::MAX)? {
            let owner = layout::chunk_owner(&object.name);
            let garbage = match &owner {
                // A backup under way, which has no manifest yet, is younger than a lease.
                Some(id) => gone.contains(id) || !valid(id.time_ms()),
                // A key is small; it goes only with the last backup that names it.
                None => false,
            };
            if !garbage || needed.contains(object.name.as_str()) {
                continue;
            }
            pruned.objects += 1;
            pruned.bytes += object.size_bytes;
            if !wish.dry_run {
                store.delete(&object.name)?;
            }
        }
    }
    let positions: Vec<_> = kept.iter().filter_map(|m| m.archive.as_ref()).collect();
    for stored in archive::list(store, None)? {
        let segment = &stored.segment;
        let after = positions
            .iter()
            .any(|base| base.stream == segment.stream && segment.last > base.index);
        // Those of a stream whose backup is under way are younger.
        if after || valid(segment.to_ms) {
            continue;
        }
        pruned.objects += 1;
        pruned.bytes += stored.bytes;
        if !wish.dry_run {
            store.delete(&stored.name)?;
        }
    }
    if !wish.dry_run {
        for (name, lease) in leases {
            let id = name
                .as_str()
                .strip_prefix(layout::LEASES)
                .and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".json"))
                .and_then(|id| id.parse::<BackupId>().ok());
            let began = lease
                .map(|lease| lease.began_ms)
                .or(id.map(|id| id.time_ms()));
            if began.is_some_and(|began| !valid(began)) {
                store.delete(&name)?;
            }
        }
    }
    Ok(pruned)
}
