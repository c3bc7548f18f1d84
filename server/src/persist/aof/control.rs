//! Switching the log on and off, at start and while running, and what commands ask of it.
//!
//! Order of locks: a command may hold shards when it comes here (`CONFIG SET` inside `EXEC`), so
//! nothing here takes a shard, and the writer thread never takes one. The cut of a rewrite
//! takes all of them, in the thread of the rewrite, which holds nothing else then.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::mpsc;
use std::time::Instant;

use basalt_engine::log::SinkId;
use basalt_formats::aof::{Chain, Lineage};
use parking_lot::Mutex;

use super::durable::{Durable, Until};
use super::facts::Facts;
use super::folder::{Folder, FolderError, Incr};
use super::load::LoadedAof;
use super::rewrite::Rewrites;
use super::sink::{Feed, Sink};
use super::thread::{self, LogBuffer, Order, Start, Writer, first_chain};
use super::writer::Policy;
use crate::config::{AppendFsync, Config};
use crate::server::Server;

/// With more bytes than this on their way to the file, who writes waits, whatever was promised.
const MAX_BACKLOG: usize = 64 << 20;

/// A log that is being written.
struct Running {
    sink: Arc<LogBuffer>,
    writer: Arc<Mutex<Writer>>,
    /// Its folder, which `CONFIG SET dir` does not move.
    dir: PathBuf,
    /// Attached to the engine's log; not yet when it waits for its first cut.
    attached: Option<SinkId>,
}

/// The log of a server.
#[derive(Default)]
pub struct Aof {
    /// How far it is, and who waits for that.
    pub durable: Durable,
    /// For INFO.
    pub facts: Facts,
    /// Rewrites.
    pub rewrites: Rewrites,
    /// What is written now counts: it is on, and there is a base for it.
    pub promised: AtomicBool,
    /// Only a fresh base can make it whole again.
    pub needs_base: AtomicBool,
    refuses: AtomicBool,
    refusal: Mutex<Option<String>>,
    running: Mutex<Option<Running>>,
    /// Clients whose replies are held.
    pub held: AtomicUsize,
}

impl std::fmt::Debug for Aof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aof")
            .field("durable", &self.durable)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Aof {
    /// Why commands that write are refused, if they are.
    #[inline]
    pub fn refusal(&self) -> Option<String> {
        if !self.refuses.load(Relaxed) {
            return None;
        }
        self.refusal.lock().clone()
    }

    /// Refuses commands that write, or does so no more.
    pub(super) fn refuse(&self, reason: Option<String>) {
        let refused = self.refuses.load(Relaxed);
        if reason.is_none() && !refused {
            return;
        }
        let mut current = self.refusal.lock();
        match (&*current, &reason) {
            (None, Some(reason)) => tracing::warn!("Error writing to the AOF file: {reason}"),
            (Some(_), None) => tracing::warn!("AOF write error looks solved, can write again."),
            _ => {}
        }
        self.refuses.store(reason.is_some(), Relaxed);
        *current = reason;
    }

    /// The buffer, if the log is on.
    pub(super) fn sink(&self) -> Option<Arc<LogBuffer>> {
        self.running
            .lock()
            .as_ref()
            .map(|running| running.sink.clone())
    }

    /// The folder of the log that is on.
    pub fn dir(&self) -> Option<PathBuf> {
        let running = self.running.lock();
        running.as_ref().map(|running| running.dir.clone())
    }

    /// Whether the log is on, or on its way to be.
    pub fn is_on(&self) -> bool {
        self.running.lock().is_some()
    }

    /// Whether this effect is synced; nothing is while the log is off.
    pub fn has_synced(&self, index: u64) -> bool {
        self.is_on() && self.durable.has(index, Until::Synced)
    }

    /// Bytes that are not written yet.
    pub fn buffered(&self) -> usize {
        let waiting = self.sink().map_or(0, |sink| sink.waiting_bytes());
        waiting + self.facts.backlog_bytes.load(Relaxed)
    }

    /// Whether who writes must wait although nobody waits for its replies.
    pub fn is_overrun(&self) -> bool {
        self.facts.backlog_bytes.load(Relaxed) > MAX_BACKLOG
    }

    /// Whether a rewrite is under way.
    pub fn is_rewriting(&self) -> bool {
        self.rewrites.current().is_some()
    }

    /// The pass of a worker ends now: writes what was logged, or has it written. `may_sync`: and
    /// synced, if syncs are quick.
    pub(super) fn end_pass(&self, began: Instant, may_sync: bool) {
        let running = self.running.lock();
        let Some((sink, writer)) = running
            .as_ref()
            .map(|running| (running.sink.clone(), running.writer.clone()))
        else {
            return;
        };
        drop(running);
        let done = writer
            .try_lock()
            .is_some_and(|mut writer| writer.write_here(may_sync));
        if !done {
            sink.nudge();
        }
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.facts.pass_nanos.fetch_add(nanos, Relaxed);
    }

    /// Waits until all that was logged before is written and synced.
    ///
    /// # Errors
    /// Why it is not.
    pub fn flush(&self) -> Result<(), String> {
        let Some(sink) = self.sink() else {
            return Ok(());
        };
        let (done, answer) = mpsc::channel();
        sink.order(Order::Flush(done));
        answer
            .recv()
            .unwrap_or_else(|_| Err("the log's writer is gone".into()))
    }

    /// Has most of the last file synced, while everything goes on: the cut that comes next then
    /// waits for little. What cannot be synced now will be the cut's to find out.
    pub(super) fn sync_ahead(&self) {
        if let Some(sink) = self.sink() {
            let (done, answer) = mpsc::channel();
            sink.order(Order::SyncAhead(done));
            // It is gone when the log is switched off.
            let _ = answer.recv();
        }
    }

    /// The moment of a cut, under all shard locks: the log goes on in the next file, or begins.
    /// Which log that is, if it is on.
    pub(super) fn cut(&self, log: &basalt_engine::log::Log) -> Option<Arc<LogBuffer>> {
        let mut running = self.running.lock();
        let running = running.as_mut()?;
        match running.attached {
            Some(_) => running.sink.cut(),
            None => running.attached = Some(log.attach(Box::new(Feed(running.sink.clone())))),
        }
        Some(running.sink.clone())
    }

    /// Puts changed directives into effect.
    pub fn follow(&self, config: &Config) {
        if let Some(sink) = self.sink() {
            sink.stamps.store(config.aof_timestamp_enabled, Relaxed);
            sink.order(Order::Follow {
                policy: policy(config),
                keep_history: config.aof_disable_auto_gc,
            });
        }
    }
}

/// The directive as the writer knows it.
pub fn policy(config: &Config) -> Policy {
    match config.appendfsync {
        AppendFsync::Always => Policy::Always,
        AppendFsync::EverySec => Policy::EverySec,
        AppendFsync::No => Policy::No,
    }
}

/// Why the log cannot be switched on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The first base.
    #[error("can't write the base: {0}")]
    Base(String),
    /// There is no thread.
    #[error("can't start a thread: {0}")]
    Thread(std::io::Error),
}

impl From<basalt_engine::env::disk::DiskError> for OpenError {
    fn from(error: basalt_engine::env::disk::DiskError) -> OpenError {
        OpenError::Folder(error.into())
    }
}

impl Server {
    /// The folder of the log, also when the process is elsewhere by now: to own it, or only to look.
    pub(super) fn log_folder(&self, own: bool) -> Result<Folder, FolderError> {
        let config = self.config.load();
        let place = &self.persist.place;
        let dir = self.persist.aof.dir().unwrap_or_else(|| {
            let dir = place.dir.join(&config.appenddirname);
            std::path::absolute(&dir).unwrap_or(dir)
        });
        let disk = place.disk.clone();
        let lineage = Lineage(self.persist.lineage.id().0);
        let open = if own { Folder::open } else { Folder::read };
        let mut folder = open(disk, dir, &config.appendfilename, lineage)?;
        folder.keep_history = config.aof_disable_auto_gc;
        if own {
            folder.remove_history();
        }
        Ok(folder)
    }

    /// Begins to write the log when the data has been loaded and nobody may change it yet. Goes
    /// on in the last file if that is one of ours, or behind it; without a log, makes one with
    /// a base of what there is.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_log(self: &Arc<Server>, loaded: Option<&LoadedAof>) -> Result<(), OpenError> {
        let mut folder = self.log_folder(true)?;
        // What another data set left is covered by a base of this one.
        let id = Lineage(self.persist.lineage.id().0);
        let loaded = loaded.filter(|log| log.lineage.is_none_or(|lineage| lineage == id));
        let next_index = self.persist.lineage.next_index();
        let resumed = match loaded {
            Some(LoadedAof {
                chain: Some(chain),
                resumable: true,
                ..
            }) => folder.resume(*chain)?,
            _ => None,
        };
        let incr = match (resumed, loaded) {
            (Some(incr), _) => incr,
            (None, Some(loaded)) => {
                let chain = loaded.chain.unwrap_or(first_chain(next_index));
                let incr = folder.create_incr(Chain { db: 0, ..chain })?;
                folder.store()?;
                incr
            }
            (None, None) => {
                let incr = folder.create_incr(first_chain(next_index))?;
                folder.unpublished = true;
                let base = self
                    .write_base(
                        &folder,
                        &self.engine.snapshot(crate::server::unix_ms()),
                        None,
                    )
                    .map_err(OpenError::Base)?;
                folder.publish_base(&base.path, base.format, 1)?;
                incr
            }
        };
        self.persist.aof.promised.store(true, Relaxed);
        let dir = folder.dir().to_owned();
        let (sink, writer) = self.spawn_writer(folder, incr)?;
        let attached = self.engine.log.attach(Box::new(Feed(sink.clone())));
        *self.persist.aof.running.lock() = Some(Running {
            sink,
            writer,
            dir,
            attached: Some(attached),
        });
        Ok(())
    }

    fn spawn_writer(
        self: &Arc<Server>,
        folder: Folder,
        incr: Incr,
    ) -> Result<(Arc<LogBuffer>, Arc<Mutex<Writer>>), OpenError> {
        let config = self.config.load();
        let sink = Arc::new(Sink::new(config.aof_timestamp_enabled));
        let start = Start {
            folder,
            incr,
            sink: sink.clone(),
            policy: policy(&config),
            newest: self.engine.log.index(),
        };
        let writer = Writer::new(self.clone(), start)?;
        writer.record();
        let writer = Arc::new(Mutex::new(writer));
        let (ours, buffer) = (writer.clone(), sink.clone());
        std::thread::Builder::new()
            .name("aof-writer".into())
            .spawn(move || thread::run(&ours, &buffer))
            .map_err(OpenError::Thread)?;
        Ok((sink, writer))
    }

    /// `CONFIG SET appendonly yes`: the log begins with the cut of its first base.
    ///
    /// # Errors
    /// [`OpenError`]; it is off then.
    pub fn switch_log_on(self: &Arc<Server>) -> Result<(), OpenError> {
        let aof = &self.persist.aof;
        if aof.is_on() {
            return Ok(());
        }
        aof.promised.store(false, Relaxed);
        // One that began without the log cannot be its base.
        aof.rewrites.cancel();
        let mut folder = self.log_folder(true)?;
        let incr = folder.create_incr(first_chain(self.persist.lineage.next_index()))?;
        folder.unpublished = true;
        let dir = folder.dir().to_owned();
        let (sink, writer) = self.spawn_writer(folder, incr)?;
        *aof.running.lock() = Some(Running {
            sink,
            writer,
            dir,
            attached: None,
        });
        self.rewrite_soon();
        Ok(())
    }

    /// `CONFIG SET appendonly no`: what was logged is synced, and the files stay.
    pub fn switch_log_off(&self) {
        let aof = &self.persist.aof;
        let Some(running) = aof.running.lock().take() else {
            return;
        };
        aof.rewrites.cancel();
        if let Some(id) = running.attached {
            self.engine.log.detach(id);
        }
        let (done, answer) = mpsc::channel();
        running.sink.order(Order::Flush(done));
        if let Ok(Err(reason)) = answer.recv() {
            tracing::warn!("Fail to fsync the AOF file: {reason}");
        }
        let (done, answer) = mpsc::channel();
        running.sink.order(Order::Stop(done));
        // It ends in either case.
        let _ = answer.recv();
        aof.promised.store(false, Relaxed);
        aof.needs_base.store(false, Relaxed);
        aof.refuse(None);
        self.record_log_off();
    }
}
