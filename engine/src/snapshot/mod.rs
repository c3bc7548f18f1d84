//! A point in time of all databases, and its walk into a file.
//!
//! A [`Snapshot`] holds the tables of all slots as they were at the cut. Tables share their
//! pages with the live ones, so taking it copies nothing; a writer copies the page it
//! changes. The walk goes slot by slot, and inside a slot by key, so that equal data gives
//! equal bytes whatever order it came in and whichever process holds it.
//!
//! The walk itself knows one output, RDB records (`encode.rs`); `rdb.rs` puts them into a
//! file in slot order, encoding on several threads.

mod encode;
mod rdb;

use std::sync::atomic::{AtomicBool, AtomicU64};

pub use encode::Access;
pub use rdb::{SaveOptions, Saved};

use crate::engine::Engine;
use crate::keyspace::access::Clock;
use crate::keyspace::held::Held;
use crate::keyspace::shard::SlotTable;

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

/// The tables of one database that have keys.
pub(crate) struct SnapshotDb {
    /// Number of the database.
    pub db: usize,
    /// Keys in all tables.
    pub keys: u64,
    /// Those with an expiry.
    pub volatile: u64,
    /// The tables, in slot order.
    pub slots: Vec<SlotTable>,
}

/// All databases as they were at one moment.
pub struct Snapshot {
    pub(crate) dbs: Vec<SnapshotDb>,
    clock: Clock,
    log_index: u64,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("keys", &self.key_count())
            .field("log_index", &self.log_index)
            .finish_non_exhaustive()
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
}

impl Engine {
    /// Takes a snapshot of all databases. All shards are locked for the time of it, which is
    /// O(slots in use) and copies no data. Unix time in milliseconds.
    pub fn snapshot(&self, now_ms: i64) -> Snapshot {
        self.snapshot_held(&Held::all(&self.shards), now_ms)
    }

    /// Takes a snapshot, and does something quick at the same moment: all shards are locked.
    pub fn snapshot_with<T>(&self, now_ms: i64, also: impl FnOnce() -> T) -> (Snapshot, T) {
        let held = Held::all(&self.shards);
        let extra = also();
        (self.snapshot_held(&held, now_ms), extra)
    }

    /// Takes a snapshot for a caller that holds all shards.
    pub(crate) fn snapshot_held(&self, held: &Held<'_>, now_ms: i64) -> Snapshot {
        let mut dbs = Vec::new();
        for db in 0..self.databases() {
            let keys = self.key_count(db);
            if keys == 0 {
                continue;
            }
            let slots = (0..self.shards.len())
                .filter_map(|shard| held.shard(shard).db(db))
                .flat_map(|tables| tables.slots.iter())
                .filter(|table| !table.is_empty())
                .cloned()
                .collect();
            dbs.push(SnapshotDb {
                db,
                keys: keys as u64,
                volatile: self.volatile_count(db) as u64,
                slots,
            });
        }
        Snapshot {
            dbs,
            clock: Clock::new(now_ms, &self.settings),
            log_index: self.log.index(),
        }
    }
}
