//! The disk of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{AppendError, Disk, DiskError, DiskFile, DiskOp, FileMeta, Result};

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile {
    path: PathBuf,
    file: File,
}

impl RealDisk {
    fn open(&self, op: DiskOp, path: &Path, options: &OpenOptions) -> Result<Box<dyn DiskFile>> {
        let file = at(op, path, options.open(path))?;
        Ok(Box::new(RealFile {
            path: path.to_owned(),
            file,
        }))
    }
}

/// Names the call and the file in an error.
fn at<T>(op: DiskOp, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|error| DiskError::new(op, path, error))
}

fn unix_ms(seconds: i64, nanoseconds: i64) -> u64 {
    let ms = i128::from(seconds) * 1000 + i128::from(nanoseconds / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

impl Disk for RealDisk {
    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.open(DiskOp::Open, path, OpenOptions::new().append(true))
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        self.open(DiskOp::Create, path, &options)
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(at(DiskOp::Read, path, File::open(path))?))
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>> {
        let read = || {
            let file = File::open(path)?;
            let rest = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; len.min(usize::try_from(rest).unwrap_or(usize::MAX))];
            let mut filled = 0;
            while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
                match file.read_at(room, offset.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        };
        at(DiskOp::Read, path, read())
    }

    fn stat(&self, path: &Path) -> Result<Option<FileMeta>> {
        let meta = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => at(DiskOp::Stat, path, other)?,
        };
        Ok(Some(FileMeta {
            len: meta.len(),
            modified_ms: unix_ms(meta.mtime(), meta.mtime_nsec()),
            changed_ms: unix_ms(meta.ctime(), meta.ctime_nsec()),
            is_dir: meta.is_dir(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        at(DiskOp::Rename, from, fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        at(DiskOp::Remove, path, fs::remove_file(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let names = || {
            fs::read_dir(dir)?
                .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
                .collect::<io::Result<Vec<_>>>()
        };
        let mut names = at(DiskOp::List, dir, names())?;
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            other => at(DiskOp::CreateDir, dir, other),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        at(
            DiskOp::SyncDir,
            dir,
            File::open(dir).and_then(|dir| dir.sync_all()),
        )
    }
}

impl DiskFile for RealFile {
    fn append(&self, bytes: &[u8]) -> std::result::Result<(), AppendError> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let error = match (&self.file).write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let error = DiskError::new(DiskOp::Append, &self.path, error);
            return Err(AppendError { written, error });
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        at(DiskOp::Sync, &self.path, self.file.sync_data())
    }

    fn len(&self) -> Result<u64> {
        let meta = at(DiskOp::Stat, &self.path, self.file.metadata())?;
        Ok(meta.len())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        at(DiskOp::Truncate, &self.path, self.file.set_len(len))
    }
}
