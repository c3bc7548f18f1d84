//! A snapshot as an RDB file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::Writer;

use super::sink::{Encode, SnapshotEntry, SnapshotSink};
use super::{Progress, Snapshot, SnapshotDb};
use crate::engine::Engine;
use crate::keyspace::access::Clock;
use crate::value::serial::{kind_of, write_body};

const AUX: u8 = 0xfa;
const FUNCTION: u8 = 0xf5;
const SELECT_DB: u8 = 0xfe;
const RESIZE_DB: u8 = 0xfb;
const EXPIRE_MS: u8 = 0xfc;
const IDLE: u8 = 0xf8;
const FREQ: u8 = 0xf9;
const EOF: u8 = 0xff;

/// What is written of the last access of each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// Seconds since then, under an LRU policy.
    Idle,
    /// The LFU counter with its decay up to the cut, under an LFU policy.
    Frequency,
}

/// How a snapshot is written.
#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    /// Strings are compressed where that saves bytes (`rdbcompression`).
    pub compress: bool,
    /// The file ends with its checksum (`rdbchecksum`), else with zeros.
    pub checksum: bool,
    /// Threads that encode, besides the caller, which writes; at least one.
    pub threads: usize,
    /// What is said of the last access of keys.
    pub access: Access,
    /// Auxiliary fields, in order.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// Function libraries, each its whole source.
    pub functions: Vec<Vec<u8>>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Keys in the file.
    pub keys: u64,
    /// Length of the file.
    pub bytes: u64,
}

impl Snapshot {
    /// Writes the snapshot as an RDB file of version 11. Once only.
    ///
    /// # Errors
    /// What the output answers, or [`io::ErrorKind::Interrupted`] after
    /// [`Progress::cancel`]; what was written so far is then no file.
    pub fn write_rdb(
        &self,
        engine: &Engine,
        options: &SaveOptions,
        output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        progress: &Progress,
    ) -> io::Result<Saved> {
        let encoder = Arc::new(self.rdb_entries(options.compress, options.access));
        self.write_file(engine, options, encoder, &self.dbs, output, progress)
    }

    /// The same with the wanted keys only; the number of keys told is that of all.
    ///
    /// # Errors
    /// As [`Snapshot::write_rdb`].
    pub fn write_selected(
        &self,
        engine: &Engine,
        options: &SaveOptions,
        wanted: Arc<Wanted>,
        output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        progress: &Progress,
    ) -> io::Result<Saved> {
        let entries = self.rdb_entries(options.compress, options.access);
        let encoder = Arc::new(Selected { entries, wanted });
        self.write_file(engine, options, encoder, &[], output, progress)
    }

    fn write_file(
        &self,
        engine: &Engine,
        options: &SaveOptions,
        encoder: Arc<dyn Encode>,
        sizes: &[SnapshotDb],
        output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        progress: &Progress,
    ) -> io::Result<Saved> {
        let mut file = RdbFile {
            output,
            checksum: options.checksum,
            crc: 0,
            bytes: 0,
            dbs: sizes,
            db: None,
            sized: Vec::new(),
        };
        file.put(&head(options))?;
        let keys = self.walk(engine, encoder, options.threads, &mut file, progress)?;
        file.put(&[EOF])?;
        let crc = file.crc;
        file.checksum = false;
        file.put(&crc.to_le_bytes())?;
        progress.bytes.store(file.bytes, Relaxed);
        Ok(Saved {
            keys,
            bytes: file.bytes,
        })
    }
}

/// The header, auxiliary fields and functions.
fn head(options: &SaveOptions) -> Vec<u8> {
    let mut writer = Writer::new(options.compress);
    writer.raw(format!("REDIS{:04}", basalt_formats::rdb::VERSION).as_bytes());
    for (name, value) in &options.aux {
        writer.raw(&[AUX]);
        writer.string(name);
        writer.string(value);
    }
    for library in &options.functions {
        writer.raw(&[FUNCTION]);
        writer.string(library);
    }
    writer.into_bytes()
}

/// Entries as RDB records.
///
/// ```text
/// record = [ 0xfc | expiry, 8 bytes LE ] [ 0xf8 | idle seconds ] [ 0xf9 | frequency ] | type | key | value |
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RdbEntries {
    compress: bool,
    access: Access,
    clock: Clock,
}

impl Snapshot {
    /// Entries as RDB records, for sinks that make files of their own.
    pub fn rdb_entries(&self, compress: bool, access: Access) -> RdbEntries {
        RdbEntries {
            compress,
            access,
            clock: self.clock,
        }
    }
}

impl Encode for RdbEntries {
    fn compress(&self) -> bool {
        self.compress
    }

    fn entry(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) {
        self.begin(entry, writer);
        write_body(writer, entry.content);
    }

    fn begin(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) -> bool {
        if let Some(at) = entry.header.expire_ms {
            writer.raw(&[EXPIRE_MS]);
            writer.raw(&at.to_le_bytes());
        }
        match self.access {
            Access::None => {}
            Access::Idle => {
                writer.raw(&[IDLE]);
                writer.number(self.clock.idle_seconds(entry.header.lru));
            }
            Access::Frequency => {
                let frequency = self.clock.frequency(entry.header.lru);
                writer.raw(&[FREQ, u8::try_from(frequency).unwrap_or(u8::MAX)]);
            }
        }
        writer.kind(kind_of(entry.content));
        writer.string(entry.key);
        true
    }
}

/// Says of a database and a key whether they are wanted.
pub type Wanted = dyn Fn(usize, &[u8]) -> bool + Send + Sync;

/// The wanted entries as RDB records.
struct Selected {
    entries: RdbEntries,
    wanted: Arc<Wanted>,
}

impl Encode for Selected {
    fn compress(&self) -> bool {
        self.entries.compress()
    }

    fn entry(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) {
        if (self.wanted)(entry.db, entry.key) {
            self.entries.entry(entry, writer);
        }
    }

    fn begin(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) -> bool {
        // What is not begun comes again as an entry, and is left out there.
        (self.wanted)(entry.db, entry.key) && self.entries.begin(entry, writer)
    }
}

/// The output with its checksum and the database selected in it.
struct RdbFile<'f> {
    output: &'f mut dyn FnMut(&[u8]) -> io::Result<()>,
    checksum: bool,
    crc: u64,
    bytes: u64,
    dbs: &'f [SnapshotDb],
    db: Option<usize>,
    /// Databases whose sizes were told.
    sized: Vec<usize>,
}

impl RdbFile<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.checksum {
            self.crc = crc64(self.crc, bytes);
        }
        (self.output)(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl SnapshotSink for RdbFile<'_> {
    fn bytes(&mut self, db: usize, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.db != Some(db) {
            self.db = Some(db);
            let mut writer = Writer::new(false);
            writer.raw(&[SELECT_DB]);
            writer.len(db);
            if let Some(sizes) = self.dbs.iter().find(|sizes| sizes.db == db)
                && !self.sized.contains(&db)
            {
                self.sized.push(db);
                writer.raw(&[RESIZE_DB]);
                writer.number(sizes.keys);
                writer.number(sizes.volatile);
            }
            self.put(writer.as_bytes())?;
        }
        self.put(bytes)
    }
}
