//! Bytes of an object on their way to the store: in memory, then in a file without a name, which ends with the process.
//!
//! ```text
//! store elsewhere:         memory -> file in the spool directory -> read again, sent in pieces
//! store in a directory:    memory -> file on the store's own file system, past the cache -> gets the object's name
//! ```
//!
//! In the second case every byte is written once and never read. It goes past the cache of the system (`O_DIRECT`) because
//! what is written through it is written back by threads of the kernel, which take the processor from those who answer
//! requests: on a kernel that does not preempt itself their slowest hundredth took three times as long for that alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::store::{BackupStore, STEP_BYTES};

/// Bytes kept in memory before there is a file.
const MEMORY_BYTES: usize = 4 << 20;
/// Bytes written at once past the cache.
const BLOCK_BYTES: usize = 256 << 10;
/// What place in memory, offset and length of such a write are multiples of; devices ask for this or less.
const ALIGNMENT: usize = 4096;

/// Where bytes wait that are on their way to a store.
#[derive(Clone, Debug)]
pub struct Depot {
    spool: Arc<Path>,
    /// A directory on the store's own file system.
    staging: Option<Arc<Path>>,
}

impl Depot {
    /// In the store's own directory, if it has one and files without a name can be there, otherwise in `spool`.
    pub fn of(store: &dyn BackupStore, spool: Arc<Path>) -> Depot {
        let staging = store.staging();
        Depot { spool, staging }
    }

    fn file(&self) -> io::Result<Place> {
        if let Some(dir) = &self.staging
            && let Ok(file) = DirectFile::new_in(dir)
        {
            return Ok(Place::Staged(file));
        }
        tempfile::tempfile_in(&self.spool).map(Place::Spooled)
    }
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Spooled(File),
    Staged(DirectFile),
}

/// Takes bytes and keeps them.
#[derive(Debug)]
pub(super) struct Waiting {
    depot: Depot,
    place: Place,
}

/// Bytes that are complete.
#[derive(Debug)]
pub(super) enum Kept {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file, which a store may adopt if it is `staged`.
    File { file: File, staged: bool },
}

impl Waiting {
    pub(super) fn new(depot: Depot) -> Waiting {
        let place = Place::Memory(Vec::new());
        Waiting { depot, place }
    }

    /// Takes some of the bytes, at least one.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Place::Memory(memory) = &mut self.place {
            if memory.len() + bytes.len() <= MEMORY_BYTES {
                memory.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            let memory = std::mem::take(memory);
            self.place = self.depot.file()?;
            for mut step in memory.chunks(STEP_BYTES) {
                while !step.is_empty() {
                    let count = self.put_into_file(step)?;
                    step = step.get(count..).unwrap_or_default();
                }
            }
        }
        self.put_into_file(bytes)
    }

    fn put_into_file(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Memory(_) => Ok(0),
            Place::Spooled(file) => file.write(bytes),
            Place::Staged(file) => file.put(bytes),
        }
    }

    /// An error that says where.
    fn explain(&self, error: &io::Error) -> io::Error {
        let dir = match (&self.place, &self.depot.staging) {
            (Place::Staged(_), Some(dir)) => dir,
            _ => &self.depot.spool,
        };
        io::Error::new(
            error.kind(),
            format!("a file in {}: {error}", dir.display()),
        )
    }

    pub(super) fn finish(mut self) -> io::Result<Kept> {
        if let Place::Staged(file) = &mut self.place
            && let Err(error) = file.complete()
        {
            return Err(self.explain(&error));
        }
        Ok(match self.place {
            Place::Memory(memory) => Kept::Memory(memory),
            Place::Spooled(file) => Kept::File {
                file,
                staged: false,
            },
            Place::Staged(DirectFile { file, .. }) => Kept::File { file, staged: true },
        })
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(|error| self.explain(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file without a name that can be given one.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // As any other file that a program makes.
    Ok(rustix::fs::open(dir, flags, Mode::from_raw_mode(0o666))?.into())
}

/// Such a file, written from its beginning to its end, past the cache where the file system
/// knows that.
#[derive(Debug)]
struct DirectFile {
    file: File,
    /// A block and what it takes to align it.
    memory: Vec<u8>,
    /// Where the block begins.
    from: usize,
    /// Bytes in the block that are not written yet.
    filled: usize,
    direct: bool,
}

impl DirectFile {
    fn new_in(dir: &Path) -> io::Result<DirectFile> {
        let file = nameless(dir)?;
        let memory = vec![0; BLOCK_BYTES + ALIGNMENT];
        let from = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut new = DirectFile {
            file,
            memory,
            from,
            filled: 0,
            direct: false,
        };
        new.direct = new.set_direct(true).is_ok();
        Ok(new)
    }

    fn set_direct(&self, on: bool) -> Result<(), Errno> {
        let mut flags = fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, on);
        fcntl_setfl(&self.file, flags)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.from + self.filled..self.from + BLOCK_BYTES;
        let free = self.memory.get_mut(free).unwrap_or_default();
        let count = free.len().min(bytes.len());
        if let (Some(to), Some(bytes)) = (free.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(bytes);
        }
        self.filled += count;
        if self.filled == BLOCK_BYTES {
            self.write_block(BLOCK_BYTES)?;
        }
        Ok(count)
    }

    /// Writes so many bytes of the block, which are all there are of it or end where a direct write may end.
    fn write_block(&mut self, bytes: usize) -> io::Result<()> {
        let mut at = 0;
        while at < bytes {
            let rest = self.memory.get(self.from + at..self.from + bytes);
            match self.file.write(rest.unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => at += count,
                // A device that wants more than [`ALIGNMENT`], or the rest of a write that was cut short.
                Err(error) if self.direct && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                    self.stop_direct()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.memory
            .copy_within(self.from + bytes..self.from + self.filled, self.from);
        self.filled -= bytes;
        Ok(())
    }

    fn stop_direct(&mut self) -> io::Result<()> {
        self.set_direct(false)?;
        self.direct = false;
        Ok(())
    }

    /// Writes what is left. From here on the file is read through the cache.
    fn complete(&mut self) -> io::Result<()> {
        self.write_block(self.filled - self.filled % ALIGNMENT)?;
        if self.direct {
            self.stop_direct()?;
        }
        self.write_block(self.filled)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;
    use crate::store::{DEFAULT_DEADLINE, MemoryStore, open_local};

    /// Bytes that differ from place to place.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| ((at * 31) >> 3) as u8).collect()
    }

    /// Writes in pieces of these sizes, by turns.
    fn write(depot: Depot, content: &[u8], sizes: &[usize]) -> Kept {
        let mut waiting = Waiting::new(depot);
        let mut left = content;
        for size in sizes.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, rest) = left.split_at(left.len().min(*size));
            waiting.write_all(piece).unwrap();
            left = rest;
        }
        waiting.finish().unwrap()
    }

    fn content(kept: Kept) -> (Vec<u8>, bool) {
        match kept {
            Kept::Memory(memory) => (memory, false),
            Kept::File { mut file, staged } => {
                let mut found = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut found).unwrap();
                (found, staged)
            }
        }
    }

    #[test]
    fn what_goes_in_is_kept_wherever_it_waits() {
        let root = tempfile::tempdir().unwrap();
        let local = open_local(root.path(), DEFAULT_DEADLINE).unwrap();
        for length in [
            0,
            1,
            MEMORY_BYTES,
            MEMORY_BYTES + 1,
            MEMORY_BYTES + BLOCK_BYTES,
            5_000_001,
            6 << 20,
        ] {
            let expected = bytes(length);
            for store in [&local as &dyn BackupStore, &MemoryStore::new()] {
                let depot = Depot::of(store, std::env::temp_dir().into());
                let kept = write(depot, &expected, &[1, 65_552, 4096, 300_000, 7]);
                let (found, staged) = content(kept);
                assert!(found == expected, "{length}");
                assert_eq!(staged, length > MEMORY_BYTES && store.staging().is_some());
            }
        }
        // It has no name.
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_system_without_direct_writes_gets_ordinary_ones() {
        let root = tempfile::tempdir().unwrap();
        let expected = bytes(BLOCK_BYTES * 2 + 5);
        let mut file = DirectFile::new_in(root.path()).unwrap();
        file.stop_direct().unwrap();
        let mut left = expected.as_slice();
        while !left.is_empty() {
            let count = file.put(left).unwrap();
            left = &left[count..];
        }
        file.complete().unwrap();
        let kept = Kept::File {
            file: file.file,
            staged: true,
        };
        assert!(content(kept).0 == expected);
    }

    #[test]
    fn a_write_that_the_device_refuses_goes_on_through_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let expected = bytes(BLOCK_BYTES * 2 + 5);
        let mut file = DirectFile::new_in(root.path()).unwrap();
        // Where no device takes it from.
        file.from = (file.from + 1).min(ALIGNMENT);
        let mut left = expected.as_slice();
        while !left.is_empty() {
            let count = file.put(left).unwrap();
            left = &left[count..];
        }
        file.complete().unwrap();
        assert!(!file.direct);
        let kept = Kept::File {
            file: file.file,
            staged: true,
        };
        assert!(content(kept).0 == expected);
    }

    #[test]
    fn errors_name_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let gone: Arc<Path> = root.path().join("gone").into();
        let depot = Depot::of(&MemoryStore::new(), gone.clone());
        let mut waiting = Waiting::new(depot);
        let error = waiting.write_all(&bytes(MEMORY_BYTES + 1)).unwrap_err();
        let expected = format!("a file in {}: ", gone.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}
