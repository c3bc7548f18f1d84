//! Appends frames.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::{MAGIC, MAX_PAYLOAD_BYTES, SpoolError, checksum};

/// Writes the frames of a new spool file.
///
/// After an error nobody knows how much of a frame, or of a sync, has happened. So the writer refuses everything from then
/// on, and what was appended since the last successful [`sync`](Writer::sync) must not be confirmed to anyone.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    offset: u64,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Writes to the empty `sink`.
    pub fn new(sink: W) -> Self {
        Writer {
            sink,
            offset: 0,
            failed: false,
        }
    }

    /// Appends a frame and returns its offset. An empty payload is a frame as well.
    ///
    /// # Errors
    /// [`SpoolError::TooLong`], with nothing written; [`SpoolError::Io`] and then [`SpoolError::FailedBefore`].
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, SpoolError> {
        if self.failed {
            return Err(SpoolError::FailedBefore);
        }
        let bytes = payload.len();
        let length = match u32::try_from(bytes) {
            Ok(length) if bytes <= MAX_PAYLOAD_BYTES => length,
            _ => return Err(SpoolError::TooLong { bytes }),
        };
        let offset = self.offset;
        let mut crc = checksum(offset, length);
        crc.update(payload);
        let header = [MAGIC, length.to_le_bytes(), crc.finalize().to_le_bytes()];
        self.failed = true;
        self.sink.write_all(header.as_flattened())?;
        self.sink.write_all(payload)?;
        self.failed = false;
        self.offset += (header.as_flattened().len() + bytes) as u64;
        Ok(offset)
    }

    /// Where the next frame begins; the length of the file if all is well.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.sink
    }
}

impl Writer<File> {
    /// Creates a file, which must not exist, and makes its name durable.
    pub fn create(path: &Path) -> Result<Self, SpoolError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
        Ok(Writer::new(file))
    }

    /// Makes all frames so far durable.
    ///
    /// # Errors
    /// [`SpoolError::Io`], and from then on [`SpoolError::FailedBefore`]: a second fsync may succeed although the first
    /// has lost the data.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        if self.failed {
            return Err(SpoolError::FailedBefore);
        }
        self.failed = true;
        self.sink.sync_data()?;
        self.failed = false;
        Ok(())
    }
}
