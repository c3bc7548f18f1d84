//! The task of a connection: reads, processes what is complete, writes, waits.
//!
//! One future polls everything the client may wait for (socket readable, pending output
//! writable, a signal from another thread, a deadline), so an idle connection costs one
//! registered waker and nothing else. Replies of a batch leave in one write.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Sleep;

use basalt_engine::command::ctx::timed_out;
use basalt_engine::keyspace::blocked::Served;
use basalt_engine::{Reply, ReplyError, Session};
use basalt_formats::resp::decode::{Decoder, Limits, Progress, Request};

use super::handle::{Handle, Unblock, signal};
use super::process::{BatchTime, process};
use super::{Conn, Waiting};
use crate::net::stream::Stream;
use crate::server::{Server, unix_ms};
use crate::stats::{WorkerStats, bump};

/// Free space wanted in the query buffer before a read.
const READ_CHUNK: usize = 16 * 1024;
/// Output that makes a batch pause to write.
const WRITE_CHUNK: usize = 256 * 1024;
/// Largest reservation made on the word of a client; more grows as it arrives.
const MAX_RESERVE: usize = 1 << 20;
/// Output an unauthenticated client may leave unread.
const UNAUTHENTICATED_OUTPUT: usize = 16 * 1024;
/// Idle buffers above this are given back.
const KEEP_BUFFER: usize = 64 * 1024;

enum Event {
    Read(std::io::Result<usize>),
    Written,
    WriteFailed,
    Signal,
    Deadline,
}

enum Batch {
    /// Everything complete was processed.
    Drained,
    /// Paused to write.
    More,
    /// The client waits for something.
    Stalled,
}

/// A connection and its task's state.
pub struct Client {
    stream: Stream,
    session: Session,
    conn: Conn,
    reply: Reply,
    written: usize,
    buf: BytesMut,
    decoder: Decoder,
    request: Request,
    waiting: Waiting,
    timer: Option<Pin<Box<Sleep>>>,
    closing: bool,
    resume: bool,
}

impl Client {
    /// A client on a fresh socket.
    pub fn new(
        stream: Stream,
        server: Arc<Server>,
        handle: Arc<Handle>,
        worker: Arc<WorkerStats>,
    ) -> Client {
        Client {
            stream,
            session: Session::new(handle.id),
            conn: Conn::new(server, handle, worker),
            reply: Reply::new(2),
            written: 0,
            buf: BytesMut::new(),
            decoder: Decoder::new(),
            request: Request::new(),
            waiting: Waiting::No,
            timer: None,
            closing: false,
            resume: false,
        }
    }

    /// Serves the client until it goes away, then cleans up after it.
    pub async fn run(mut self) {
        self.serve().await;
        self.leave();
    }

    fn leave(&mut self) {
        if let Waiting::Keys(waiter) = &self.waiting {
            self.conn.server.engine.blocked.cancel(waiter);
        }
        self.conn.server.engine.release_watches(&mut self.session);
        self.conn.server.clone().forget_client(&mut self.conn);
    }

    async fn serve(&mut self) {
        loop {
            match self.next_event().await {
                Event::Read(Ok(0) | Err(_)) | Event::WriteFailed => return,
                Event::Read(Ok(n)) => self.received(n),
                Event::Written => {}
                Event::Deadline => self.deadline(),
                Event::Signal => {
                    if !self.signalled() {
                        return;
                    }
                }
            }
            loop {
                let batch = self.run_batch();
                self.publish_facts();
                if !self.flush_now() {
                    return;
                }
                match batch {
                    Batch::More if self.pending() < WRITE_CHUNK => {}
                    Batch::More => {
                        self.resume = true;
                        break;
                    }
                    Batch::Drained | Batch::Stalled => break,
                }
            }
            if self.over_limits() || self.closing && self.pending() == 0 {
                return;
            }
        }
    }

    fn pending(&self) -> usize {
        self.reply.buf.len() - self.written
    }

    /// Waits for the next thing that happens to this client.
    async fn next_event(&mut self) -> Event {
        let resume = std::mem::take(&mut self.resume);
        let read = !self.closing
            && self.buf.len()
                <= usize::try_from(self.conn.server.hot.query_buffer_limit.load(Relaxed))
                    .unwrap_or(usize::MAX);
        if read && self.buf.capacity() - self.buf.len() < READ_CHUNK / 4 {
            self.buf.reserve(READ_CHUNK);
        }
        let Client {
            stream,
            conn,
            reply,
            written,
            buf,
            timer,
            ..
        } = self;
        let handle = &conn.handle;
        let mut armed = false;
        poll_fn(|cx| {
            if handle.signals() != 0 {
                return Poll::Ready(Event::Signal);
            }
            if !armed {
                handle.set_waker(cx.waker());
                armed = true;
                if handle.signals() != 0 {
                    return Poll::Ready(Event::Signal);
                }
            }
            if reply.buf.len() > *written {
                match Pin::new(&mut *stream).poll_write(cx, &reply.buf[*written..]) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        *written += n;
                        bump(&conn.worker.net_out, n as u64);
                        bump(&conn.worker.writes, 1);
                        return Poll::Ready(Event::Written);
                    }
                    Poll::Ready(_) => return Poll::Ready(Event::WriteFailed),
                    Poll::Pending => {}
                }
            }
            if resume {
                // More requests are buffered; go on as soon as the others on this thread had a turn.
                cx.waker().wake_by_ref();
                return Poll::Ready(Event::Written);
            }
            if read {
                let reading = pin!(stream.read_buf(&mut *buf));
                if let Poll::Ready(result) = reading.poll(cx) {
                    return Poll::Ready(Event::Read(result));
                }
            }
            if let Some(timer) = timer
                && timer.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::Deadline);
            }
            Poll::Pending
        })
        .await
    }

    fn received(&mut self, n: usize) {
        bump(&self.conn.worker.net_in, n as u64);
        bump(&self.conn.worker.reads, 1);
        self.conn
            .handle
            .net_in
            .store(self.conn.handle.net_in.load(Relaxed) + n as u64, Relaxed);
        self.conn.handle.last_active_ms.store(unix_ms(), Relaxed);
    }

    /// Acts on signals; false: close now.
    fn signalled(&mut self) -> bool {
        let handle = self.conn.handle.clone();
        let signals = handle.signals();
        if signals & signal::KILL != 0 {
            return false;
        }
        if signals & signal::OUTBOX != 0 {
            handle.drain_outbox(&mut self.reply.buf);
        }
        if signals & signal::UNBLOCKED != 0 {
            handle.clear(signal::UNBLOCKED);
            self.unblocked();
        }
        if signals & signal::RESUMED != 0 {
            handle.clear(signal::RESUMED);
            if matches!(self.waiting, Waiting::Pause(_)) {
                self.stop_waiting();
            }
        }
        if signals & signal::CLOSE_AFTER_REPLY != 0 {
            handle.clear(signal::CLOSE_AFTER_REPLY);
            self.closing = true;
        }
        true
    }

    fn stop_waiting(&mut self) {
        self.waiting = Waiting::No;
        self.timer = None;
        self.conn.handle.blocked.store(false, Relaxed);
    }

    /// A blocked command was served, or CLIENT UNBLOCK ended it.
    fn unblocked(&mut self) {
        let forced = self.conn.handle.unblock.lock().take();
        match std::mem::replace(&mut self.waiting, Waiting::No) {
            Waiting::Keys(waiter) => {
                if let Some(how) = forced
                    && self.conn.server.engine.blocked.cancel(&waiter)
                {
                    match how {
                        Unblock::Timeout => timed_out(&mut self.reply, waiter.on_timeout),
                        Unblock::Error => self.reply.error(&ReplyError::raw(
                            "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                        )),
                    }
                } else {
                    match waiter.take_outcome() {
                        Some(Served::Reply(bytes)) => self.reply.buf.extend_from_slice(&bytes),
                        Some(Served::TimedOut) => timed_out(&mut self.reply, waiter.on_timeout),
                        None => {
                            self.waiting = Waiting::Keys(waiter);
                            return;
                        }
                    }
                }
                self.count_unblocked(waiter.command.id);
            }
            Waiting::Until(until, bytes) => match forced {
                Some(Unblock::Timeout) => self.reply.buf.extend_from_slice(&bytes),
                Some(Unblock::Error) => self.reply.error(&ReplyError::raw(
                    "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                )),
                None => {
                    self.waiting = Waiting::Until(until, bytes);
                    return;
                }
            },
            other => {
                self.waiting = other;
                return;
            }
        }
        self.stop_waiting();
    }

    fn count_unblocked(&self, command: usize) {
        bump(&self.conn.worker.processed, 1);
        bump(&self.conn.worker.commands[command].calls, 1);
    }

    /// The time of a wait is up.
    fn deadline(&mut self) {
        match std::mem::replace(&mut self.waiting, Waiting::No) {
            Waiting::Keys(waiter) => {
                if self.conn.server.engine.blocked.cancel(&waiter) {
                    timed_out(&mut self.reply, waiter.on_timeout);
                } else if let Some(Served::Reply(bytes)) = waiter.take_outcome() {
                    self.reply.buf.extend_from_slice(&bytes);
                } else {
                    // It is being served at this moment; the signal comes.
                    self.waiting = Waiting::Keys(waiter);
                    self.timer = None;
                    return;
                }
                self.count_unblocked(waiter.command.id);
            }
            Waiting::Until(_, bytes) => self.reply.buf.extend_from_slice(&bytes),
            Waiting::Pause(_) | Waiting::No => {}
        }
        self.stop_waiting();
    }

    fn limits(&self) -> Limits {
        let max_bulk =
            usize::try_from(self.conn.server.hot.max_bulk.load(Relaxed)).unwrap_or(usize::MAX);
        Limits::new(
            max_bulk,
            self.conn.authenticated || !self.conn.server.hot.auth_required.load(Relaxed),
        )
    }

    /// Processes the complete requests in the buffer.
    fn run_batch(&mut self) -> Batch {
        if self.closing || !matches!(self.waiting, Waiting::No) {
            return Batch::Stalled;
        }
        if self.buf.is_empty() {
            return Batch::Drained;
        }
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
            let rest = &self.buf[consumed..];
            if rest.is_empty() {
                break Batch::Drained;
            }
            match self.decoder.decode(rest, &mut self.request, &limits) {
                Ok(Progress::Complete { consumed: used }) => {
                    let args: SmallVec<[&[u8]; 16]> = self.request.iter(rest).collect();
                    commands += 1;
                    let waiting = process(
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
                    let have = rest.len();
                    let want = hint.saturating_sub(have).min(MAX_RESERVE);
                    if consumed > 0 {
                        self.buf.advance(consumed);
                        consumed = 0;
                    }
                    self.buf.reserve(want);
                    break Batch::Drained;
                }
                Err(error) => {
                    self.reply
                        .error(&ReplyError::err(format_args!("Protocol error: {error}")));
                    self.conn.server.stats.count_error("ERR");
                    self.closing = true;
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

    fn wait(&mut self, waiting: Waiting) {
        let deadline_ms = match &waiting {
            Waiting::Keys(waiter) => waiter.deadline_ms,
            Waiting::Until(until, _) | Waiting::Pause(until) => Some(*until),
            Waiting::No => None,
        };
        self.timer = deadline_ms.map(|at| {
            let left = u64::try_from(at.saturating_sub(unix_ms())).unwrap_or(0);
            Box::pin(tokio::time::sleep(Duration::from_millis(left.min(1 << 40))))
        });
        self.conn
            .handle
            .blocked
            .store(!matches!(waiting, Waiting::Pause(_)), Relaxed);
        self.waiting = waiting;
    }

    /// Writes what can be written without waiting; false: the connection is gone.
    fn flush_now(&mut self) -> bool {
        while self.pending() > 0 {
            match self.stream.try_write(&self.reply.buf[self.written..]) {
                Ok(0) => return false,
                Ok(n) => {
                    self.written += n;
                    bump(&self.conn.worker.net_out, n as u64);
                    bump(&self.conn.worker.writes, 1);
                    self.conn
                        .handle
                        .net_out
                        .store(self.conn.handle.net_out.load(Relaxed) + n as u64, Relaxed);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.pending() == 0 {
            self.reply.buf.clear();
            self.written = 0;
            if self.reply.buf.capacity() > KEEP_BUFFER {
                self.reply.buf = Vec::new();
            }
        } else if self.written > WRITE_CHUNK {
            self.reply.buf.drain(..self.written);
            self.written = 0;
        }
        true
    }

    /// Stores what CLIENT LIST shows.
    fn publish_facts(&mut self) {
        let handle = &self.conn.handle;
        let session = &self.session;
        handle.db.store(session.db, Relaxed);
        handle.resp.store(session.resp, Relaxed);
        match &session.txn {
            None => handle.multi.store(-1, Relaxed),
            Some(txn) => {
                handle
                    .multi
                    .store(i64::try_from(txn.queue.len()).unwrap_or(i64::MAX), Relaxed);
                handle.multi_bytes.store(txn.bytes, Relaxed);
            }
        }
        handle.watch.store(session.watched.len(), Relaxed);
        handle.query_bytes.store(self.buf.len(), Relaxed);
        handle
            .query_free
            .store(self.buf.capacity() - self.buf.len(), Relaxed);
        handle
            .reply_capacity
            .store(self.reply.buf.capacity(), Relaxed);
    }

    /// Checks the limits on buffers; true: close now.
    fn over_limits(&mut self) -> bool {
        let server = &self.conn.server;
        let pending = self.pending();
        self.conn.handle.pending_bytes.store(pending, Relaxed);
        if self.buf.len() as u64 > server.hot.query_buffer_limit.load(Relaxed) {
            tracing::warn!(
                "Closing client that reached max query buffer length: id={} addr={}",
                self.conn.handle.id,
                self.conn.handle.addr
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
        if !self.conn.authenticated
            && pending > UNAUTHENTICATED_OUTPUT
            && server.hot.auth_required.load(Relaxed)
        {
            return true;
        }
        server.output_limit_exceeded(&self.conn.handle, pending, unix_ms())
    }
}
