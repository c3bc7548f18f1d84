//! A point in time of all databases, and the walk over it.
//!
//! The cut is O(shards) and copies nothing: see `docs/adr/0003-snapshot-and-log.md`. From then on
//! each slot is captured, by a clone of its table that shares all pages, either when the walker
//! comes by or when a writer is about to change it. The walk turns slots into bytes on several
//! threads ([`Encode`]) and feeds them to one [`SnapshotSink`]; undisturbed it goes in slot order,
//! and by key inside a slot, so that equal data gives equal bytes whatever order it came in and
//! whichever process holds it.
//!
//! Invariants: a slot is captured exactly once per snapshot, before the first change after the
//! cut; captures are made under the lock of the slot's shard.

pub(crate) mod cut;
#[cfg(test)]
mod exact_tests;
mod rdb;
mod room;
mod sink;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

pub use cut::Usage;
pub use rdb::{Access, RdbEntries, SaveOptions, Saved, Wanted};
pub use room::Room;
pub use sink::{Encode, Note, SnapshotEntry, SnapshotSink};

use self::cut::Cut;
use crate::engine::Engine;
use crate::keyspace::access::Clock;
use crate::keyspace::held::Held;
use crate::keyspace::shard::SlotTable;
use crate::structs::paged::{Watching, watch};

/// How far a load or a save has come; read by others while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes read or written so far.
    pub bytes: AtomicU64,
    /// Keys loaded or saved so far.
    pub keys: AtomicU64,
    /// Set to stop the work at the next chance.
    pub cancel: AtomicBool,
}

/// A database that has keys.
struct SnapshotDb {
    /// Its number.
    db: usize,
    keys: u64,
    /// Keys with an expiry.
    volatile: u64,
}

/// All databases as they were at one moment. Dropping it ends what it costs writers.
pub struct Snapshot {
    cut: Arc<Cut>,
    /// Tells the cut of pages that writers copy.
    _watching: Watching,
    dbs: Vec<SnapshotDb>,
    clock: Clock,
    log_index: u64,
    pause: Duration,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("keys", &self.key_count())
            .field("log_index", &self.log_index)
            .finish_non_exhaustive()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.cut.end();
    }
}

impl Snapshot {
    /// Keys in all databases, expired ones included.
    pub fn key_count(&self) -> u64 {
        self.dbs.iter().map(|db| db.keys).sum()
    }

    /// How many effects the log had taken at the cut: the snapshot holds exactly these.
    pub fn log_index(&self) -> u64 {
        self.log_index
    }

    /// How long all shards were locked for the cut.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// What it costs writers so far.
    pub fn usage(&self) -> Usage {
        self.cut.usage()
    }

    /// Tells what it costs after the snapshot has gone elsewhere, or has ended.
    pub fn meter(&self) -> Meter {
        Meter {
            cut: self.cut.clone(),
            pause: self.pause,
        }
    }
}

/// What a snapshot costs, to be read while another thread has it.
#[derive(Clone)]
pub struct Meter {
    cut: Arc<Cut>,
    pause: Duration,
}

impl Meter {
    /// What it costs writers so far.
    pub fn usage(&self) -> Usage {
        self.cut.usage()
    }

    /// How long all shards were locked for the cut.
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter")
            .field("usage", &self.usage())
            .field("pause", &self.pause)
            .finish()
    }
}

impl Engine {
    /// Takes a snapshot of all databases. All shards are locked for the time of it, which is
    /// O(shards). Unix time in milliseconds.
    pub fn snapshot(&self, now_ms: i64) -> Snapshot {
        self.snapshot_with(now_ms, || ()).0
    }

    /// Takes a snapshot and does something at its moment, while every shard is locked.
    pub fn snapshot_with<R>(&self, now_ms: i64, at_cut: impl FnOnce() -> R) -> (Snapshot, R) {
        let mut held = Held::all(&self.shards);
        let began = Instant::now();
        let cut = Arc::new(Cut::new(self.snapshot_room.clone()));
        for shard in 0..self.shards.len() {
            held.shard_mut(shard).begin_cut(&cut);
        }
        let dbs = (0..self.databases())
            .map(|db| SnapshotDb {
                db,
                keys: self.key_count(db) as u64,
                volatile: self.volatile_count(db) as u64,
            })
            .filter(|db| db.keys > 0)
            .collect();
        let snapshot = Snapshot {
            _watching: watch(cut.clone()),
            cut,
            dbs,
            clock: Clock::new(now_ms, &self.settings),
            log_index: self.log.index(),
            pause: began.elapsed(),
        };
        let result = at_cut();
        (snapshot, result)
    }

    /// Captures pending slots of a shard for the walker.
    fn capture(&self, cut: &Arc<Cut>, db: usize, shard: usize, enough: usize) -> Vec<SlotTable> {
        self.shards[shard].lock.lock().capture(cut, db, enough)
    }
}
