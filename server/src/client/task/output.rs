//! Writing replies, the limits on buffers, and the facts that CLIENT LIST shows.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::{Client, WRITE_CHUNK};
use crate::client::Waiting;
use crate::server::unix_ms;
use crate::stats::bump;

/// Reply buffers above this are given back as soon as they are empty.
const KEEP_BUFFER: usize = 64 * 1024;
/// The same for clients that are told of keys that go, which must not keep the memory of these.
const KEEP_TRACKING: usize = 4 * 1024;
/// Output an unauthenticated client may leave unread.
const UNAUTHENTICATED_OUTPUT: usize = 16 * 1024;

impl Client {
    /// Reply bytes that are not sent yet.
    pub(super) fn pending(&self) -> usize {
        self.reply.buf.len() - self.written
    }

    /// Counts bytes that the socket took, and frees them once that is worth moving the rest.
    pub(super) fn sent(&mut self, n: usize) {
        self.written += n;
        bump(&self.conn.worker.net_out, n as u64);
        bump(&self.conn.worker.writes, 1);
        bump(&self.conn.handle.net_out, n as u64);
        self.conn.handle.last_active_ms.store(unix_ms(), Relaxed);
        if self.pending() == 0 {
            self.reply.buf.clear();
            self.written = 0;
            self.conn.handle.sent_all();
            let keep = match self.conn.handle.tracks.load(Relaxed) {
                true => KEEP_TRACKING,
                false => KEEP_BUFFER,
            };
            if self.reply.buf.capacity() > keep {
                self.reply.buf = Vec::new();
            }
        } else if self.written > WRITE_CHUNK && self.written >= self.pending() {
            self.reply.buf.drain(..self.written);
            self.written = 0;
        }
        self.conn.handle.reply_bytes.store(self.pending(), Relaxed);
    }

    /// Writes what can be written without waiting; false: the connection is gone.
    pub(super) fn flush_now(&mut self) -> bool {
        while self.pending() > 0 && self.held.is_none() {
            let unsent = self.reply.buf.get(self.written..).unwrap_or_default();
            match self.stream.try_write(unsent) {
                Ok(0) => return false,
                Ok(n) => self.sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Stores what CLIENT LIST shows of the query buffer.
    pub(super) fn publish_query_facts(&self) {
        let handle = &self.conn.handle;
        // Words of a request that is not whole count as its arguments.
        let used = self.buf.len().saturating_sub(self.decoder.delimited());
        let free = self.buf.capacity() - self.buf.len();
        handle.query_bytes.store(used, Relaxed);
        handle.query_free.store(free, Relaxed);
        if used > handle.query_peak.load(Relaxed) {
            handle.query_peak.store(used, Relaxed);
        }
    }

    /// Stores what CLIENT LIST shows.
    pub(super) fn publish_facts(&self) {
        let handle = &self.conn.handle;
        self.conn.publish_session(&self.session);
        self.publish_query_facts();
        handle.reply_peak.store(self.reply.buf.len(), Relaxed);
        self.publish_output_facts();
        let argv = match &self.waiting {
            Waiting::Keys(waiter) => waiter.args.heap_bytes(),
            _ => self.decoder.delimited(),
        };
        handle.argv_bytes.store(argv, Relaxed);
    }

    /// Stores what CLIENT LIST shows of the output.
    pub(super) fn publish_output_facts(&self) {
        let handle = &self.conn.handle;
        handle
            .reply_capacity
            .store(self.reply.buf.capacity(), Relaxed);
        handle.reply_bytes.store(self.pending(), Relaxed);
    }

    /// Checks the limits on buffers; true: close now.
    pub(super) fn over_limits(&mut self) -> bool {
        let server = &self.conn.server;
        let pending = self.pending();
        if self.buf.len() as u64 > server.hot.query_buffer_limit.load(Relaxed) {
            tracing::warn!(
                "Closing client that reached max query buffer length: {}",
                server.describe(&self.conn.handle)
            );
            server
                .stats
                .query_buffer_disconnections
                .fetch_add(1, Relaxed);
            return true;
        }
        if pending == 0 {
            self.conn.handle.soft_since_ms.store(0, Relaxed);
            return false;
        }
        if pending > UNAUTHENTICATED_OUTPUT
            && !self.conn.authenticated
            && server.hot.auth_required.load(Relaxed)
        {
            server
                .stats
                .output_buffer_disconnections
                .fetch_add(1, Relaxed);
            return true;
        }
        server.output_limit_exceeded(&self.conn.handle, pending, unix_ms())
    }
}
