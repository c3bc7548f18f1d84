//! Loading the data set when the process starts, and again for DEBUG RELOAD.
//!
//! The listeners are open before, so that clients are told to wait instead of finding nobody.
//! The work is done in a thread of its own; the main thread keeps its signals and reports on
//! progress.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::load::{LoadOptions, Loaded, RdbLoadCause, RdbLoadError};
use basalt_engine::script::libraries::{LibraryError, Policy};
use basalt_formats::rdb::file::Fault;
use tokio::sync::oneshot;

use super::aof::control::OpenError;
use super::aof::load::LoadedAof;
use super::aof::{AofFailure, AofFiles};
use super::loading::Round;
use super::mapped::MappedFile;
use super::snapshots::all_cores;
use crate::config::Config;
use crate::config::text::os_reason;
use crate::server::{Server, unix_ms};

/// How often the log tells how far a load is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadFailure {
    /// A file is there but cannot be read.
    #[error("Can't open {}: {}", path.display(), os_reason(cause))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A snapshot is damaged, or not one.
    #[error("Bad snapshot {}: {cause}", path.display())]
    Rdb {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: RdbLoadError,
    },
    /// A function library in a snapshot is none.
    #[error("Bad function library in {}: {cause}", path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: LibraryError,
    },
    /// The append-only file.
    #[error(transparent)]
    Aof(#[from] AofFailure),
    /// The files are not those that should be there.
    #[error(transparent)]
    Refused(#[from] super::lineage::start::Refusal),
    /// The log cannot be written.
    #[error("Can't open the append-only file: {0}")]
    LogNotOpened(#[from] OpenError),
    /// The thread that loaded is gone.
    #[error("Loading ended by an internal error")]
    Died,
}

/// What is there to load.
#[derive(Debug)]
pub enum Source {
    /// A snapshot.
    Snapshot(PathBuf, MappedFile),
    /// The append-only file.
    Log(AofFiles),
}

impl Source {
    fn total_bytes(&self) -> u64 {
        match self {
            Source::Snapshot(_, file) => file.bytes().len() as u64,
            Source::Log(log) => log.total_bytes(),
        }
    }
}

/// Finds what the configuration says is to be loaded; `None` if there is nothing.
///
/// # Errors
/// When something is there but cannot be opened: that is no reason to start empty.
pub fn find(config: &Config) -> Result<Option<Source>, LoadFailure> {
    let snapshot = || snapshot_at(PathBuf::from(&config.dbfilename));
    if !config.appendonly {
        return snapshot();
    }
    if let Some(log) = AofFiles::find(config)? {
        return Ok(Some(Source::Log(log)));
    }
    let snapshot = snapshot()?;
    if snapshot.is_some() {
        tell_of_snapshot(config);
    }
    Ok(snapshot)
}

/// Says why a snapshot is loaded although the log is on.
pub(super) fn tell_of_snapshot(config: &Config) {
    tracing::warn!(
        "appendonly is on and there is no append-only file to load: loading the snapshot {} rather than starting empty",
        config.dbfilename
    );
}

pub(super) fn snapshot_at(path: PathBuf) -> Result<Option<Source>, LoadFailure> {
    match MappedFile::open(&path) {
        Ok(file) => Ok(Some(Source::Snapshot(path, file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LoadFailure::Open {
            path: std::path::absolute(&path).unwrap_or(path),
            cause,
        }),
    }
}

/// A load that clients are already told of.
#[derive(Debug)]
pub struct Pending {
    source: Source,
    round: Arc<Round>,
}

impl Pending {
    /// Announces the load to clients.
    pub fn announce(server: &Server, source: Source) -> Pending {
        let round = server.loading_begins(source.total_bytes());
        Pending { source, round }
    }

    /// Loads in a thread, and reports on it until it is done.
    ///
    /// # Errors
    /// [`LoadFailure`]; the data is incomplete then, and clients are still told to wait.
    pub async fn load(self, server: Arc<Server>) -> Result<(), LoadFailure> {
        let (send, mut receive) = oneshot::channel();
        let what = match self.source {
            Source::Snapshot(..) => "disk",
            Source::Log(_) => "append only file",
        };
        let round = self.round.clone();
        let loader = server.clone();
        let work = move || {
            let result = loader
                .load_source(&self.source, &self.round, false)
                .and_then(|log| loader.begin_log(log.as_ref()));
            // Nobody waits any more when the process goes down.
            let _ = send.send(result);
        };
        let builder = std::thread::Builder::new().name("loader".into());
        builder.spawn(work).map_err(|_| LoadFailure::Died)?;
        loop {
            tokio::select! {
                result = &mut receive => {
                    let result = result.unwrap_or(Err(LoadFailure::Died));
                    if round.is_cancelled() {
                        // Whoever cancelled it ends the process.
                        std::future::pending::<()>().await;
                    }
                    result?;
                    server.data_is_saved();
                    server.loading_ends();
                    let seconds = round.began.elapsed().as_secs_f64();
                    tracing::info!("DB loaded from {what}: {seconds:.3} seconds");
                    return Ok(());
                }
                () = tokio::time::sleep(REPORT_EVERY) => tracing::info!(
                    "Loading: {:.1}% of {} bytes, {} keys, about {} seconds left",
                    round.percent(),
                    round.total_bytes,
                    round.progress.keys.load(Relaxed),
                    round.eta_seconds()
                ),
            }
        }
    }
}

impl Server {
    /// Begins to write the log, if it is on. To be called once the data is there.
    ///
    /// # Errors
    /// [`LoadFailure::LogNotOpened`].
    pub fn begin_log(self: &Arc<Server>, loaded: Option<&LoadedAof>) -> Result<(), LoadFailure> {
        if self.config.load().appendonly {
            self.open_log(loaded)?;
        }
        Ok(())
    }

    /// Adds what a source holds to what is there.
    ///
    /// # Errors
    /// [`LoadFailure`]; part of the keys may be there then.
    fn load_source(
        self: &Arc<Server>,
        source: &Source,
        round: &Round,
        merge: bool,
    ) -> Result<Option<LoadedAof>, LoadFailure> {
        let (path, file) = match source {
            Source::Snapshot(path, file) => (path, file),
            Source::Log(log) => {
                return Ok(Some(self.load_aof(log, round)?));
            }
        };
        let loaded = self.load_rdb_bytes(path, file.bytes(), round, merge, false)?;
        self.note_loaded(&loaded);
        tracing::info!(
            "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
            loaded.keys,
            loaded.expired,
            loaded.empty_skipped
        );
        Ok(None)
    }

    /// Loads a snapshot that is all or the beginning of these bytes.
    ///
    /// # Errors
    /// [`LoadFailure`], naming `path`.
    pub(super) fn load_rdb_bytes(
        &self,
        path: &std::path::Path,
        bytes: &[u8],
        round: &Round,
        merge: bool,
        keep_expired: bool,
    ) -> Result<Loaded, LoadFailure> {
        let path = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let skip_checksums = self.engine.settings.skip_checksums.load(Relaxed);
        let options = LoadOptions {
            now_ms: unix_ms(),
            checksum: self.config.load().rdbchecksum && !skip_checksums,
            threads: all_cores(),
            keep_expired,
            replace: merge,
        };
        let loaded = self
            .engine
            .load_rdb(bytes, &options, &round.progress)
            .map_err(|cause| LoadFailure::Rdb {
                path: path(),
                cause,
            })?;
        log_origin(&loaded.aux);
        let policy = if merge {
            Policy::Replace
        } else {
            Policy::Append
        };
        let codes: Vec<&[u8]> = loaded.functions.iter().map(|code| &code[..]).collect();
        if !codes.is_empty() {
            self.engine
                .scripts
                .load_libraries(&codes, policy)
                .map_err(|cause| LoadFailure::Library {
                    path: path(),
                    cause,
                })?;
        }
        self.delay_load(round, loaded.keys);
        Ok(loaded)
    }

    fn note_loaded(&self, loaded: &Loaded) {
        let loading = &self.persist.loading;
        loading.loaded.store(loaded.keys, Relaxed);
        loading.expired.store(loaded.expired, Relaxed);
    }

    /// Loads the snapshot file again, in this thread, which holds no shard. With `merge`, its
    /// keys replace those that are there; without, they must be new.
    ///
    /// # Errors
    /// [`LoadFailure`], which was logged. Part of the keys may be there then.
    pub fn reload_snapshot(self: &Arc<Server>, merge: bool) -> Result<(), LoadFailure> {
        let name = self.config.load().dbfilename.clone();
        let missing = || LoadFailure::Open {
            path: name.clone().into(),
            cause: io::Error::from(rustix::io::Errno::NOENT),
        };
        let source = snapshot_at(name.clone().into())
            .and_then(|source| source.ok_or_else(missing))
            .inspect_err(LoadFailure::log)?;
        self.reload(&source, merge)
    }

    /// Loads a source in this thread, which holds no shard.
    ///
    /// # Errors
    /// [`LoadFailure`], which was logged. Part of the keys may be there then.
    pub fn reload(self: &Arc<Server>, source: &Source, merge: bool) -> Result<(), LoadFailure> {
        let round = self.loading_begins(source.total_bytes());
        let result = self.load_source(source, &round, merge).map(drop);
        self.loading_ends();
        result.inspect_err(LoadFailure::log)
    }
}

/// Says which server wrote a snapshot, and when.
fn log_origin(aux: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in aux {
        let shown = basalt_engine::shown(value);
        let number = shown.parse::<i64>().unwrap_or(0);
        match name.as_slice() {
            b"redis-ver" | b"valkey-ver" => {
                tracing::info!("Loading RDB produced by version {shown}");
            }
            b"ctime" => {
                let age = (unix_ms() / 1000).saturating_sub(number).max(0);
                tracing::info!("RDB age {age} seconds");
            }
            b"used-mem" => tracing::info!(
                "RDB memory usage when created {:.2} Mb",
                number as f64 / f64::from(1 << 20)
            ),
            b"aof-base" if number != 0 => tracing::info!("RDB is base AOF"),
            _ => {}
        }
    }
}

impl LoadFailure {
    /// Logs why nothing was loaded.
    pub fn log(&self) {
        if let LoadFailure::Aof(failure) = self {
            return failure.log();
        }
        if let LoadFailure::Rdb { cause, .. } = self
            && let RdbLoadCause::File(error) = &cause.cause
            && let Fault::ChecksumMismatch { expected, found } = error.fault
        {
            tracing::warn!(
                "Wrong RDB checksum expected: ({expected:x}) but got ({found:x}). Aborting now."
            );
            tracing::warn!("RDB CRC error");
        }
        tracing::warn!("{self}");
        if let LoadFailure::Rdb { .. } | LoadFailure::Library { .. } = self {
            tracing::warn!("Terminating server after rdb file reading failure.");
        }
    }

    /// Logs it as the reason why the process ends. The last line is that of Redis, for those
    /// who look there.
    pub fn log_fatal(&self) {
        self.log();
        if !matches!(self, LoadFailure::Aof(_)) {
            tracing::warn!("Fatal error loading the DB, check server logs. Exiting.");
        }
    }
}
