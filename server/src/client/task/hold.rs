//! Replies that must not leave before the log has what they speak of.
//!
//! After each batch of requests, a client whose commands wrote holds everything it has to say
//! until the log's gate has passed its newest effect: once for a whole pipeline. Meanwhile it
//! reads and processes nothing, so what it may have under way in the log is bounded by its
//! query buffer; other clients go on.

use std::sync::atomic::Ordering::Relaxed;

use super::Client;
use crate::client::Waiting;
use crate::persist::aof::durable::Until;
use crate::persist::aof::pass;

impl Client {
    /// Begins to hold what there is to say, if need be.
    pub(super) fn hold(&mut self) {
        let index = self.session.log_index;
        let aof = &self.conn.server.persist.aof;
        let served = std::mem::take(&mut self.served);
        if self.held.is_some() {
            return;
        }
        if aof.durable.has(index, Until::Promised) {
            if served {
                pass::goes_on();
            }
            return;
        }
        // Without a reply there is nothing to hold, unless it writes faster than the disk.
        if self.pending() == 0 && !aof.is_overrun() {
            return;
        }
        let handle = &self.conn.handle;
        if pass::hold(index, handle) || aof.durable.wait(index, Until::Promised, handle) {
            self.held = Some(index);
            aof.held.fetch_add(1, Relaxed);
        }
    }

    /// The log has moved on.
    pub(super) fn durable(&mut self) {
        let durable = &self.conn.server.persist.aof.durable;
        if let Some(index) = self.held
            && (durable.has(index, Until::Promised)
                || !durable.wait(index, Until::Promised, &self.conn.handle))
        {
            self.release();
        }
        if let Waiting::Synced(_) = self.waiting {
            self.synced();
        }
    }

    fn release(&mut self) {
        if self.held.take().is_some() {
            self.conn.server.persist.aof.held.fetch_sub(1, Relaxed);
        }
    }

    /// The client goes away.
    pub(super) fn forget_hold(&mut self) {
        let durable = &self.conn.server.persist.aof.durable;
        if let Waiting::Synced(_) = self.waiting {
            durable.forget(Until::Synced, &self.conn.handle);
        }
        if self.held.is_some() {
            durable.forget(Until::Promised, &self.conn.handle);
            self.release();
        }
    }
}
