//! Writing a snapshot as an RDB file: slot order, several threads, bounded memory.
//!
//! ```text
//!   units of slots:   0   1   2   3   4  ...        dealt in turn
//!   worker 0:         0       2       4             each encodes into pieces of 256 KiB
//!   worker 1:             1       3
//!   caller:           0 , 1 , 2 , 3 , 4  -> checksum -> output
//! ```
//!
//! A worker is at most [`AHEAD`] pieces in front of the caller, so memory is bounded whatever
//! the sizes of values and files.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::Writer;

use super::encode::{Access, encode_slot};
use super::{Progress, Snapshot, SnapshotDb};

const AUX: u8 = 0xfa;
const FUNCTION: u8 = 0xf5;
const SELECT_DB: u8 = 0xfe;
const RESIZE_DB: u8 = 0xfb;
const EOF: u8 = 0xff;

/// Bytes after which a piece is handed on.
const PIECE: usize = 256 * 1024;
/// Pieces a worker may be ahead.
const AHEAD: usize = 4;
/// Keys after which a unit of work ends.
const UNIT_KEYS: usize = 2048;

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

/// Where the bytes go.
type Output<'o> = &'o mut dyn FnMut(&[u8]) -> io::Result<()>;

/// What a worker hands on.
enum Piece {
    Bytes(Vec<u8>),
    /// The unit is complete; so many keys.
    End(u64),
}

/// Consecutive slots of one database.
struct Unit<'s> {
    db: &'s SnapshotDb,
    slots: Range<usize>,
}

impl Snapshot {
    /// Writes the snapshot as an RDB file of version 11.
    ///
    /// # Errors
    /// What the output answers, or [`io::ErrorKind::Interrupted`] after
    /// [`Progress::cancel`]; what was written so far is then no file.
    pub fn write_rdb(
        &self,
        options: &SaveOptions,
        output: Output<'_>,
        progress: &Progress,
    ) -> io::Result<Saved> {
        let mut file = File {
            output,
            progress,
            checksum: options.checksum,
            crc: 0,
            saved: Saved::default(),
        };
        file.put(&head(options))?;
        let units = self.units();
        self.write_units(&units, options, &mut file)?;
        file.put(&[EOF])?;
        let crc = file.crc;
        file.checksum = false;
        file.put(&crc.to_le_bytes())?;
        Ok(file.saved)
    }

    fn units(&self) -> Vec<Unit<'_>> {
        let mut units = Vec::new();
        for db in &self.dbs {
            let (mut start, mut keys) = (0, 0);
            for (at, table) in db.slots.iter().enumerate() {
                keys += table.len();
                if keys >= UNIT_KEYS || at + 1 == db.slots.len() {
                    units.push(Unit {
                        db,
                        slots: start..at + 1,
                    });
                    (start, keys) = (at + 1, 0);
                }
            }
        }
        units
    }

    /// Encodes a unit; keys in it.
    fn encode(
        &self,
        unit: &Unit<'_>,
        options: &SaveOptions,
        cancelled: &AtomicBool,
        mut writer: Writer<'_>,
    ) -> u64 {
        if unit.slots.start == 0 {
            writer.raw(&[SELECT_DB]);
            writer.len(unit.db.db);
            writer.raw(&[RESIZE_DB]);
            writer.len(usize::try_from(unit.db.keys).unwrap_or(usize::MAX));
            writer.len(usize::try_from(unit.db.volatile).unwrap_or(usize::MAX));
        }
        let mut keys = 0;
        for table in unit.db.slots.get(unit.slots.clone()).unwrap_or_default() {
            encode_slot(&mut writer, table, options.access, &self.clock, cancelled);
            keys += table.len() as u64;
        }
        writer.finish();
        keys
    }

    fn write_units(
        &self,
        units: &[Unit<'_>],
        options: &SaveOptions,
        file: &mut File<'_, '_>,
    ) -> io::Result<()> {
        let threads = options.threads.min(units.len()).max(1);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let mut lanes: Vec<Receiver<Piece>> = Vec::with_capacity(threads);
            for worker in 0..threads {
                let (sender, receiver) = sync_channel(AHEAD);
                lanes.push(receiver);
                std::thread::Builder::new()
                    .name(format!("save-{worker}"))
                    .spawn_scoped(scope, move || {
                        for unit in units.iter().skip(worker).step_by(threads) {
                            if stop.load(Relaxed) || !self.work(unit, options, stop, &sender) {
                                return;
                            }
                        }
                    })?;
            }
            let result = (0..units.len()).try_for_each(|unit| {
                let lane = &lanes[unit % threads];
                loop {
                    match lane.recv() {
                        Ok(Piece::Bytes(bytes)) => file.put(&bytes)?,
                        Ok(Piece::End(keys)) => {
                            file.done(keys);
                            return Ok(());
                        }
                        Err(_) => return Err(io::Error::other("a thread of the save ended early")),
                    }
                }
            });
            stop.store(true, Relaxed);
            drop(lanes);
            result
        })
    }

    /// Encodes a unit into a lane; false if nobody listens any more.
    fn work(
        &self,
        unit: &Unit<'_>,
        options: &SaveOptions,
        stop: &AtomicBool,
        lane: &SyncSender<Piece>,
    ) -> bool {
        let spill = Box::new(|piece: Vec<u8>| {
            if lane.send(Piece::Bytes(piece)).is_err() {
                stop.store(true, Relaxed);
            }
            Vec::with_capacity(PIECE + PIECE / 8)
        });
        let writer = Writer::spilling(options.compress, PIECE, spill);
        let keys = self.encode(unit, options, stop, writer);
        lane.send(Piece::End(keys)).is_ok()
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

/// The output with its checksum and counters.
struct File<'f, 'o> {
    output: Output<'o>,
    progress: &'f Progress,
    checksum: bool,
    crc: u64,
    saved: Saved,
}

impl File<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.progress.cancel.load(Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.checksum {
            self.crc = crc64(self.crc, bytes);
        }
        (self.output)(bytes)?;
        self.saved.bytes += bytes.len() as u64;
        self.progress.bytes.store(self.saved.bytes, Relaxed);
        Ok(())
    }

    fn done(&mut self, keys: u64) {
        self.saved.keys += keys;
        self.progress.keys.store(self.saved.keys, Relaxed);
    }
}
