//! A snapshot file comes into being: written under another name, forced to the disk, renamed,
//! and the directory forced to the disk.
//!
//! ```text
//! temp-<pid>.rdb --write, fsync--> complete --rename--> dump.rdb --fsync of the directory--> kept
//! ```
//!
//! Whatever happens on the way, the file of that name is either the old one or the complete new
//! one. The directory is looked up once, so that `CONFIG SET dir` during a save does not split
//! it. Each step has a failpoint.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_engine::env::disk::{Disk, DiskError, DiskFile, DiskOp, RealDisk, parent};
use basalt_engine::fail_point;

use super::place::Place;
use crate::config::text::os_reason;

/// Bytes gathered before they go to the system.
const BUFFER: usize = 256 * 1024;

/// Forced to the disk piece by piece, a file leaves no mountain of work for its end.
const SYNC_EVERY: u64 = 16 << 20;

/// Where a snapshot goes.
pub struct Target {
    disk: Arc<dyn Disk>,
    temp: PathBuf,
    path: PathBuf,
    /// The directory as the log names it.
    shown: String,
}

/// What a writer is given to put bytes into the file.
pub type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl Target {
    /// A file of this name at the place of the data. If that is gone, writing will fail.
    pub fn at(place: &Place, name: &str) -> Target {
        match std::path::absolute(&place.dir) {
            Ok(dir) => Target::on(place.disk.clone(), &dir, name),
            Err(_) => Target {
                shown: "unknown".to_owned(),
                ..Target::on(place.disk.clone(), &place.dir, name)
            },
        }
    }

    /// A file of this name on a disk.
    pub fn on(disk: Arc<dyn Disk>, dir: &Path, name: &str) -> Target {
        Target {
            disk,
            temp: dir.join(temporary_name()),
            path: dir.join(name),
            shown: dir.display().to_string(),
        }
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
        let file = self.create().map_err(|error| {
            tracing::warn!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                name_of(&self.temp),
                self.shown,
                os_reason(&error.source)
            );
            error.source
        })?;
        let written = fill_and_sync(file.as_ref(), incremental, fill).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                tracing::warn!(
                    "Write error while saving DB to the disk: {}",
                    os_reason(error)
                );
            }
        });
        written
            .and_then(|value| self.name().map(|()| value))
            .inspect_err(|_| {
                // It may have its name already, or not have come into being.
                let _ = self.disk.remove_if_there(&self.temp);
            })
    }

    fn create(&self) -> Result<Box<dyn DiskFile>, DiskError> {
        // A process of the same number may have died here.
        self.disk.remove_if_there(&self.temp)?;
        let file = self.disk.create_new(&self.temp)?;
        fail_point!("rdb.save.created").inspect_err(|_| {
            // Nothing is in it.
            let _ = self.disk.remove_if_there(&self.temp);
        })?;
        Ok(file)
    }

    /// Gives the finished file its name.
    fn name(&self) -> io::Result<()> {
        let named = fail_point!("rdb.save.synced")
            .and_then(|()| self.disk.rename(&self.temp, &self.path))
            .and_then(|()| fail_point!("rdb.save.renamed"))
            .and_then(|()| self.disk.sync_dir(parent(&self.path)));
        named.map_err(|error| {
            if error.op == DiskOp::SyncDir {
                tracing::warn!(
                    "Failed to fsync directory while saving DB: {}",
                    os_reason(&error.source)
                );
            } else {
                tracing::warn!(
                    "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
                    name_of(&self.temp),
                    name_of(&self.path),
                    self.shown,
                    os_reason(&error.source)
                );
            }
            error.source
        })
    }
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn fill_and_sync<T>(
    file: &dyn DiskFile,
    incremental: bool,
    fill: impl FnOnce(&mut Sink<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let mut unsynced = 0u64;
    let put = |bytes: &[u8]| file.append(bytes).map_err(|failed| failed.error.source);
    let value = fill(&mut |bytes| {
        if buffer.len() + bytes.len() > BUFFER {
            put(&buffer)?;
            buffer.clear();
        }
        if bytes.len() > BUFFER {
            put(bytes)?;
        } else {
            buffer.extend_from_slice(bytes);
        }
        unsynced = unsynced.saturating_add(bytes.len() as u64);
        if incremental && unsynced >= SYNC_EVERY {
            unsynced = 0;
            put(&buffer)?;
            buffer.clear();
            file.sync_data().map_err(|error| error.source)?;
        }
        Ok(())
    })?;
    put(&buffer)?;
    fail_point!("rdb.save.filled")
        .and_then(|()| file.sync_data())
        .map_err(|error| error.source)?;
    Ok(value)
}

fn temporary_name() -> String {
    format!("temp-{}.rdb", std::process::id())
}

/// Removes what a save that will not end has left.
pub fn remove_temporary() {
    // Most of the time there is nothing.
    let _ = RealDisk.remove_if_there(Path::new(&temporary_name()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_engine::env::disk::{Crash, Fault, FaultKind, NameOrder, SimDisk};
    use basalt_engine::env::failpoint::{Action, arm};

    const PATH: &str = "/data/dump.rdb";
    const OLD: &[u8] = b"the old snapshot";

    fn disk(seed: u64, order: NameOrder) -> SimDisk {
        let disk = SimDisk::new(seed).with_name_order(order);
        disk.put_dir("/data");
        disk.put(PATH, OLD);
        disk
    }

    /// More than one buffer, in pieces of uneven length.
    fn new_bytes() -> Vec<u8> {
        (0..700_000u32)
            .flat_map(u32::to_le_bytes)
            .take(700_001)
            .collect()
    }

    fn save(disk: &SimDisk) -> io::Result<()> {
        let target = Target::on(Arc::new(disk.clone()), Path::new("/data"), "dump.rdb");
        target.write(true, |sink| {
            let bytes = new_bytes();
            let (small, large) = bytes.split_at(100_000);
            small.chunks(777).try_for_each(&mut *sink)?;
            large.chunks(300_000).try_for_each(sink)
        })
    }

    fn temporary(disk: &SimDisk) -> Option<Vec<u8>> {
        disk.peek(Path::new("/data").join(temporary_name()))
    }

    #[test]
    fn what_was_saved_survives_a_power_cut() {
        let disk = disk(1, NameOrder::Any);
        disk.put(
            Path::new("/data").join(temporary_name()),
            b"left by another",
        );
        save(&disk).expect("a healthy disk");
        assert!(temporary(&disk).is_none());
        disk.crash(Crash::DropAll);
        assert!(disk.peek(PATH) == Some(new_bytes()));
    }

    #[test]
    fn a_fault_at_any_call_leaves_the_old_file_or_the_new_one() {
        for kind in [FaultKind::Eio, FaultKind::NoSpace, FaultKind::Short] {
            for nth in 1.. {
                let disk = disk(nth, NameOrder::Any);
                disk.inject(Fault::nth(nth, kind));
                let saved = save(&disk);
                if disk.faults_waiting() > 0 {
                    assert!(nth > 4 && saved.is_ok());
                    break;
                }
                assert!(saved.is_err(), "{kind:?} {nth}: {}", disk.trace());
                let there = disk.peek(PATH).expect("a file of that name");
                assert!(there == OLD || there == new_bytes(), "{kind:?} {nth}");
                assert!(temporary(&disk).is_none(), "{kind:?} {nth}");
                // The next one goes well.
                save(&disk).expect("the fault is gone");
                assert!(disk.peek(PATH) == Some(new_bytes()));
            }
        }
    }

    #[test]
    fn a_power_cut_at_any_call_leaves_the_old_file_or_the_new_one() {
        for order in [NameOrder::Any, NameOrder::Journal] {
            for crash in [Crash::DropAll, Crash::Seeded, Crash::KeepAll] {
                for nth in 1.. {
                    let disk = disk(nth, order);
                    disk.inject(Fault::nth(nth, FaultKind::PowerCut));
                    let saved = save(&disk);
                    let over = disk.faults_waiting() > 0;
                    disk.crash(crash);
                    let there = disk.peek(PATH).expect("a file of that name");
                    assert!(there == OLD || there == new_bytes(), "{crash:?} {nth}");
                    if over {
                        assert!(saved.is_ok() && there == new_bytes());
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn each_step_can_fail() {
        for point in ["rdb.save.created", "rdb.save.filled", "rdb.save.synced"] {
            let disk = disk(3, NameOrder::Any);
            let _armed = arm(point, Action::Error, 1);
            assert!(save(&disk).is_err(), "{point}");
            assert_eq!(disk.peek(PATH).as_deref(), Some(OLD), "{point}");
            assert!(temporary(&disk).is_none(), "{point}");
        }
        let disk = disk(3, NameOrder::Any);
        let _armed = arm("rdb.save.renamed", Action::Error, 1);
        assert!(save(&disk).is_err());
        assert!(disk.peek(PATH) == Some(new_bytes()), "it has its name");
    }

    #[test]
    fn a_writer_that_gives_up_leaves_the_old_file() {
        let disk = disk(4, NameOrder::Any);
        let target = Target::on(Arc::new(disk.clone()), Path::new("/data"), "dump.rdb");
        let ended: io::Result<()> = target.write(false, |sink| {
            sink(b"some")?;
            Err(io::ErrorKind::Interrupted.into())
        });
        assert!(ended.is_err());
        assert_eq!(disk.peek(PATH).as_deref(), Some(OLD));
        assert!(temporary(&disk).is_none());
    }
}
