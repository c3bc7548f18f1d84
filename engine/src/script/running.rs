//! The script that is running, as other threads see it: whether it is slow, which they are told
//! instead of waiting for it, and whether it is to be killed.
//!
//! There is at most one: see `keyspace/held.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ReplyError;
use crate::session::{OwnedArgs, WatchFlag, WatchedKey};

/// What is running. Its memory is kept from one to the next.
#[derive(Debug, Default)]
struct Run {
    /// When it began; `None` while nothing is running.
    started: Option<Instant>,
    /// SHA1 of the script, or name of the function.
    name: String,
    /// The request.
    command: OwnedArgs,
    eval: bool,
    /// A log is being replayed: what is in it is not stopped.
    replayed: bool,
    /// Watches to be ended with it.
    left: Vec<Left>,
}

/// What FUNCTION STATS tells of a running function.
#[derive(Debug)]
pub struct RunningFunction {
    /// Its name.
    pub name: String,
    /// The request that called it.
    pub command: OwnedArgs,
    /// For how long it has been running.
    pub elapsed: Duration,
}

/// The watches of a session that went away while a script held the shards.
pub(crate) type Left = (Arc<WatchFlag>, Vec<WatchedKey>);

const IDLE: u8 = 0;
const EVAL: u8 = 1;
const FUNCTION: u8 = 2;

const GO_ON: u8 = 0;
const KILLED: u8 = 1;
const TIMED_OUT: u8 = 2;

/// The script that is running, if any.
#[derive(Debug, Default)]
pub struct Running {
    run: Mutex<Run>,
    /// Which error others get while it is slow: of an EVAL or of a function; 0 while none is.
    slow: AtomicU8,
    stop: AtomicU8,
    wrote: AtomicBool,
    /// Until when a library may be loaded.
    load_until: Mutex<Option<Instant>>,
    /// `busy-reply-threshold` in milliseconds; 0 or less: never slow.
    pub busy_reply_threshold: AtomicI64,
}

/// Refused while an EVAL is slow.
const BUSY_EVAL: ReplyError = ReplyError(std::borrow::Cow::Borrowed(
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
));
/// Refused while a function is slow.
const BUSY_FUNCTION: ReplyError = ReplyError(std::borrow::Cow::Borrowed(
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
));

impl Running {
    /// The error for commands that may not run now, while a script is slow.
    #[inline]
    pub fn busy(&self) -> Option<ReplyError> {
        match self.slow.load(Ordering::Acquire) {
            IDLE => None,
            EVAL => Some(BUSY_EVAL),
            _ => Some(BUSY_FUNCTION),
        }
    }

    /// As [`Running::busy`], for a caller that found a script in its way.
    pub(crate) fn refusal(&self) -> ReplyError {
        self.busy().unwrap_or(BUSY_EVAL)
    }

    /// Whether a script is running.
    pub fn is_running(&self) -> bool {
        self.run.lock().started.is_some()
    }

    /// Whether a script is running and will end these watches when it ends.
    pub(crate) fn leave(&self, watches: impl FnOnce() -> Left) -> bool {
        let run = &mut *self.run.lock();
        if run.started.is_some() {
            run.left.push(watches());
        }
        run.started.is_some()
    }

    pub(super) fn begin(&self, name: &str, command: &[&[u8]], eval: bool, replayed: bool) {
        self.stop.store(GO_ON, Ordering::Relaxed);
        self.wrote.store(false, Ordering::Relaxed);
        let run = &mut *self.run.lock();
        run.started = Some(Instant::now());
        run.name.clear();
        run.name.push_str(name);
        run.command.clear();
        command.iter().for_each(|word| run.command.push(word));
        run.eval = eval;
        run.replayed = replayed;
    }

    /// The watches to be ended now.
    #[must_use]
    pub(super) fn end(&self) -> Vec<Left> {
        self.slow.store(IDLE, Ordering::Release);
        self.stop.store(GO_ON, Ordering::Relaxed);
        let run = &mut *self.run.lock();
        run.started = None;
        std::mem::take(&mut run.left)
    }

    /// Has the script end at once, whatever it has done: the process is going down.
    pub fn abandon(&self) {
        if self.is_running() {
            self.stop.store(KILLED, Ordering::Relaxed);
        }
    }

    /// Notes that the script is going to write: from now on it cannot be killed.
    pub(super) fn write(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    /// Whether the script has written.
    pub(super) fn wrote(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    /// Why what is running is to end, if it is.
    pub(super) fn stop(&self) -> Option<&'static str> {
        match self.stop.load(Ordering::Relaxed) {
            GO_ON => None,
            KILLED => Some("Script killed by user with SCRIPT KILL..."),
            _ => Some("FUNCTION LOAD timeout"),
        }
    }

    /// A library is going to be loaded, in at most this time.
    pub(super) fn begin_loading(&self, timeout: Option<Duration>) {
        self.stop.store(GO_ON, Ordering::Relaxed);
        *self.load_until.lock() = timeout.and_then(|time| Instant::now().checked_add(time));
    }

    pub(super) fn end_loading(&self) {
        *self.load_until.lock() = None;
        self.stop.store(GO_ON, Ordering::Relaxed);
    }

    /// Called now and then by the script itself; whether it is slow.
    pub(super) fn check(&self) -> bool {
        if self.slow.load(Ordering::Relaxed) != IDLE {
            return true;
        }
        let run = self.run.lock();
        let Some(started) = run.started else {
            drop(run);
            self.check_loading();
            return false;
        };
        let elapsed = started.elapsed();
        let threshold = self.busy_reply_threshold.load(Ordering::Relaxed);
        let limit = u64::try_from(threshold).unwrap_or(0);
        if limit == 0 || elapsed < Duration::from_millis(limit) {
            return false;
        }
        tracing::warn!(
            "Slow script detected: still in execution after {} milliseconds. You can try killing the script using the {} command. Script name is: {}.",
            elapsed.as_millis(),
            if run.eval {
                "SCRIPT KILL"
            } else {
                "FUNCTION KILL"
            },
            run.name
        );
        let which = if run.eval { EVAL } else { FUNCTION };
        self.slow.store(which, Ordering::Release);
        true
    }

    fn check_loading(&self) {
        let until = *self.load_until.lock();
        if until.is_some_and(|until| Instant::now() > until) {
            self.stop.store(TIMED_OUT, Ordering::Relaxed);
        }
    }

    /// SCRIPT KILL and FUNCTION KILL.
    ///
    /// # Errors
    /// Nothing is running, or what is running is of the other sort or has written.
    pub fn kill(&self, eval: bool) -> Result<(), ReplyError> {
        let run = self.run.lock();
        if run.started.is_none() {
            return Err(ReplyError::raw(
                "NOTBUSY No scripts in execution right now.",
            ));
        }
        if run.replayed {
            return Err(ReplyError::raw(
                "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed.",
            ));
        }
        if self.wrote() {
            return Err(ReplyError::raw(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        if eval && !run.eval {
            return Err(BUSY_FUNCTION);
        }
        if !eval && run.eval {
            return Err(BUSY_EVAL);
        }
        self.stop.store(KILLED, Ordering::Relaxed);
        tracing::info!("Lua script killed by user with SCRIPT KILL.");
        Ok(())
    }

    /// The function that is running.
    ///
    /// # Errors
    /// An EVAL is running instead.
    pub fn function(&self) -> Result<Option<RunningFunction>, ReplyError> {
        let run = self.run.lock();
        match run.started {
            None => Ok(None),
            Some(_) if run.eval => Err(BUSY_EVAL),
            Some(started) => Ok(Some(RunningFunction {
                name: run.name.clone(),
                command: run.command.clone(),
                elapsed: started.elapsed(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_not_written_is_killed() {
        let running = Running::default();
        assert!(
            running
                .kill(true)
                .expect_err("idle")
                .0
                .starts_with("NOTBUSY")
        );
        running.begin("f", &[b"FCALL", b"f", b"0"], false, false);
        assert_eq!(running.kill(true), Err(BUSY_FUNCTION));
        assert_eq!(running.kill(false), Ok(()));
        assert!(running.stop().is_some());
        assert!(running.end().is_empty());
        running.begin("sha", &[b"EVAL"], true, false);
        assert!(running.stop().is_none());
        assert_eq!(running.kill(false), Err(BUSY_EVAL));
        running.write();
        assert!(
            running
                .kill(true)
                .expect_err("wrote")
                .0
                .starts_with("UNKILLABLE")
        );
        assert!(running.end().is_empty());
    }

    #[test]
    fn a_script_is_slow_after_the_threshold_only() {
        let running = Running::default();
        running.begin("sha", &[b"EVAL"], true, false);
        assert!(!running.check() && running.busy().is_none());
        running.busy_reply_threshold.store(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(3));
        assert!(running.check());
        assert_eq!(running.busy(), Some(BUSY_EVAL));
        assert!(running.end().is_empty());
        assert_eq!(running.busy(), None);
    }
}
