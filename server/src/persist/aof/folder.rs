//! The folder of the log: its manifest, and files coming and going.
//!
//! ```text
//! create incr: header, fsync        manifest names it: temp, fsync, rename, fsync of the folder
//! base: temp, fsync, rename         manifest names it and no longer what it covers
//!                                   -> remove that -> manifest without it
//! ```
//!
//! Whatever is cut short, one manifest is whole and every file it names is there. Each step has
//! a failpoint.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_engine::env::disk::{Disk, DiskError, DiskFile, publish, replace_file};
use basalt_engine::fail_point;
use basalt_formats::aof::annotation::HEADER_BYTES;
use basalt_formats::aof::{
    BaseFormat, Chain, Header, Lineage, Manifest, ManifestError, Part, SequenceExhausted,
    manifest_name,
};

use crate::server::unix_ms;

/// A manifest has a line for each file, and no log has that many.
const MANIFEST_MAX: usize = 16 << 20;

/// Why the folder could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// No number is left for another file.
    #[error(transparent)]
    Exhausted(#[from] SequenceExhausted),
    /// The manifest is damaged.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
}

/// The folder.
pub struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    prefix: String,
    lineage: Lineage,
    /// The files, with those that only the next base will make known.
    pub manifest: Manifest,
    /// The last increment is not in the manifest on the disk: it means nothing without the base
    /// in the making.
    pub unpublished: bool,
    /// There is a manifest on the disk.
    exists: bool,
    /// Files that a base has replaced stay (`aof-disable-auto-gc`).
    pub keep_history: bool,
    /// Files that only a manifest names of which it is not known whether it is on the disk.
    doubtful: Vec<PathBuf>,
}

/// A new increment, open for appending and durable as it is.
pub struct Incr {
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// What its first batch continues.
    pub chain: Chain,
}

impl Folder {
    /// Opens the folder, which is made if need be. What half-done work left is removed, but for
    /// history ([`Folder::remove_history`]): nobody else may have it open.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        prefix: &str,
        lineage: Lineage,
    ) -> Result<Folder, FolderError> {
        let folder = Folder::read(disk, dir, prefix, lineage)?;
        // The process before may have died with a rename that was not synced.
        folder.disk.sync_dir(&folder.dir)?;
        folder.remove_temporary()?;
        Ok(folder)
    }

    /// Looks at the folder, which is made if need be, and changes nothing in it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        prefix: &str,
        lineage: Lineage,
    ) -> Result<Folder, FolderError> {
        disk.create_dir(&dir)?;
        let path = dir.join(OsStr::from_bytes(&manifest_name(prefix.as_bytes())));
        let (mut manifest, exists) = match disk.read(&path, MANIFEST_MAX) {
            Ok(bytes) => (Manifest::parse(&bytes)?, true),
            Err(error) if error.is_not_found() => (Manifest::default(), false),
            Err(error) => return Err(error.into()),
        };
        manifest.lineage = Some(lineage);
        Ok(Folder {
            disk,
            dir,
            prefix: prefix.to_owned(),
            lineage,
            manifest,
            unpublished: false,
            exists,
            keep_history: false,
            doubtful: Vec::new(),
        })
    }

    fn remove_temporary(&self) -> Result<(), DiskError> {
        for name in self.disk.list(&self.dir)? {
            let text = name.to_string_lossy();
            let base = text.starts_with("temp-rewriteaof-") && text.ends_with(".aof");
            if base || text == format!("temp-{}.manifest", self.prefix) {
                self.disk.remove_if_there(&self.dir.join(&name))?;
            }
        }
        Ok(())
    }

    /// Where the folder is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The disk it is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The header of the next base, if it is made of commands.
    pub fn base_header(&self, time_ms: u64) -> Header {
        let mut next = self.manifest.clone();
        let info = next.new_base(self.prefix.as_bytes(), BaseFormat::Aof);
        Header {
            part: Part::Base,
            lineage: self.lineage,
            seq: info.map_or(0, |info| u64::try_from(info.seq).unwrap_or(0)),
            first: 1,
            time_ms,
            prev: 0,
        }
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.join(OsStr::from_bytes(name))
    }

    /// Opens the last increment, whose end is `chain`, to go on in it.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn resume(&self, chain: Chain) -> Result<Option<Incr>, DiskError> {
        let Some(last) = self.manifest.incr.last() else {
            return Ok(None);
        };
        let file = self.disk.open_append(&self.path(&last.name))?;
        // It may have been written by a process that died before its sync.
        file.sync_data()?;
        Ok(Some(Incr {
            file: file.into(),
            chain,
        }))
    }

    /// Creates the next increment, which continues `chain`, and names it. Nothing on the disk
    /// knows it before [`Folder::store`].
    ///
    /// # Errors
    /// [`FolderError`]; its name is used up then.
    pub fn create_incr(&mut self, chain: Chain) -> Result<Incr, FolderError> {
        self.found()?;
        let info = self.manifest.new_incr(self.prefix.as_bytes())?;
        let (name, seq) = (info.name.clone(), info.seq);
        let header = Header {
            part: Part::Incr,
            lineage: self.lineage,
            seq: u64::try_from(seq).unwrap_or(0),
            first: chain.next_index,
            time_ms: u64::try_from(unix_ms()).unwrap_or(0),
            prev: chain.prev,
        };
        let created = self.create_with(&name, &header);
        if created.is_err() {
            self.manifest.incr.pop();
        }
        let file = created?;
        let (_, prev) = header.to_line();
        Ok(Incr {
            file,
            chain: Chain {
                next_index: chain.next_index,
                prev,
                db: 0,
            },
        })
    }

    /// A folder without a manifest gets one that names nothing before its first file, so that a
    /// crash does not leave files that look like a log without its manifest.
    fn found(&mut self) -> Result<(), DiskError> {
        if self.exists {
            return Ok(());
        }
        let mut nothing = Manifest::default();
        nothing.lineage = Some(self.lineage);
        let path = self.path(&manifest_name(self.prefix.as_bytes()));
        replace_file(self.disk.as_ref(), &path, &nothing.to_bytes())?;
        self.exists = true;
        Ok(())
    }

    fn create_with(&self, name: &[u8], header: &Header) -> Result<Arc<dyn DiskFile>, DiskError> {
        let path = self.path(name);
        self.make_room(&path)?;
        let file = self.disk.create_new(&path)?;
        fail_point!("aof.incr.created")?;
        let line = header.to_line().0;
        file.append(&line).map_err(|failed| failed.error)?;
        file.sync_data()?;
        fail_point!("aof.incr.synced")?;
        Ok(file.into())
    }

    /// A file of that name that no manifest names: what it may hold is kept.
    fn make_room(&self, path: &Path) -> Result<(), DiskError> {
        let Some(meta) = self.disk.stat(path)? else {
            return Ok(());
        };
        if meta.len <= HEADER_BYTES as u64 {
            return self.disk.remove(path);
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".unknown-{}", unix_ms()));
        tracing::warn!(
            "{} is in no manifest; it is kept as {}",
            path.display(),
            Path::new(&aside).display()
        );
        self.disk.rename(path, Path::new(&aside))
    }

    /// Has the manifest on the disk not name the newest increment, which stays in memory: it may
    /// name it although storing it failed.
    ///
    /// # Errors
    /// What the disk reports; whether it is named is not known then. It is out of the manifest,
    /// and removed once that is certain.
    pub fn forget_incr(&mut self) -> Result<(), DiskError> {
        let Some(info) = self.manifest.incr.pop() else {
            return Ok(());
        };
        match self.store() {
            Ok(()) => {
                self.manifest.incr.push(info);
                Ok(())
            }
            Err(error) => {
                self.doubtful.push(self.path(&info.name));
                Err(error)
            }
        }
    }

    /// Takes the newest increment back, which no manifest on the disk names.
    pub fn drop_incr(&mut self) {
        if let Some(info) = self.manifest.incr.pop() {
            // Nobody knows it.
            let _ = self.disk.remove_if_there(&self.path(&info.name));
        }
    }

    /// Puts the manifest on the disk.
    ///
    /// # Errors
    /// What the disk reports; the one before is there then, or this one.
    pub fn store(&self) -> Result<(), DiskError> {
        fail_point!("aof.manifest.before")?;
        let path = self.path(&manifest_name(self.prefix.as_bytes()));
        replace_file(self.disk.as_ref(), &path, &self.manifest.to_bytes())?;
        fail_point!("aof.manifest.after")
    }

    /// Gives a finished and synced file the name of the next base, and has the manifest name it
    /// with the last increment only, or with none. What it replaces is removed.
    ///
    /// # Errors
    /// [`FolderError`]; the log is as it was then, on the disk too.
    pub fn publish_base(
        &mut self,
        temp: &Path,
        format: BaseFormat,
        keep: usize,
    ) -> Result<(), FolderError> {
        self.found()?;
        let before = self.manifest.clone();
        let name = {
            let info = self.manifest.new_base(self.prefix.as_bytes(), format)?;
            info.name.clone()
        };
        let path = self.path(&name);
        // A base of that name is left from a rewrite that was cut short here.
        let named = fail_point!("aof.base.before_rename")
            .and_then(|()| publish(self.disk.as_ref(), temp, &path))
            .and_then(|()| fail_point!("aof.base.renamed"));
        self.manifest.retire_incr(keep);
        if let Err(error) = named.and_then(|()| self.store()) {
            tracing::warn!("The new AOF base cannot be put in its place: {error}");
            // The manifest on the disk may name it all the same, so no other file may ever have
            // its name.
            let mut old = before;
            old.use_up(&self.manifest);
            self.manifest = old;
            if !self.unpublished && self.store().is_ok() {
                // Nothing names it any more.
                let _ = self.disk.remove(&path);
            } else {
                self.doubtful.push(path);
            }
            return Err(error.into());
        }
        self.unpublished = false;
        for path in std::mem::take(&mut self.doubtful) {
            // Now it is certain that no manifest names it.
            let _ = self.disk.remove_if_there(&path);
        }
        self.remove_history();
        Ok(())
    }

    /// Removes the files that a base has replaced. What cannot be removed now is removed at the
    /// next start.
    pub fn remove_history(&mut self) {
        if self.manifest.history.is_empty() || self.keep_history {
            return;
        }
        for info in &self.manifest.history {
            let shown = String::from_utf8_lossy(&info.name);
            tracing::info!("Removing the history file {shown} in the background");
            let removed = fail_point!("aof.history.remove")
                .and_then(|()| self.disk.remove_if_there(&self.path(&info.name)));
            if let Err(error) = removed {
                tracing::warn!("Cannot remove {shown}: {error}");
                return;
            }
        }
        let history = std::mem::take(&mut self.manifest.history);
        if let Err(error) = self.store() {
            tracing::warn!("Cannot write the AOF manifest: {error}");
            self.manifest.history = history;
        }
    }
}
