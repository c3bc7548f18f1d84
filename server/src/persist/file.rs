//! A snapshot file comes into being: written under another name, forced to the disk, renamed,
//! and the directory forced to the disk.
//!
//! ```text
//! temp-<pid>.rdb --write, fsync--> complete --rename--> dump.rdb --fsync of the directory--> kept
//! ```
//!
//! Whatever happens on the way, the file of that name is either the old one or the complete new
//! one. The directory is opened once, so that `CONFIG SET dir` during a save does not split it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;

use basalt_engine::env::disk::DiskError;
use basalt_engine::fail_point;
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::config::text::os_reason;

/// Bytes gathered before they go to the system.
const BUFFER: usize = 256 * 1024;

/// Forced to the disk piece by piece, a file leaves no mountain of work for its end.
const SYNC_EVERY: u64 = 16 << 20;

/// Where a snapshot goes.
#[derive(Debug)]
pub struct Target {
    dir: OwnedFd,
    temp: String,
    name: String,
}

/// What a writer is given to put bytes into the file.
pub type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl Target {
    /// A file of this name in the current directory.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn here(name: &str) -> io::Result<Target> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(".", flags, Mode::empty())?;
        Ok(Target {
            dir,
            temp: temporary_name(),
            name: name.to_owned(),
        })
    }

    /// Has the file written by `fill`, and gives it its name when all is on the disk.
    ///
    /// # Errors
    /// What failed, which was logged; the temporary file is gone then.
    pub fn write<T>(
        &self,
        incremental: bool,
        fill: impl FnOnce(&mut Sink<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let file = self.create().inspect_err(|error| {
            tracing::warn!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                self.temp,
                current_dir(),
                os_reason(error)
            );
        })?;
        let written = point(fail_point!("rdb.save.created"))
            .and_then(|()| fill_and_sync(file, incremental, fill))
            .and_then(|value| point(fail_point!("rdb.save.synced")).map(|()| value))
            .inspect_err(|error| {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::warn!(
                        "Write error while saving DB to the disk: {}",
                        os_reason(error)
                    );
                }
            });
        let named = written.and_then(|value| {
            rustix::fs::renameat(&self.dir, &self.temp, &self.dir, &self.name)
                .map_err(io::Error::from)
                .inspect_err(|error| {
                    tracing::warn!(
                        "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
                        self.temp,
                        self.name,
                        current_dir(),
                        os_reason(error)
                    );
                })?;
            Ok(value)
        });
        if named.is_err() {
            // It may not have come into being.
            let _ = rustix::fs::unlinkat(&self.dir, &self.temp, AtFlags::empty());
        }
        let value = named?;
        point(fail_point!("rdb.save.renamed"))
            .and_then(|()| rustix::fs::fsync(&self.dir).map_err(io::Error::from))
            .inspect_err(|error| {
                tracing::warn!(
                    "Failed to fsync directory while saving DB: {}",
                    os_reason(error)
                );
            })?;
        Ok(value)
    }

    fn create(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        Ok(rustix::fs::openat(&self.dir, &self.temp, flags, mode)?.into())
    }
}

fn fill_and_sync<T>(
    file: File,
    incremental: bool,
    fill: impl FnOnce(&mut Sink<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let mut unsynced = 0u64;
    let value = fill(&mut |bytes| {
        out.write_all(bytes)?;
        unsynced += bytes.len() as u64;
        if incremental && unsynced >= SYNC_EVERY {
            unsynced = 0;
            out.flush()?;
            out.get_ref().sync_data()?;
        }
        Ok(())
    })?;
    point(fail_point!("rdb.save.filled"))?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(value)
}

/// A failpoint's error as one of the system's.
fn point(passed: Result<(), DiskError>) -> io::Result<()> {
    passed.map_err(|error| error.source)
}

fn temporary_name() -> String {
    format!("temp-{}.rdb", std::process::id())
}

/// Removes what a save that will not end has left.
pub fn remove_temporary() {
    // Most of the time there is nothing.
    let _ = std::fs::remove_file(temporary_name());
}

fn current_dir() -> String {
    std::env::current_dir().map_or_else(|_| "unknown".into(), |dir| dir.display().to_string())
}
