//! A client that waits: for keys, for a time, for the end of a pause.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::command::ctx::timed_out;
use basalt_engine::keyspace::blocked::{OnTimeout, Served, Waiter};
use basalt_engine::{Reply, ReplyError};

use super::Client;
use crate::client::handle::Unblock;
use crate::client::observe::finished_waiting;
use crate::client::{ReplyMode, SyncWait, Waiting};
use crate::persist::aof::durable::Until;
use crate::server::unix_ms;

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
/// How soon to try again what a slow script keeps from being tried.
const RETRY_MS: i64 = 20;
/// Longest sleep; a longer wait sleeps again.
const MAX_SLEEP_MS: u64 = 1 << 40;

impl Client {
    /// Begins to wait.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let deadline_ms = match &waiting {
            Waiting::Keys(waiter) => waiter.timer_ms(),
            Waiting::Until(until, _) => (*until != i64::MAX).then_some(*until),
            Waiting::Pause(until) => Some(*until),
            Waiting::Synced(wait) => wait.until_ms,
            Waiting::No | Waiting::Stack => None,
        };
        self.set_timer(deadline_ms);
        let handle = &self.conn.handle;
        let paused = matches!(waiting, Waiting::Pause(_));
        handle.paused.store(paused, Relaxed);
        handle.blocked.store(!paused, Relaxed);
        if let Waiting::Keys(waiter) = &waiting {
            *handle.waiter.lock() = Some(waiter.clone());
            // Who closed the client before this found no waiter to cancel.
            if handle.gone.load(Relaxed) {
                self.conn.server.engine.blocked.cancel(waiter);
            }
        }
        self.waiting = waiting;
        if let Waiting::Synced(_) = self.waiting {
            self.synced();
        }
    }

    /// A client in `WAITAOF` has what it waits for, or is put on the list for it.
    pub(super) fn synced(&mut self) {
        let Waiting::Synced(wait) = &self.waiting else {
            return;
        };
        let wait = *wait;
        let durable = &self.conn.server.persist.aof.durable;
        // With replicas to wait for, which there are none of, only the time ends it.
        if wait.local_only
            && (durable.has(wait.index, Until::Synced)
                || !durable.wait(wait.index, Until::Synced, &self.conn.handle))
        {
            let reply = self.synced_reply(wait);
            self.end_wait(&reply);
        }
    }

    fn synced_reply(&self, wait: SyncWait) -> Vec<u8> {
        let synced = self.conn.server.persist.aof.has_synced(wait.index);
        let mut out = Reply::new(self.session.resp);
        out.array(2);
        out.int(i64::from(synced));
        out.int(0);
        out.buf
    }

    fn set_timer(&mut self, deadline_ms: Option<i64>) {
        self.timer = deadline_ms.map(|at| {
            let left = u64::try_from(at.saturating_sub(unix_ms())).unwrap_or(0);
            Box::pin(tokio::time::sleep(Duration::from_millis(
                left.min(MAX_SLEEP_MS),
            )))
        });
    }

    /// Ends the wait without a reply.
    pub(super) fn stop_waiting(&mut self) {
        let handle = &self.conn.handle;
        handle.last_active_ms.store(unix_ms(), Relaxed);
        if let Waiting::Synced(_) = self.waiting {
            self.conn
                .server
                .persist
                .aof
                .durable
                .forget(Until::Synced, handle);
        }
        self.waiting = Waiting::No;
        self.timer = None;
        handle.paused.store(false, Relaxed);
        let mut unblock = handle.unblock.lock();
        *unblock = None;
        handle.blocked.store(false, Relaxed);
        drop(unblock);
        *handle.waiter.lock() = None;
    }

    /// Ends the wait with this reply.
    fn end_wait(&mut self, bytes: &[u8]) {
        let refused = self.refused.take();
        match self.conn.reply_mode {
            ReplyMode::On => self.reply.buf.extend_from_slice(bytes),
            ReplyMode::Off => {}
            ReplyMode::SkipNext => self.conn.reply_mode = ReplyMode::Skip,
            ReplyMode::Skip => self.conn.reply_mode = ReplyMode::On,
        }
        if let Waiting::Keys(waiter) = &self.waiting {
            self.session.log_index = self.session.log_index.max(waiter.log_index.load(Relaxed));
            if !refused {
                let args = waiter.args.slices();
                finished_waiting(&mut self.conn, waiter.command, &args, bytes);
            }
        }
        self.stop_waiting();
        let behind = self.conn.handle.take_behind_reply();
        self.reply.buf.extend_from_slice(&behind);
    }

    fn on_timeout(&self, on_timeout: OnTimeout) -> Vec<u8> {
        let mut out = Reply::new(self.session.resp);
        timed_out(&mut out, on_timeout);
        out.buf
    }

    fn unblocked_error(&self) -> Vec<u8> {
        let mut out = Reply::new(self.session.resp);
        out.error(&ReplyError::raw(UNBLOCKED));
        out.buf
    }

    /// The reply of a served waiter, if there is one.
    fn outcome(&self, waiter: &Waiter) -> Option<Vec<u8>> {
        match waiter.take_outcome()? {
            Served::Reply(bytes) => Some(bytes),
            Served::Refused(error) => {
                self.refused.set(true);
                self.conn.refused_waiting(waiter.command, &error);
                let mut out = Reply::new(self.session.resp);
                out.error(&error);
                Some(out.buf)
            }
            Served::TimedOut => Some(self.on_timeout(waiter.on_timeout)),
        }
    }

    /// A blocked command was served, or CLIENT UNBLOCK ended it.
    pub(super) fn unblocked(&mut self) {
        let forced = *self.conn.handle.unblock.lock();
        let reply = match &self.waiting {
            Waiting::Keys(waiter) => match forced {
                Some(how) if self.conn.server.engine.blocked.cancel(waiter) => Some(match how {
                    Unblock::Timeout => self.on_timeout(waiter.on_timeout),
                    Unblock::Error => self.unblocked_error(),
                }),
                _ => self.outcome(waiter),
            },
            Waiting::Until(_, bytes) => forced.map(|how| match how {
                Unblock::Timeout => bytes.clone(),
                Unblock::Error => {
                    self.conn.server.stats.count_error("UNBLOCKED");
                    self.unblocked_error()
                }
            }),
            Waiting::Synced(wait) => forced.map(|how| match how {
                Unblock::Timeout => self.synced_reply(*wait),
                Unblock::Error => {
                    self.conn.server.stats.count_error("UNBLOCKED");
                    self.unblocked_error()
                }
            }),
            Waiting::No | Waiting::Pause(_) | Waiting::Stack => None,
        };
        match reply {
            Some(reply) => self.end_wait(&reply),
            // Its command may have been tried in vain, and now has another time.
            None => {
                if let Waiting::Keys(waiter) = &self.waiting {
                    let timer_ms = waiter.timer_ms();
                    self.set_timer(timer_ms);
                }
            }
        }
    }

    /// Has a blocked command run again whose time for that has come, unless it is time to give
    /// up. Whether it is still to wait.
    fn retried(&mut self) -> bool {
        let Waiting::Keys(waiter) = &self.waiting else {
            return false;
        };
        let (waiter, now_ms) = (waiter.clone(), unix_ms());
        if waiter.deadline_ms.is_some_and(|at| at <= now_ms) {
            return false;
        }
        let due = waiter.timer_ms().is_some_and(|at| at <= now_ms);
        let done = !due || self.conn.server.engine.retry(&waiter, now_ms);
        if !waiter.is_waiting() {
            return false;
        }
        let timer_ms = if done {
            waiter.timer_ms()
        } else {
            Some(now_ms + RETRY_MS)
        };
        self.set_timer(timer_ms);
        true
    }

    /// The time of a wait is up.
    pub(super) fn deadline(&mut self) {
        if self.retried() {
            return;
        }
        let reply = match &self.waiting {
            Waiting::Keys(waiter) if self.conn.server.engine.blocked.cancel(waiter) => {
                Some(self.on_timeout(waiter.on_timeout))
            }
            Waiting::Keys(waiter) => self.outcome(waiter),
            Waiting::Until(until, bytes) => (*until <= unix_ms()).then(|| bytes.clone()),
            Waiting::Synced(wait) => {
                let over = wait.until_ms.is_none_or(|until| until <= unix_ms());
                over.then(|| self.synced_reply(*wait))
            }
            Waiting::Pause(_) | Waiting::No | Waiting::Stack => Some(Vec::new()),
        };
        match reply {
            Some(_)
                if matches!(
                    self.waiting,
                    Waiting::Pause(_) | Waiting::No | Waiting::Stack
                ) =>
            {
                self.stop_waiting();
            }
            Some(reply) => self.end_wait(&reply),
            // Being served at this moment, or the clock is behind the timer: look again soon.
            None => self.set_timer(Some(unix_ms() + 1)),
        }
    }
}
