//! CLIENT PAUSE: holding back commands until a time.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use crate::client::handle::signal;
use crate::server::Server;

/// What is held back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// Commands that write.
    Write,
    /// All commands.
    All,
}

/// The pause in force.
#[derive(Default)]
pub struct Pause {
    until: Mutex<Option<(i64, Mode)>>,
}

impl Pause {
    /// Until when commands of this kind wait, Unix milliseconds.
    pub fn holds(&self, writes: bool, now_ms: i64) -> Option<i64> {
        let (until, mode) = (*self.until.lock())?;
        (now_ms < until && (mode == Mode::All || writes)).then_some(until)
    }
}

impl Server {
    /// Pauses; a running pause is only ever made longer or stricter.
    pub fn pause_clients(&self, until_ms: i64, mode: Mode) {
        let mut current = self.pause.until.lock();
        *current = Some(match *current {
            Some((until, old)) if until > crate::server::unix_ms() => {
                (until.max(until_ms), old.max(mode))
            }
            _ => (until_ms, mode),
        });
        self.hot.paused.store(true, Relaxed);
        self.engine.settings.keep_expired.store(true, Relaxed);
    }

    /// Ends the pause and lets everyone go on.
    pub fn unpause_clients(&self) {
        *self.pause.until.lock() = None;
        self.hot.paused.store(false, Relaxed);
        self.engine.settings.keep_expired.store(false, Relaxed);
        self.resume_clients();
    }

    /// Ends the pause if its time is over; called by the cron.
    pub fn end_pause_if_due(&self, now_ms: i64) {
        if !self.hot.paused.load(Relaxed) {
            return;
        }
        let mut until = self.pause.until.lock();
        if until.is_none_or(|(until, _)| now_ms >= until) {
            *until = None;
            self.hot.paused.store(false, Relaxed);
            self.engine.settings.keep_expired.store(false, Relaxed);
            drop(until);
            self.resume_clients();
        }
    }

    fn resume_clients(&self) {
        for handle in self.clients.all() {
            handle.raise(signal::RESUMED);
        }
    }
}
