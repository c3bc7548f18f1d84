//! Writing the log: the state around its file and folder, and the thread that looks after it.
//!
//! ```text
//! sink --take--> queue --close (checksum line)--> LogWriter --append--> file
//!                  cut: the file is finished, the next one made and named, then on with the queue
//! sync: here under `always`, on the thread aof-sync otherwise
//! after each round: how far the log is -> Durable (clients go on), facts for INFO, the refusal
//! ```
//!
//! The thread does all that may take long. When nothing of that kind is under way, a worker writes
//! at the end of its pass ([`Writer::write_here`]); it only tries the lock, and leaves the matter to
//! the thread if that is at work. Under `always` that thread writes and syncs, but for what `quick` says.
//!
//! What follows a cut stays in the queue until its file is there, so that a file that cannot be
//! made costs nothing but the rewrite it was for.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use basalt_engine::env::disk::DiskError;
use basalt_engine::fail_point;
use basalt_formats::aof::{BaseFormat, BatchWriter, Chain, sync_line};
use parking_lot::Mutex;

use super::Aof;
use super::folder::{Folder, FolderError, Incr};
use super::marks::Marks;
use super::sink::{Body, Item, Sink};
use super::writer::{LogWriter, Policy, Rotation, SyncDone, SyncJob};
use crate::server::{Server, unix_ms};

/// While a directive overrides the policy, it is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the writer is told.
pub enum Order {
    /// A sync made on the other thread is done.
    Synced(SyncDone),
    /// Directives.
    Follow {
        /// `appendfsync`.
        policy: Policy,
        /// `aof-disable-auto-gc`.
        keep_history: bool,
    },
    /// What is taken in so far is to be synced soon, and nobody held up by it; answered when that
    /// is done, or cannot be.
    SyncAhead(mpsc::Sender<()>),
    /// Everything taken in so far is to be written and synced; the answer is why it is not.
    Flush(mpsc::Sender<Result<(), String>>),
    /// The base of a cut is complete and synced.
    Publish(Base),
    /// There will be no base for the last cut.
    Abandon,
    /// End; after a flush.
    Stop(mpsc::Sender<()>),
}

/// A base to be put in its place.
pub struct Base {
    /// Its file.
    pub temp: PathBuf,
    /// Its format.
    pub format: BaseFormat,
    /// Told why not.
    pub done: mpsc::Sender<Result<(), String>>,
}

/// The sink of this thread.
pub type LogBuffer = Sink<Order>;

/// What the thread begins with.
pub struct Start {
    /// The folder.
    pub folder: Folder,
    /// The file to go on in.
    pub incr: Incr,
    /// The buffer.
    pub sink: Arc<LogBuffer>,
    /// `appendfsync`.
    pub policy: Policy,
    /// Newest effect that is in the files already.
    pub newest: u64,
}

/// A cut that waits for its file.
enum Cutting {
    No,
    Waiting,
}

pub(super) struct Writer {
    server: Arc<Server>,
    sink: Arc<LogBuffer>,
    folder: Folder,
    log: LogWriter,
    batches: BatchWriter,
    policy: Policy,
    queue: VecDeque<Item>,
    cutting: Cutting,
    /// The last cut could not be made.
    cut_failed: Option<String>,
    /// The offset that `LogWriter` has to be told when the next base is there.
    replaces: Option<u64>,
    marks: Marks,
    /// The newest batch of which the file says that it is synced.
    told_synced: u64,
    base: Option<Base>,
    flushes: Vec<mpsc::Sender<Result<(), String>>>,
    /// Who waits for a sync ahead of a cut, up to which offset.
    ahead: Vec<(u64, mpsc::Sender<()>)>,
    syncs: mpsc::Sender<SyncJob>,
    syncing: bool,
    began: Instant,
    /// Bytes of all files but the last.
    other_bytes: u64,
    spare: Vec<u8>,
    /// The log is off: nothing here counts any more.
    stopped: bool,
}

/// Runs the thread until told to stop.
pub(super) fn run(writer: &Mutex<Writer>, sink: &LogBuffer) {
    let mut patience = Some(Duration::ZERO);
    loop {
        sink.wait(patience);
        let mut writer = writer.lock();
        if !writer.round() {
            return;
        }
        patience = writer.patience();
    }
}

impl Writer {
    /// Makes the thread's state; the files are durable as they are.
    ///
    /// # Errors
    /// What the disk reports.
    pub(super) fn new(server: Arc<Server>, start: Start) -> Result<Writer, DiskError> {
        let (syncs, jobs) = mpsc::channel::<SyncJob>();
        let sink = start.sink.clone();
        let syncer = std::thread::Builder::new().name("aof-sync".into());
        let spawned = syncer.spawn(move || {
            while let Ok(job) = jobs.recv() {
                sink.order(Order::Synced(job.run()));
            }
        });
        spawned.map_err(|error| {
            DiskError::new(
                basalt_engine::env::disk::DiskOp::Open,
                std::path::Path::new("aof-sync"),
                error,
            )
        })?;
        let mut writer = Writer {
            log: LogWriter::new(start.incr.file, 0, start.policy, 0)?,
            batches: BatchWriter::resume(start.incr.chain),
            server,
            sink: start.sink,
            folder: start.folder,
            policy: start.policy,
            queue: VecDeque::new(),
            cutting: Cutting::No,
            cut_failed: None,
            replaces: None,
            marks: Marks::new(start.newest, start.incr.chain.next_index),
            told_synced: 0,
            base: None,
            flushes: Vec::new(),
            ahead: Vec::new(),
            syncs,
            syncing: false,
            began: Instant::now(),
            other_bytes: 0,
            spare: Vec::new(),
            stopped: false,
        };
        writer.other_bytes = writer.measure();
        let all = writer.other_bytes.saturating_add(writer.log.file_len());
        writer.aof().facts.base_bytes.store(all, Relaxed);
        writer.publish();
        Ok(writer)
    }

    fn aof(&self) -> &Aof {
        &self.server.persist.aof
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what is there and works it off; false at the end.
    fn round(&mut self) -> bool {
        let taken = self.sink.take(std::mem::take(&mut self.spare));
        self.queue.extend(taken.items);
        for order in taken.orders {
            if let Order::Stop(done) = order {
                self.stopped = true;
                self.aof().durable.reached(None, self.marks.newest());
                self.sink.close();
                // Whoever asked waits for it.
                let _ = done.send(());
                return false;
            }
            self.obey(order);
        }
        self.work();
        self.publish();
        self.answer_flushes();
        true
    }

    /// Writes what is there, on a thread that serves clients, if that is but one write, or with
    /// `may_sync` one and a quick sync; false: the writer thread has to look after it.
    pub(super) fn write_here(&mut self, may_sync: bool) -> bool {
        let at_rest = self.queue.is_empty()
            && matches!(self.cutting, Cutting::No)
            && self.flushes.is_empty()
            && self.base.is_none();
        let policy = self.policy_now();
        let must_sync = policy == Policy::Always;
        let may_sync = may_sync && self.aof().facts.sync_time.is_quick();
        // Beside a sync a write may have to wait for it.
        if !at_rest || (must_sync && !may_sync) || self.syncing || self.log.refusal().is_some() {
            return self.stopped;
        }
        let Some(body) = self.sink.take_open(std::mem::take(&mut self.spare)) else {
            return self.stopped;
        };
        if self.stopped {
            return true;
        }
        let alarm = self.log.wake_ms();
        self.close(body);
        self.log.set_policy(policy);
        if must_sync {
            self.step_here();
        } else {
            self.step_beside();
        }
        let spare = self.log.spare();
        if spare.capacity() > self.spare.capacity() {
            self.spare = spare;
        }
        self.publish();
        // It sleeps until the alarm that it knows of.
        match (alarm, self.log.wake_ms()) {
            (None, Some(_)) => false,
            (Some(old), Some(new)) => new >= old,
            (_, None) => true,
        }
    }

    /// Writes and syncs until all is durable, or cannot be.
    fn step_here(&mut self) {
        while let Some(job) = self.log.step(self.now_ms()) {
            self.publish();
            let began = Instant::now();
            self.log.finish(job.run());
            self.aof().facts.sync_time.took(began.elapsed());
            self.publish();
        }
    }

    /// Writes, and has what is due synced on the other thread.
    fn step_beside(&mut self) {
        if let Some(job) = self.log.step(self.now_ms()) {
            self.syncing = true;
            // The thread ends when this one does.
            let _ = self.syncs.send(job);
        }
    }

    /// How long nothing may happen.
    fn patience(&self) -> Option<Duration> {
        let due = self
            .log
            .wake_ms()
            .map(|at| Duration::from_millis(at.saturating_sub(self.now_ms())));
        let overridden = self.server.config.load().no_appendfsync_on_rewrite;
        match (due, overridden) {
            (Some(due), true) => Some(due.min(LOOK_AGAIN)),
            (None, true) => Some(LOOK_AGAIN),
            (due, false) => due,
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Synced(done) => {
                self.syncing = false;
                self.log.finish(done);
            }
            Order::Follow {
                policy,
                keep_history,
            } => {
                self.policy = policy;
                self.folder.keep_history = keep_history;
                self.folder.remove_history();
            }
            Order::SyncAhead(done) => {
                self.feed();
                self.log.sync_ahead();
                self.ahead.push((self.log.accepted(), done));
            }
            Order::Flush(done) => self.flushes.push(done),
            Order::Publish(base) => self.base = Some(base),
            Order::Abandon => self.base_failed(),
            Order::Stop(_) => {}
        }
    }

    /// The policy of this moment.
    fn policy_now(&self) -> Policy {
        if !self.flushes.is_empty() {
            return Policy::Always;
        }
        let persist = &self.server.persist;
        let rests = self.server.config.load().no_appendfsync_on_rewrite
            && (persist.aof.is_rewriting() || persist.snapshots.background().is_some());
        if rests { Policy::No } else { self.policy }
    }

    /// Writes, syncs and rotates until there is nothing more to do now.
    fn work(&mut self) {
        loop {
            self.feed();
            self.log.set_policy(self.policy_now());
            if self.policy_now() == Policy::Always {
                self.step_here();
            } else {
                self.step_beside();
            }
            if !self.rotate() {
                break;
            }
        }
        self.publish_base();
    }

    /// Closes the batches up to the next cut.
    fn feed(&mut self) {
        while matches!(self.cutting, Cutting::No) {
            match self.queue.pop_front() {
                None => return,
                Some(Item::Batch(body)) => self.close(body),
                Some(Item::Cut) => {
                    self.cut_failed = None;
                    self.log.cut();
                    self.cutting = Cutting::Waiting;
                }
            }
        }
    }

    fn close(&mut self, mut body: Body) {
        if body.bytes.is_empty() {
            self.spare = body.bytes;
            return;
        }
        // So that zeros a power cut leaves can be told from damage.
        let (_, synced) = self.marks.synced(self.log.durable());
        if synced > self.told_synced {
            self.told_synced = synced;
            let db = self.batches.chain().db;
            self.batches
                .append_encoded(sync_line(synced).as_bytes(), db);
        }
        self.batches.adopt(&mut body.bytes, body.db);
        let time_ms = u64::try_from(unix_ms()).unwrap_or(0);
        let Some(closed) = self.batches.close(time_ms) else {
            return;
        };
        let put_off = self.aof().facts.flush_sleep_us.load(Relaxed);
        if put_off > 0 {
            std::thread::sleep(Duration::from_micros(put_off));
        }
        let log = &mut self.log;
        if let Some(end) = self.batches.hand_over(|batch| log.push(batch)) {
            self.marks.add(end, body.newest, closed.index);
        }
        self.spare = body.bytes;
    }

    /// Goes on in the next file if a cut is ready for it; whether that was so.
    fn rotate(&mut self) -> bool {
        let Some(rotation) = self.log.rotation() else {
            return false;
        };
        let result = self.next_file(rotation);
        self.cutting = Cutting::No;
        if let Err(error) = result {
            tracing::warn!("Can't open the append-only file: {error}");
            self.log.cancel_cut();
            self.cut_failed = Some(error.to_string());
        }
        true
    }

    fn next_file(&mut self, rotation: Rotation) -> Result<(), FolderError> {
        let incr = self.folder.create_incr(self.batches.chain())?;
        // A file that only a base makes known is followed by another such file.
        let hidden = rotation == Rotation::Replace || self.folder.unpublished;
        let named = if hidden { Ok(()) } else { self.folder.store() };
        let at = self.log.accepted();
        let finished = self.log.file_len();
        let moved = named
            .and_then(|()| fail_point!("aof.rotate.named"))
            .and_then(|()| self.log.rotate(incr.file, self.now_ms()));
        if let Err(error) = moved {
            // It may be named on the disk all the same: then what was there is written anew, and
            // if that fails too, nothing may follow in the current file.
            let unnamed = if hidden {
                Ok(())
            } else {
                self.folder.forget_incr()
            };
            match unnamed {
                Ok(()) => self.folder.drop_incr(),
                Err(error) => self.log.give_up(error),
            }
            return Err(error.into());
        }
        self.batches = BatchWriter::resume(incr.chain);
        // Batches of other files are of no interest in this one.
        self.told_synced = incr.chain.next_index.saturating_sub(1);
        self.other_bytes = self.other_bytes.saturating_add(finished);
        if rotation == Rotation::Replace {
            self.replaces = Some(at);
        }
        self.folder.unpublished = hidden;
        let name = self.folder.manifest.incr.last().map(|info| &info.name);
        tracing::info!(
            "Creating AOF incr file {} on background rewrite",
            name.map_or_else(String::new, |name| String::from_utf8_lossy(name)
                .into_owned())
        );
        if !hidden {
            self.record();
        }
        Ok(())
    }

    /// Puts a base in its place once its cut has got its file.
    fn publish_base(&mut self) {
        let cut_ahead = self.queue.iter().any(|item| matches!(item, Item::Cut));
        if cut_ahead || matches!(self.cutting, Cutting::Waiting) {
            return;
        }
        let Some(base) = self.base.take() else { return };
        let result = match self.cut_failed.take() {
            Some(reason) => Err(reason),
            None => self
                .folder
                .publish_base(&base.temp, base.format, 1)
                .map_err(|error| error.to_string()),
        };
        if result.is_ok() {
            if let Some(at) = self.replaces.take() {
                self.log.base_published(at);
            }
            self.other_bytes = self.measure();
            let aof = self.aof();
            let all = self.other_bytes.saturating_add(self.log.file_len());
            aof.facts.base_bytes.store(all, Relaxed);
            aof.promised.store(true, Relaxed);
            self.publish();
            self.record();
        }
        if result.is_err() {
            self.base_failed();
        }
        // Whoever asked may have gone down with the process.
        let _ = base.done.send(result);
    }

    /// There will be no base of the last cut.
    fn base_failed(&mut self) {
        self.cut_failed = None;
        if let Some(at) = self.replaces {
            self.log.base_failed(at);
        }
    }

    /// Bytes of all files but the last.
    fn measure(&self) -> u64 {
        let files = self.folder.manifest.files().count();
        let names = self.folder.manifest.files().take(files.saturating_sub(1));
        names
            .filter_map(|info| self.folder.disk().len(&self.folder.path(&info.name)).ok())
            .sum()
    }

    /// Says how far the log is.
    fn publish(&mut self) {
        let written = self.marks.written(self.log.written());
        let (synced, batch) = self.marks.synced(self.log.durable());
        let aof = &self.server.persist.aof;
        let facts = &aof.facts;
        let promised = aof.promised.load(Relaxed);
        let gate = match self.policy_now() {
            _ if !promised => None,
            Policy::Always => Some(synced),
            Policy::EverySec | Policy::No => Some(written),
        };
        aof.refuse(self.log.refusal());
        aof.needs_base.store(self.log.needs_base(), Relaxed);
        facts.durable_index.store(batch, Relaxed);
        facts
            .last_index
            .store(self.batches.chain().next_index.saturating_sub(1), Relaxed);
        let bytes = self.other_bytes.saturating_add(self.log.file_len());
        facts.current_bytes.store(bytes, Relaxed);
        let queued = self.queue.iter().map(|item| match item {
            Item::Batch(body) => body.bytes.len(),
            Item::Cut => 0,
        });
        let backlog = self.log.backlog() + queued.sum::<usize>();
        facts.backlog_bytes.store(backlog, Relaxed);
        facts.delayed_syncs.store(self.log.delayed_syncs(), Relaxed);
        facts.pending_syncs.store(u64::from(self.syncing), Relaxed);
        aof.durable.reached(gate, if promised { synced } else { 0 });
    }

    /// Answers those who wait for a flush, if it is made or cannot be.
    fn answer_flushes(&mut self) {
        let (durable, refused) = (self.log.durable(), self.log.refusal().is_some());
        // Dropped, it is answered too.
        self.ahead
            .retain(|(offset, _)| durable < *offset && !refused);
        if self.flushes.is_empty() {
            return;
        }
        let done = self.queue.is_empty() && self.log.durable() == self.log.accepted();
        let result = match self.log.refusal() {
            Some(reason) => Err(reason),
            None if done => Ok(()),
            None => return,
        };
        let waiting = std::mem::take(&mut self.flushes);
        self.publish();
        // Before the answer: whoever waits may end the process with it.
        self.record();
        for flush in waiting {
            // Whoever asked may have given up.
            let _ = flush.send(result.clone());
        }
    }

    /// Brings the lineage record up to date.
    pub(super) fn record(&self) {
        let listed = if self.folder.unpublished {
            None
        } else {
            Some((&self.folder, self.synced_len()))
        };
        self.server.record_log(listed);
    }

    /// A length of the last file that is synced: all of it or nothing but its header.
    fn synced_len(&self) -> u64 {
        let behind = self.log.accepted().saturating_sub(self.log.durable());
        self.log.file_len().saturating_sub(behind)
    }
}

/// What a first file continues.
pub fn first_chain(next_index: u64) -> Chain {
    Chain {
        next_index,
        prev: 0,
        db: 0,
    }
}
