//! A shard: a range of slots of every database behind one lock.
//!
//! 16384 slots are cut into [`SHARDS`] equal ranges, so slot order is shard order. Each
//! database of a shard holds one small table per slot, made when its first key comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::header::{Header, expire_hint};
use crate::session::WatchFlag;
use crate::snapshot::cut::{Cut, ShardCut};
use crate::structs::paged::{self, PagedMap, Schema, write_to_slot};
use crate::structs::prefetch::prefetch;
use crate::value::Value;

/// Number of shards.
pub const SHARDS: usize = 128;
/// Hash slots, as in Redis Cluster.
pub const SLOTS: usize = 16384;
/// Slots per shard.
pub const SLOTS_PER_SHARD: usize = SLOTS / SHARDS;

/// What a slot table stores: packed headers and strings, and values as objects.
#[derive(Debug, Clone, Copy)]
pub struct KeySchema;

impl Schema for KeySchema {
    type Obj = Value;
    const WATCHED: paged::Watched = paged::Watched::Slot;
    fn hint(payload: &[u8]) -> u64 {
        expire_hint(payload)
    }
}

/// The table of one slot.
pub type SlotTable = PagedMap<KeySchema>;

/// One database's part of a shard.
pub struct ShardDb {
    /// One table per slot of the shard.
    pub slots: Box<[SlotTable]>,
}

impl ShardDb {
    fn new() -> Box<ShardDb> {
        Box::new(ShardDb {
            slots: (0..SLOTS_PER_SHARD).map(|_| SlotTable::new()).collect(),
        })
    }

    /// The table of a slot that belongs to this shard.
    #[inline]
    pub(super) fn table(&self, slot: usize) -> &SlotTable {
        &self.slots[slot % SLOTS_PER_SHARD]
    }
}

/// Counters of what happened in the shards.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardStats {
    /// Successful read look-ups.
    pub hits: u64,
    /// Failed read look-ups.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Fields of hashes removed because their time had come.
    pub expired_fields: u64,
    /// Changes made.
    pub dirty: u64,
}

/// The counters of one shard. Written only under its lock, read by anyone.
#[derive(Default, Debug)]
pub struct ShardCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    expired: AtomicU64,
    expired_fields: AtomicU64,
    dirty: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

impl ShardCounters {
    /// Their values.
    pub fn read(&self) -> ShardStats {
        ShardStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            expired_fields: self.expired_fields.load(Ordering::Relaxed),
            dirty: self.dirty.load(Ordering::Relaxed),
        }
    }
    #[inline]
    pub(super) fn look(&self, hit: bool) {
        add(if hit { &self.hits } else { &self.misses }, 1);
    }
    pub(super) fn expired(&self) {
        add(&self.expired, 1);
    }
    pub(super) fn fields_expired(&self, fields: usize) {
        add(&self.expired_fields, fields as u64);
    }
    pub(super) fn changed(&self, changes: u64) {
        add(&self.dirty, changes);
    }
    /// Back to zero, except for the changes. The caller holds the lock of the shard, or an
    /// increment of that moment may undo it.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.hits,
            &self.misses,
            &self.expired,
            &self.expired_fields,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// One session watching one key.
#[derive(Debug)]
pub struct Watcher {
    /// Raised when the key changes.
    pub flag: Arc<WatchFlag>,
    /// The key is there but was past its time already when the watch began (or when an
    /// exchange of databases brought it): that it vanishes is then no change.
    pub stale: bool,
}

/// Keys watched by transactions.
pub type Watched = HashMap<(usize, Box<[u8]>), Vec<Watcher>>;

/// What the lock of a shard protects.
#[derive(Default)]
pub struct Shard {
    dbs: Vec<Option<Box<ShardDb>>>,
    /// Keys under WATCH, by database and key.
    pub watched: Watched,
    /// Snapshots under way.
    cuts: Vec<ShardCut>,
}

impl Shard {
    /// The tables of database `db`, if it ever had a key.
    #[inline]
    pub fn db(&self, db: usize) -> Option<&ShardDb> {
        self.dbs.get(db)?.as_deref()
    }

    /// The tables of database `db`, if it ever had a key.
    #[inline]
    pub fn db_mut(&mut self, db: usize) -> Option<&mut ShardDb> {
        self.dbs.get_mut(db)?.as_deref_mut()
    }

    /// The tables of database `db`, made now if need be.
    #[inline]
    pub fn db_or_create(&mut self, db: usize) -> &mut ShardDb {
        if self.dbs.len() <= db {
            self.dbs.resize_with(db + 1, || None);
        }
        self.dbs[db].get_or_insert_with(ShardDb::new)
    }

    /// To be called before a slot's table is changed: snapshots that have not captured it yet
    /// do so now. O(1) unless there are any.
    #[inline]
    pub fn before_write(&mut self, db: usize, slot: usize) {
        if !self.cuts.is_empty() {
            self.capture_first(db, slot);
        }
    }

    /// Whether a snapshot of it is under way.
    #[inline]
    pub fn is_in_snapshot(&self) -> bool {
        self.cuts.iter().any(|cut| !cut.is_over())
    }

    #[cold]
    fn capture_first(&mut self, db: usize, slot: usize) {
        self.cuts.retain(|cut| !cut.is_over());
        write_to_slot(slot);
        let at = slot % SLOTS_PER_SHARD;
        if let Some(Some(tables)) = self.dbs.get(db) {
            for cut in &mut self.cuts {
                cut.before_write(db, slot, &tables.slots[at]);
            }
        }
    }

    /// A snapshot is taken at this moment.
    pub(crate) fn begin_cut(&mut self, cut: &Arc<Cut>) {
        self.cuts.retain(|cut| !cut.is_over());
        self.cuts.push(ShardCut::new(cut.clone(), &self.dbs));
    }

    /// Captures, for the walker of a snapshot, slots that are pending in a database (by its
    /// number at the cut) until they hold `enough` keys; none if there are no more.
    pub(crate) fn capture(&mut self, cut: &Arc<Cut>, db: usize, enough: usize) -> Vec<SlotTable> {
        self.cuts
            .iter_mut()
            .find(|own| own.is_of(cut))
            .map(|own| own.capture(db, enough, &self.dbs))
            .unwrap_or_default()
    }

    /// Takes the tables of a database out, leaving empty ones: a database that is used again
    /// does not need more memory then than it seems to. O(slots).
    pub fn take_db(&mut self, db: usize) -> Option<Box<ShardDb>> {
        let tables = self.dbs.get_mut(db)?.as_mut()?;
        let tables = std::mem::replace(tables, ShardDb::new());
        for cut in &mut self.cuts {
            cut.before_flush(db, &tables);
        }
        Some(tables)
    }

    /// Exchanges two databases. O(1).
    pub fn swap_dbs(&mut self, a: usize, b: usize) {
        let needed = a.max(b) + 1;
        if self.dbs.len() < needed {
            self.dbs.resize_with(needed, || None);
        }
        self.dbs.swap(a, b);
        for cut in &mut self.cuts {
            cut.swap_dbs(a, b);
        }
    }
}

/// Key counts of one database in one shard. Written only under the shard's lock, read by anyone.
#[derive(Default, Debug)]
pub struct Counts {
    keys: AtomicUsize,
    volatile: AtomicUsize,
    lasting: AtomicUsize,
    /// Where the tables were when a key was last put in: a hint for the processor that is
    /// never followed.
    tables: AtomicPtr<SlotTable>,
}

impl Counts {
    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }
    /// Number of keys with an expiry.
    pub fn volatile(&self) -> usize {
        self.volatile.load(Ordering::Relaxed)
    }
    /// Number of hashes with fields that expire; one whose last such field was set anew counts
    /// until that field's time has come.
    pub fn lasting(&self) -> usize {
        self.lasting.load(Ordering::Relaxed)
    }
    /// Remembers where the tables are.
    #[inline]
    pub(super) fn note_tables(&self, tables: &ShardDb) {
        let at = tables.slots.as_ptr().cast_mut();
        if self.tables.load(Ordering::Relaxed) != at {
            self.tables.store(at, Ordering::Relaxed);
        }
    }
    /// Asks the processor for the root of a slot's table.
    #[inline]
    pub(super) fn prefetch_slot(&self, slot: usize) {
        prefetch(
            self.tables
                .load(Ordering::Relaxed)
                .wrapping_add(slot % SLOTS_PER_SHARD),
        );
    }
    pub(super) fn add_keys(&self, delta: isize) {
        self.keys
            .store(self.keys().wrapping_add_signed(delta), Ordering::Relaxed);
    }
    /// Counts an entry with times, whose header was `old` and is `new`; none for no entry.
    #[inline]
    pub(super) fn note_times(&self, old: Option<Header>, new: Option<Header>) {
        let change = |has: fn(&Header) -> bool| {
            isize::from(new.as_ref().is_some_and(has)) - isize::from(old.as_ref().is_some_and(has))
        };
        for (counter, delta) in [
            (&self.volatile, change(|header| header.expire_ms.is_some())),
            (&self.lasting, change(|header| header.fields_ms.is_some())),
        ] {
            if delta != 0 {
                let count = counter.load(Ordering::Relaxed);
                counter.store(count.wrapping_add_signed(delta), Ordering::Relaxed);
            }
        }
    }
    pub(super) fn clear(&self) {
        for counter in [&self.keys, &self.volatile, &self.lasting] {
            counter.store(0, Ordering::Relaxed);
        }
    }
    pub(super) fn swap(&self, other: &Counts) {
        for (ours, theirs) in [
            (&self.keys, &other.keys),
            (&self.volatile, &other.volatile),
            (&self.lasting, &other.lasting),
        ] {
            let count = ours.load(Ordering::Relaxed);
            ours.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
            theirs.store(count, Ordering::Relaxed);
        }
    }
}

/// The shards of an engine.
pub struct Shards {
    cells: Box<[ShardCell]>,
    /// Passed by whoever takes more than one of their locks: see [`super::held`].
    pub(super) gate: RwLock<()>,
}

impl Shards {
    /// Empty shards for `databases` databases.
    pub fn new(databases: usize) -> Shards {
        Shards {
            cells: (0..SHARDS).map(|_| ShardCell::new(databases)).collect(),
            gate: RwLock::default(),
        }
    }
}

impl std::ops::Deref for Shards {
    type Target = [ShardCell];
    fn deref(&self) -> &[ShardCell] {
        &self.cells
    }
}

/// A shard with its lock and the counts readable without it.
pub struct ShardCell {
    /// The lock. Several are taken in ascending shard order, by scripts in any: see
    /// [`super::held`].
    pub lock: Mutex<Shard>,
    /// Key counts by database.
    pub counts: Box<[Counts]>,
    /// What happened in it.
    pub counters: ShardCounters,
}

impl ShardCell {
    /// An empty shard for `databases` databases.
    pub fn new(databases: usize) -> ShardCell {
        ShardCell {
            lock: Mutex::default(),
            counts: (0..databases).map(|_| Counts::default()).collect(),
            counters: ShardCounters::default(),
        }
    }
}
