//! `client-output-buffer-limit` and `timeout`: clients that are closed for what they do not do.

use std::sync::atomic::Ordering::Relaxed;

use crate::client::Conn;
use crate::client::handle::{Handle, signal};
use crate::server::Server;

impl Server {
    /// Whether the pending output of a client is beyond the limits of its class; counts and
    /// logs if so.
    pub fn output_limit_exceeded(&self, handle: &Handle, pending: usize, now_ms: i64) -> bool {
        let class = handle.class() as usize;
        let pending = pending as u64;
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
            self.stats
                .output_buffer_disconnections
                .fetch_add(1, Relaxed);
            tracing::warn!(
                "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
                handle.id,
                handle.addr
            );
        }
        exceeded
    }

    /// Closes clients beyond their limits or idle for too long; called by the cron.
    pub fn check_clients(&self, now_ms: i64) {
        let timeout_s = i64::from(self.config.load().timeout);
        for handle in self.clients.all() {
            let pending = handle.pending_bytes.load(Relaxed);
            if pending > 0
                && handle.signals() & signal::KILL == 0
                && self.output_limit_exceeded(&handle, pending, now_ms)
            {
                handle.raise(signal::KILL);
                continue;
            }
            let idle = now_ms - handle.last_active_ms.load(Relaxed);
            let exempt = handle.blocked.load(Relaxed)
                || handle.subscriptions() > 0
                || handle.monitor.load(Relaxed);
            if timeout_s > 0 && !exempt && idle / 1000 > timeout_s {
                tracing::debug!("Closing idle client id={}", handle.id);
                handle.raise(signal::KILL);
            }
        }
    }

    /// Removes every trace of a client that is gone.
    pub fn forget_client(&self, conn: &mut Conn) {
        self.pubsub.forget(conn);
        if conn.handle.monitor.load(Relaxed) {
            let left = self.monitors.remove(conn.handle.id);
            self.hot.monitoring.store(left, Relaxed);
        }
        self.clients.remove(conn.handle.id);
    }
}
