//! The chunks of a backup joined into one RDB file.
//!
//! Records are copied as they are, so that nothing is decoded and encoded again; every check of the way in applies: length and
//! BLAKE3 of each object, age's authentication, the frame's checksum, the RDB file's checksum, the number of keys. The
//! output is right only if [`join`] returns `Ok`.
//!
//! Chunks are read and proven as [`each_chunk`] does it: entries that are dead in this backup have been left out by then.

use std::io::Write;

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::Writer;
use basalt_formats::rdb::file::{Checksum, FileReader, Record};

use super::JobError;
use super::each::{Prove, each_chunk};
use crate::repo::crypt::Identities;
use crate::repo::{Chunk, Manifest};
use crate::store::BackupStore;

const AUX: u8 = 0xfa;
const SELECT_DB: u8 = 0xfe;
const RESIZE_DB: u8 = 0xfb;
const EOF: u8 = 0xff;

/// Says of a database and key whether they are wanted.
pub type Wanted<'w> = dyn Fn(u64, &[u8]) -> bool + Send + Sync + 'w;

/// The file being written.
struct Output<'o> {
    sink: &'o mut (dyn Write + Send),
    manifest: &'o Manifest,
    wanted: Option<&'o Wanted<'o>>,
    crc: u64,
    bytes: u64,
    db: Option<u64>,
    sized: Vec<u64>,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), JobError> {
        self.crc = crc64(self.crc, bytes);
        self.bytes += bytes.len() as u64;
        Ok(self.sink.write_all(bytes)?)
    }

    fn select(&mut self, db: u64) -> Result<(), JobError> {
        if self.db == Some(db) {
            return Ok(());
        }
        self.db = Some(db);
        let mut writer = Writer::new(false);
        writer.raw(&[SELECT_DB]);
        writer.number(db);
        let sizes = self
            .manifest
            .databases
            .iter()
            .find(|sizes| u64::from(sizes.db) == db);
        if let Some(sizes) = sizes
            && self.wanted.is_none()
            && !self.sized.contains(&db)
        {
            self.sized.push(db);
            writer.raw(&[RESIZE_DB]);
            writer.number(sizes.keys);
            writer.number(sizes.expires);
        }
        self.put(writer.as_bytes())
    }

    /// Copies the records of a chunk.
    fn append(&mut self, chunk: &Chunk, rdb: &[u8]) -> Result<(), JobError> {
        let wrong = |reason: String| JobError::Content {
            name: chunk.object.clone(),
            reason,
        };
        let damaged = |error: &dyn std::fmt::Display| wrong(error.to_string());
        let mut reader = FileReader::new(rdb).map_err(|error| damaged(&error))?;
        let (mut keys, mut functions, mut db) = (0u64, 0u64, 0);
        // Neighbouring keys are copied at once.
        let (mut from, mut to) = (0, 0);
        loop {
            let begin = reader.offset();
            let record = reader.next_record().map_err(|error| damaged(&error))?;
            let end = reader.offset();
            let left_out = match (&record, self.wanted) {
                (Record::Key(record), Some(wanted)) => !wanted(db, &record.key),
                (Record::Function(_), Some(_)) => true,
                _ => false,
            };
            if matches!(record, Record::Key(_)) && !left_out && to == begin && from < to {
                to = end;
                keys += 1;
                continue;
            }
            if from < to {
                self.put(rdb.get(from..to).unwrap_or_default())?;
            }
            (from, to) = (end, end);
            match record {
                Record::Aux { .. } | Record::ResizeDb { .. } | Record::SlotInfo { .. } => {}
                Record::SelectDb(number) => db = number,
                Record::Key(_) if left_out => keys += 1,
                Record::Function(_) if left_out => functions += 1,
                Record::Function(_) => {
                    functions += 1;
                    self.put(rdb.get(begin..end).unwrap_or_default())?;
                }
                Record::Key(_) => {
                    if chunk.db.is_some_and(|only| u64::from(only) != db) {
                        return Err(wrong(format!("it holds keys of database {db}")));
                    }
                    self.select(db)?;
                    keys += 1;
                    (from, to) = (begin, end);
                }
                Record::Eof { checksum, end } => {
                    if !matches!(checksum, Checksum::Good(_)) || end != rdb.len() {
                        return Err(wrong("its end is not that of a whole file".into()));
                    }
                    break;
                }
                _ => return Err(wrong("it holds what no backup holds".into())),
            }
        }
        if (keys, functions) != (chunk.live(), chunk.functions) {
            return Err(wrong(format!(
                "it holds {keys} keys and {functions} libraries, not {} and {}",
                chunk.live(),
                chunk.functions
            )));
        }
        Ok(())
    }
}

/// Writes the backup, or what is wanted of its keys, as one RDB file; its length. Function libraries are only in the whole.
///
/// # Errors
/// [`JobError`]; what was written is then no file.
pub fn join(
    store: &dyn BackupStore,
    manifest: &Manifest,
    identities: &Identities,
    remarks: &[(&str, &str)],
    wanted: Option<&Wanted<'_>>,
    sink: &mut (dyn Write + Send),
    prove: &Prove<'_>,
) -> Result<u64, JobError> {
    let mut output = Output {
        sink,
        manifest,
        wanted,
        crc: 0,
        bytes: 0,
        db: None,
        sized: Vec::new(),
    };
    let mut head = Writer::new(false);
    head.raw(format!("REDIS{:04}", basalt_formats::rdb::VERSION).as_bytes());
    for (name, value) in remarks {
        head.raw(&[AUX]);
        head.string(name.as_bytes());
        head.string(value.as_bytes());
    }
    output.put(head.as_bytes())?;
    // Libraries come before keys, and databases in order.
    let mut order: Vec<&Chunk> = manifest.chunks.iter().collect();
    order.sort_by_key(|chunk| (chunk.functions == 0, chunk.db.is_none(), chunk.db));
    each_chunk(store, &order, identities, prove, |chunk, rdb| {
        output.append(chunk, rdb)
    })?;
    output.put(&[EOF])?;
    let crc = output.crc;
    output.put(&crc.to_le_bytes())?;
    output.sink.flush()?;
    Ok(output.bytes)
}
