//! Save points, and what depends on how saving went.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::snapshots::SaveError;
use crate::server::{Server, unix_ms};

/// After a failure, nothing is tried again for so long, as in Redis.
const RETRY_SECONDS: i64 = 5;

impl Server {
    /// Begins a background save when a save point is reached or one was scheduled. Called by
    /// the cron.
    pub fn check_save_points(self: &Arc<Server>) {
        let snapshots = &self.persist.snapshots;
        let busy = snapshots.is_busy() || self.persist.aof.is_rewriting();
        if self.hot.loading.load(Relaxed) || busy {
            return;
        }
        let now_s = unix_ms() / 1000;
        let may_try = !snapshots.failed.load(Relaxed)
            || now_s - snapshots.last_try_s.load(Relaxed) > RETRY_SECONDS;
        if !may_try {
            return;
        }
        let since_s = now_s - snapshots.last_save_s.load(Relaxed);
        let changes = self.changes_since_save();
        let config = self.config.load();
        let due = config.save.0.iter().find(|point| {
            changes >= point.changes && since_s > i64::try_from(point.seconds).unwrap_or(i64::MAX)
        });
        if let Some(point) = due {
            tracing::info!(
                "{} changes in {} seconds. Saving...",
                point.changes,
                point.seconds
            );
        } else if !snapshots.scheduled.load(Relaxed) {
            return;
        }
        match self.save_in_background() {
            Ok(()) => snapshots.scheduled.store(false, Relaxed),
            // It began in between; what is scheduled comes after it.
            Err(SaveError::InProgress) => {}
            Err(SaveError::Io(_)) => {}
        }
    }

    /// What a running save holds is not wanted any more after FLUSHALL; where there are save
    /// points, the files are to know of it soon, so another follows.
    pub fn data_was_emptied(&self) {
        let snapshots = &self.persist.snapshots;
        snapshots.ask_to_end();
        if !self.config.load().save.0.is_empty() {
            snapshots.scheduled.store(true, Relaxed);
        }
    }

    /// Whether commands that write are refused because snapshots fail.
    #[cold]
    pub fn writes_stopped(&self) -> bool {
        let config = self.config.load();
        config.stop_writes_on_bgsave_error && !config.save.0.is_empty()
    }
}
