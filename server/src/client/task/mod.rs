//! The task of a connection: reads, processes what is complete, writes, waits.
//!
//! One future polls everything the client may wait for (socket readable, pending output
//! writable, a signal from another thread, a deadline), so an idle connection costs one
//! registered waker and no buffer: memory to read into is reserved when there is something to
//! read, and given back after a while. Replies of a batch leave in one write.
//!
//! Turns: a client is served once for each time that its socket is found readable, then the others
//! are. One that sends without a pause holds nobody up for longer than one buffer takes.

mod batch;
mod hold;
mod output;
mod script;
mod wait;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;

use basalt_engine::{Reply, Session};
use basalt_formats::resp::decode::{Decoder, Request};

use super::caller::Aside;
use super::handle::{Handle, IDLE_MS, signal};
use super::{Conn, Waiting};
use crate::net::stream::Stream;
use crate::server::{Server, unix_ms};
use crate::stats::{WorkerStats, bump};
use batch::Batch;

/// Free space wanted in the query buffer before a read.
const READ_CHUNK: usize = 16 * 1024;
/// Output that makes a batch pause to write.
const WRITE_CHUNK: usize = 256 * 1024;

enum Event {
    Read(io::Result<usize>),
    Written,
    WriteFailed,
    Resume,
    Signal,
    Deadline,
}

/// A connection and its task's state.
pub struct Client {
    server: Arc<Server>,
    stream: Stream,
    session: Session,
    conn: Conn,
    /// Replies from `written` on are still to be sent.
    reply: Reply,
    written: usize,
    /// Requests that are not processed yet.
    buf: BytesMut,
    decoder: Decoder,
    request: Request,
    waiting: Waiting,
    timer: Option<Pin<Box<Sleep>>>,
    /// Its handle knows this one.
    waker: Option<Waker>,
    /// Nothing more is read or processed; closes when all is written.
    closing: bool,
    /// The peer sends no more.
    eof: bool,
    /// The buffer holds a part of a request only.
    starved: bool,
    /// Bytes it lacks to go on, as far as is known.
    lacking: usize,
    /// Complete requests are left in the buffer although the client does not wait.
    resume: bool,
    /// The last read filled the buffer: there may be more, for which others do not wait.
    filled: bool,
    /// The others on this thread had their turn before the resumption, or that read.
    yielded: bool,
    /// Something was read since it was last asked whether the client must wait for the log.
    served: bool,
    /// Nothing is sent and nothing more is processed before the log has come to this index.
    held: Option<u64>,
    /// It runs scripts: its work is done on a stack of its own.
    scripted: bool,
    /// The command it waited in was not run again: its user may not any more.
    refused: Cell<bool>,
}

/// What comes after some work.
enum Work {
    /// Waiting for the next event.
    Wait,
    /// The end of the client.
    Close,
    /// The same on another stack.
    Stack,
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
            server: server.clone(),
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
            waker: None,
            closing: false,
            eof: false,
            starved: false,
            lacking: 0,
            resume: false,
            filled: false,
            yielded: false,
            served: false,
            held: None,
            scripted: false,
            refused: Cell::new(false),
        }
    }

    /// Serves the client until it goes away.
    pub async fn run(self) {
        let mut client = Box::new(self);
        loop {
            match client.next_event().await {
                Event::Read(Ok(0)) if matches!(client.waiting, Waiting::No) => client.eof = true,
                Event::Read(Ok(0) | Err(_)) | Event::WriteFailed => return,
                Event::Read(Ok(n)) => client.received(n),
                Event::Written | Event::Resume => {}
                Event::Deadline => client.deadline(),
                Event::Signal => {
                    let held = client.held.is_some();
                    if !client.signalled() {
                        return;
                    }
                    if held && client.has_only_to_send() {
                        if !client.flush_now() {
                            return;
                        }
                        continue;
                    }
                }
            }
            let mut work = if client.scripted {
                Work::Stack
            } else {
                client.work(None)
            };
            if let Work::Stack = work {
                client.scripted = true;
                let Some(done) = script::on_stack(client).await else {
                    return;
                };
                (client, work) = done;
            }
            if !matches!(work, Work::Wait) {
                return;
            }
        }
    }

    /// Processes what is there and writes what can be written. Scripts are run only where they
    /// can step aside.
    fn work(&mut self, aside: Option<&dyn Aside>) -> Work {
        self.resume = false;
        loop {
            let batch = self.run_batch(aside);
            if let Batch::Stack = batch {
                return Work::Stack;
            }
            self.publish_facts();
            self.hold();
            if matches!(batch, Batch::Abort) || self.over_limits() || !self.flush_now() {
                return Work::Close;
            }
            if self.server.client_memory.is_limited() {
                self.publish_output_facts();
                self.server.count_client(&self.conn.handle);
                if self.conn.handle.gone.load(Relaxed) {
                    // It is told to close.
                    return Work::Wait;
                }
            }
            match batch {
                _ if self.held.is_some() => break,
                Batch::More if self.pending() == 0 => {}
                Batch::More | Batch::GivesWay => {
                    self.resume = true;
                    return Work::Wait;
                }
                Batch::Drained | Batch::Stalled | Batch::Abort | Batch::Stack => break,
            }
        }
        if self.eof {
            // Nobody is there to wait for; what was answered may still be read.
            self.closing = true;
            if !matches!(self.waiting, Waiting::No) {
                return Work::Close;
            }
        }
        if self.closing {
            self.conn.handle.closing.store(true, Relaxed);
        }
        if self.closing && self.pending() == 0 {
            Work::Close
        } else {
            Work::Wait
        }
    }

    /// Whether the replies it held are all that there is to do.
    fn has_only_to_send(&self) -> bool {
        self.held.is_none()
            && matches!(self.waiting, Waiting::No)
            && (self.buf.is_empty() || self.starved)
            && !(self.closing || self.eof || self.resume)
            && !self.server.client_memory.is_limited()
    }

    /// Waits for the next thing that happens to this client.
    async fn next_event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let handle = &self.conn.handle;
        if !(self.waker.as_ref()).is_some_and(|old| old.will_wake(cx.waker())) {
            handle.set_waker(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        if handle.signals() != 0 {
            return Poll::Ready(Event::Signal);
        }
        if self.held.is_some() {
            // Its next requests are read when it goes on.
            return self.poll_timer(cx);
        }
        if self.pending() > 0 {
            let unsent = self.reply.buf.get(self.written..).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write(cx, unsent) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.sent(n);
                    return Poll::Ready(Event::Written);
                }
                Poll::Ready(_) => return Poll::Ready(Event::WriteFailed),
                Poll::Pending => {}
            }
        }
        if self.resume {
            if std::mem::replace(&mut self.yielded, true) {
                (self.resume, self.yielded) = (false, false);
                return Poll::Ready(Event::Resume);
            }
            // The others on this thread have a turn first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.closing && !self.eof {
            if self.filled && !std::mem::replace(&mut self.yielded, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            (self.filled, self.yielded) = (false, false);
            while self.stream.poll_read_ready(cx).is_ready() {
                let free = self.buf.capacity() - self.buf.len();
                // What completes a request needs no room for more.
                let enough = self.lacking != 0 && self.lacking <= free;
                if free < READ_CHUNK / 4 && !enough {
                    self.buf.reserve(READ_CHUNK);
                }
                let room = self.buf.capacity() - self.buf.len();
                match self.stream.poll_read_buf(cx, &mut self.buf) {
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Poll::Ready(result) => {
                        self.filled = result.as_ref().is_ok_and(|n| *n >= room);
                        return Poll::Ready(Event::Read(result));
                    }
                    Poll::Pending => {}
                }
            }
        }
        self.poll_timer(cx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Deadline);
        }
        Poll::Pending
    }

    fn received(&mut self, n: usize) {
        self.served = true;
        self.starved = false;
        self.lacking = self.lacking.saturating_sub(n);
        let handle = &self.conn.handle;
        bump(&self.conn.worker.net_in, n as u64);
        bump(&self.conn.worker.reads, 1);
        bump(&handle.net_in, n as u64);
        handle.last_active_ms.store(unix_ms(), Relaxed);
    }

    /// Acts on signals; false: close now.
    fn signalled(&mut self) -> bool {
        let handle = self.conn.handle.clone();
        let signals = handle.signals();
        if signals & signal::KILL != 0 {
            if handle.overrun.load(Relaxed) {
                self.conn.server.count_overrun(&handle);
            }
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
        if signals & signal::DURABLE != 0 {
            handle.clear(signal::DURABLE);
            self.durable();
        }
        if signals & signal::CLOSE_AFTER_REPLY != 0 {
            handle.clear(signal::CLOSE_AFTER_REPLY);
            self.closing = true;
        }
        if signals & signal::SHRINK != 0 {
            handle.clear(signal::SHRINK);
            self.shrink();
        }
        true
    }

    /// Gives back buffer memory: all that is free when idle, else half of the query buffer.
    fn shrink(&mut self) {
        let idle_ms = unix_ms() - self.conn.handle.last_active_ms.load(Relaxed);
        if idle_ms > self.server.hot.reply_idle_ms() && self.pending() == 0 {
            self.reply.buf = Vec::new();
            self.written = 0;
        }
        let keep = if idle_ms > IDLE_MS {
            self.request.shrink_to(0, 0);
            self.decoder.shrink();
            self.buf.len()
        } else {
            self.buf.len().max(self.buf.capacity() / 2)
        };
        let mut smaller = BytesMut::with_capacity(keep);
        smaller.extend_from_slice(&self.buf);
        self.buf = smaller;
    }
}

impl Drop for Client {
    /// Whatever ended the task, nothing of the client stays behind.
    fn drop(&mut self) {
        if let Waiting::Keys(waiter) = &self.waiting {
            self.conn.server.engine.blocked.cancel(waiter);
        }
        self.forget_hold();
        // The handle and its waiter point at each other.
        *self.conn.handle.waiter.lock() = None;
        self.conn.server.engine.release_watches(&mut self.session);
        self.conn.server.clone().forget_client(&mut self.conn);
    }
}
