//! What snapshots cost, and the writers that wait until they cost less.
//!
//! While a snapshot is under way, a client that writes faster than the walker encodes would keep
//! ever more old pages alive. Above an eighth of `snapshot-max-extra-memory` its next write waits,
//! [`PATIENCE_MS`] at most; it holds no lock and no thread meanwhile, so clients that read do
//! not notice. Who waits stands in a list, and the engine tells when there is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use basalt_engine::snapshot::{Meter, Usage};
use parking_lot::Mutex;

use crate::client::handle::{Handle, signal};
use crate::config::Config;
use crate::memory;
use crate::server::{Server, unix_ms};

/// The least that `snapshot-max-extra-memory 0` stands for.
const AUTO_MIN: u64 = 64 << 20;
/// The part of the data that it stands for, if that is more: a twentieth.
const AUTO_PART: u64 = 20;
/// How long one write may be put off, in milliseconds.
pub const PATIENCE_MS: i64 = 5;

/// Figures of snapshots, and who waits for room.
#[derive(Default)]
pub struct Cost {
    /// The snapshot under way, or the last one.
    meter: Mutex<Option<Meter>>,
    /// Peak of the last background save that ended.
    pub last_save_peak: AtomicU64,
    /// Peak of the last rewrite of the log that ended.
    pub last_rewrite_peak: AtomicU64,
    /// Writes that were put off.
    pub delayed: AtomicU64,
    waiting: Mutex<Vec<Arc<Handle>>>,
}

impl std::fmt::Debug for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cost")
            .field("meter", &self.meter)
            .field("delayed", &self.delayed)
            .finish_non_exhaustive()
    }
}

impl Cost {
    /// A snapshot begins.
    pub fn begin(&self, meter: Meter) {
        *self.meter.lock() = Some(meter);
    }

    /// What the newest snapshot costs or cost, and how many microseconds its cut took.
    pub fn usage(&self) -> (Usage, u128) {
        let meter = self.meter.lock();
        meter.as_ref().map_or((Usage::default(), 0), |meter| {
            (meter.usage(), meter.pause().as_micros())
        })
    }

    /// Lets everyone go on who waits.
    pub fn wake(&self) {
        for handle in std::mem::take(&mut *self.waiting.lock()) {
            handle.raise(signal::RESUMED);
        }
    }

    fn wait(&self, handle: &Arc<Handle>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|other| Arc::ptr_eq(other, handle)) {
            waiting.push(handle.clone());
        }
    }
}

impl Server {
    /// Brings the limit in line with the directive and with what there is now.
    pub fn set_snapshot_limit(&self, config: &Config) {
        let limit = match config.snapshot_max_extra_memory {
            0 => AUTO_MIN.max(memory::used() / AUTO_PART),
            bytes => bytes,
        };
        self.engine.snapshot_room.set_limit(limit);
    }

    /// Until when, at most, a write is to be put off that was first considered at `since_ms`;
    /// whoever waits is woken when there is room.
    pub fn put_off(&self, since_ms: &mut Option<i64>, handle: &Arc<Handle>) -> Option<i64> {
        let room = &self.engine.snapshot_room;
        let now_ms = unix_ms();
        let until = since_ms.unwrap_or(now_ms).saturating_add(PATIENCE_MS);
        if now_ms < until && room.is_tight() {
            let cost = &self.persist.cost;
            cost.wait(handle);
            // Looked at again: whoever made room may have missed the newcomer.
            if room.is_tight() {
                if since_ms.is_none() {
                    *since_ms = Some(now_ms);
                    cost.delayed.fetch_add(1, Relaxed);
                }
                return Some(until);
            }
        }
        *since_ms = None;
        None
    }
}
