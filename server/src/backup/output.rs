//! A file that goes to the disk while it is written, so that the sync at its end has little left to wait for.
//!
//! Invariant: an error of a sync on the way is an error of [`Output::finish`]: the kernel tells it only once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;
/// Bytes after which a sync begins, unless one is under way.
const SYNC_BYTES: usize = 16 << 20;

/// See the head of this file.
pub struct Output {
    file: BufWriter<Synced>,
    thread: JoinHandle<io::Result<()>>,
}

/// The file, and whom to tell when there is something to sync.
struct Synced {
    file: File,
    since: usize,
    wake: SyncSender<()>,
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.since = self.since.saturating_add(count);
        if self.since >= SYNC_BYTES {
            match self.wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => self.since = 0,
                Err(TrySendError::Disconnected(())) => {
                    return Err(io::Error::other("the file cannot be synced"));
                }
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Takes a new file.
    ///
    /// # Errors
    /// There is no second descriptor, or no thread.
    pub fn new(file: File) -> io::Result<Output> {
        let (wake, woken) = sync_channel(1);
        let same = file.try_clone()?;
        let thread = std::thread::Builder::new()
            .name("backup-sync".into())
            .spawn(move || woken.into_iter().try_for_each(|()| same.sync_data()))?;
        let synced = Synced {
            file,
            since: 0,
            wake,
        };
        Ok(Output {
            file: BufWriter::with_capacity(BUFFER, synced),
            thread,
        })
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// Something is not.
    pub fn finish(self) -> io::Result<()> {
        let written = self.file.into_inner().map_err(|error| error.into_error());
        let (file, wake) = match written {
            Ok(Synced { file, wake, .. }) => (Ok(file), Some(wake)),
            Err(error) => (Err(error), None),
        };
        drop(wake);
        let synced = self.thread.join();
        synced.map_err(|_| io::Error::other("the sync has panicked"))??;
        file?.sync_all()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..40_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut output = Output::new(File::create_new(&path).expect("new")).expect("a thread");
        for part in bytes.chunks(1_000_003) {
            output.write_all(part).expect("written");
        }
        output.finish().expect("synced");
        assert!(std::fs::read(&path).expect("readable") == bytes);
    }

    #[test]
    fn an_error_comes_out() {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("there is one");
        let mut output = Output::new(full).expect("a thread");
        let written = output.write_all(&[0; 3 * BUFFER]);
        assert!(written.is_err() || output.finish().is_err());
    }
}
