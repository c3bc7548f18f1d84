//! The memory that all snapshots under way may cost together.
//!
//! ```text
//!   0 ------------- 3/32 ------------- 1/8 ----------------------- limit
//!         free        | wakes writers   |  server lets writers wait  | writers encode themselves
//! ```
//!
//! Whoever serves clients asks [`Room::is_tight`] before a write and lets the client wait
//! without holding anybody else up; it is told through [`Room::on_room`] when to go on. Who
//! embeds the engine and does not ask is slowed down at the limit itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The limit until somebody sets another.
const DEFAULT_LIMIT: u64 = 64 << 20;

/// What snapshots under way hold back, and how much that may be.
pub struct Room {
    limit: AtomicU64,
    used: AtomicU64,
    on_room: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Default for Room {
    fn default() -> Room {
        Room {
            limit: AtomicU64::new(DEFAULT_LIMIT),
            used: AtomicU64::new(0),
            on_room: OnceLock::new(),
        }
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("limit", &self.limit)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Room {
    /// Sets the limit in bytes; snapshots under way have it at once.
    pub fn set_limit(&self, limit: u64) {
        let before = self.limit.swap(limit, Relaxed);
        if limit > before {
            self.tell();
        }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Bytes charged by all snapshots under way.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Whether who writes had better wait.
    #[inline]
    pub fn is_tight(&self) -> bool {
        let used = self.used();
        used != 0 && used > self.limit() / 8
    }

    /// Whether so much more would be beyond the limit.
    pub(super) fn is_full(&self, more: u64) -> bool {
        self.used().saturating_add(more) > self.limit()
    }

    /// Has `tell` called whenever it is no longer tight; once only. Called from any thread, with
    /// shard locks held at times.
    pub fn on_room(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_room.set(Box::new(tell));
    }

    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Relaxed);
    }

    pub(super) fn sub(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Relaxed);
        let enough = self.limit() / 32 * 3;
        if before > enough && before.saturating_sub(bytes) <= enough {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(tell) = self.on_room.get() {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn tells_when_it_is_no_longer_tight() {
        let room = Room::default();
        let told = Arc::new(AtomicU64::new(0));
        let count = told.clone();
        room.on_room(move || {
            count.fetch_add(1, Relaxed);
        });
        room.set_limit(3200);
        assert!(!room.is_tight() && !room.is_full(3200) && room.is_full(3201));
        room.add(400);
        assert!(!room.is_tight());
        room.add(100);
        assert!(room.is_tight());
        room.sub(150);
        assert_eq!((told.load(Relaxed), room.is_tight()), (0, false));
        room.sub(50);
        assert_eq!(told.load(Relaxed), 1, "300 is enough");
        room.sub(300);
        assert_eq!((told.load(Relaxed), room.used()), (1, 0));
        room.add(500);
        room.set_limit(32000);
        assert_eq!((told.load(Relaxed), room.is_tight()), (2, false));
    }

    #[test]
    fn a_limit_of_nothing_is_tight_only_while_something_is_used() {
        let room = Room::default();
        room.set_limit(0);
        assert!(!room.is_tight());
        room.add(1);
        assert!(room.is_tight());
        room.sub(1);
        assert!(!room.is_tight());
    }
}
