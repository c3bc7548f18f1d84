//! Files as persistence sees them: a small trait, because every call in it is one more thing
//! that a disk may refuse, lose or tear.
//!
//! **What a call promises.** A successful write, truncation, creation, rename or removal is seen
//! by every later call of this process, and survives its death. It survives a power cut only
//! after a sync: [`DiskFile::sync_data`] for what a file holds and how long it is,
//! [`Disk::sync_dir`] for names, the name of a file that is itself synced included. Before its
//! sync any part of it may be on the medium, in any order.
//!
//! **A failed sync is final.** The kernel may report the error once, drop the pages and call the
//! file clean, so that the next sync succeeds and has written nothing. After an error of
//! `sync_data` the only bytes to rely on are those that an earlier sync covered. No caller may
//! sync the same file again and believe it. The same goes for `sync_dir` and names: what was
//! renamed has to be written and renamed anew.
//!
//! **Sharing.** A [`DiskFile`] takes `&self`: one thread appends, and another may sync while it
//! does, so that a slow sync does not hold up the appends. Two appenders are not supported.
//! A sync covers the appends that had returned when it was called.
//!
//! Calls block. Paths are used as they are: joining them to the data directory is the caller's.

#[cfg(test)]
mod contract;
mod error;
mod real;
mod sim;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use error::{AppendError, DiskError, DiskOp, Result};
pub use real::RealDisk;
pub use sim::{Crash, Fault, FaultKind, NameOrder, SimDisk};

/// What a name stands for, as far as persistence cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// Length in bytes.
    pub len: u64,
    /// When the content was last written, in Unix milliseconds; copying tools may keep it.
    pub modified_ms: u64,
    /// When the file was written, renamed or copied to this place, in Unix milliseconds: the
    /// inode's change time, which no copying tool can set back.
    pub changed_ms: u64,
    /// True for a directory.
    pub is_dir: bool,
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens an existing file to append to it.
    ///
    /// # Errors
    /// `NotFound` when there is none, and what the system reports.
    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Creates a file that does not exist yet, to append to it.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the system reports.
    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Opens a file to read it from its beginning, however large.
    ///
    /// # Errors
    /// What the system reports.
    fn open_read(&self, path: &Path) -> Result<Box<dyn Read + Send>>;

    /// The bytes from `offset` on, at most `len` of them; fewer where the file ends.
    ///
    /// # Errors
    /// What the system reports.
    fn read_range(&self, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// What `path` is; nothing where there is no such file.
    ///
    /// # Errors
    /// What the system reports, other than that nothing is there.
    fn stat(&self, path: &Path) -> Result<Option<FileMeta>>;

    /// Gives the file another name, at once and in place of what had that name.
    ///
    /// # Errors
    /// What the system reports.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system reports.
    fn remove(&self, path: &Path) -> Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// What the system reports.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>>;

    /// Creates a directory below one that exists. One that is there already is no error.
    ///
    /// # Errors
    /// What the system reports.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Makes the names in a directory survive a power cut.
    ///
    /// # Errors
    /// What the system reports.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// The length of a file.
    ///
    /// # Errors
    /// `NotFound` when there is none, and what the system reports.
    fn len(&self, path: &Path) -> Result<u64> {
        match self.stat(path)? {
            Some(meta) => Ok(meta.len),
            None => Err(DiskError::not_found(DiskOp::Stat, path)),
        }
    }

    /// The whole of a file that has at most `max` bytes.
    ///
    /// # Errors
    /// `InvalidData` when it is larger, and what the system reports.
    fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>> {
        let bytes = self.read_range(path, 0, max.saturating_add(1))?;
        if bytes.len() > max {
            return Err(DiskError::too_large(path, max));
        }
        Ok(bytes)
    }

    /// Shortens a file and syncs it.
    ///
    /// # Errors
    /// What the system reports.
    fn truncate(&self, path: &Path, len: u64) -> Result<()> {
        let file = self.open_append(path)?;
        file.truncate(len)?;
        file.sync_data()
    }

    /// Removes a file if it is there.
    ///
    /// # Errors
    /// What the system reports, other than that nothing is there.
    fn remove_if_there(&self, path: &Path) -> Result<()> {
        match self.remove(path) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

/// A file open to be appended to. Dropping it closes it and syncs nothing.
pub trait DiskFile: Send + Sync {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// What the system reports, and how many of the bytes are in the file all the same; the
    /// caller decides whether to truncate them away.
    fn append(&self, bytes: &[u8]) -> std::result::Result<(), AppendError>;

    /// Makes the content and length survive a power cut, as far as appended before the call.
    ///
    /// # Errors
    /// What the system reports. Nothing since the last good sync may be relied on then, and no
    /// later sync of this file says anything about it.
    fn sync_data(&self) -> Result<()>;

    /// The file's length.
    ///
    /// # Errors
    /// What the system reports.
    fn len(&self) -> Result<u64>;

    /// True when the file has no bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or fills it with zeros, to `len` bytes; appends go on from there.
    ///
    /// # Errors
    /// What the system reports.
    fn truncate(&self, len: u64) -> Result<()>;
}

/// The directory a path is in; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Gives a finished and synced file its name, so that it survives a power cut.
///
/// # Errors
/// What the disk reports. If the rename went well and the sync of the directory did not, the
/// new file is there, and may be gone after a power cut.
pub fn publish(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    disk.rename(from, to)?;
    disk.sync_dir(parent(to))
}

/// Replaces a small file at once: whoever reads it, also after a crash at any moment, finds the
/// old bytes or the new ones whole. The new ones are written to `temp-NAME` beside it first.
///
/// # Errors
/// What the disk reports. The old file is there still, unless only the sync of the directory
/// failed (see [`publish`]).
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = std::ffi::OsString::from("temp-");
    name.push(path.file_name().unwrap_or_default());
    let temp = path.with_file_name(name);
    disk.remove_if_there(&temp)?;
    let written = write_synced(disk, &temp, bytes);
    if let Err(error) = written {
        // The error to report is the first one.
        let _ = disk.remove(&temp);
        return Err(error);
    }
    crate::fail_point!("disk.replace.written")?;
    disk.rename(&temp, path)?;
    crate::fail_point!("disk.replace.renamed")?;
    disk.sync_dir(parent(path))
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let file = disk.create_new(path)?;
    file.append(bytes).map_err(|failed| failed.error)?;
    file.sync_data()
}
