//! How far the log is on the disk, and the clients that wait for it.
//!
//! Positions are commit indexes of the engine's log. A client whose command wrote holds its
//! replies until the *gate* has passed the newest effect of its session: under `appendfsync
//! always` the gate is what is synced, otherwise what the kernel has, which survives the death
//! of the process. While nothing is promised (the log is off, or its first base is not there
//! yet) the gate is open.
//!
//! A client that waits stands in a list with its position: of its worker if that has passes (see
//! `pass`), which is woken once for all of them, or here. Whoever moves the gate raises a signal
//! for those that have been reached, and nobody polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::task::Waker;

use parking_lot::Mutex;

use crate::client::handle::{Handle, signal};

/// The gate of a log that promises nothing.
const OPEN: u64 = u64::MAX;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Its replies may leave.
    Promised,
    /// Its writes are synced (`WAITAOF`).
    Synced,
}

struct Waiting {
    index: u64,
    until: Until,
    handle: Arc<Handle>,
}

/// How far the log is.
pub struct Durable {
    gate: AtomicU64,
    synced: AtomicU64,
    waiting: Mutex<Vec<Waiting>>,
    /// Workers that are to be woken when the gate comes so far.
    workers: Mutex<Vec<(u64, Waker)>>,
}

impl Default for Durable {
    fn default() -> Durable {
        Durable {
            gate: AtomicU64::new(OPEN),
            synced: AtomicU64::new(0),
            waiting: Mutex::default(),
            workers: Mutex::default(),
        }
    }
}

impl std::fmt::Debug for Durable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Durable")
            .field("gate", &self.gate)
            .field("synced", &self.synced)
            .finish_non_exhaustive()
    }
}

impl Durable {
    /// Whether what a client waits for is there.
    #[inline]
    pub fn has(&self, index: u64, until: Until) -> bool {
        let reached = match until {
            Until::Promised => &self.gate,
            Until::Synced => &self.synced,
        };
        index <= reached.load(Acquire)
    }

    /// Has the client woken when it is there; false if it is already.
    pub fn wait(&self, index: u64, until: Until, handle: &Arc<Handle>) -> bool {
        let mut waiting = self.waiting.lock();
        // Under the lock: whoever moves on looks at the list after that.
        if self.has(index, until) {
            return false;
        }
        waiting.push(Waiting {
            index,
            until,
            handle: handle.clone(),
        });
        true
    }

    /// Has a worker woken, once, when the gate comes to this index, and no earlier index it asked
    /// for; false if it is there already.
    pub fn wake_at(&self, index: u64, worker: &Waker) -> bool {
        let mut workers = self.workers.lock();
        // Under the lock: whoever moves on looks at the list after that.
        if self.has(index, Until::Promised) {
            return false;
        }
        match workers.iter_mut().find(|(_, one)| one.will_wake(worker)) {
            Some((at, _)) => *at = index,
            None => workers.push((index, worker.clone())),
        }
        true
    }

    /// The client waits no more for this.
    pub fn forget(&self, until: Until, handle: &Arc<Handle>) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|one| one.until != until || !Arc::ptr_eq(&one.handle, handle));
    }

    /// Moves on. A gate of `None` is open.
    pub fn reached(&self, gate: Option<u64>, synced: u64) {
        let gate = gate.unwrap_or(OPEN);
        if self.gate.load(Relaxed) == gate && self.synced.load(Relaxed) == synced {
            return;
        }
        self.gate.store(gate, Release);
        self.synced.store(synced, Release);
        self.workers.lock().retain(|(index, worker)| {
            let there = self.has(*index, Until::Promised);
            if there {
                worker.wake_by_ref();
            }
            !there
        });
        let mut waiting = self.waiting.lock();
        waiting.retain(|one| {
            let there = self.has(one.index, one.until);
            if there {
                one.handle.raise(signal::DURABLE);
            }
            !there
        });
    }

    /// Clients that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> Arc<Handle> {
        let at = || "127.0.0.1:1".to_owned();
        Arc::new(Handle::new(1, at(), at(), 0, false, true, 0))
    }

    #[test]
    fn those_that_are_reached_are_woken_and_no_others() {
        let durable = Durable::default();
        let [one, two, sync] = [handle(), handle(), handle()];
        assert!(!durable.wait(5, Until::Promised, &one), "the gate is open");
        durable.reached(Some(4), 3);
        assert!(!durable.wait(4, Until::Promised, &one));
        assert!(durable.wait(5, Until::Promised, &one));
        assert!(durable.wait(6, Until::Promised, &two));
        assert!(durable.wait(4, Until::Synced, &sync));
        durable.reached(Some(5), 3);
        let woken = |handle: &Handle| handle.signals() & signal::DURABLE != 0;
        assert!(woken(&one) && !woken(&two) && !woken(&sync));
        durable.reached(Some(5), 4);
        assert!(woken(&sync) && !woken(&two));
        assert_eq!(durable.waiting(), 1);
        durable.reached(None, 4);
        assert!(woken(&two));
        assert_eq!(durable.waiting(), 0);
    }

    #[test]
    fn who_went_away_is_forgotten() {
        let durable = Durable::default();
        let one = handle();
        durable.reached(Some(0), 0);
        assert!(durable.wait(1, Until::Promised, &one));
        durable.forget(Until::Synced, &one);
        assert_eq!(durable.waiting(), 1);
        durable.forget(Until::Promised, &one);
        assert_eq!(durable.waiting(), 0);
    }
}
