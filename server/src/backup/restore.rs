//! A backup as files in a data directory: an RDB file, or the folder of an append-only file with the log behind it.
//!
//! ```text
//! chunks --decrypt, decompress, check--> temporary file, drill (load, digest) --fsync--> manifest agrees --link--> file
//! ```
//!
//! Invariant: the file appears only when everything has been read, authenticated, loaded and found to have the digest of the
//! moment of the backup. Whatever goes wrong before, nothing has changed.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_backup::job::archive::{Mark, Route};
use basalt_backup::job::join::{Wanted, join};
use basalt_backup::job::{archive, catalog};
use basalt_backup::repo::crypt::Identities;
use basalt_backup::repo::manifest::Position;
use basalt_backup::repo::{BackupId, Chunk, Manifest, RepositoryKey, parse_moment};
use basalt_backup::store::BackupStore;

use super::drill::Drill;
use super::moment::Moment;
use super::output::Output;
use crate::config::COMPAT_VERSION;

/// What keeps a restore from its work, ready to be printed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Told of the bytes of each object that has been dealt with.
pub type Tick<'t> = &'t (dyn Fn(u64) + Sync);

/// A backup that has been opened.
pub struct Opened<'s> {
    /// Where it is.
    pub store: &'s dyn BackupStore,
    /// What opens it.
    pub identities: &'s Identities,
    /// Authenticated.
    pub manifest: Manifest,
    /// The repository key.
    pub key: RepositoryKey,
}

/// The folder and the base of the names of an append-only file.
#[derive(Clone, Debug)]
pub struct LogNames {
    /// As `appenddirname`.
    pub folder: String,
    /// As `appendfilename`.
    pub file: String,
}

/// The moment that a text means; none: the latest.
///
/// # Errors
/// It is no moment.
pub fn moment_of(text: &str) -> Result<Option<i64>, Failure> {
    match text {
        "latest" => Ok(None),
        text => {
            let moment = parse_moment(text).ok_or_else(|| format!("'{text}' is no moment"))?;
            Ok(Some(moment))
        }
    }
}

/// The newest backup that is not younger than a moment.
///
/// # Errors
/// There is none, or what the store says.
pub fn base_before(store: &dyn BackupStore, until_ms: Option<i64>) -> Result<BackupId, Failure> {
    let mut ids = catalog::ids(store)?;
    ids.retain(|id| until_ms.is_none_or(|until| id.time_ms() <= until));
    ids.pop()
        .ok_or_else(|| "there is no backup before that moment".into())
}

impl<'s> Opened<'s> {
    /// Opens a backup.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        store: &'s dyn BackupStore,
        id: &BackupId,
        identities: &'s Identities,
    ) -> Result<Opened<'s>, Failure> {
        let (manifest, key) = catalog::open(store, id, identities)?;
        Ok(Opened {
            store,
            identities,
            manifest,
            key,
        })
    }

    /// Where the log goes on.
    ///
    /// # Errors
    /// It does not.
    pub fn position(&self) -> Result<&Position, Failure> {
        let missing = || format!("no archive of the log goes on after {}", self.manifest.id);
        Ok(self.manifest.archive.as_ref().ok_or_else(missing)?)
    }

    /// Writes it as one RDB file and proves it on the way; bytes written.
    ///
    /// # Errors
    /// What was written is then no file.
    pub fn write(
        &self,
        remarks: &[(&str, &str)],
        wanted: Option<&Wanted<'_>>,
        out: &mut (dyn Write + Send),
        tick: Tick<'_>,
    ) -> Result<u64, Failure> {
        let drill = Drill::new(&self.manifest, &self.key);
        let bits = usize::BITS.to_string();
        let mut all = vec![
            ("redis-ver", COMPAT_VERSION),
            ("redis-bits", bits.as_str()),
            ("basalt-restored-from", self.manifest.id.as_str()),
        ];
        all.extend(remarks);
        let prove = |chunk: &Chunk, rdb: &[u8]| {
            tick(chunk.bytes);
            drill.chunk(chunk, rdb)
        };
        let (manifest, identities) = (&self.manifest, self.identities);
        let bytes = join(self.store, manifest, identities, &all, wanted, out, &prove)?;
        drill.finish(manifest)?;
        Ok(bytes)
    }

    /// Writes it to a new file; bytes written.
    ///
    /// # Errors
    /// There is no file then.
    pub fn to_file(
        &self,
        file: &Path,
        wanted: Option<&Wanted<'_>>,
        tick: Tick<'_>,
    ) -> Result<u64, Failure> {
        self.new_file(file, |remarks, out| self.write(remarks, wanted, out, tick))
    }

    /// Writes the data of a moment, or what is wanted of it, to a new file; bytes written.
    ///
    /// # Errors
    /// There is no file then.
    pub fn moment_file(
        &self,
        file: &Path,
        moment: &Moment,
        wanted: Option<Arc<basalt_engine::snapshot::Wanted>>,
    ) -> Result<u64, Failure> {
        self.new_file(file, |remarks, out| moment.write(remarks, wanted, out))
    }

    /// Has a new file written; it has its name only when it is complete.
    ///
    /// # Errors
    /// There is no file then.
    fn new_file(
        &self,
        file: &Path,
        write: impl FnOnce(&[(&str, &str)], &mut (dyn Write + Send)) -> Result<u64, Failure>,
    ) -> Result<u64, Failure> {
        let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new("."));
        let path = dir.join(format!("temp-restore-{}.rdb", std::process::id()));
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let output = File::create_new(&path).map_err(failed)?;
        let _temporary = Temporary(path.clone());
        let ctime = (self.manifest.cut_ms / 1000).to_string();
        let mut output = Output::new(output).map_err(failed)?;
        let bytes = write(&[("ctime", ctime.as_str())], &mut output)?;
        output.finish().map_err(failed)?;
        // A link, unlike a rename, does not replace what somebody has put there meanwhile.
        fs::hard_link(&path, file).map_err(|error| format!("{}: {error}", file.display()))?;
        File::open(dir)?.sync_all()?;
        Ok(bytes)
    }

    /// The segments of the log that lead to a moment.
    ///
    /// # Errors
    /// The log does not reach so far.
    pub(super) fn route(&self, until_ms: Option<i64>) -> Result<Route, Failure> {
        let position = self.position()?;
        let heads = catalog::all(self.store)?.into_iter();
        let marks: Vec<Mark> = heads
            .filter_map(|listed| listed.manifest.ok())
            .filter_map(|manifest| Mark::of(&manifest))
            .collect();
        Ok(archive::route(self.store, position, until_ms, &marks)?)
    }

    /// Writes the log up to a moment as plain commands; effects written.
    ///
    /// # Errors
    /// The log does not reach so far, or is damaged.
    pub fn log(&self, until_ms: Option<i64>, out: &mut dyn Write) -> Result<u64, Failure> {
        let mut effects = 0u64;
        for stored in &self.route(until_ms)?.segments {
            let content = archive::read(self.store, stored, self.identities, &self.key)?;
            effects += archive::replay(&stored.name, &content, until_ms, out)?;
        }
        out.flush()?;
        Ok(effects)
    }

    /// Writes it and the log behind it up to a moment as an append-only file; bytes of the base, and effects.
    ///
    /// # Errors
    /// There is no append-only file then.
    pub fn to_folder(
        &self,
        dir: &Path,
        names: &LogNames,
        until_ms: Option<i64>,
        tick: Tick<'_>,
    ) -> Result<(u64, u64), Failure> {
        // What is missing is said before anything is read.
        self.route(until_ms)?;
        let temporary = TemporaryDir(dir.join(format!("temp-restore-{}", std::process::id())));
        fs::create_dir(&temporary.0)?;
        let create = |name: &str| -> Result<Output, Failure> {
            let path = temporary.0.join(name);
            let failed = |error: io::Error| format!("{}: {error}", path.display());
            let file = File::create_new(&path).map_err(failed)?;
            Ok(Output::new(file).map_err(failed)?)
        };
        let base = format!("{}.1.base.rdb", names.file);
        let incr = format!("{}.1.incr.aof", names.file);
        let manifest = format!("{}.manifest", names.file);
        let mut output = create(&base)?;
        let bytes = self.write(&[("aof-base", "1")], None, &mut output, tick)?;
        output.finish()?;
        let mut output = create(&incr)?;
        let effects = self.log(until_ms, &mut output)?;
        output.finish()?;
        let mut output = create(&manifest)?;
        let listed = format!("file {base} seq 1 type b\nfile {incr} seq 1 type i\n");
        output.write_all(listed.as_bytes())?;
        output.finish()?;
        File::open(&temporary.0)?.sync_all()?;
        fs::rename(&temporary.0, dir.join(&names.folder))?;
        File::open(dir)?.sync_all()?;
        Ok((bytes, effects))
    }
}

/// A file that is removed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A directory that is removed, unless it has another name by then.
struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
