//! What INFO tells of the log; stored by the writer thread and by rewrites.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};

use super::quick::SyncTime;

/// Facts about the log.
#[derive(Debug)]
pub struct Facts {
    /// Bytes of all its files.
    pub current_bytes: AtomicU64,
    /// The same when the last base was put in its place, or at the start.
    pub base_bytes: AtomicU64,
    /// Bytes taken from the buffer and not written.
    pub backlog_bytes: AtomicUsize,
    /// Syncs that run on their own thread.
    pub pending_syncs: AtomicU64,
    /// Syncs that were due while one ran.
    pub delayed_syncs: AtomicU64,
    /// How long workers were at the log at the ends of their passes, in nanoseconds.
    pub pass_nanos: AtomicU64,
    /// How long the syncs that replies wait for take.
    pub sync_time: SyncTime,
    /// Index of the newest batch.
    pub last_index: AtomicU64,
    /// Index of the newest batch that is synced.
    pub durable_index: AtomicU64,
    /// Rewrites begun.
    pub rewrites: AtomicU64,
    /// Rewrites that failed, one after the other.
    pub failures: AtomicU64,
    /// The last rewrite failed.
    pub failed: AtomicBool,
    /// Writes are put off by so many microseconds (`DEBUG AOF-FLUSH-SLEEP`).
    pub flush_sleep_us: AtomicU64,
    /// How long the last rewrite took, in seconds; -1: there was none.
    pub took_s: AtomicI64,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            current_bytes: AtomicU64::new(0),
            base_bytes: AtomicU64::new(0),
            backlog_bytes: AtomicUsize::new(0),
            pending_syncs: AtomicU64::new(0),
            delayed_syncs: AtomicU64::new(0),
            pass_nanos: AtomicU64::new(0),
            sync_time: SyncTime::default(),
            last_index: AtomicU64::new(0),
            durable_index: AtomicU64::new(0),
            rewrites: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            flush_sleep_us: AtomicU64::new(0),
            took_s: AtomicI64::new(-1),
        }
    }
}
