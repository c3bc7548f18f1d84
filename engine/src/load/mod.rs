//! Loading an RDB file: one thread cuts the file into records, others build the values and
//! put them into their shards.
//!
//! ```text
//!   file -> FileReader -> batches of records -> worker 0..n: decode, check, put under the shard's lock
//! ```
//!
//! Records borrow from the file, so a batch holds no copies and memory beyond the data set
//! stays small. A worker puts the records of its batch in by slot, whatever order the file has
//! them in: neighbours then share locks, and memory that is in the cache already. A file is refused as a whole: the caller throws away what was loaded so far.

mod error;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use basalt_formats::rdb::file::{Checksum, FileReader, KeyRecord, Record, check_trailer};
use basalt_formats::rdb::{ObjectType, RdbError, Reader};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::keyspace::Place;
use crate::keyspace::access::Clock;
use crate::keyspace::header::INLINE_MAX;
use crate::keyspace::loaded::{LoadedValue, Loading, Room};
use crate::keyspace::shard::SLOTS;
use crate::snapshot::Progress;
use crate::structs::prefetch::prefetch;
use crate::value::serial::{self, Limits};

pub use error::{RdbLoadCause, RdbLoadError};

/// Records handed to a worker at once: fewest and most. In between it follows the length of the
/// file, so that the records under way stay small beside it.
const BATCH: (usize, usize) = (512, 65_536);
/// Bytes of a file for each record of a batch.
const BATCH_BYTES: usize = 64;
/// Batches that may wait for a worker.
const AHEAD: usize = 1;
/// Records by which memory is asked for before it is needed.
const APPROACH: usize = 4;
/// Keys in a slot from which on it gets room for all at once.
const LEAST_ROOM: usize = 4;
/// What a key takes in its page beside its own bytes and those of a short string.
const HEAD_BYTES: usize = 4;
/// Auxiliary fields kept of a file; more are read and forgotten.
const MAX_AUX: usize = 256;

/// How a file is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Unix time in milliseconds: what is expired by then is dropped.
    pub now_ms: i64,
    /// The checksum is verified (`rdbchecksum`).
    pub checksum: bool,
    /// Threads that build values, besides the caller, which reads; at least one.
    pub threads: usize,
    /// Keys past their time are kept: the file is the base of a log that deletes them.
    pub keep_expired: bool,
    /// Keys that exist already are replaced; else they make the file invalid.
    pub replace: bool,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Keys put in.
    pub keys: u64,
    /// Keys dropped because their time had come.
    pub expired: u64,
    /// Collections without elements, dropped as Redis does.
    pub empty_skipped: u64,
    /// Auxiliary fields in the order of the file.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// Function libraries, each its whole source.
    pub functions: Vec<Vec<u8>>,
    /// Bytes that belong to the RDB; a log may follow.
    pub end: usize,
}

/// A key with its database.
type Item<'a> = (usize, KeyRecord<'a>);

/// Records for a worker.
struct Batch<'a> {
    items: Vec<Item<'a>>,
    /// A database, and how many keys each of its slots will hold.
    expected: (usize, usize),
}

/// What is said and known of how many keys a database has.
#[derive(Default)]
struct Expected {
    db: usize,
    /// As the file says.
    claimed: u64,
    /// Where its records begin.
    start: usize,
    /// Records of the whole file so far.
    records: usize,
}

impl Expected {
    /// How many keys each slot will hold, at least. What the file says is believed as far as it has the bytes.
    fn per_slot(&self, offset: usize, size: usize) -> usize {
        let left = size.saturating_sub(self.start) as u128;
        let fitting = left * self.records as u128 / offset.max(1) as u128;
        let keys = fitting.min(self.claimed.into());
        let keys = usize::try_from(keys).unwrap_or(usize::MAX) / SLOTS;
        // Keys spread unevenly, and a page that grows once more costs little.
        keys - keys / 8
    }
}

/// What the workers share.
struct Work<'w> {
    engine: &'w Engine,
    options: LoadOptions,
    limits: Limits,
    clock: Clock,
    progress: &'w Progress,
    keys: AtomicU64,
    expired: AtomicU64,
    empty: AtomicU64,
    /// The failure nearest to the start of the file.
    failure: Mutex<Option<RdbLoadError>>,
    failed: AtomicBool,
}

impl Engine {
    /// Adds the contents of an RDB file to what is there. Values of other versions get the
    /// encodings that today's limits ask for.
    ///
    /// # Errors
    /// [`RdbLoadError`]: the file is damaged, or holds what cannot be represented. The engine
    /// then holds some of its keys, which the caller must not serve.
    pub fn load_rdb(
        &self,
        input: &[u8],
        options: &LoadOptions,
        progress: &Progress,
    ) -> Result<Loaded, RdbLoadError> {
        let checked = options.checksum
            && match check_trailer(input) {
                Some(outcome) => outcome.map(|()| true)?,
                None => false,
            };
        let mut reader = FileReader::new(input)?.checksum(options.checksum && !checked);
        let work = Work {
            engine: self,
            options: *options,
            limits: self.settings.limits(),
            clock: Clock::new(options.now_ms, &self.settings),
            progress,
            keys: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
        };
        let mut loaded = Loaded::default();
        let (sender, receiver) = sync_channel(AHEAD);
        let receiver = Mutex::new(receiver);
        let read = std::thread::scope(|scope| {
            let (work, receiver) = (&work, &receiver);
            let workers: Vec<_> = (0..options.threads.max(1))
                .map(|worker| {
                    std::thread::Builder::new()
                        .name(format!("load-{worker}"))
                        .spawn_scoped(scope, move || work.run(receiver))
                })
                .collect();
            if let Some(error) = workers.into_iter().find_map(Result::err) {
                return Err(RdbLoadError::at(0, RdbLoadCause::Thread(error.to_string())));
            }
            work.read(&mut reader, sender, &mut loaded)
        });
        // Workers see records that stand before the one the reader failed at.
        if let Some(failure) = work.failure.into_inner() {
            return Err(failure);
        }
        read?;
        loaded.keys = work.keys.into_inner();
        loaded.expired = work.expired.into_inner();
        loaded.empty_skipped = work.empty.into_inner();
        Ok(loaded)
    }
}

impl Work<'_> {
    /// Cuts the file into records until its end.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "its end tells the workers to stop"
    )]
    fn read<'a>(
        &self,
        reader: &mut FileReader<'a>,
        sender: SyncSender<Batch<'a>>,
        loaded: &mut Loaded,
    ) -> Result<(), RdbLoadError> {
        let mut db = 0;
        let mut expected = Expected::default();
        let whole = reader.offset() + reader.left();
        let size = (reader.left() / BATCH_BYTES).clamp(BATCH.0, BATCH.1);
        let mut batch = Vec::with_capacity(size);
        loop {
            let offset = reader.offset();
            match reader.next_record()? {
                Record::Key(record) => {
                    batch.push((db, record));
                    if batch.len() < size {
                        continue;
                    }
                    self.progress.bytes.store(offset as u64, Relaxed);
                    if self.failed.load(Relaxed) {
                        return Ok(());
                    }
                    if self.progress.cancel.load(Relaxed) {
                        return Err(RdbLoadError::at(offset, RdbLoadCause::Cancelled));
                    }
                    expected.records += batch.len();
                    let full = Batch {
                        items: std::mem::replace(&mut batch, Vec::with_capacity(size)),
                        expected: (expected.db, expected.per_slot(offset, whole)),
                    };
                    if sender.send(full).is_err() {
                        return Ok(());
                    }
                }
                Record::SelectDb(number) => {
                    db = usize::try_from(number)
                        .ok()
                        .filter(|db| *db < self.engine.databases())
                        .ok_or_else(|| RdbLoadError::at(offset, RdbLoadCause::Db(number)))?;
                }
                Record::ResizeDb { keys, .. } => {
                    expected = Expected {
                        db,
                        claimed: keys,
                        start: offset,
                        records: expected.records,
                    };
                }
                Record::Aux { key, value } if loaded.aux.len() < MAX_AUX => {
                    loaded.aux.push((key.into_owned(), value.into_owned()));
                }
                Record::Function(source) => loaded.functions.push(source.into_owned()),
                Record::Eof { checksum, end } => {
                    if let Checksum::Zero = checksum {
                        tracing::warn!(
                            "RDB file was saved with checksum disabled: no check performed."
                        );
                    }
                    loaded.end = end;
                    // A file of one batch is small: its pages grow as they are filled.
                    let last = Batch {
                        items: batch,
                        expected: (db, 0),
                    };
                    let _ = sender.send(last);
                    self.progress.bytes.store(end as u64, Relaxed);
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    /// Takes batches until there are no more.
    fn run(&self, receiver: &Mutex<Receiver<Batch<'_>>>) {
        loop {
            let received = receiver.lock().recv();
            let Ok(batch) = received else { return };
            if self.failed.load(Relaxed) {
                continue;
            }
            self.put_all(&batch);
            let keys = batch.items.len() as u64;
            self.progress.keys.fetch_add(keys, Relaxed);
        }
    }

    /// Puts a batch in by slot; records of one key stay in their order.
    fn put_all(&self, batch: &Batch<'_>) {
        let (order, bytes) = by_slot(&batch.items);
        let room = match batch.expected {
            (db, keys) if keys >= LEAST_ROOM => Some(Room {
                db,
                keys,
                mean: bytes / batch.items.len().max(1),
            }),
            _ => None,
        };
        let batch = &batch.items;
        let mut loading = Loading::new(self.engine, room);
        for (next, (place, at)) in order.iter().enumerate() {
            if let Some((_, at)) = order.get(next + 4 * APPROACH) {
                prefetch(&raw const batch[*at]);
                prefetch((&raw const batch[*at]).cast::<u8>().wrapping_add(64));
            }
            if let Some((ahead, at)) = order.get(next + 2 * APPROACH) {
                let (db, record) = &batch[*at];
                prefetch(record.key.as_ptr());
                prefetch(record.body.as_ptr());
                loading.approach(*db, *ahead);
            }
            if let Some((ahead, at)) = order.get(next + APPROACH / 2) {
                loading.arrive(batch[*at].0, *ahead);
            }
            let (db, record) = &batch[*at];
            if let Err(cause) = self.put(&mut loading, (*db, *place), record) {
                let error = RdbLoadError::of_key(record.offset, &record.key, cause);
                let mut failure = self.failure.lock();
                if failure
                    .as_ref()
                    .is_none_or(|first| first.offset > error.offset)
                {
                    *failure = Some(error);
                }
                self.failed.store(true, Relaxed);
            }
        }
    }

    fn put(
        &self,
        loading: &mut Loading<'_>,
        (db, place): (usize, Place),
        record: &KeyRecord<'_>,
    ) -> Result<(), RdbLoadCause> {
        let mut reader = Reader::new(record.body);
        let text;
        let value = if record.kind == ObjectType::String {
            text = reader.string()?;
            LoadedValue::Str(&text)
        } else {
            match serial::load(record.kind, &mut reader, &self.limits) {
                Ok(value) => LoadedValue::Value(value),
                Err(serial::LoadError::Rdb(RdbError::Empty)) => {
                    self.empty.fetch_add(1, Relaxed);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        };
        if !self.options.keep_expired && record.expire_ms.is_some_and(|at| at < self.options.now_ms)
        {
            self.expired.fetch_add(1, Relaxed);
            return Ok(());
        }
        let lru = match (record.freq, record.idle_s) {
            (Some(freq), _) if self.clock.is_lfu() => self.clock.field_for_frequency(freq),
            (_, Some(idle)) if !self.clock.is_lfu() => self.clock.field_for_idle(idle),
            _ => self.clock.fresh(),
        };
        let new = loading.put(
            (db, place, &record.key),
            record.expire_ms,
            lru,
            value,
            self.options.replace,
        );
        if !new && !self.options.replace {
            return Err(RdbLoadCause::DuplicateKey);
        }
        self.keys.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// The places of the records in the order of their slots, and within a slot as they stand, with their indices; and the bytes
/// they will take in pages, roughly. O(records + slots).
fn by_slot(batch: &[Item<'_>]) -> (Vec<(Place, usize)>, usize) {
    let mut bytes = 0;
    let mut starts = vec![0usize; SLOTS + 1];
    let places: Vec<Place> = batch
        .iter()
        .map(|(_, record)| {
            let place = Place::of(&record.key);
            bytes += HEAD_BYTES + record.key.len();
            if record.kind == ObjectType::String && record.body.len() <= INLINE_MAX {
                bytes += record.body.len();
            }
            starts[place.slot + 1] += 1;
            place
        })
        .collect();
    for slot in 0..SLOTS {
        starts[slot + 1] += starts[slot];
    }
    let mut order = vec![(Place { slot: 0, hash: 0 }, 0); batch.len()];
    for (at, place) in places.into_iter().enumerate() {
        let next = &mut starts[place.slot];
        order[*next] = (place, at);
        *next += 1;
    }
    (order, bytes)
}
