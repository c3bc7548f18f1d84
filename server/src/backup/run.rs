//! The jobs themselves.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use basalt_backup::job::create::{Creation, Parent, Plan};
use basalt_backup::job::prune::{Wish, prune};
use basalt_backup::job::verify::Verifier;
use basalt_backup::job::{JobError, catalog};
use basalt_backup::repo::{BackupId, DigestKey, Manifest, RepositoryKey};

use super::archive::Shipper;
use super::sink::{BackupSink, unwrap};
use super::tally::{CountingEncoder, Tally};
use super::{Brief, INDEX_FILE, KEY_FILE, Outcome, Run, Settings};
use crate::config::COMPAT_VERSION;
use crate::persist::mapped::MappedFile;
use crate::server::{Server, unix_ms};

/// Slots.
const SLOTS: u64 = 16384;
/// The most ranges a database has: one for each shard.
const MAX_RANGES: u64 = 128;
/// Keys a range has at least, as far as there are so many.
const KEYS_PER_RANGE: u64 = 16384;
/// Ranges stay as the parent has them while they are at most so many times too wide or too narrow.
const HYSTERESIS: u64 = 4;

impl Brief {
    fn of(manifest: &Manifest) -> Brief {
        Brief {
            id: manifest.id.to_string(),
            cut_ms: manifest.cut_ms,
            keys: manifest.keys(),
            stored_bytes: manifest.stored_bytes,
            uploaded_bytes: manifest.uploaded_bytes,
            encrypted: !manifest.recipients.is_empty(),
            error: None,
        }
    }

    fn broken(id: &BackupId, error: &JobError) -> Brief {
        Brief {
            id: id.to_string(),
            cut_ms: id.time_ms(),
            keys: 0,
            stored_bytes: 0,
            uploaded_bytes: 0,
            encrypted: false,
            error: Some(error.to_string()),
        }
    }
}

/// How many slots a range has.
fn width(keys: u64, parent: Option<&Manifest>) -> u16 {
    let ranges = (keys / KEYS_PER_RANGE)
        .clamp(1, MAX_RANGES)
        .next_power_of_two();
    let wanted = SLOTS / ranges;
    let before = parent.and_then(|parent| parent.ranges.first());
    let before = before.map(|range| {
        u64::from(range.last)
            .saturating_sub(range.first.into())
            .saturating_add(1)
    });
    let width = before
        .filter(|before| before.is_power_of_two() && *before >= SLOTS / MAX_RANGES)
        .filter(|before| *before <= wanted * HYSTERESIS && wanted <= *before * HYSTERESIS)
        .unwrap_or(wanted);
    u16::try_from(width).unwrap_or(u16::MAX)
}

/// A stream of the archive that has begun with a backup ends with it, if it fails: nothing could be restored from it.
struct StreamGuard(Option<Arc<Server>>);

impl StreamGuard {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            server.end_archive();
        }
    }
}

impl Server {
    /// Makes a backup and notes how it went.
    pub(super) fn run_backup(self: &Arc<Server>, settings: &Settings, run: &Run) {
        let began = Instant::now();
        tracing::info!("Backup started to {}", settings.url);
        let result = self.make_backup(settings, run);
        let backups = &self.backups;
        let uploaded = run.upload.bytes.load(Relaxed);
        backups.uploaded_bytes.fetch_add(uploaded, Relaxed);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let error = match &result {
            Ok(manifest) => {
                tracing::info!(
                    "Backup {} done: {} keys, {} bytes uploaded in {} objects, {took_ms} ms",
                    manifest.id,
                    manifest.keys(),
                    uploaded,
                    run.upload.objects.load(Relaxed)
                );
                String::new()
            }
            Err(error) => {
                tracing::warn!("Backup failed: {error}");
                backups.failures.fetch_add(1, Relaxed);
                error.to_string()
            }
        };
        *backups.last_backup.lock() = Outcome {
            at_ms: unix_ms(),
            took_ms,
            error,
        };
        let Ok(manifest) = result else {
            return;
        };
        backups.made.fetch_add(1, Relaxed);
        *backups.last.lock() = Some(Brief::of(&manifest));
        let pruned = self.tidy_up(settings, &manifest);
        if let Err(error) = &pruned {
            tracing::warn!("Pruning backups failed: {error}");
        }
        let error = pruned.err().map(|error| error.to_string());
        *backups.last_prune_error.lock() = error.unwrap_or_default();
        if let Err(error) = self.look_at_backups(settings) {
            tracing::warn!("Cannot list the backups: {error}");
        }
    }

    fn make_backup(
        self: &Arc<Server>,
        settings: &Settings,
        run: &Run,
    ) -> Result<Manifest, JobError> {
        let began_ms = unix_ms();
        // All that can fail before the cut does so before it.
        let store = settings.store()?;
        let key = RepositoryKey::load_or_create(Path::new(KEY_FILE))?;
        let lineage = self.persist.lineage.id().to_string();
        let parent = match MappedFile::open(Path::new(INDEX_FILE)) {
            Ok(index) => Parent::find(&*store, Box::new(index))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("The backup will not be incremental: {INDEX_FILE}: {error}");
                None
            }
        };
        let spool_dir = settings.spool()?;
        let random = getrandom::u32().map_err(|error| std::io::Error::other(error.to_string()))?;
        run.upload.limit.store(settings.limit, Relaxed);
        if run.progress.cancel.load(Relaxed) {
            return Err(JobError::Cancelled);
        }
        let libraries = self.engine.scripts.libraries.codes();
        let commit_index = self.persist.lineage.next_index().saturating_sub(1);
        let archived = self.config.load().backup_archive;
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|error| std::io::Error::other(error.to_string()))?;
        let name = format!("{:016x}", u64::from_be_bytes(name));
        // The time is that of the cut: nothing in the backup is younger, nothing in the archive behind it older.
        let (snapshot, (cut_ms, position)) = self.engine.snapshot_with(unix_ms(), || {
            (
                unix_ms(),
                self.archive_position(settings, archived.then_some(name.as_str())),
            )
        });
        let began = position.as_ref().is_some_and(|(_, began)| *began);
        let guard = StreamGuard(began.then(|| self.clone()));
        run.keys.store(snapshot.key_count(), Relaxed);
        let before = parent.as_ref().map(|parent| &parent.manifest);
        let width = width(snapshot.key_count(), before);
        let id = BackupId::new(cut_ms, &lineage, random);
        let remark = |name: &str, value: &str| (name.into(), value.into());
        let plan = Plan {
            remarks: vec![
                remark("redis-ver", COMPAT_VERSION),
                remark("redis-bits", &usize::BITS.to_string()),
                remark("basalt-backup", id.as_str()),
            ],
            id,
            lineage,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began_ms,
            cut_ms,
            commit_index,
            codec: settings.codec,
            recipients: settings.recipients.clone(),
            spool_dir,
            index: Some(INDEX_FILE.into()),
            archive: position.map(|(position, _)| position),
            key: key.clone(),
        };
        let tally = Arc::new(Tally::new(
            DigestKey::new(key.digest_key()),
            width,
            self.engine.databases(),
        ));
        if began {
            self.ship_archive(Shipper {
                store: store.clone(),
                key: key.clone(),
            })?;
        }
        let mut creation = Creation::begin(store, plan, parent, width, run.upload.clone())?;
        creation.functions(&libraries)?;
        let config = self.config.load();
        let encoder = Arc::new(CountingEncoder {
            // Compressing twice costs time and gains nothing.
            entries: Some(snapshot.rdb_entries(
                false,
                crate::persist::snapshots::access(config.maxmemory_policy),
            )),
            tally: tally.clone(),
            known: creation.known(),
        });
        let mut delayed = 0;
        let mut pace = || self.delay_progress(&run.progress, &mut delayed);
        let mut sink = BackupSink {
            creation: &mut creation,
            pace: &mut pace,
            stepped_back: false,
        };
        snapshot
            .walk(&self.engine, encoder, 1, &mut sink, &run.progress)
            .map_err(unwrap)?;
        drop(snapshot);
        let manifest = creation.finish(&tally.counted(), unix_ms)?;
        guard.keep();
        Ok(manifest)
    }

    /// Prunes as the retention says.
    fn tidy_up(&self, settings: &Settings, newest: &Manifest) -> Result<(), JobError> {
        if settings.retention.is_empty() {
            return Ok(());
        }
        let wish = Wish {
            retention: settings.retention.clone(),
            lineage: Some(newest.lineage.clone()),
            dry_run: false,
            now_ms: unix_ms(),
        };
        let pruned = prune(&*settings.store()?, &wish)?;
        if !pruned.backups.is_empty() {
            tracing::info!(
                "Pruned {} backups: {} objects, {} bytes",
                pruned.backups.len(),
                pruned.objects,
                pruned.bytes
            );
        }
        Ok(())
    }

    /// Looks what backups of this data set there are.
    pub(super) fn look_at_backups(&self, settings: &Settings) -> Result<(), JobError> {
        let lineage = self.persist.lineage.id().to_string();
        let mut listed = Vec::new();
        for backup in catalog::all(&*settings.store()?)? {
            match backup.manifest {
                Ok(manifest) if manifest.lineage == lineage => listed.push(Brief::of(&manifest)),
                Ok(_) => {}
                Err(error) => listed.push(Brief::broken(&backup.id, &error)),
            }
        }
        let newest = listed.iter().rev().find(|brief| brief.error.is_none());
        *self.backups.last.lock() = newest.cloned();
        *self.backups.listed.lock() = Some(listed);
        Ok(())
    }

    /// Reads every object of a backup and notes what is wrong.
    pub(super) fn run_verification(&self, settings: &Settings, run: &Run, of: Option<&str>) {
        let began = Instant::now();
        let verify = || -> Result<(BackupId, Vec<JobError>), JobError> {
            let store = settings.store()?;
            let id = catalog::find(&*store, of.unwrap_or("latest"))?;
            let cancelled = || run.progress.cancel.load(Relaxed);
            let (_, wrong) = Verifier::default().backup(&*store, &id, &cancelled);
            Ok((id, wrong))
        };
        let error = match verify() {
            Ok((id, wrong)) => {
                for error in &wrong {
                    match error {
                        JobError::Cancelled => {
                            tracing::info!("Verifying backup {id} was cancelled")
                        }
                        _ => tracing::warn!("Backup {id} is damaged: {error}"),
                    }
                }
                if wrong.is_empty() {
                    tracing::info!("Backup {id} is as it was written");
                    *self.backups.verified.lock() = Some((id.to_string(), unix_ms()));
                }
                wrong.first().map(ToString::to_string).unwrap_or_default()
            }
            Err(error) => {
                tracing::warn!("Verifying the backup failed: {error}");
                error.to_string()
            }
        };
        if !error.is_empty() {
            self.backups.failures.fetch_add(1, Relaxed);
        }
        *self.backups.last_verify.lock() = Outcome {
            at_ms: unix_ms(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_finer_with_the_data() {
        assert_eq!(width(0, None), 16384);
        assert_eq!(width(40_000, None), 8192);
        assert_eq!(width(1_000_000, None), 256);
        assert_eq!(width(u64::MAX, None), 128);
    }
}
