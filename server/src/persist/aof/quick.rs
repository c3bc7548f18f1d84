//! Whether a thread that serves clients may sync the log under `appendfsync always`.
//!
//! While the writer thread syncs, a worker serves those of its clients that wait for none. When there
//! are none it only collects the next writers, and the two switches between threads cost more
//! than a quick disk takes for the sync. So a worker that has been [`Calm`] syncs by itself while syncs
//! are quick. Another writer that comes meanwhile would have to wait for the next sync anyway. A reader
//! that comes out of a silence waits for one sync, and then there are none here for a while; if the disk
//! hangs in just that sync the reader waits as long as it hangs, once, since syncs are slow then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What syncs may take in the mean.
const QUICK: Duration = Duration::from_micros(300);
/// A sync that takes so long shows that the disk is another now.
const HUNG: Duration = Duration::from_millis(20);
/// Clients that wait for nothing must not have been seen for this long.
const SILENCE: Duration = Duration::from_millis(100);
/// The share of the newest sync in the mean is one of this.
const MEAN_OF: u64 = 16;

/// How long syncs take in the mean. One thread makes them; others look.
#[derive(Debug)]
pub struct SyncTime {
    mean_ns: AtomicU64,
}

impl Default for SyncTime {
    /// Slow until shown otherwise.
    fn default() -> SyncTime {
        SyncTime {
            mean_ns: AtomicU64::new(4 * nanos(QUICK)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl SyncTime {
    /// A sync took so long.
    pub fn took(&self, time: Duration) {
        // One late sync among quick ones tells nothing, but for one that hung. To have hung for an
        // hour is no worse than for a second.
        let most = if time < HUNG { QUICK * 4 } else { HUNG * 50 };
        let newest = nanos(time.min(most));
        let mean = self.mean_ns.load(Relaxed);
        self.mean_ns
            .store((mean * (MEAN_OF - 1) + newest) / MEAN_OF, Relaxed);
    }

    /// Whether syncs are quick.
    pub fn is_quick(&self) -> bool {
        self.mean_ns.load(Relaxed) <= nanos(QUICK)
    }
}

/// Whether all clients of a worker are such as wait for the log.
#[derive(Debug)]
pub struct Calm {
    /// A client was served last that waits for nothing.
    free: Instant,
}

impl Calm {
    /// Nothing is known yet.
    pub fn new(now: Instant) -> Calm {
        Calm { free: now }
    }

    /// A pass ends, in which all clients wait for the log, or not all. Whether it has been so for a while.
    pub fn pass(&mut self, only_waiting: bool, now: Instant) -> bool {
        if !only_waiting {
            self.free = now;
        }
        now.saturating_duration_since(self.free) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_ends_the_calm_for_a_while() {
        let began = Instant::now();
        let mut calm = Calm::new(began);
        let later = |ms| began + Duration::from_millis(ms);
        assert!(!calm.pass(true, later(99)));
        assert!(calm.pass(true, later(100)));
        assert!(!calm.pass(false, later(1000)));
        assert!(!calm.pass(true, later(1099)));
        assert!(calm.pass(true, later(1100)));
    }

    #[test]
    fn a_slow_sync_is_remembered_for_a_while() {
        let time = SyncTime::default();
        assert!(!time.is_quick(), "no sync has been seen");
        let quick = || time.took(Duration::from_micros(90));
        (0..64).for_each(|_| quick());
        assert!(time.is_quick());
        time.took(HUNG / 2);
        assert!(time.is_quick(), "one was late");
        (0..3).for_each(|_| time.took(HUNG / 2));
        assert!(!time.is_quick(), "all are");
        (0..64).for_each(|_| quick());
        assert!(time.is_quick());
        time.took(Duration::MAX);
        assert!(!time.is_quick());
        let back = (1..1000).find(|_| {
            quick();
            time.is_quick()
        });
        assert!(
            back.is_some_and(|syncs| (50..250).contains(&syncs)),
            "{back:?}"
        );
    }
}
