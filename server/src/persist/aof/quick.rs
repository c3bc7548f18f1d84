//! Whether a thread that serves clients may sync the log by itself under `appendfsync always`.
//!
//! To hand a sync to the writer thread costs two switches of threads, more than a quick disk takes
//! for the sync, and it pays for those who are served meanwhile. So a worker syncs by itself when
//! there are none: for a while all its clients were such as wait for the log. Another writer that
//! comes meanwhile would have to wait for the next sync anyway; a reader that comes out of a silence
//! waits for one quick sync, and then none is made here for a while.

use std::time::{Duration, Instant};

/// A sync that takes longer is left to the writer thread: some ten requests could be served.
const QUICK: Duration = Duration::from_micros(300);
/// Clients that wait for nothing must not have been seen for this long.
const SILENCE: Duration = Duration::from_millis(100);
/// The share of the newest sync in the mean is one of this.
const MEAN_OF: u32 = 16;

/// What is known of syncs and clients.
#[derive(Debug)]
pub struct Quick {
    /// Mean of how long syncs took lately; slow until shown otherwise.
    mean: Duration,
    /// A client was served last that waits for nothing.
    free: Instant,
}

impl Quick {
    /// Nothing is known yet.
    pub fn new(now: Instant) -> Quick {
        Quick {
            mean: QUICK * 4,
            free: now,
        }
    }

    /// A sync took so long.
    pub fn took(&mut self, time: Duration) {
        // A disk that hung for an hour is no slower than one that hung for a second.
        let time = time.min(Duration::from_secs(1));
        self.mean = (self.mean * (MEAN_OF - 1) + time) / MEAN_OF;
    }

    /// A worker's pass ends, in which all clients wait for the log, or not all. Whether the worker
    /// may sync.
    pub fn pass(&mut self, only_waiting: bool, now: Instant) -> bool {
        if !only_waiting {
            self.free = now;
        }
        self.mean <= QUICK && now.saturating_duration_since(self.free) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_syncs_among_writers_are_made_by_a_worker() {
        let began = Instant::now();
        let mut quick = Quick::new(began);
        let later = |ms| began + Duration::from_millis(ms);
        assert!(!quick.pass(true, later(500)), "no sync has been seen");
        for _ in 0..64 {
            quick.took(Duration::from_micros(90));
        }
        assert!(!quick.pass(true, later(99)), "readers are only just gone");
        assert!(quick.pass(true, later(100)));
        assert!(!quick.pass(false, later(1000)), "a reader");
        assert!(!quick.pass(true, later(1099)));
        assert!(quick.pass(true, later(1100)));
    }

    #[test]
    fn one_slow_sync_ends_it_and_quick_ones_begin_it_again() {
        let began = Instant::now();
        let mut quick = Quick::new(began);
        let calm = began + SILENCE;
        for _ in 0..64 {
            quick.took(Duration::from_micros(90));
        }
        assert!(quick.pass(true, calm));
        quick.took(Duration::MAX);
        assert!(!quick.pass(true, calm));
        let back = (1..1000).find(|_| {
            quick.took(Duration::from_micros(90));
            quick.pass(true, calm)
        });
        assert!(
            back.is_some_and(|syncs| (50..250).contains(&syncs)),
            "{back:?}"
        );
    }
}
