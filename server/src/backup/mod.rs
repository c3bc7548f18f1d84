//! Backups to an object store, made by the running server.
//!
//! ```text
//! BACKUP NOW, schedule ---> run: cut -> walk (tally counts, sink) -> basalt_backup::job::create -> store
//!                                                                    then prune, if there is a retention
//! BACKUP VERIFY ----------> run: every object read and hashed
//! tool basalt ------------> basalt_backup::job, drill
//! ```
//!
//! One job at a time, in a thread of its own; what clients see of it is in [`Backups`]. Nothing here is on the path of a
//! command: the cut is that of BGSAVE, and so is what the walk costs writers.

pub mod archive;
pub mod digest;
pub mod drill;
pub mod moment;
pub mod on_start;
mod output;
pub mod restore;
mod run;
mod settings;
pub mod sink;
pub mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_backup::job::create::UploadState;
use basalt_backup::job::schedule::Schedule;
use basalt_engine::snapshot::Progress;
use parking_lot::{Condvar, Mutex};

pub use settings::{INDEX_FILE, KEY_FILE, Settings, SettingsError};

use crate::sched::{Background, step_back};
use crate::server::{Server, unix_ms};

/// How long SHUTDOWN waits for a job to end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// How long after a backup that was to begin the archive the next one is tried.
const ARCHIVE_RETRY: Duration = Duration::from_secs(30);

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Makes a backup.
    Backup,
    /// Reads what is there.
    Verify,
}

/// A job under way.
#[derive(Debug)]
pub struct Run {
    /// What it does.
    pub task: Task,
    /// When it began.
    pub began: Instant,
    /// Keys there were at the cut.
    pub keys: AtomicU64,
    /// How far the walk is.
    pub progress: Progress,
    /// How far the upload is.
    pub upload: Arc<UploadState>,
}

impl Run {
    fn cancel(&self) {
        self.progress.cancel.store(true, Relaxed);
        self.upload.cancel.store(true, Relaxed);
    }
}

/// A backup as BACKUP LIST shows it.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Its ID.
    pub id: String,
    /// The moment of the cut, Unix milliseconds.
    pub cut_ms: i64,
    /// Keys.
    pub keys: u64,
    /// Bytes of its objects.
    pub stored_bytes: u64,
    /// Bytes uploaded for it.
    pub uploaded_bytes: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Why it cannot be read, if so.
    pub error: Option<String>,
}

/// How the last job of a kind ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When, Unix milliseconds; zero: never.
    pub at_ms: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Empty if it went well.
    pub error: String,
}

/// What is known of backups.
#[derive(Debug, Default)]
pub struct Backups {
    running: Mutex<Option<Arc<Run>>>,
    idle: Condvar,
    /// What there was at the last look, oldest first.
    pub listed: Mutex<Option<Vec<Brief>>>,
    /// The last backup that succeeded.
    pub last: Mutex<Option<Brief>>,
    /// The last attempt of a backup.
    pub last_backup: Mutex<Outcome>,
    /// The last verification.
    pub last_verify: Mutex<Outcome>,
    /// Why the last pruning after a backup failed; empty if it did not.
    pub last_prune_error: Mutex<String>,
    /// The backup that the last verification without an error was of.
    pub verified: Mutex<Option<(String, i64)>>,
    /// Backups made by this process.
    pub made: AtomicU64,
    /// Jobs that failed.
    pub failures: AtomicU64,
    /// Bytes uploaded by this process.
    pub uploaded_bytes: AtomicU64,
    /// When the next one is due, Unix milliseconds; zero: unknown.
    pub next_ms: AtomicI64,
    /// The schedule that [`Backups::next_ms`] is of.
    schedule: Mutex<Option<Schedule>>,
    /// The archive of the log.
    pub archive: archive::Archive,
    /// The list was asked for at the start.
    looked: AtomicBool,
    /// Somebody is looking.
    looking: AtomicBool,
}

/// Why no job was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// One is under way.
    #[error("a backup job is already in progress")]
    Busy,
    /// The settings do not allow one.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Backups {
    /// The job under way.
    pub fn current(&self) -> Option<Arc<Run>> {
        self.running.lock().clone()
    }

    /// Has the job under way end soon; whether there is one.
    pub fn cancel(&self) -> bool {
        let run = self.current();
        if let Some(run) = &run {
            run.cancel();
        }
        run.is_some()
    }

    /// Ends the job under way and waits a moment for it: what it has uploaded is removed.
    pub fn stop(&self) {
        if !self.cancel() {
            return;
        }
        tracing::warn!("There is a backup job in progress. Ending it!");
        let mut running = self.running.lock();
        let until = Instant::now() + SHUTDOWN_PATIENCE;
        while running.is_some() {
            if self.idle.wait_until(&mut running, until).timed_out() {
                tracing::warn!("The backup job does not end; what it has uploaded will be pruned.");
                return;
            }
        }
    }

    /// Takes the turn.
    fn begin(&self, task: Task) -> Result<Arc<Run>, BeginError> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(BeginError::Busy);
        }
        let run = Arc::new(Run {
            task,
            began: Instant::now(),
            keys: AtomicU64::new(0),
            progress: Progress::default(),
            upload: Arc::default(),
        });
        *running = Some(run.clone());
        Ok(run)
    }

    fn end(&self) {
        *self.running.lock() = None;
        self.idle.notify_all();
    }

    /// Milliseconds of changes that would be lost with this machine: with an archive what it has not shipped, else
    /// everything since the last backup. Zero only if nothing would be. None without a backup.
    pub fn rpo_ms(&self) -> Option<i64> {
        let age = self.age_ms().map(|age| age.max(1));
        let stream = self.archive.stream().filter(|stream| !stream.is_over());
        match stream {
            Some(stream) => age.map(|age| age.min(stream.lag_ms(unix_ms()))),
            None => age,
        }
    }

    /// Milliseconds since the moment of the last backup. None without one.
    pub fn age_ms(&self) -> Option<i64> {
        let last = self.last.lock();
        last.as_ref()
            .map(|last| unix_ms().saturating_sub(last.cut_ms).max(0))
    }
}

/// Gives the turn back however a job ends.
struct Turn(Arc<Server>, Task);

impl Drop for Turn {
    fn drop(&mut self) {
        let backups = &self.0.backups;
        if std::thread::panicking() {
            let last = match self.1 {
                Task::Backup => &backups.last_backup,
                Task::Verify => &backups.last_verify,
            };
            *last.lock() = Outcome {
                at_ms: unix_ms(),
                took_ms: 0,
                error: "the job has panicked; the log says where".to_owned(),
            };
            backups.failures.fetch_add(1, Relaxed);
        }
        backups.end();
    }
}

impl Server {
    /// Begins a job in a thread of its own.
    ///
    /// # Errors
    /// [`BeginError`].
    pub fn begin_backup_job(
        self: &Arc<Server>,
        task: Task,
        of: Option<String>,
    ) -> Result<(), BeginError> {
        let settings = Settings::of(&self.config.load())?;
        let run = self.backups.begin(task)?;
        basalt_backup::thread::on_begin(|| step_back(Background::Works));
        let turn = Turn(self.clone(), task);
        let server = self.clone();
        std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                let _turn = turn;
                match task {
                    Task::Backup => {
                        step_back(Background::Locks);
                        server.run_backup(&settings, &run);
                    }
                    Task::Verify => {
                        step_back(Background::Works);
                        server.run_verification(&settings, &run, of.as_deref());
                    }
                }
            })
            .map(drop)
            .map_err(BeginError::Thread)
    }

    /// Looks what backups there are, in a thread of its own, unless somebody does.
    ///
    /// # Errors
    /// [`BeginError`].
    pub fn begin_listing(self: &Arc<Server>) -> Result<(), BeginError> {
        let settings = Settings::of(&self.config.load())?;
        if self.backups.looking.swap(true, Relaxed) {
            return Ok(());
        }
        let server = self.clone();
        let spawned = std::thread::Builder::new()
            .name("backup-list".into())
            .spawn(move || {
                if let Err(error) = server.look_at_backups(&settings) {
                    tracing::warn!("Cannot list the backups: {error}");
                }
                server.backups.looking.store(false, Relaxed);
            });
        spawned.map(drop).map_err(|error| {
            self.backups.looking.store(false, Relaxed);
            BeginError::Thread(error)
        })
    }

    /// Begins what is due; called about once a second.
    pub fn check_backups(self: &Arc<Server>, now_ms: i64) {
        let config = self.config.load();
        if config.backup_url.is_none() || self.hot.loading.load(Relaxed) {
            return;
        }
        let backups = &self.backups;
        if !backups.looked.swap(true, Relaxed) {
            // What there is from before tells when the next one is due.
            if self.begin_listing().is_ok() {
                return;
            }
        }
        let stream = backups.archive.stream();
        if stream.is_some() && !config.backup_archive {
            self.end_archive();
        }
        if backups.current().is_some() || backups.looking.load(Relaxed) {
            return;
        }
        let ended = |stream: &archive::Stream| {
            let settings = Settings::of(&config);
            stream.is_over() || settings.is_ok_and(|settings| stream.differs(&settings))
        };
        if config.backup_archive && stream.as_deref().is_none_or(ended) {
            // A stream begins with a backup; after a failure not at once again.
            let mut tried = backups.archive.tried.lock();
            if tried.is_none_or(|at| at.elapsed() > ARCHIVE_RETRY) {
                *tried = Some(Instant::now());
                if let Err(error) = self.begin_backup_job(Task::Backup, None) {
                    tracing::warn!("The archive of the log cannot begin: {error}");
                }
                return;
            }
        }
        let wanted = config
            .backup_schedule
            .as_deref()
            .and_then(|text| Schedule::parse(text, &config.backup_time_zone).ok());
        let mut schedule = backups.schedule.lock();
        let last_ms = {
            let last = backups.last.lock().as_ref().map(|last| last.cut_ms);
            let tried = backups.last_backup.lock().at_ms;
            last.max((tried > 0).then_some(tried))
        };
        if *schedule != wanted {
            let next = wanted
                .as_ref()
                .and_then(|wanted| wanted.next(now_ms, last_ms));
            backups.next_ms.store(next.unwrap_or(0), Relaxed);
            *schedule = wanted;
        }
        let Some(schedule) = &*schedule else {
            return;
        };
        let due = backups.next_ms.load(Relaxed);
        if due == 0 || now_ms < due {
            return;
        }
        let next = schedule.next(now_ms, Some(now_ms));
        backups.next_ms.store(next.unwrap_or(0), Relaxed);
        if let Err(error) = self.begin_backup_job(Task::Backup, None) {
            tracing::warn!("The scheduled backup cannot begin: {error}");
            let mut last = backups.last_backup.lock();
            last.at_ms = now_ms;
            last.error = error.to_string();
            backups.failures.fetch_add(1, Relaxed);
        }
    }
}
