//! That the data set is being loaded: what clients are told meanwhile, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_engine::snapshot::Progress;
use parking_lot::Mutex;

use crate::server::{Server, unix_ms};

/// One load of a data set.
#[derive(Debug)]
pub struct Round {
    /// When it began.
    pub began: Instant,
    /// The same, Unix seconds.
    pub began_s: i64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes of the files that are done.
    pub files_done: AtomicU64,
    /// How far the file in hand is; its `cancel` ends the round.
    pub progress: Progress,
}

impl Round {
    /// Bytes loaded so far.
    pub fn loaded_bytes(&self) -> u64 {
        let bytes = self.files_done.load(Relaxed) + self.progress.bytes.load(Relaxed);
        bytes.min(self.total_bytes)
    }

    /// Counts the file in hand as done.
    pub fn next_file(&self, bytes: u64) {
        self.progress.bytes.store(0, Relaxed);
        self.files_done.fetch_add(bytes, Relaxed);
    }

    /// Whether the load is to end early, because the process does.
    pub fn is_cancelled(&self) -> bool {
        self.progress.cancel.load(Relaxed)
    }

    /// How much is loaded, in percent.
    pub fn percent(&self) -> f64 {
        match self.total_bytes {
            0 => 0.0,
            total => self.loaded_bytes() as f64 / total as f64 * 100.0,
        }
    }

    /// A guess at the seconds left.
    pub fn eta_seconds(&self) -> u64 {
        let elapsed = self.began.elapsed().as_secs();
        if elapsed == 0 {
            return 1;
        }
        let loaded = self.loaded_bytes();
        elapsed.saturating_mul(self.total_bytes - loaded) / (loaded + 1)
    }
}

/// Loading, past and present.
#[derive(Debug, Default)]
pub struct Loading {
    current: Mutex<Option<Arc<Round>>>,
    /// Keys past their time that the last load left out.
    pub expired: AtomicU64,
    /// Keys of the last load.
    pub loaded: AtomicU64,
}

impl Loading {
    /// The load that is under way.
    pub fn current(&self) -> Option<Arc<Round>> {
        self.current.lock().clone()
    }

    /// Has the load end early; whether there is one.
    pub fn cancel(&self) -> bool {
        let current = self.current.lock();
        if let Some(round) = &*current {
            round.progress.cancel.store(true, Relaxed);
        }
        current.is_some()
    }
}

impl Server {
    /// From now on clients are told to wait, until [`Server::loading_ends`].
    pub fn loading_begins(&self, total_bytes: u64) -> Arc<Round> {
        let round = Arc::new(Round {
            began: Instant::now(),
            began_s: unix_ms() / 1000,
            total_bytes,
            files_done: AtomicU64::new(0),
            progress: Progress::default(),
        });
        *self.persist.loading.current.lock() = Some(round.clone());
        self.hot.loading.store(true, Relaxed);
        round
    }

    /// The data is complete.
    pub fn loading_ends(&self) {
        *self.persist.loading.current.lock() = None;
        self.hot.loading.store(false, Relaxed);
    }

    /// Spends the time that `key-load-delay` asks for after this many keys: for tests that need
    /// a slow load. The directive is read anew while waiting.
    pub(super) fn delay_load(&self, round: &Round, keys: u64) {
        let slept = Instant::now();
        loop {
            let delay = self.config.load().key_load_delay;
            let wanted = delay_for(delay, keys);
            let left = wanted.saturating_sub(slept.elapsed());
            if left.is_zero() || round.is_cancelled() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
    }
}

/// What a delay directive means for this many keys: microseconds for each, or, when negative,
/// one microsecond for so many.
pub(super) fn delay_for(delay: i32, keys: u64) -> Duration {
    let share = u64::from(delay.unsigned_abs());
    let us = match delay {
        0 => 0,
        ..0 => keys / share,
        _ => keys.saturating_mul(share),
    };
    Duration::from_micros(us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        let us = |delay, keys| delay_for(delay, keys).as_micros();
        assert_eq!(us(0, 1000), 0);
        assert_eq!(us(50, 1000), 50_000);
        assert_eq!(us(-10, 1000), 100);
        assert_eq!(us(i32::MIN, u64::MAX), u128::from(u64::MAX >> 31));
    }

    #[test]
    fn a_round_never_shows_more_than_all() {
        let round = Round {
            began: Instant::now(),
            began_s: 0,
            total_bytes: 200,
            files_done: AtomicU64::new(0),
            progress: Progress::default(),
        };
        round.progress.bytes.store(50, Relaxed);
        assert!((round.percent() - 25.0).abs() < 1e-9);
        round.next_file(100);
        assert_eq!(round.loaded_bytes(), 100);
        round.progress.bytes.store(500, Relaxed);
        assert_eq!(round.loaded_bytes(), 200);
        assert_eq!(round.eta_seconds(), 1);
    }
}
