//! Snapshots to files: one at a time, in the caller's thread or in one of their own.
//!
//! A snapshot is cut in the thread that asks for it, which takes no time worth mentioning and
//! no fork; writing it is what takes long. What the cut holds is what the count of changes at
//! that moment says, or more: the count is read just before, so a change can be counted twice
//! but never forgotten.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_engine::snapshot::{Access, Progress, SaveOptions, Saved, Snapshot};
use parking_lot::{Condvar, Mutex};

use super::file::Target;
use super::loading::delay_for;
use crate::config::{COMPAT_VERSION, MaxmemoryPolicy};
use crate::sched::{Background, step_back};
use crate::server::{Server, unix_ms};

/// A snapshot that is being written.
#[derive(Debug)]
pub struct Run {
    began: Instant,
    background: bool,
    /// Keys there were at the cut.
    pub keys: u64,
    /// How far it is; its `cancel` ends it.
    pub progress: Progress,
}

impl Run {
    /// Whole seconds since it began.
    pub fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

/// What is known of snapshots to files.
#[derive(Debug)]
pub struct Snapshots {
    running: Mutex<Option<Arc<Run>>>,
    idle: Condvar,
    /// Snapshots begun.
    pub begun: AtomicU64,
    /// A background save is to begin as soon as it may.
    pub scheduled: AtomicBool,
    /// The last background save failed.
    pub failed: AtomicBool,
    /// Last good save, Unix seconds; the start until there is one.
    pub last_save_s: AtomicI64,
    /// Changes that the last good save holds.
    pub dirty_at_save: AtomicU64,
    /// Begin of the last background save, Unix seconds.
    pub last_try_s: AtomicI64,
    /// How long the last background save took, -1: there was none.
    pub last_took_s: AtomicI64,
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots {
            running: Mutex::default(),
            idle: Condvar::new(),
            begun: AtomicU64::new(0),
            scheduled: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            last_save_s: AtomicI64::new(unix_ms() / 1000),
            dirty_at_save: AtomicU64::new(0),
            last_try_s: AtomicI64::new(0),
            last_took_s: AtomicI64::new(-1),
        }
    }
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// A background save is under way.
    #[error("Background save already in progress")]
    InProgress,
    /// The file could not be written, which was logged.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Snapshots {
    /// The background save under way.
    pub fn background(&self) -> Option<Arc<Run>> {
        self.running.lock().clone().filter(|run| run.background)
    }

    /// Whether any save is under way.
    pub fn is_busy(&self) -> bool {
        self.running.lock().is_some()
    }

    /// Has the background save under way end soon; whether there is one.
    pub fn ask_to_end(&self) -> bool {
        let run = self.background();
        if let Some(run) = &run {
            run.progress.cancel.store(true, Relaxed);
        }
        run.is_some()
    }

    /// Ends the background save under way and waits until it is gone; whether there was one.
    pub fn cancel(&self) -> bool {
        let mut running = self.running.lock();
        let Some(run) = running.clone().filter(|run| run.background) else {
            return false;
        };
        run.progress.cancel.store(true, Relaxed);
        while running.as_ref().is_some_and(|now| Arc::ptr_eq(now, &run)) {
            self.idle.wait(&mut running);
        }
        true
    }

    /// Takes the turn to save. One that runs in the foreground, for a client of another thread,
    /// is waited for.
    fn begin(&self, background: bool, keys: u64) -> Result<Arc<Run>, SaveError> {
        let mut running = self.running.lock();
        while let Some(run) = &*running {
            if run.background {
                return Err(SaveError::InProgress);
            }
            self.idle.wait(&mut running);
        }
        let run = Arc::new(Run {
            began: Instant::now(),
            background,
            keys,
            progress: Progress::default(),
        });
        *running = Some(run.clone());
        Ok(run)
    }
}

/// The turn of a save, given back however the save ends.
struct Turn {
    server: Arc<Server>,
    run: Arc<Run>,
    /// A background save ended as it should.
    done: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let snapshots = &self.server.persist.snapshots;
        if self.run.background {
            let took = i64::try_from(self.run.seconds()).unwrap_or(i64::MAX);
            snapshots.last_took_s.store(took, Relaxed);
            if !self.done {
                snapshots.failed.store(true, Relaxed);
            }
        }
        *snapshots.running.lock() = None;
        snapshots.idle.notify_all();
    }
}

impl Turn {
    fn write_in_background(mut self, cut: Cut) {
        step_back(Background::Locks);
        let meter = cut.snapshot.meter();
        let written = self.server.write(&self.run, cut);
        let cost = &self.server.persist.cost;
        cost.last_save_peak.store(meter.usage().peak_bytes, Relaxed);
        match written {
            Ok(_) => {
                tracing::info!("Background saving terminated with success");
                self.done = true;
            }
            // Somebody wanted it to end: no sign of trouble.
            Err(_) if self.run.progress.cancel.load(Relaxed) => {
                tracing::warn!("Background saving cancelled");
                self.done = true;
            }
            Err(_) => tracing::warn!("Background saving error"),
        }
    }
}

/// The data at one moment and how it is to be written.
struct Cut {
    dirty: u64,
    /// The commit index.
    index: u64,
    snapshot: Snapshot,
    options: SaveOptions,
    name: String,
    target: Target,
    incremental: bool,
}

impl Server {
    /// Changes of the data set since the last save.
    pub fn changes_since_save(&self) -> u64 {
        let saved = self.persist.snapshots.dirty_at_save.load(Relaxed);
        self.engine.stats().dirty.saturating_sub(saved)
    }

    /// The data is what a file holds: nothing has changed since.
    pub fn data_is_saved(&self) {
        let dirty = self.engine.stats().dirty;
        self.persist.snapshots.dirty_at_save.store(dirty, Relaxed);
    }

    fn all_keys(&self) -> u64 {
        let keys = (0..self.engine.databases()).map(|db| self.engine.key_count(db) as u64);
        keys.sum()
    }

    /// What a snapshot tells of where it comes from.
    fn snapshot_facts(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let facts = [
            ("redis-ver", COMPAT_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", (unix_ms() / 1000).to_string()),
            ("used-mem", crate::memory::used().to_string()),
            ("basalt-ver", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let facts = facts.map(|(name, value)| (name.into(), value.into()));
        facts.into()
    }

    fn save_options(&self, threads: usize) -> SaveOptions {
        let config = self.config.load();
        SaveOptions {
            compress: config.rdbcompression,
            checksum: config.rdbchecksum,
            threads,
            access: access(config.maxmemory_policy),
            aux: self.snapshot_facts(),
            functions: self.engine.scripts.libraries.codes(),
        }
    }

    /// How the base of a log is written.
    pub(super) fn base_options(&self, threads: usize) -> SaveOptions {
        let mut options = self.save_options(threads);
        options.aux.push((b"aof-base".into(), b"1".into()));
        options
    }

    /// Cuts; the caller holds no shard.
    fn cut(&self, threads: usize) -> Cut {
        let config = self.config.load();
        let dirty = self.engine.stats().dirty;
        let mut options = self.save_options(threads);
        let index = self.snapshot_index();
        options.aux.extend(self.lineage_fields(index));
        self.set_snapshot_limit(&config);
        let snapshot = self.engine.snapshot(unix_ms());
        self.persist.cost.begin(snapshot.meter());
        Cut {
            dirty,
            index,
            options,
            snapshot,
            name: config.dbfilename.clone(),
            target: Target::at(&self.persist.place, &config.dbfilename),
            incremental: config.rdb_save_incremental_fsync,
        }
    }

    /// Writes what was cut; then that is the last save.
    fn write(&self, run: &Run, cut: Cut) -> Result<Saved, SaveError> {
        let name = cut.name;
        let saved = cut.target.write(cut.incremental, |sink| {
            let mut delayed = 0;
            let mut paced = |bytes: &[u8]| {
                sink(bytes)?;
                self.delay_progress(&run.progress, &mut delayed)
            };
            cut.snapshot
                .write_rdb(&self.engine, &cut.options, &mut paced, &run.progress)
        })?;
        let snapshots = &self.persist.snapshots;
        snapshots.dirty_at_save.store(cut.dirty, Relaxed);
        snapshots.last_save_s.store(unix_ms() / 1000, Relaxed);
        snapshots.failed.store(false, Relaxed);
        self.record_snapshot(&name, saved.bytes, cut.index);
        tracing::info!("DB saved on disk");
        Ok(saved)
    }

    /// Spends the time that `rdb-key-save-delay` asks for: for tests that need a slow save.
    pub(crate) fn delay_progress(&self, progress: &Progress, delayed: &mut u64) -> io::Result<()> {
        let cancelled = || progress.cancel.load(Relaxed);
        let keys = progress.keys.load(Relaxed);
        let began = Instant::now();
        loop {
            if cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let delay = self.config.load().rdb_key_save_delay;
            let wanted = delay_for(delay, keys.saturating_sub(*delayed));
            let left = wanted.saturating_sub(began.elapsed());
            if left.is_zero() {
                *delayed = keys;
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
    }

    /// Saves in this thread.
    ///
    /// # Errors
    /// [`SaveError`]; the file is the old one then.
    pub fn save(self: &Arc<Server>) -> Result<(), SaveError> {
        let snapshots = &self.persist.snapshots;
        let turn = Turn {
            run: snapshots.begin(false, self.all_keys())?,
            server: self.clone(),
            done: false,
        };
        snapshots.begun.fetch_add(1, Relaxed);
        self.write(&turn.run, self.cut(all_cores()))?;
        Ok(())
    }

    /// Cuts in this thread and saves in another.
    ///
    /// # Errors
    /// When a background save is under way, or there is no thread.
    pub fn save_in_background(self: &Arc<Server>) -> Result<(), SaveError> {
        let snapshots = &self.persist.snapshots;
        let turn = Turn {
            run: snapshots.begin(true, self.all_keys())?,
            server: self.clone(),
            done: false,
        };
        snapshots.begun.fetch_add(1, Relaxed);
        snapshots.last_try_s.store(unix_ms() / 1000, Relaxed);
        let cut = self.cut(1);
        tracing::info!("Background saving started by pid {}", std::process::id());
        let work = move || turn.write_in_background(cut);
        let builder = std::thread::Builder::new().name("rdb-bgsave".into());
        builder.spawn(work).inspect_err(|error| {
            tracing::warn!(
                "Can't save in background: {}",
                crate::config::text::os_reason(error)
            );
        })?;
        Ok(())
    }
}

/// What a snapshot says of the last access of keys: what the policy would want to know.
pub(crate) fn access(policy: MaxmemoryPolicy) -> Access {
    let name = policy.name();
    if name.contains("lru") {
        Access::Idle
    } else if name.contains("lfu") {
        Access::Frequency
    } else {
        Access::None
    }
}

/// As many threads as there are cores.
pub(crate) fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
