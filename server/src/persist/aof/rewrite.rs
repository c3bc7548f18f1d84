//! A rewrite: a base with the data of one moment, in place of all that came before.
//!
//! ```text
//! cut (all shards locked): snapshot + the log goes on in the next file
//! write temp-rewriteaof-bg-<pid>-<n>.aof, fsync
//! -> writer thread: rename, manifest, remove what it covers
//! ```
//!
//! One at a time, and none beside a background save. With the log off there is no writer: then
//! the base alone becomes the log, as in Redis.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use basalt_engine::env::disk::DiskFile;
use basalt_engine::fail_point;
use basalt_engine::snapshot::{Progress, Snapshot};
use basalt_formats::aof::annotation::timestamp_line;
use basalt_formats::aof::{BaseFormat, BatchWriter};
use parking_lot::Mutex;

use super::commands;
use super::folder::Folder;
use super::thread::{Base, Order};
use crate::config::text::os_reason;
use crate::persist::mapped::MappedFile;
use crate::persist::snapshots::all_cores;
use crate::sched::{Background, step_back};
use crate::server::{Server, unix_ms};

/// Bytes gathered before they go to the file.
const BUFFER: usize = 256 * 1024;
/// Forced to the disk piece by piece, a file leaves no mountain of work for its end.
const SYNC_EVERY: u64 = 16 << 20;
/// From so many failures on, automatic rewrites become rare, as in Redis.
const FAILURES: u64 = 3;
/// The longest wait between automatic rewrites then, in minutes.
const MAX_MINUTES: u64 = 60;
/// A rewrite that the log cannot do without is tried again after this.
const RETRY: Duration = Duration::from_millis(500);

/// A rewrite under way.
#[derive(Debug)]
pub struct Run {
    began: Instant,
    /// How far it is; its `cancel` ends it.
    pub progress: Progress,
}

impl Run {
    /// Whole seconds since it began.
    pub fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

/// Rewrites, past and present.
#[derive(Debug, Default)]
pub struct Rewrites {
    running: Mutex<Option<Arc<Run>>>,
    /// One is to begin as soon as it may.
    pub scheduled: AtomicBool,
    rest: Mutex<Rest>,
}

/// When the next automatic rewrite may begin.
#[derive(Debug, Default)]
struct Rest {
    minutes: u64,
    until: Option<Instant>,
    /// When the last attempt ended.
    tried: Option<Instant>,
}

impl Rewrites {
    /// The one under way.
    pub fn current(&self) -> Option<Arc<Run>> {
        self.running.lock().clone()
    }

    /// Gives up the one under way, and what is scheduled. From here on it changes nothing any more,
    /// and another may begin; its thread ends by itself.
    pub fn cancel(&self) {
        self.scheduled.store(false, Relaxed);
        if let Some(run) = self.running.lock().take() {
            tracing::info!("The AOF rewrite under way is given up");
            run.progress.cancel.store(true, Relaxed);
        }
    }

    /// Whether automatic rewrites rest after failures.
    fn rests(&self, failures: u64) -> bool {
        let mut rest = self.rest.lock();
        if failures < FAILURES {
            *rest = Rest::default();
            return false;
        }
        if let Some(until) = rest.until {
            if Instant::now() < until {
                return true;
            }
            rest.until = None;
            return false;
        }
        rest.minutes = (rest.minutes * 2).clamp(1, MAX_MINUTES);
        rest.until = Some(Instant::now() + Duration::from_secs(60 * rest.minutes));
        tracing::warn!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
            rest.minutes
        );
        true
    }
}

/// Why no rewrite was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// One is under way.
    #[error("Background append only file rewriting already in progress")]
    InProgress,
    /// A background save is.
    #[error("Background save already in progress")]
    Saving,
    /// There is no thread.
    #[error(
        "Can't execute an AOF background rewriting. Please check the server logs for more information."
    )]
    Thread,
}

/// A base that is complete and synced, under a temporary name.
pub(super) struct Written {
    pub path: PathBuf,
    pub format: BaseFormat,
}

/// The turn of a rewrite, given back however it ends.
struct Turn {
    server: Arc<Server>,
    run: Arc<Run>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let aof = &self.server.persist.aof;
        let mut running = aof.rewrites.running.lock();
        if self.is_current(&running) {
            let took = i64::try_from(self.run.seconds()).unwrap_or(i64::MAX);
            aof.facts.took_s.store(took, Relaxed);
            *running = None;
            aof.rewrites.rest.lock().tried = Some(Instant::now());
        }
    }
}

impl Server {
    /// Begins a rewrite in a thread of its own.
    ///
    /// # Errors
    /// [`RewriteError`].
    pub fn rewrite_log(self: &Arc<Server>) -> Result<(), RewriteError> {
        let aof = &self.persist.aof;
        let run = {
            let mut running = aof.rewrites.running.lock();
            if running.is_some() {
                return Err(RewriteError::InProgress);
            }
            if self.persist.snapshots.background().is_some() {
                return Err(RewriteError::Saving);
            }
            let run = Arc::new(Run {
                began: Instant::now(),
                progress: Progress::default(),
            });
            *running = Some(run.clone());
            run
        };
        let turn = Turn {
            server: self.clone(),
            run,
        };
        aof.rewrites.scheduled.store(false, Relaxed);
        aof.facts.rewrites.fetch_add(1, Relaxed);
        let builder = std::thread::Builder::new().name("aof-rewrite".into());
        builder.spawn(move || turn.run()).map_err(|error| {
            tracing::warn!("Can't rewrite append only file in background: {error}");
            RewriteError::Thread
        })?;
        tracing::info!(
            "Background append only file rewriting started by pid {}",
            std::process::id()
        );
        Ok(())
    }

    /// Begins a rewrite now, or when what keeps it from beginning is over.
    pub(super) fn rewrite_soon(self: &Arc<Server>) {
        if self.rewrite_log().is_err() {
            self.persist.aof.rewrites.scheduled.store(true, Relaxed);
            tracing::info!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible."
            );
        }
    }

    /// Begins a rewrite when one is scheduled, needed, or due by the directives. Called by the
    /// cron.
    pub fn check_log(self: &Arc<Server>) {
        let aof = &self.persist.aof;
        if self.hot.loading.load(Relaxed) || aof.is_rewriting() || self.persist.snapshots.is_busy()
        {
            return;
        }
        if !aof.rewrites.scheduled.load(Relaxed) && !self.must_rewrite() && !self.rewrite_is_due() {
            return;
        }
        // It began in between; what is scheduled comes after it.
        let _ = self.rewrite_log();
    }

    /// Whether the log is worth nothing without a base: it is being switched on, or its file is
    /// not to be trusted.
    fn must_rewrite(&self) -> bool {
        let aof = &self.persist.aof;
        let lacking = aof.is_on() && (aof.needs_base.load(Relaxed) || !aof.promised.load(Relaxed));
        lacking
            && aof
                .rewrites
                .rest
                .lock()
                .tried
                .is_none_or(|at| at.elapsed() >= RETRY)
    }

    fn rewrite_is_due(&self) -> bool {
        let aof = &self.persist.aof;
        let config = self.config.load();
        let percentage = u64::from(config.auto_aof_rewrite_percentage);
        let size = aof.facts.current_bytes.load(Relaxed);
        if percentage == 0 || !aof.is_on() || size <= config.auto_aof_rewrite_min_size {
            return false;
        }
        let base = aof.facts.base_bytes.load(Relaxed).max(1);
        let growth = (size.saturating_mul(100) / base).saturating_sub(100);
        if growth < percentage || aof.rewrites.rests(aof.facts.failures.load(Relaxed)) {
            return false;
        }
        tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
        true
    }

    /// Writes a base, complete and synced, under a temporary name.
    pub(super) fn write_base(
        self: &Arc<Server>,
        folder: &Folder,
        snapshot: &Snapshot,
        run: Option<&Run>,
    ) -> Result<Written, String> {
        // One that was given up may not have ended yet.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (pid, number) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = folder
            .dir()
            .join(format!("temp-rewriteaof-bg-{pid}-{number}.aof"));
        let disk = folder.disk();
        let idle = Progress::default();
        let progress = run.map_or(&idle, |run| &run.progress);
        let plain = !self.config.load().aof_use_rdb_preamble;
        let written = self
            .write_rdb_base(folder, &path, snapshot, (progress, run.is_none()))
            .and_then(|()| {
                if plain {
                    self.to_commands(folder, &path)
                } else {
                    Ok(())
                }
            })
            .and_then(|()| fail_point!("aof.base.written").map_err(|error| error.to_string()));
        if let Err(reason) = written {
            // Nobody needs it.
            let _ = disk.remove_if_there(&path);
            return Err(reason);
        }
        Ok(Written {
            path,
            format: if plain {
                BaseFormat::Aof
            } else {
                BaseFormat::Rdb
            },
        })
    }

    fn write_rdb_base(
        &self,
        folder: &Folder,
        path: &Path,
        snapshot: &Snapshot,
        (progress, alone): (&Progress, bool),
    ) -> Result<(), String> {
        let disk = folder.disk();
        disk.remove_if_there(path)
            .map_err(|error| error.to_string())?;
        let file = disk.create_new(path).map_err(|error| error.to_string())?;
        let incremental = self.config.load().aof_rewrite_incremental_fsync;
        let mut out = Out::new(file.as_ref(), incremental);
        let options = self.base_options(if alone { all_cores() } else { 1 });
        let mut delayed = 0;
        let mut paced = |bytes: &[u8]| {
            out.write(bytes)?;
            self.delay_progress(progress, &mut delayed)
        };
        snapshot
            .write_rdb(&self.engine, &options, &mut paced, progress)
            .and_then(|_| out.finish())
            .map_err(|error| os_reason(&error))
    }

    /// Puts commands in the place of an RDB file, with checksums.
    fn to_commands(&self, folder: &Folder, path: &Path) -> Result<(), String> {
        let disk = folder.disk();
        let input = MappedFile::open(path).map_err(|error| os_reason(&error))?;
        let beside = path.with_extension("commands.aof");
        disk.remove_if_there(&beside)
            .map_err(|error| error.to_string())?;
        let file = disk
            .create_new(&beside)
            .map_err(|error| error.to_string())?;
        let mut out = Out::new(
            file.as_ref(),
            self.config.load().aof_rewrite_incremental_fsync,
        );
        let time_ms = u64::try_from(unix_ms()).unwrap_or(0);
        let mut batches = BatchWriter::create(&folder.base_header(time_ms));
        if self.config.load().aof_timestamp_enabled {
            batches.append_encoded(timestamp_line(unix_ms() / 1000).as_bytes(), 0);
        }
        let limits = self.engine.settings.limits();
        let done = commands::convert(input.bytes(), &limits, &mut |records, db| {
            batches.append_encoded(records, db);
            if batches.open_bytes() >= BUFFER {
                batches.close(time_ms);
                out.write(&batches.take())?;
            }
            Ok(())
        });
        done.and_then(|()| {
            batches.close(time_ms);
            out.write(&batches.take())?;
            out.finish()
        })
        .map_err(|error| os_reason(&error))?;
        disk.rename(&beside, path)
            .map_err(|error| error.to_string())
    }
}

impl Turn {
    /// Whether it was not given up.
    fn is_current(&self, running: &Option<Arc<Run>>) -> bool {
        running
            .as_ref()
            .is_some_and(|run| Arc::ptr_eq(run, &self.run))
    }

    fn run(self) {
        step_back(Background::Locks);
        let aof = &self.server.persist.aof;
        match self.rewrite() {
            Ok(()) => {
                aof.facts.failures.store(0, Relaxed);
                aof.facts.failed.store(false, Relaxed);
                tracing::info!("Background AOF rewrite finished successfully");
            }
            // Somebody wanted it to end: no sign of trouble.
            Err(_) if self.run.progress.cancel.load(Relaxed) => {
                tracing::warn!("Background AOF rewrite cancelled");
            }
            Err(reason) => {
                aof.facts.failures.fetch_add(1, Relaxed);
                aof.facts.failed.store(true, Relaxed);
                tracing::warn!("Background AOF rewrite terminated with error: {reason}");
            }
        }
    }

    fn rewrite(&self) -> Result<(), String> {
        let server = &self.server;
        let aof = &server.persist.aof;
        // The writer, if there is one, owns the folder.
        let mut folder = server
            .log_folder(!aof.is_on())
            .map_err(|error| error.to_string())?;
        server.set_snapshot_limit(&server.config.load());
        aof.sync_ahead();
        let given_up = &self.run.progress.cancel;
        let (snapshot, sink) = server.engine.snapshot_with(unix_ms(), || {
            // The log of now may be another one by then.
            let cut = !given_up.load(Relaxed);
            cut.then(|| aof.cut(&server.engine.log)).flatten()
        });
        let (cost, meter) = (&server.persist.cost, snapshot.meter());
        cost.begin(meter.clone());
        let base = server.write_base(&folder, &snapshot, Some(&self.run));
        drop(snapshot);
        let peak = meter.usage().peak_bytes;
        cost.last_rewrite_peak.store(peak, Relaxed);
        let base = match (base, sink) {
            (Ok(base), Some(sink)) => {
                tracing::info!("Background AOF rewrite terminated with success");
                let (done, answer) = mpsc::channel();
                sink.order(Order::Publish(Base {
                    temp: base.path.clone(),
                    format: base.format,
                    done,
                }));
                let answer = answer.recv();
                return answer.unwrap_or_else(|_| {
                    // Its writer has ended without looking at it.
                    let _ = folder.disk().remove_if_there(&base.path);
                    Err("the log was switched off".into())
                });
            }
            (Err(reason), sink) => {
                if let Some(sink) = sink {
                    sink.order(Order::Abandon);
                }
                return Err(reason);
            }
            (Ok(base), None) => base,
        };
        // Held, so that the log is not switched on meanwhile.
        let running = aof.rewrites.running.lock();
        if !self.is_current(&running) || aof.is_on() {
            // This base has no place any more.
            let _ = folder.disk().remove_if_there(&base.path);
            return Err("the log was switched on".into());
        }
        tracing::info!("Background AOF rewrite terminated with success");
        let published = folder
            .publish_base(&base.path, base.format, 0)
            .map_err(|error| error.to_string());
        server.record_log_off();
        published
    }
}

/// A file being written, in large pieces.
struct Out<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    incremental: bool,
    unsynced: u64,
}

impl<'a> Out<'a> {
    fn new(file: &'a dyn DiskFile, incremental: bool) -> Out<'a> {
        Out {
            file,
            buffer: Vec::with_capacity(BUFFER),
            incremental,
            unsynced: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file
            .append(&self.buffer)
            .map_err(|failed| failed.error.source)?;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        if self.incremental && self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.file.sync_data().map_err(|error| error.source)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data().map_err(|error| error.source)
    }
}
