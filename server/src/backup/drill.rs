//! Restore drills: each chunk is loaded into an engine, and the digest computed from what the engine then holds.
//!
//! The engine is emptied after each chunk, so memory is that of a chunk, not of the data set. Chunks that are proven at the same
//! time have an engine each.

use std::sync::Arc;

use basalt_backup::job::JobError;
use basalt_backup::repo::{Chunk, Digest, DigestKey, Manifest, RepositoryKey};
use basalt_engine::load::LoadOptions;
use basalt_engine::snapshot::{Progress, SnapshotSink};
use basalt_engine::{Engine, Reply, Session};
use parking_lot::Mutex;

use super::tally::{CountingEncoder, Tally};

/// Takes nothing.
struct Nowhere;

impl SnapshotSink for Nowhere {
    fn bytes(&mut self, _: usize, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

/// A drill under way.
pub struct Drill {
    /// Those that nobody uses, empty.
    engines: Mutex<Vec<Engine>>,
    databases: usize,
    tally: Arc<Tally>,
}

impl Drill {
    /// Begins one for a backup.
    pub fn new(manifest: &Manifest, key: &RepositoryKey) -> Drill {
        let highest = manifest.databases.iter().map(|db| db.db).max();
        let databases = usize::try_from(highest.unwrap_or(0)).unwrap_or(0) + 1;
        let width = manifest
            .ranges
            .iter()
            .map(|range| range.last.saturating_sub(range.first).saturating_add(1));
        let key = DigestKey::new(key.digest_key());
        Drill {
            engines: Mutex::default(),
            databases,
            tally: Arc::new(Tally::new(key, width.max().unwrap_or(1), databases)),
        }
    }

    /// Loads a chunk and counts what came of it.
    ///
    /// # Errors
    /// [`JobError::Content`] if it cannot be loaded.
    pub fn chunk(&self, chunk: &Chunk, rdb: &[u8]) -> Result<(), JobError> {
        let failed = |reason: String| JobError::Content {
            name: chunk.object.clone(),
            reason,
        };
        let options = LoadOptions {
            now_ms: 0,
            checksum: true,
            threads: 1,
            keep_expired: true,
            replace: false,
        };
        let progress = Progress::default();
        let spare = self.engines.lock().pop();
        let engine = spare.unwrap_or_else(|| Engine::new(self.databases));
        engine
            .load_rdb(rdb, &options, &progress)
            .map_err(|error| failed(error.to_string()))?;
        let encoder = Arc::new(CountingEncoder {
            entries: None,
            tally: self.tally.clone(),
            known: None,
        });
        let snapshot = engine.snapshot(0);
        snapshot.walk(&engine, encoder, 1, &mut Nowhere, &progress)?;
        drop(snapshot);
        let mut session = Session::new(1);
        let mut reply = Reply::new(session.resp);
        let words: [&[u8]; 2] = [b"FLUSHALL", b"SYNC"];
        engine.execute(&mut session, &words, &mut reply, 0);
        if (0..engine.databases()).any(|db| engine.key_count(db) != 0) {
            return Err(failed("the engine of the drill cannot be emptied".into()));
        }
        self.engines.lock().push(engine);
        Ok(())
    }

    /// Compares what was counted with what the manifest says.
    ///
    /// # Errors
    /// [`JobError::Digest`] with the first difference.
    pub fn finish(self, manifest: &Manifest) -> Result<Digest, JobError> {
        let counted = self.tally.counted();
        let differs = |what: String, expected: String, found: String| {
            Err(JobError::Digest {
                what,
                expected,
                found,
            })
        };
        let mut digest = Digest::default();
        counted.sums.values().for_each(|sum| digest.add(sum.digest));
        for range in &manifest.ranges {
            let sum = counted.sums.get(&(range.db, range.first));
            let found = sum.copied().unwrap_or_default();
            if (found.keys, found.digest) != (range.keys, range.digest) {
                return differs(
                    format!(
                        "slots {} to {} of database {}",
                        range.first, range.last, range.db
                    ),
                    format!("{} keys {}", range.keys, range.digest),
                    format!("{} keys {}", found.keys, found.digest),
                );
            }
        }
        if digest != manifest.digest {
            return differs(
                "the data set".into(),
                manifest.digest.to_string(),
                digest.to_string(),
            );
        }
        if counted.databases != manifest.databases {
            return differs(
                "the counts of databases".into(),
                format!("{:?}", manifest.databases),
                format!("{:?}", counted.databases),
            );
        }
        Ok(digest)
    }
}
