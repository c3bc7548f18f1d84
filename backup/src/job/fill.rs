//! A chunk being filled: an RDB file written through compression and encryption, with its checksum.

use std::io::Write;

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::Writer;

use super::JobError;
use crate::repo::object::{ChunkWriter, Finished};

const AUX: u8 = 0xfa;
const FUNCTION: u8 = 0xf5;
const SELECT_DB: u8 = 0xfe;
const EOF: u8 = 0xff;

/// A chunk being filled.
pub(super) struct OpenChunk {
    writer: ChunkWriter,
    /// Its number until it has its place in the manifest.
    pub(super) number: u32,
    crc: u64,
    db: Option<u32>,
    pub(super) keys: u64,
    pub(super) bytes: u64,
}

impl OpenChunk {
    /// Begins one with what is said of the server.
    pub(super) fn new(
        writer: ChunkWriter,
        number: u32,
        remarks: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<OpenChunk, JobError> {
        let mut chunk = OpenChunk {
            writer,
            number,
            crc: 0,
            db: None,
            keys: 0,
            bytes: 0,
        };
        let mut head = Writer::new(false);
        head.raw(format!("REDIS{:04}", basalt_formats::rdb::VERSION).as_bytes());
        for (name, value) in remarks {
            head.raw(&[AUX]);
            head.string(name);
            head.string(value);
        }
        chunk.put(head.as_bytes())?;
        Ok(chunk)
    }

    /// Writes a function library.
    pub(super) fn function(&mut self, code: &[u8]) -> Result<(), JobError> {
        let mut writer = Writer::new(false);
        writer.raw(&[FUNCTION]);
        writer.string(code);
        self.put(writer.as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), JobError> {
        self.crc = crc64(self.crc, bytes);
        self.bytes += bytes.len() as u64;
        self.writer
            .write_all(bytes)
            .map_err(crate::repo::object::unwrap_io)?;
        Ok(())
    }

    pub(super) fn entries(&mut self, db: u32, bytes: &[u8]) -> Result<(), JobError> {
        if self.db != Some(db) {
            self.db = Some(db);
            let mut writer = Writer::new(false);
            writer.raw(&[SELECT_DB]);
            writer.number(db.into());
            self.put(writer.as_bytes())?;
        }
        self.put(bytes)
    }

    pub(super) fn finish(mut self) -> Result<Finished, JobError> {
        self.put(&[EOF])?;
        let crc = self.crc;
        self.put(&crc.to_le_bytes())?;
        Ok(self.writer.finish()?)
    }
}
