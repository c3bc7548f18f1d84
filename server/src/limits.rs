//! `client-output-buffer-limit`, `timeout`, idle buffers: what is done to clients from outside.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::client::Conn;
use crate::client::describe::Output;
use crate::client::handle::{Handle, signal};
use crate::server::{Server, unix_ms};

impl Server {
    /// Whether the pending output of a client is beyond the limits of its class; counts and
    /// logs if so.
    pub fn output_limit_exceeded(&self, handle: &Handle, pending: usize, now_ms: i64) -> bool {
        let class = handle.class() as usize;
        let pending = Output::of(pending).rest as u64;
        let hard = self.hot.output_hard[class].load(Relaxed);
        let soft = self.hot.output_soft[class].load(Relaxed);
        let mut exceeded = hard != 0 && pending >= hard;
        if soft != 0 && pending >= soft {
            let since = handle.soft_since_ms.load(Relaxed);
            if since == 0 {
                handle.soft_since_ms.store(now_ms, Relaxed);
            } else {
                let seconds = self.hot.output_soft_seconds[class].load(Relaxed);
                exceeded |= now_ms - since
                    > i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            }
        } else {
            handle.soft_since_ms.store(0, Relaxed);
        }
        if exceeded {
            self.count_overrun(handle);
        }
        exceeded
    }

    /// Counts and logs a client that is closed because of its output limits.
    pub fn count_overrun(&self, handle: &Handle) {
        self.stats
            .output_buffer_disconnections
            .fetch_add(1, Relaxed);
        tracing::warn!(
            "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
            self.describe(handle)
        );
    }

    /// The line of a client for the log.
    pub fn describe(&self, handle: &Handle) -> String {
        let line = handle.describe(self.engine.registry, unix_ms());
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Closes a client from outside. When this returns it is in no list, gets no messages, and
    /// no blocked command of it can be served any more.
    pub fn close_client(&self, handle: &Handle) {
        handle.close();
        let waiter = handle.waiter.lock().take();
        if let Some(waiter) = waiter {
            self.engine.blocked.cancel(&waiter);
        }
        self.clients.remove(handle.id);
    }

    /// Closes clients beyond their limits or idle for too long, and has large unused buffers
    /// given back; called by the cron.
    pub fn check_clients(&self, now_ms: i64) {
        let timeout_s = i64::from(self.config.load().timeout);
        for handle in self.clients.all() {
            let pending = handle.pending();
            if pending > 0 && self.output_limit_exceeded(&handle, pending, now_ms) {
                self.close_client(&handle);
                continue;
            }
            let idle_ms = now_ms - handle.last_active_ms.load(Relaxed);
            let exempt = handle.blocked.load(Relaxed)
                || handle.paused.load(Relaxed)
                || handle.subscriptions() > 0
                || handle.monitor.load(Relaxed);
            if timeout_s > 0 && !exempt && idle_ms / 1000 > timeout_s {
                tracing::debug!("Closing idle client");
                self.close_client(&handle);
                continue;
            }
            if handle.wastes_memory(idle_ms, self.hot.reply_idle_ms()) {
                handle.raise(signal::SHRINK);
            }
        }
    }

    /// Removes every trace of a client that is gone.
    pub fn forget_client(&self, conn: &mut Conn) {
        let handle = conn.handle.clone();
        handle.gone.store(true, SeqCst);
        self.pubsub.forget(conn);
        self.stop_monitoring(&handle);
        self.stop_tracking(&handle);
        self.clients.remove(handle.id);
        self.client_memory.dropped(&handle);
        handle.discard();
    }
}
