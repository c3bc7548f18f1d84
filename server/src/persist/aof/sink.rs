//! The buffer between commands and the writer thread.
//!
//! ```text
//! effects, under shard locks --append--> open batch --take_open--> the worker, at the end of its pass
//!                                            |
//!                                            +--------take-------> writer thread
//!                 cut, under all of them --> mark            orders (sync done, policy, base ...) --^
//! ```
//!
//! A thread that serves clients looks after the log itself when its pass ends (see `pass`), so what
//! it appends wakes nobody; what any other thread appends wakes the writer thread.
//!
//! Invariants:
//! - An effect is only copied here: no system call beyond waking the writer, no waiting but for
//!   the lock, which is never held for more than a copy or an exchange of buffers.
//! - Whoever takes holds the lock of the `Writer`, so what is taken is written in order.
//! - A batch holds whole groups: what one command did is never split.
//! - A batch lies on one side of a cut, and in each file `SELECT` comes before the first change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_engine::log::{Group, LogSink};
use basalt_formats::aof::ROOM;
use basalt_formats::aof::annotation::timestamp_line;
use basalt_formats::resp::encode::command;
use parking_lot::{Condvar, Mutex};

use super::pass;
use crate::server::unix_ms;

/// A buffer that grew beyond this is not used again.
const KEEP_BUFFER: usize = 4 << 20;

/// Commands for the log, encoded.
#[derive(Debug, Default)]
pub struct Body {
    /// Whole commands behind [`ROOM`] bytes for the line of their batch; or nothing.
    pub bytes: Vec<u8>,
    /// The database that is selected behind them.
    pub db: u32,
    /// The newest effect among them.
    pub newest: u64,
}

/// What the writer takes, in order.
#[derive(Debug)]
pub enum Item {
    /// Commands.
    Batch(Body),
    /// What follows is for the next file.
    Cut,
}

struct Inner<O> {
    open: Body,
    /// The database selected in the file so far; none at its start.
    db: Option<usize>,
    /// The second that the last time stamp tells.
    stamped_s: i64,
    sealed: VecDeque<Item>,
    orders: VecDeque<O>,
    /// The writer sleeps.
    asleep: bool,
    /// The writer has ended: nothing is taken any more.
    closed: bool,
    /// The writer thread has something to look after, here or elsewhere.
    nudged: bool,
}

/// The buffer. `O` are the orders that reach the writer with it.
pub struct Sink<O> {
    inner: Mutex<Inner<O>>,
    woken: Condvar,
    /// `aof-timestamp-enabled`.
    pub stamps: AtomicBool,
    /// Bytes that the writer has not taken.
    bytes: AtomicUsize,
}

/// What the writer took.
pub struct Taken<O> {
    /// Batches and cuts.
    pub items: VecDeque<Item>,
    /// Orders.
    pub orders: VecDeque<O>,
}

impl<O> Sink<O> {
    /// An empty buffer, with `SELECT` to come first.
    pub fn new(stamps: bool) -> Sink<O> {
        Sink {
            inner: Mutex::new(Inner {
                open: Body::default(),
                db: None,
                stamped_s: 0,
                sealed: VecDeque::new(),
                orders: VecDeque::new(),
                asleep: false,
                closed: false,
                nudged: false,
            }),
            woken: Condvar::new(),
            stamps: AtomicBool::new(stamps),
            bytes: AtomicUsize::new(0),
        }
    }

    fn append(&self, newest: u64, fill: impl FnOnce(&mut Inner<O>)) {
        let mut inner = self.inner.lock();
        if inner.open.bytes.is_empty() {
            inner.open.bytes.resize(ROOM, b' ');
        }
        if self.stamps.load(Relaxed) {
            let now_s = unix_ms() / 1000;
            if now_s > inner.stamped_s {
                inner.stamped_s = now_s;
                inner
                    .open
                    .bytes
                    .extend_from_slice(timestamp_line(now_s).as_bytes());
            }
        }
        fill(&mut inner);
        inner.open.newest = newest;
        self.bytes.store(inner.open.bytes.len(), Relaxed);
        if !pass::ask() {
            inner.nudged = true;
            self.wake(&mut inner);
        }
    }

    /// Has the writer thread look at everything again.
    pub fn nudge(&self) {
        let mut inner = self.inner.lock();
        inner.nudged = true;
        self.wake(&mut inner);
    }

    fn wake(&self, inner: &mut Inner<O>) {
        if std::mem::take(&mut inner.asleep) {
            self.woken.notify_one();
        }
    }

    /// What comes from now on is for the next file. Belongs to the moment of a snapshot's cut.
    pub fn cut(&self) {
        let mut inner = self.inner.lock();
        inner.seal();
        inner.sealed.push_back(Item::Cut);
        inner.db = None;
        inner.stamped_s = 0;
        self.bytes.store(0, Relaxed);
        self.wake(&mut inner);
    }

    /// Tells the writer something. Once it has ended, orders are dropped, so that whoever waits
    /// for an answer sees that there will be none.
    pub fn order(&self, order: O) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        inner.orders.push_back(order);
        self.wake(&mut inner);
    }

    /// Ends it.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.orders.clear();
    }

    /// Waits until something is there, as long as `patience` says.
    pub fn wait(&self, patience: Option<Duration>) {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut inner = self.inner.lock();
        while inner.is_idle() {
            inner.asleep = true;
            match until {
                None => self.woken.wait(&mut inner),
                Some(until) => {
                    if self.woken.wait_until(&mut inner, until).timed_out() {
                        break;
                    }
                }
            }
        }
        inner.asleep = false;
    }

    /// Takes the open batch; none if there is anything else, which is for the writer thread.
    pub fn take_open(&self, spare: Vec<u8>) -> Option<Body> {
        let mut inner = self.inner.lock();
        if !inner.sealed.is_empty() || !inner.orders.is_empty() || inner.nudged {
            return None;
        }
        let body = std::mem::take(&mut inner.open);
        inner.reuse(spare);
        self.bytes.store(0, Relaxed);
        Some(body)
    }

    /// Takes what is there.
    pub fn take(&self, spare: Vec<u8>) -> Taken<O> {
        let mut inner = self.inner.lock();
        inner.nudged = false;
        inner.seal();
        inner.reuse(spare);
        self.bytes.store(0, Relaxed);
        Taken {
            items: std::mem::take(&mut inner.sealed),
            orders: std::mem::take(&mut inner.orders),
        }
    }

    /// Bytes that wait for the writer.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

impl<O> Inner<O> {
    fn is_idle(&self) -> bool {
        // An open batch alone is for the worker that began it.
        self.sealed.is_empty() && self.orders.is_empty() && !self.nudged
    }

    fn reuse(&mut self, spare: Vec<u8>) {
        if spare.capacity() <= KEEP_BUFFER {
            self.open.bytes = spare;
        }
    }

    fn seal(&mut self) {
        if !self.open.bytes.is_empty() {
            let body = std::mem::take(&mut self.open);
            self.sealed.push_back(Item::Batch(body));
        }
    }

    fn command(&mut self, db: usize, args: &[&[u8]]) {
        let out = &mut self.open.bytes;
        // As in Redis, what is selected for a transaction is selected inside it.
        if self.db != Some(db) && *args != [b"MULTI"] {
            command(out, &[b"SELECT", db.to_string().as_bytes()]);
            self.db = Some(db);
        }
        self.open.db = u32::try_from(db).unwrap_or(u32::MAX);
        command(out, args);
    }
}

/// The sink as the engine's log knows it.
pub struct Feed<O>(pub Arc<Sink<O>>);

impl<O: Send> LogSink for Feed<O> {
    fn effect(&self, index: u64, db: usize, args: &[&[u8]]) {
        self.0.append(index, |inner| inner.command(db, args));
    }

    fn group(&self, group: &Group<'_>) {
        self.0.append(group.newest(), |inner| {
            group.for_each(|_, db, args| inner.command(db, args));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(taken: Taken<u8>) -> Vec<String> {
        let shown = |item: Item| match item {
            Item::Batch(body) => format!(
                "{} {} {}",
                body.newest,
                body.db,
                String::from_utf8_lossy(&body.bytes[ROOM..]).replace("\r\n", " ")
            ),
            Item::Cut => "cut".to_owned(),
        };
        taken.items.into_iter().map(shown).collect()
    }

    #[test]
    fn a_transaction_selects_inside() {
        let sink = Arc::new(Sink::<u8>::new(false));
        let feed = Feed(sink.clone());
        feed.effect(1, 3, &[b"MULTI"]);
        feed.effect(2, 3, &[b"DEL", b"a"]);
        feed.effect(3, 3, &[b"EXEC"]);
        assert_eq!(
            batches(sink.take(Vec::new())),
            ["3 3 *1 $5 MULTI *2 $6 SELECT $1 3 *2 $3 DEL $1 a *1 $4 EXEC "]
        );
    }

    #[test]
    fn each_file_begins_with_select_and_a_cut_parts_batches() {
        let sink = Arc::new(Sink::new(false));
        let feed = Feed(sink.clone());
        feed.effect(1, 0, &[b"DEL", b"a"]);
        feed.effect(2, 0, &[b"DEL", b"b"]);
        assert_eq!(
            batches(sink.take(Vec::new())),
            ["2 0 *2 $6 SELECT $1 0 *2 $3 DEL $1 a *2 $3 DEL $1 b "]
        );
        feed.effect(3, 0, &[b"DEL", b"c"]);
        feed.effect(4, 12, &[b"DEL", b"d"]);
        sink.cut();
        feed.effect(5, 12, &[b"DEL", b"e"]);
        assert_eq!(
            batches(sink.take(Vec::new())),
            [
                "4 12 *2 $3 DEL $1 c *2 $6 SELECT $2 12 *2 $3 DEL $1 d ",
                "cut",
                "5 12 *2 $6 SELECT $2 12 *2 $3 DEL $1 e "
            ]
        );
        assert_eq!(batches(sink.take(Vec::new())), Vec::<String>::new());
    }

    #[test]
    fn time_stamps_stand_where_a_second_begins() {
        let sink: Arc<Sink<u8>> = Arc::new(Sink::new(true));
        let feed = Feed(sink.clone());
        feed.effect(1, 0, &[b"DEL", b"a"]);
        let first = batches(sink.take(Vec::new()));
        assert!(first[0].starts_with("1 0 #TS:"), "{first:?}");
        assert!(first[0].contains(" *2 $6 SELECT"), "{first:?}");
    }

    #[test]
    fn orders_to_a_writer_that_has_ended_are_dropped() {
        let sink = Sink::new(false);
        let (done, answer) = std::sync::mpsc::channel::<()>();
        sink.order(done.clone());
        sink.close();
        sink.order(done);
        assert!(answer.recv().is_err(), "nobody waits for ever");
    }

    #[test]
    fn an_order_wakes_the_writer() {
        let sink = Arc::new(Sink::new(false));
        let other = sink.clone();
        let writer = std::thread::spawn(move || {
            other.wait(None);
            other.take(Vec::new()).orders
        });
        sink.order(7u8);
        assert_eq!(writer.join().expect("it ends"), [7]);
    }

    #[test]
    fn a_worker_takes_the_open_batch_and_nothing_else() {
        let sink: Arc<Sink<u8>> = Arc::new(Sink::new(false));
        let feed = Feed(sink.clone());
        feed.effect(1, 0, &[b"DEL", b"a"]);
        assert!(
            sink.take_open(Vec::new()).is_none(),
            "this thread is no worker"
        );
        assert_eq!(batches(sink.take(Vec::new())).len(), 1);
        pass::pretend();
        feed.effect(1, 0, &[b"DEL", b"a"]);
        let body = sink.take_open(Vec::new()).expect("only a batch");
        assert_eq!((body.newest, body.db), (1, 0));
        let body = sink.take_open(Vec::new()).expect("nothing is in the way");
        assert!(body.bytes.is_empty());
        let ways: [fn(&Sink<u8>); 3] = [Sink::cut, |sink| sink.order(1), Sink::nudge];
        for put_in_the_way in ways {
            put_in_the_way(&sink);
            feed.effect(2, 0, &[b"DEL", b"b"]);
            assert!(sink.take_open(Vec::new()).is_none());
            assert_eq!(
                batches(sink.take(Vec::new()))
                    .last()
                    .map(|last| last.ends_with("DEL $1 b ")),
                Some(true)
            );
            assert!(sink.take_open(Vec::new()).is_some());
        }
    }

    #[test]
    fn a_nudge_is_noticed_by_who_waits_later() {
        let sink: Sink<u8> = Sink::new(false);
        sink.nudge();
        sink.wait(None);
        assert!(sink.take(Vec::new()).items.is_empty());
    }
}
