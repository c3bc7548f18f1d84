//! The walk over a snapshot.
//!
//! ```text
//!   units (db, shard):  0   1   2   3   4  ...        dealt in turn
//!   worker 0:           0       2       4             what writers handed over, then the next
//!   worker 1:               1       3                 slots of the unit, encoded into pieces
//!   caller:             0 , 1 , 2 , 3 , 4  -> sink
//! ```
//!
//! A worker is at most [`AHEAD`] pieces in front of the caller, so memory is bounded whatever
//! the sizes of values and files.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use basalt_formats::rdb::Writer;
use parking_lot::Mutex;

use super::cut::{Captured, shard_of};
use super::sink::{BigEntry, Encode, Note, SnapshotEntry, SnapshotSink};
use super::{Progress, Snapshot};
use crate::engine::Engine;
use crate::keyspace::shard::SLOTS_PER_SHARD;
use crate::keyspace::shard::{KeySchema, SHARDS, SlotTable};
use crate::structs::paged::{Copied, Drain};
use crate::value::serial::drain::Draining;
use crate::value::serial::{Content, write_body};

/// Bytes after which a piece is handed on.
const PIECE: usize = 256 * 1024;
/// Pieces a worker may be ahead.
const AHEAD: usize = 4;
/// Keys captured at once: until they are encoded, writers that change them copy pages.
const CAPTURE_KEYS: usize = 1024;

/// What a worker hands on.
enum Piece {
    Bytes {
        db: usize,
        shard: usize,
        bytes: Vec<u8>,
    },
    /// So many keys of what came last are encoded whole; the notes on them.
    Keys(u64, Vec<Note>),
    /// The unit is complete.
    End,
}

/// What the workers of one walk share.
struct Walk<'w> {
    engine: &'w Engine,
    snapshot: &'w Snapshot,
    encoder: Arc<dyn Encode>,
    /// Databases with keys and shards, in order.
    units: Vec<(usize, usize)>,
    threads: usize,
    stop: AtomicBool,
    /// Slots that writers handed over, with what is left of them: only pages that writers copy
    /// cost memory, and those are encoded first.
    open: Mutex<BTreeMap<u16, OpenSlot>>,
}

/// The tables of a slot, of all databases, that are encoded page by page.
#[derive(Default)]
struct OpenSlot {
    tables: Vec<Open>,
    /// A worker has the tables out.
    busy: bool,
    /// Pages copied meanwhile, for that worker.
    late: Vec<Copied>,
}

/// A table that is encoded page by page.
struct Open {
    db: usize,
    drain: Drain<KeySchema>,
}

impl Snapshot {
    /// Encodes everything on `threads` threads (at least one) besides the caller's, which feeds
    /// the sink; how many keys there were. Once only: a second walk finds nothing.
    ///
    /// # Errors
    /// What the sink answers, or [`io::ErrorKind::Interrupted`] after [`Progress::cancel`].
    pub fn walk(
        &self,
        engine: &Engine,
        encoder: Arc<dyn Encode>,
        threads: usize,
        sink: &mut dyn SnapshotSink,
        progress: &Progress,
    ) -> io::Result<u64> {
        self.cut.begin_walk(encoder.clone());
        let units: Vec<_> = self
            .dbs
            .iter()
            .flat_map(|db| (0..SHARDS).map(|shard| (db.db, shard)))
            .collect();
        let walk = Walk {
            engine,
            snapshot: self,
            encoder,
            threads: threads.clamp(1, units.len().max(1)),
            units,
            stop: AtomicBool::new(false),
            open: Mutex::default(),
        };
        let keys = walk.run(sink, progress);
        self.cut.end();
        keys
    }
}

impl Walk<'_> {
    fn run(&self, sink: &mut dyn SnapshotSink, progress: &Progress) -> io::Result<u64> {
        std::thread::scope(|scope| {
            let mut lanes: Vec<Receiver<Piece>> = Vec::with_capacity(self.threads);
            for worker in 0..self.threads {
                let (sender, receiver) = sync_channel(AHEAD);
                lanes.push(receiver);
                let spawned = std::thread::Builder::new()
                    .name(format!("snapshot-{worker}"))
                    .spawn_scoped(scope, move || self.work(worker, &sender));
                if let Err(error) = spawned {
                    self.stop.store(true, Relaxed);
                    return Err(error);
                }
            }
            let mut keys = 0;
            let result = self.take(&lanes, sink, progress, &mut keys);
            self.stop.store(true, Relaxed);
            drop(lanes);
            result.map(|()| keys)
        })
    }

    /// Feeds the sink in the order of the units, then with what is left.
    fn take(
        &self,
        lanes: &[Receiver<Piece>],
        sink: &mut dyn SnapshotSink,
        progress: &Progress,
        keys: &mut u64,
    ) -> io::Result<()> {
        let mut take = |sink: &mut dyn SnapshotSink, piece| -> io::Result<bool> {
            if progress.cancel.load(Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match piece {
                Piece::Bytes { db, shard, bytes } => {
                    sink.shard_bytes(db, shard, &bytes)?;
                    progress.bytes.fetch_add(bytes.len() as u64, Relaxed);
                }
                Piece::Keys(more, notes) => {
                    *keys += more;
                    sink.boundary(more, &notes)?;
                    progress.keys.store(*keys, Relaxed);
                }
                Piece::End => return Ok(true),
            }
            Ok(false)
        };
        for unit in 0..self.units.len() {
            let (db, shard) = self.units[unit];
            sink.visit(db, shard)?;
            let lane = &lanes[unit % self.threads];
            loop {
                let piece = lane
                    .recv()
                    .map_err(|_| io::Error::other("a thread of the snapshot ended early"))?;
                if take(sink, piece)? {
                    break;
                }
            }
        }
        for piece in lanes.iter().flat_map(Receiver::iter) {
            take(sink, piece)?;
        }
        Ok(())
    }

    fn work(&self, worker: usize, lane: &SyncSender<Piece>) {
        let place = (AtomicUsize::new(0), AtomicUsize::new(0));
        let spill = Box::new(|bytes: Vec<u8>| {
            let (db, shard) = (place.0.load(Relaxed), place.1.load(Relaxed));
            self.send(lane, Piece::Bytes { db, shard, bytes });
            Vec::with_capacity(PIECE + PIECE / 8)
        });
        let mut pen = Pen {
            walk: self,
            lane,
            place: &place,
            writer: Writer::spilling(self.encoder.compress(), PIECE, spill),
            keys: 0,
        };
        for &(db, shard) in self.units.iter().skip(worker).step_by(self.threads) {
            loop {
                pen.serve_writers();
                self.snapshot.cut.forget_copied();
                let tables = self
                    .engine
                    .capture(&self.snapshot.cut, db, shard, CAPTURE_KEYS);
                if tables.is_empty() || self.stop.load(Relaxed) {
                    break;
                }
                pen.encode(db, shard, tables);
            }
            pen.flush();
            self.send(lane, Piece::End);
            if self.stop.load(Relaxed) {
                return;
            }
        }
        // The last capture of all workers has been made when the last one comes here.
        loop {
            pen.serve_writers();
            // A worker that is busy with a slot comes here later.
            let next = {
                let mut open = self.open.lock();
                let slot = open.iter().find(|(_, open)| !open.busy);
                slot.map(|(slot, _)| *slot)
                    .and_then(|slot| Some((slot, open.remove(&slot)?)))
            };
            let Some((slot, open)) = next else { break };
            for table in open.tables {
                pen.finish(slot, table);
            }
        }
        pen.flush();
    }

    /// Hands a piece on; if nobody listens any more, the walk stops.
    fn send(&self, lane: &SyncSender<Piece>, piece: Piece) {
        if lane.send(piece).is_err() {
            self.stop.store(true, Relaxed);
        }
    }
}

/// What a worker writes with.
struct Pen<'p> {
    walk: &'p Walk<'p>,
    lane: &'p SyncSender<Piece>,
    /// The database and shard of what is in the writer.
    place: &'p (AtomicUsize, AtomicUsize),
    writer: Writer<'p>,
    /// Keys encoded that the caller has not been told of.
    keys: u64,
}

impl Pen<'_> {
    /// From here on, entries of this shard are written.
    fn select(&mut self, db: usize, shard: usize) {
        let (old_db, old_shard) = (self.place.0.load(Relaxed), self.place.1.load(Relaxed));
        if (old_db, old_shard) != (db, shard) {
            match self.walk.encoder.makes_notes() {
                true => self.flush(),
                false => self.writer.flush(),
            }
            self.place.0.store(db, Relaxed);
            self.place.1.store(shard, Relaxed);
        }
    }

    /// Hands on what is there, which ends with a whole entry.
    fn flush(&mut self) {
        self.writer.flush();
        if self.keys > 0 {
            let keys = std::mem::take(&mut self.keys);
            let notes = self.walk.encoder.notes();
            self.walk.send(self.lane, Piece::Keys(keys, notes));
        }
    }

    /// Encodes what writers handed over.
    fn serve_writers(&mut self) {
        let (walk, cut) = (self.walk, &self.walk.snapshot.cut);
        loop {
            // Before the queue, so that the tables of these pages are there.
            let pages = cut.take_copied_of_slots();
            let mut idle = pages.is_empty();
            idle &= !self.take_over();
            for page in pages {
                self.page(page);
            }
            if idle || walk.stop.load(Relaxed) {
                return;
            }
        }
    }

    /// Takes over what is in the queue; whether there was anything.
    fn take_over(&mut self) -> bool {
        let (walk, cut) = (self.walk, &self.walk.snapshot.cut);
        let mut any = false;
        loop {
            // Taken and opened at once: else another worker, which has a page of it, finds it
            // nowhere.
            let mut open = walk.open.lock();
            let Some(captured) = cut.pop() else { break };
            any = true;
            if let Captured::Table {
                db,
                slot: Some(slot),
                table,
                ..
            } = captured
            {
                let drain = Drain::new(table);
                let tables = &mut open.entry(slot).or_default().tables;
                // Mostly there is but one, of each of thousands of slots.
                tables.reserve_exact(1);
                tables.push(Open { db, drain });
                continue;
            }
            drop(open);
            match captured {
                Captured::Table {
                    db, table, charge, ..
                } => {
                    self.encode(db, shard_of(&table), vec![table]);
                    cut.discharge(charge);
                }
                Captured::Bytes {
                    db,
                    shard,
                    bytes,
                    keys,
                    notes,
                } => {
                    let charge = bytes.len() as u64;
                    // What is in the writer may be the rest of an entry.
                    self.flush();
                    walk.send(self.lane, Piece::Bytes { db, shard, bytes });
                    cut.discharge(charge);
                    walk.send(self.lane, Piece::Keys(keys, notes));
                }
            }
        }
        any
    }

    /// Encodes a page of an open slot that a writer has copied.
    fn page(&mut self, page: Copied) {
        let walk = self.walk;
        let mut big = Vec::new();
        let mut keys = 0;
        // Taken out meanwhile: sending may wait for another worker, which may want the lock.
        let slot = page.slot.unwrap_or_default();
        let shard = usize::from(slot) / SLOTS_PER_SHARD;
        let mut tables = match walk.open.lock().get_mut(&slot) {
            // It is, or was, encoded otherwise.
            None => Vec::new(),
            Some(open) if open.busy => {
                open.late.push(page);
                return;
            }
            Some(open) => {
                open.busy = true;
                std::mem::take(&mut open.tables)
            }
        };
        let opened = !tables.is_empty();
        let mut pages = vec![page];
        while !pages.is_empty() {
            for page in std::mem::take(&mut pages) {
                for Open { db, drain } in &mut tables {
                    self.select(*db, shard);
                    let (db, encoder, writer) = (*db, &walk.encoder, &mut self.writer);
                    if drain.copied(&page, &mut |entry| {
                        keys += 1;
                        encoder.one(db, entry, writer, Some(&mut big));
                    }) {
                        break;
                    }
                }
                walk.snapshot.cut.discharge(page.bytes);
            }
            if !opened {
                break;
            }
            let mut open = walk.open.lock();
            if let Some(place) = open.get_mut(&slot) {
                pages = std::mem::take(&mut place.late);
                tables.append(&mut place.tables);
                tables.retain(|open| !open.drain.is_empty());
                if pages.is_empty() {
                    place.tables = std::mem::take(&mut tables);
                    place.busy = false;
                    if place.tables.is_empty() {
                        open.remove(&slot);
                    }
                }
            }
        }
        self.done(keys, big);
    }

    /// Encodes what is left of an open slot.
    fn finish(&mut self, slot: u16, mut open: Open) {
        let db = open.db;
        #[cfg(test)]
        self.walk
            .snapshot
            .cut
            .missed
            .fetch_add(open.drain.copied_pages() as u64, Relaxed);
        self.select(db, usize::from(slot) / SLOTS_PER_SHARD);
        loop {
            let (mut big, mut keys) = (Vec::new(), 0);
            let (encoder, writer) = (&self.walk.encoder, &mut self.writer);
            let more = open.drain.next_page(&mut |entry| {
                keys += 1;
                encoder.one(db, entry, writer, Some(&mut big));
            });
            self.done(keys, big);
            if !more || self.walk.stop.load(Relaxed) {
                return;
            }
        }
    }

    /// So many keys are encoded but for the big ones, which follow.
    fn done(&mut self, keys: u64, big: Vec<BigEntry>) {
        for entry in big {
            self.drain(entry);
        }
        self.keys += keys;
        if self.keys >= CAPTURE_KEYS as u64 {
            self.flush();
        }
    }

    /// Encodes a big value page by page, those first that writers have copied.
    fn drain(&mut self, big: BigEntry) {
        let (walk, writer) = (self.walk, &mut self.writer);
        let entry = SnapshotEntry {
            db: self.place.0.load(Relaxed),
            key: &big.key,
            header: big.header,
            content: Content::Value(&big.value),
        };
        if !walk.encoder.begin(entry, writer) {
            return walk.encoder.entry(entry, writer);
        }
        let Some(mut draining) = Draining::begin(&big.value, writer) else {
            return write_body(writer, entry.content);
        };
        drop(big);
        let cut = &walk.snapshot.cut;
        let mut others = Vec::new();
        while !walk.stop.load(Relaxed) {
            let mut bytes = 0;
            for page in cut.take_copied() {
                if draining.copied(&page, writer) {
                    bytes += page.bytes;
                } else {
                    others.push(page);
                }
            }
            if bytes > 0 {
                cut.discharge(bytes);
            }
            if !draining.next(writer) {
                break;
            }
        }
        drop(draining);
        cut.put_copied(others);
    }

    /// Encodes tables of one shard into the lane.
    fn encode(&mut self, db: usize, shard: usize, tables: Vec<SlotTable>) {
        self.select(db, shard);
        let mut keys = 0;
        for table in tables {
            let walk = self.walk;
            let mut big = Vec::new();
            let aside = Some(&mut big);
            keys += walk
                .encoder
                .slot(db, &table, &mut self.writer, &walk.stop, aside);
            // From here on only the values themselves are held.
            drop(table);
            for entry in big {
                self.drain(entry);
            }
        }
        self.done(keys, Vec::new());
    }
}
