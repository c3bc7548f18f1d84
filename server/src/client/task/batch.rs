//! Decoding and processing the requests in the query buffer.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use basalt_formats::resp::decode::{Limits, Progress, ProtocolError};
use basalt_formats::resp::encode;
use bytes::Buf;
use smallvec::SmallVec;

use super::{Client, WRITE_CHUNK};
use crate::client::Waiting;
use crate::client::handle::signal;
use crate::client::process::{BatchTime, process};
use crate::server::unix_ms;

/// Largest reservation made on the word of a client; more grows as it arrives.
const MAX_RESERVE: usize = 1 << 20;
/// Bytes of a malformed request that the log shows.
const SHOWN_BYTES: usize = 128;

/// How a batch of requests ended.
pub(super) enum Batch {
    /// Everything complete was processed.
    Drained,
    /// Paused to write.
    More,
    /// The client waits for something, or is being closed.
    Stalled,
    /// The client must be closed at once.
    Abort,
}

impl Client {
    fn limits(&self) -> Limits {
        let hot = &self.conn.server.hot;
        let max_bulk = usize::try_from(hot.max_bulk.load(Relaxed)).unwrap_or(usize::MAX);
        let authenticated = self.conn.authenticated || !hot.auth_required.load(Relaxed);
        Limits::new(max_bulk, authenticated)
    }

    /// Processes the complete requests in the buffer.
    pub(super) fn run_batch(&mut self) -> Batch {
        if self.closing || !matches!(self.waiting, Waiting::No) {
            return Batch::Stalled;
        }
        if self.buf.is_empty() || self.starved {
            return Batch::Drained;
        }
        self.publish_query_facts();
        let mut time = BatchTime {
            now_ms: unix_ms(),
            instant: Instant::now(),
        };
        let began = time.instant;
        let mut commands = 0;
        let mut consumed = 0;
        let mut then = Waiting::No;
        let batch = loop {
            let limits = self.limits();
            let rest = self.buf.get(consumed..).unwrap_or_default();
            if rest.is_empty() {
                break Batch::Drained;
            }
            match self.decoder.decode(rest, &mut self.request, &limits) {
                Ok(Progress::Complete { consumed: used }) => {
                    commands += 1;
                    let args: SmallVec<[&[u8]; 16]> = self.request.iter(rest).collect();
                    let waiting = process(
                        &self.server,
                        &mut self.session,
                        &mut self.conn,
                        &mut self.reply,
                        &args,
                        &mut time,
                    );
                    if self.conn.handle.signals() & signal::OUTBOX != 0 {
                        self.conn.handle.drain_outbox(&mut self.reply.buf);
                    }
                    if let Waiting::Pause(_) = waiting {
                        // The request stays in the buffer and is decoded again later.
                        self.decoder.reset();
                        then = waiting;
                        break Batch::Stalled;
                    }
                    consumed += used;
                    if self.conn.close_now {
                        break Batch::Abort;
                    }
                    if self.conn.close_after_reply {
                        self.closing = true;
                        break Batch::Stalled;
                    }
                    if !matches!(waiting, Waiting::No) {
                        then = waiting;
                        break Batch::Stalled;
                    }
                    if self.reply.buf.len() - self.written > WRITE_CHUNK {
                        break Batch::More;
                    }
                }
                Ok(Progress::Empty { consumed: used }) => consumed += used,
                Ok(Progress::NeedMore { hint }) => {
                    let want = hint.saturating_sub(rest.len()).min(MAX_RESERVE);
                    if consumed > 0 {
                        self.buf.advance(consumed);
                        consumed = 0;
                    }
                    self.starved = true;
                    if want > 1 {
                        self.buf.reserve(want);
                    }
                    break Batch::Drained;
                }
                Err(error) => {
                    self.refuse(error, consumed);
                    consumed = self.buf.len();
                    break Batch::Stalled;
                }
            }
        };
        // The instant is that of the end of the last command.
        let nanos = u64::try_from((time.instant - began).as_nanos()).unwrap_or(u64::MAX);
        self.conn.worker.cycle(nanos, commands);
        if consumed == self.buf.len() {
            self.buf.clear();
        } else {
            self.buf.advance(consumed);
        }
        if !matches!(then, Waiting::No) {
            self.wait(then);
        }
        batch
    }

    /// Answers a malformed request; the connection is closed after that.
    fn refuse(&mut self, error: ProtocolError, at: usize) {
        let server = &self.conn.server;
        let mut text = b"ERR Protocol error: ".to_vec();
        error.append_to(&mut text);
        encode::error(&mut self.reply.buf, &text);
        server.stats.count_error("ERR");
        self.closing = true;
        let rest = self.buf.get(at..).unwrap_or_default();
        let shown: String = rest
            .iter()
            .take(SHOWN_BYTES)
            .map(|&byte| match byte {
                b' '..=b'~' => char::from(byte),
                _ => '.',
            })
            .collect();
        tracing::debug!(
            "Protocol error ({error}) from client: {}. Query buffer during protocol error: '{shown}'{}",
            server.describe(&self.conn.handle),
            if rest.len() > SHOWN_BYTES {
                format!(" (... more {} bytes)", rest.len() - SHOWN_BYTES)
            } else {
                String::new()
            }
        );
    }
}
