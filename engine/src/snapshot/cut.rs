//! What shards, writers and the walker of one snapshot share.
//!
//! A slot is *pending* until it is captured: until its table as of the cut has been cloned. The
//! walker captures slots as it comes by; a writer captures the slot it is about to change and
//! puts it into the queue here, which the walker empties before it goes on in order.
//!
//! Memory: a page is charged when a writer copies it, a long string and a table that FLUSHALL gives
//! up when they are handed over. Above the limit a writer encodes a short slot itself, and for a
//! long one waits a moment for the walker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::room::Room;
use super::sink::{Encode, Note};
use crate::keyspace::shard::{SLOTS_PER_SHARD, ShardDb, SlotTable};
use crate::structs::paged::{Copied, Watcher};
use crate::value::Value;
use crate::value::serial::drain::is_big;
use basalt_formats::crc16::key_slot;
use basalt_formats::rdb::Writer;

/// Entries up to which a writer encodes a slot itself: some hundred microseconds.
const SHORT: usize = 2048;
/// Entries that fit one page, or hardly more: a table of so few is encoded whole.
const ONE_PAGE: usize = 96;
/// Bytes of big values up to which it does so.
const SHORT_BYTES: usize = 1 << 20;
/// How long a writer waits for room.
const PATIENCE: Duration = Duration::from_millis(1);

/// A slot that a writer had to capture, with the number its database had at the cut.
pub(super) enum Captured {
    /// As it was.
    Table {
        db: usize,
        /// Its number, unless all its pages are given up at once.
        slot: Option<u16>,
        table: SlotTable,
        charge: u64,
    },
    /// Encoded already.
    Bytes {
        db: usize,
        shard: usize,
        bytes: Vec<u8>,
        keys: u64,
        notes: Vec<Note>,
    },
}

impl Captured {
    fn charge(&self) -> u64 {
        match self {
            Captured::Table { charge, .. } => *charge,
            Captured::Bytes { bytes, .. } => bytes.len() as u64,
        }
    }
}

#[derive(Default)]
struct CopiedPages {
    /// Of tables of slots.
    slots: Vec<Copied>,
    /// Of big values.
    values: Vec<Copied>,
}

/// One snapshot under way.
#[derive(Default)]
pub(crate) struct Cut {
    /// What all snapshots may use together.
    room: Arc<Room>,
    queue: Mutex<VecDeque<Captured>>,
    served: Condvar,
    /// Something is queued; read without the lock.
    queued: AtomicBool,
    /// The snapshot is done or dropped: shards may forget it.
    over: AtomicBool,
    /// Pages that writers copied, which the walker reads first.
    copied: Mutex<CopiedPages>,
    charged: AtomicU64,
    peak: AtomicU64,
    longest_ns: AtomicU64,
    captured: AtomicU64,
    encoded: AtomicU64,
    /// How slots become bytes, once the walk has begun.
    encoder: OnceLock<Arc<dyn Encode>>,
    /// Pages that writers copied and the walker did not encode for that.
    #[cfg(test)]
    pub(super) missed: AtomicU64,
    /// Writers hand nothing over: what tests of exactness have to catch.
    #[cfg(test)]
    pub(super) forgetful: AtomicBool,
}

/// What a snapshot costs those who write while it is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes charged for slots that writers handed over and the walker has not encoded yet: an
    /// upper bound of the pages copied for the snapshot's sake.
    pub extra_bytes: u64,
    /// The most there were.
    pub peak_bytes: u64,
    /// The longest time a writer spent on capturing a slot, in nanoseconds.
    pub longest_stall_ns: u64,
    /// Slots captured by writers.
    pub captured_by_writers: u64,
    /// Those of them that the writer encoded itself.
    pub encoded_by_writers: u64,
}

impl Cut {
    pub(super) fn new(room: Arc<Room>) -> Cut {
        Cut {
            room,
            ..Cut::default()
        }
    }

    pub(super) fn begin_walk(&self, encoder: Arc<dyn Encode>) {
        let _ = self.encoder.set(encoder);
    }

    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
        let left = {
            let (mut queue, mut copied) = (self.queue.lock(), self.copied.lock());
            queue.clear();
            *copied = CopiedPages::default();
            self.charged.swap(0, Relaxed)
        };
        self.room.sub(left);
        self.served.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            extra_bytes: self.charged.load(Relaxed),
            peak_bytes: self.peak.load(Relaxed),
            longest_stall_ns: self.longest_ns.load(Relaxed),
            captured_by_writers: self.captured.load(Relaxed),
            encoded_by_writers: self.encoded.load(Relaxed),
        }
    }

    /// Takes what a writer handed over first.
    pub(super) fn pop(&self) -> Option<Captured> {
        if !self.queued.load(Relaxed) {
            return None;
        }
        let mut queue = self.queue.lock();
        let first = queue.pop_front();
        self.queued.store(!queue.is_empty(), Relaxed);
        first
    }

    /// What was taken is encoded and its memory free.
    pub(super) fn discharge(&self, bytes: u64) {
        self.charged.fetch_sub(bytes, Relaxed);
        self.room.sub(bytes);
        self.served.notify_all();
    }

    /// Takes what is known of copied pages of big values.
    pub(super) fn take_copied(&self) -> Vec<Copied> {
        std::mem::take(&mut self.copied.lock().values)
    }

    /// Takes what is known of copied pages of slots. What was handed over before they were copied
    /// is in the queue, or was.
    pub(super) fn take_copied_of_slots(&self) -> Vec<Copied> {
        std::mem::take(&mut self.copied.lock().slots)
    }

    /// Gives back what belongs to values that are still to be read.
    pub(super) fn put_copied(&self, pages: Vec<Copied>) {
        self.copied.lock().values.extend(pages);
    }

    /// Nothing that was handed over is waiting: what is known of copied pages is past.
    pub(super) fn forget_copied(&self) {
        let bytes = self.take_copied().iter().map(|page| page.bytes).sum();
        if bytes > 0 {
            self.discharge(bytes);
        }
    }

    fn charge(&self, bytes: u64) {
        let charged = self.charged.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(charged, Relaxed);
        self.room.add(bytes);
    }

    fn push(&self, captured: Captured, urgent: bool) {
        let charge = captured.charge();
        let mut queue = self.queue.lock();
        if self.is_over() {
            return;
        }
        self.charge(charge);
        if urgent {
            queue.push_front(captured);
        } else {
            queue.push_back(captured);
        }
        self.queued.store(true, Relaxed);
    }

    /// Takes a table over from a writer that is about to change it, or free it. Returns after a
    /// bounded time.
    fn hand_over(&self, db: usize, slot: Option<usize>, table: SlotTable, may_wait: bool) {
        let began = Instant::now();
        self.captured.fetch_add(1, Relaxed);
        let (charge, urgent) = cost_of_table(&table, slot.is_none());
        let slot = slot.and_then(|slot| u16::try_from(slot).ok());
        let slot = slot.filter(|_| charge == 0 && !urgent && table.len() > ONE_PAGE);
        let full = self.room.is_full(charge);
        match self.encoder.get() {
            Some(encoder) if full && may_wait && is_short(&table) => {
                self.encoded.fetch_add(1, Relaxed);
                let mut writer = Writer::new(encoder.compress());
                let keys = encoder.slot(db, &table, &mut writer, &self.over, None);
                let notes = encoder.notes();
                let shard = shard_of(&table);
                drop(table);
                let bytes = writer.into_bytes();
                let captured = Captured::Bytes {
                    db,
                    shard,
                    bytes,
                    keys,
                    notes,
                };
                self.push(captured, false);
            }
            _ => {
                let captured = Captured::Table {
                    db,
                    slot,
                    table,
                    charge,
                };
                self.push(captured, urgent);
                if full && may_wait {
                    let mut queue = self.queue.lock();
                    if !queue.is_empty() && !self.is_over() {
                        self.served.wait_for(&mut queue, PATIENCE);
                    }
                }
            }
        }
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.longest_ns.fetch_max(nanos, Relaxed);
    }
}

/// The shard a slot's table is from; the first for one without keys.
pub(super) fn shard_of(table: &SlotTable) -> usize {
    let first = table.iter().next();
    first.map_or(0, |entry| {
        usize::from(key_slot(entry.key)) / SLOTS_PER_SHARD
    })
}

/// Whether encoding a slot takes less than a millisecond.
fn is_short(table: &SlotTable) -> bool {
    table.len() <= SHORT
        && table
            .iter()
            .filter_map(|entry| entry.obj)
            .map(|value| value.heap_bytes())
            .try_fold(0usize, |sum, bytes| {
                let sum = sum.saturating_add(bytes);
                (sum <= SHORT_BYTES).then_some(sum)
            })
            .is_some()
}

/// Bytes of a table's long strings, and of its own pages if all of them are given up, and whether
/// there is a big value, which costs more the longer it waits. Long tables are estimated, so that
/// it takes no time.
fn cost_of_table(table: &SlotTable, given_up: bool) -> (u64, bool) {
    const ESTIMATE: usize = 96;
    if table.len() > SHORT {
        let bytes = if given_up { table.len() * ESTIMATE } else { 0 };
        return (bytes as u64, false);
    }
    let mut bytes = if given_up { table.heap_bytes() } else { 0 };
    let mut big = false;
    if table.has_objects() {
        for value in table.iter().filter_map(|entry| entry.obj) {
            match value {
                Value::Str(string) => bytes += string.capacity(),
                other => big |= is_big(other),
            }
        }
    }
    (bytes as u64, big)
}

impl Watcher for Cut {
    fn copied(&self, page: Copied) {
        let mut copied = self.copied.lock();
        if !self.is_over() {
            match page.slot {
                Some(_) => copied.slots.push(page),
                None => copied.values.push(page),
            }
            self.charge(page.bytes);
        }
    }
}

/// One bit for each slot of a shard, by position: set while it is pending.
struct Pending {
    /// Number of the database at the cut.
    db: usize,
    bits: u128,
}

const _: () = assert!(SLOTS_PER_SHARD == 128, "a slot has a bit in a u128");

/// What one shard knows of one snapshot.
pub(crate) struct ShardCut {
    cut: Arc<Cut>,
    /// By today's number of the database; exchanged with the tables.
    dbs: Vec<Option<Pending>>,
}

impl ShardCut {
    pub(crate) fn new(cut: Arc<Cut>, dbs: &[Option<Box<ShardDb>>]) -> ShardCut {
        let pending = |db: usize| Pending {
            db,
            bits: u128::MAX,
        };
        ShardCut {
            cut,
            dbs: dbs
                .iter()
                .enumerate()
                .map(|(db, tables)| tables.as_ref().map(|_| pending(db)))
                .collect(),
        }
    }

    pub(crate) fn is_of(&self, cut: &Arc<Cut>) -> bool {
        Arc::ptr_eq(&self.cut, cut)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.cut.is_over()
    }

    /// A writer is about to change a slot.
    pub(crate) fn before_write(&mut self, db: usize, slot: usize, table: &SlotTable) {
        let Some(Some(pending)) = self.dbs.get_mut(db) else {
            return;
        };
        #[cfg(test)]
        if self.cut.forgetful.load(Relaxed) {
            return;
        }
        let bit = 1u128 << (slot % SLOTS_PER_SHARD);
        if pending.bits & bit != 0 {
            pending.bits &= !bit;
            if !table.is_empty() {
                self.cut
                    .hand_over(pending.db, Some(slot), table.clone(), true);
            }
        }
    }

    /// All tables of a database are about to go.
    pub(crate) fn before_flush(&mut self, db: usize, tables: &ShardDb) {
        let Some(pending) = self.dbs.get_mut(db).and_then(Option::take) else {
            return;
        };
        for (at, table) in tables.slots.iter().enumerate() {
            if pending.bits & (1u128 << at) != 0 && !table.is_empty() {
                self.cut.hand_over(pending.db, None, table.clone(), false);
            }
        }
    }

    /// Two databases are exchanged.
    pub(crate) fn swap_dbs(&mut self, a: usize, b: usize) {
        let needed = a.max(b) + 1;
        if self.dbs.len() < needed {
            self.dbs.resize_with(needed, || None);
        }
        self.dbs.swap(a, b);
    }

    /// Captures, for the walker, pending slots of a database (by its number at the cut) until
    /// they hold `enough` keys; none if there are no more.
    pub(crate) fn capture(
        &mut self,
        db: usize,
        enough: usize,
        tables: &[Option<Box<ShardDb>>],
    ) -> Vec<SlotTable> {
        let mut captured = Vec::new();
        for (pending, tables) in self.dbs.iter_mut().zip(tables) {
            let (Some(pending), Some(tables)) = (pending, tables) else {
                continue;
            };
            if pending.db != db {
                continue;
            }
            let mut keys = 0;
            while pending.bits != 0 && keys < enough {
                let at = pending.bits.trailing_zeros() as usize;
                pending.bits &= pending.bits - 1;
                if let Some(table) = tables.slots.get(at)
                    && !table.is_empty()
                {
                    keys += table.len();
                    captured.push(table.clone());
                }
            }
        }
        captured
    }
}
