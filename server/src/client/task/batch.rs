//! Decoding and processing the requests in the query buffer.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use basalt_engine::Expected;
use basalt_engine::keyspace::Place;
use basalt_formats::resp::decode::{Limits, Progress, ProtocolError, Request};
use basalt_formats::resp::encode;
use bytes::Buf;
use smallvec::SmallVec;

use super::{Client, WRITE_CHUNK};
use crate::client::caller::Aside;
use crate::client::handle::signal;
use crate::client::process::{BatchTime, process};
use crate::client::{ReplyMode, Waiting};
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
    /// Paused for others on this thread.
    GivesWay,
    /// The client waits for something, or is being closed.
    Stalled,
    /// The client must be closed at once.
    Abort,
    /// The next request runs a script, which needs a stack of its own.
    Stack,
}

/// Requests decoded before the first of them is processed.
const AHEAD: usize = 16;

/// Arguments, and bytes of inline words, for which a decoded request keeps memory.
const KEEP_ARGS: usize = 64;
const KEEP_BYTES: usize = 1024;

/// A decoded request.
#[derive(Default)]
struct Slot {
    request: Request,
    /// An empty request stands before it.
    after_empty: bool,
    /// Where it starts and ends in the query buffer.
    start: usize,
    end: usize,
    /// Where its key probably is.
    place: Option<Place>,
}

/// The requests that are decoded and not yet processed. They never outlive a batch, so the
/// connections of a thread share one.
#[derive(Default)]
struct Window {
    requests: [Slot; AHEAD],
    len: usize,
    /// End of the last one in the query buffer, and of what is to be skipped after it.
    end: usize,
    /// Empty requests stand after the last one.
    empty_last: bool,
}

impl Window {
    /// Gives back what only long requests need.
    fn shrink(&mut self) {
        for slot in &mut self.requests[..self.len] {
            slot.request.shrink_to(KEEP_ARGS, KEEP_BYTES);
        }
    }
}

thread_local! {
    static WINDOW: Cell<Option<Box<Window>>> = const { Cell::new(None) };
}

/// Why no more requests were decoded.
enum End {
    Full,
    Drained,
    NeedMore(usize),
    Malformed(ProtocolError),
}

/// Why a window was not processed to its end.
enum Stop {
    /// The limits of requests are others now.
    Limits,
    Batch(Batch),
}

impl Client {
    fn limits(&self) -> Limits {
        let hot = &self.conn.server.hot;
        let max_bulk = usize::try_from(hot.max_bulk.load(Relaxed)).unwrap_or(usize::MAX);
        let authenticated = self.conn.authenticated || !hot.auth_required.load(Relaxed);
        Limits::new(max_bulk, authenticated)
    }

    /// Processes the complete requests in the buffer.
    pub(super) fn run_batch(&mut self, aside: Option<&dyn Aside>) -> Batch {
        if self.closing || self.held.is_some() || !matches!(self.waiting, Waiting::No) {
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
        let mut then = Waiting::No;
        let mut window = WINDOW.take().unwrap_or_default();
        let mut consumed = 0;
        let batch = loop {
            let limits = self.limits();
            let end = self.decode_ahead(&mut window, consumed, &limits);
            let (done, stopped) = self.run_window(&window, &limits, (&mut time, aside), &mut then);
            commands += done as u64;
            if let Some(last) = done.checked_sub(1) {
                consumed = window.requests[last].end;
            }
            if let Some(stopped) = stopped {
                // What was decoded beyond is decoded again later.
                self.decoder.reset();
                match stopped {
                    Stop::Limits => continue,
                    Stop::Batch(batch) => break batch,
                }
            }
            consumed = window.end;
            match end {
                End::Full => {}
                End::Drained => break Batch::Drained,
                End::NeedMore(hint) => {
                    self.lacking = hint.saturating_sub(self.buf.len() - consumed);
                    let want = self.lacking.min(MAX_RESERVE);
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
                End::Malformed(error) => {
                    self.refuse(error, consumed);
                    consumed = self.buf.len();
                    break Batch::Stalled;
                }
            }
        };
        window.shrink();
        WINDOW.set(Some(window));
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

    /// Decodes up to [`AHEAD`] requests from `from` on, and has the memory of their keys come.
    fn decode_ahead(&mut self, window: &mut Window, from: usize, limits: &Limits) -> End {
        window.len = 0;
        window.end = from;
        window.empty_last = false;
        // Before AUTH the limits of a request depend on the one before it.
        let most = if limits.authenticated { AHEAD } else { 1 };
        let end = loop {
            if window.len == most {
                break End::Full;
            }
            let rest = self.buf.get(window.end..).unwrap_or_default();
            if rest.is_empty() {
                break End::Drained;
            }
            match self.decoder.decode(rest, &mut self.request, limits) {
                Ok(Progress::Complete { consumed }) => {
                    let start = window.end;
                    window.end += consumed;
                    let slot = &mut window.requests[window.len];
                    std::mem::swap(&mut slot.request, &mut self.request);
                    (slot.start, slot.end) = (start, window.end);
                    slot.after_empty = std::mem::take(&mut window.empty_last);
                    window.len += 1;
                }
                Ok(Progress::Empty { consumed }) => {
                    window.end += consumed;
                    window.empty_last = true;
                }
                Ok(Progress::NeedMore { hint }) => break End::NeedMore(hint),
                Err(error) => break End::Malformed(error),
            }
        };
        if window.len > 1 {
            let (engine, db) = (&self.server.engine, self.session.db);
            let decoded = &mut window.requests[..window.len];
            for slot in &mut *decoded {
                let key = slot
                    .request
                    .get(1, self.buf.get(slot.start..).unwrap_or_default());
                slot.place = (!key.is_empty()).then(|| engine.expect(db, key));
            }
            for place in decoded.iter().filter_map(|slot| slot.place) {
                engine.approach(db, place);
            }
        } else if let Some(slot) = window.requests.first_mut() {
            slot.place = None;
        }
        end
    }

    /// Processes the requests of a window; how many were, and why it stopped before its end.
    fn run_window(
        &mut self,
        window: &Window,
        limits: &Limits,
        (time, aside): (&mut BatchTime, Option<&dyn Aside>),
        then: &mut Waiting,
    ) -> (usize, Option<Stop>) {
        for (at, slot) in window.requests[..window.len].iter().enumerate() {
            if at > 0 && self.limits() != *limits {
                return (at, Some(Stop::Limits));
            }
            if slot.after_empty {
                self.end_skip();
            }
            let rest = self.buf.get(slot.start..).unwrap_or_default();
            let args: SmallVec<[&[u8]; 16]> = slot.request.iter(rest).collect();
            self.session.expected = match (slot.place, args.get(1)) {
                (Some(place), Some(key)) => Some(Expected::new(key, place)),
                _ => None,
            };
            let waiting = process(
                &self.server,
                &mut self.session,
                &mut self.conn,
                &mut self.reply,
                &args,
                time,
                aside,
            );
            if self.conn.handle.signals() & signal::OUTBOX != 0 {
                self.conn.handle.drain_outbox(&mut self.reply.buf);
            }
            if let Waiting::Stack = waiting {
                return (at, Some(Stop::Batch(Batch::Stack)));
            }
            if let Waiting::Pause(_) = waiting {
                // The request stays in the buffer and is decoded again later.
                *then = waiting;
                return (at, Some(Stop::Batch(Batch::Stalled)));
            }
            let stopped = if self.conn.close_now {
                Batch::Abort
            } else if self.conn.close_after_reply {
                self.closing = true;
                Batch::Stalled
            } else if !matches!(waiting, Waiting::No) {
                *then = waiting;
                Batch::Stalled
            } else if std::mem::take(&mut self.conn.gives_way) {
                Batch::GivesWay
            } else if self.reply.buf.len() - self.written > WRITE_CHUNK {
                Batch::More
            } else {
                continue;
            };
            return (at + 1, Some(Stop::Batch(stopped)));
        }
        if window.empty_last {
            self.end_skip();
        }
        (window.len, None)
    }

    /// An empty request is the one whose reply CLIENT REPLY SKIP leaves out.
    fn end_skip(&mut self) {
        if self.conn.reply_mode == ReplyMode::Skip {
            self.conn.reply_mode = ReplyMode::On;
        }
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
