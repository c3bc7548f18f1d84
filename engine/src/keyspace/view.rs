//! [`Keyspace`]: what a command sees of the data while it holds its locks.
//!
//! All access to keys goes through here, so that expiry, access clocks, hit counters, WATCH,
//! blocked clients and key counts are right in one place. Handlers look up, change through
//! `&mut` access to the value, then say what they did: [`Keyspace::modified`], `notify`, `dirty`.
//!
//! Invariant: `Counts` of a shard equals what its tables hold, whenever its lock is free.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use basalt_formats::crc16::key_slot;

use super::access::{self, Clock};
use super::header::Header;
use super::held::Held;
use super::notify::NotifyClass;
use super::shard::{Counts, SLOTS_PER_SHARD, Shard, SlotTable};
use super::watch::WatchKey;
use crate::engine::Engine;
use crate::error::ReplyError;
use crate::session::OwnedArgs;
use crate::structs::hash;
use crate::value::{Hash, List, Set, Stream, Value, Zset};

/// Longest string stored with encoding `embstr`.
pub const EMBSTR_MAX: usize = 44;

/// Where a key lives: its slot and its hash.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// CRC16 hash slot.
    pub slot: usize,
    /// Keyed hash.
    pub hash: u64,
}

impl Place {
    /// The place of a key. O(length).
    #[inline]
    pub fn of(key: &[u8]) -> Place {
        Place {
            slot: usize::from(key_slot(key)),
            hash: hash::hash(key),
        }
    }
    /// Index of its shard.
    #[inline]
    pub fn shard(self) -> usize {
        self.slot / SLOTS_PER_SHARD
    }
}

/// An entry as found by a look-up.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// Type, expiry and access clock.
    pub header: Header,
    /// Content, for strings.
    pub bytes: &'a [u8],
    /// The object, for everything that is not an inline string.
    pub value: Option<&'a Value>,
}

/// What happens to the expiry of a key that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// Removed.
    Clear,
    /// Left as it is.
    Keep,
    /// Set to this Unix time in milliseconds.
    At(i64),
}

/// How a string value chooses its encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StringEncoding {
    /// `int` if it is a canonical integer, else by length.
    Auto,
    /// `embstr` or `raw` by length, as computed values are.
    Length,
    /// Always `raw`, as after APPEND and SETRANGE.
    Raw,
}

/// Whether a look-up counts as an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Updates the LRU/LFU clock.
    pub touch: bool,
    /// Counts hit or miss.
    pub count: bool,
}

impl Look {
    /// A read by a data command.
    pub const READ: Look = Look {
        touch: true,
        count: true,
    };
    /// A read that does not count as use of the value (`TTL`, `TYPE`, ...).
    pub const PEEK: Look = Look {
        touch: false,
        count: true,
    };
    /// The look-up of a write command.
    pub const WRITE: Look = Look {
        touch: true,
        count: false,
    };
    /// Leaves no trace.
    pub const SILENT: Look = Look {
        touch: false,
        count: false,
    };
}

/// Keys that may let blocked clients go on, with their databases.
pub type ReadyKeys = SmallVec<[(usize, Box<[u8]>); 1]>;

/// The data, as seen by one running command.
pub struct Keyspace<'e> {
    /// The engine, for settings and sinks.
    pub engine: &'e Engine,
    /// Locked shards.
    pub held: Held<'e>,
    /// Selected database.
    pub db: usize,
    /// Time of the command in Unix milliseconds; the same for all of a transaction.
    pub now_ms: i64,
    /// Keys whose time is before this are past it: `now_ms`, or never while a log is replayed.
    pub due_ms: i64,
    /// Number of changes made; a command that changed something has raised it.
    pub dirty: u64,
    /// Reads leave the access clock alone (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
    /// Keys that may let blocked clients go on, in order.
    pub ready: ReadyKeys,
    pub(super) clock: Clock,
    /// What expiry removed and a running command still owes the log (DEL, and HDEL for fields),
    /// in order; `None` where nobody collects and it is logged at once.
    pub(crate) expired: Option<Vec<(usize, OwnedArgs)>>,
    /// Address and place of the one key of a single-key command, computed when it was locked.
    memo: Option<(*const u8, usize, Place)>,
}

macro_rules! typed_access {
    ($($(#[$doc:meta])* $kind:ident $ty:ty: $read:ident $write:ident $create:ident $new:expr;)*) => {$(
        /// The value of a key for reading; counts as access.
        ///
        /// # Errors
        /// `WRONGTYPE` when the key holds another type.
        pub fn $read(&mut self, key: &[u8]) -> Result<Option<&$ty>, ReplyError> {
            match self.look(key, Look::READ) {
                None => Ok(None),
                Some(Found { value: Some(Value::$kind(v)), .. }) => Ok(Some(v)),
                Some(_) => Err(ReplyError::WRONG_TYPE),
            }
        }

        /// The value of a key for changing it in place. The caller removes the key when it becomes empty.
        ///
        /// # Errors
        /// `WRONGTYPE` when the key holds another type.
        pub fn $write(&mut self, key: &[u8]) -> Result<Option<&mut $ty>, ReplyError> {
            let place = self.place(key);
            match self.look_at(place, key, Look::WRITE) {
                None => return Ok(None),
                Some(Found { value: Some(Value::$kind(_)), .. }) => {}
                Some(_) => return Err(ReplyError::WRONG_TYPE),
            }
            match self.object_mut(place, key) {
                Some(Value::$kind(v)) => Ok(Some(Arc::make_mut(v))),
                _ => Ok(None),
            }
        }

        /// As the accessor for writing, but makes an empty value if there is no key; the caller must fill it.
        ///
        /// # Errors
        /// `WRONGTYPE` when the key holds another type.
        pub fn $create(&mut self, key: &[u8]) -> Result<&mut $ty, ReplyError> {
            let place = self.place(key);
            match self.look_at(place, key, Look::WRITE) {
                None => self.insert_at(place, key, Value::$kind(Arc::new($new)), None),
                Some(Found { value: Some(Value::$kind(_)), .. }) => {}
                Some(_) => return Err(ReplyError::WRONG_TYPE),
            }
            match self.object_mut(place, key) {
                Some(Value::$kind(v)) => Ok(Arc::make_mut(v)),
                _ => Err(ReplyError::WRONG_TYPE),
            }
        }
    )*};
}

impl<'e> Keyspace<'e> {
    /// A view for one command.
    #[inline]
    pub fn new(engine: &'e Engine, held: Held<'e>, db: usize, now_ms: i64) -> Keyspace<'e> {
        Keyspace {
            engine,
            held,
            db,
            now_ms,
            due_ms: now_ms,
            dirty: 0,
            no_touch: false,
            ready: SmallVec::new(),
            clock: Clock::new(now_ms, &engine.settings),
            expired: None,
            memo: None,
        }
    }

    #[inline]
    pub(super) fn place(&self, key: &[u8]) -> Place {
        match self.memo {
            Some((at, len, place)) if std::ptr::eq(at, key.as_ptr()) && len == key.len() => place,
            _ => Place::of(key),
        }
    }

    /// Remembers the place of a request's key: its words stay where they are and unchanged
    /// until [`Keyspace::forget_place`], so the address identifies it.
    #[inline]
    pub(crate) fn remember_place(&mut self, key: &[u8], place: Place) {
        self.memo = Some((key.as_ptr(), key.len(), place));
    }

    /// Forgets the remembered place; the request's words may change from now on.
    #[inline]
    pub(crate) fn forget_place(&mut self) {
        self.memo = None;
    }

    /// Adds what was changed to the counter of changes since the last save.
    pub(crate) fn settle_dirty(&mut self) {
        if self.dirty != 0 {
            if let Some(index) = self.held.any() {
                self.engine.shards[index].counters.changed(self.dirty);
            }
            self.dirty = 0;
        }
    }

    pub(super) fn counts(&self, place: Place) -> &'e Counts {
        &self.engine.shards[place.shard()].counts[self.db]
    }

    #[inline]
    pub(super) fn table(&self, db: usize, place: Place) -> Option<&SlotTable> {
        Some(&self.held.shard(place.shard()).db(db)?.slots[place.slot % SLOTS_PER_SHARD])
    }

    /// The table of a place for a change.
    #[inline]
    pub(super) fn table_mut(&mut self, place: Place) -> Option<&mut SlotTable> {
        let shard = self.held.shard_mut(place.shard());
        shard.before_write(self.db, place.slot);
        Some(&mut shard.db_mut(self.db)?.slots[place.slot % SLOTS_PER_SHARD])
    }

    /// The table of a place for a change of access fields; none while a snapshot is under way:
    /// reads then leave no trace, as in Redis beside a child process, since each would copy a page.
    fn table_touched(&mut self, place: Place) -> Option<&mut SlotTable> {
        let shard = self.held.shard_mut(place.shard());
        if shard.is_in_snapshot() {
            return None;
        }
        Some(&mut shard.db_mut(self.db)?.slots[place.slot % SLOTS_PER_SHARD])
    }

    pub(super) fn table_or_create(&mut self, place: Place) -> &mut SlotTable {
        let counts = self.counts(place);
        let shard = self.held.shard_mut(place.shard());
        shard.before_write(self.db, place.slot);
        let tables = shard.db_or_create(self.db);
        counts.note_tables(tables);
        &mut tables.slots[place.slot % SLOTS_PER_SHARD]
    }

    /// The entry of a key as it is, expired or not; no side effects.
    #[inline]
    pub(super) fn find(&self, place: Place, key: &[u8]) -> Option<Found<'_>> {
        self.find_in(self.db, place, key)
    }

    /// [`Keyspace::find`] in any database.
    #[inline]
    pub(super) fn find_in(&self, db: usize, place: Place, key: &[u8]) -> Option<Found<'_>> {
        let entry = self.table(db, place)?.get_hashed(place.hash, key)?;
        let (header, inline) = Header::decode(entry.payload);
        let bytes = match entry.obj {
            Some(Value::Str(raw)) => raw.as_slice(),
            _ => inline,
        };
        Some(Found {
            header,
            bytes,
            value: entry.obj,
        })
    }

    /// The entry of a key as it is, expired or not; leaves no trace.
    pub fn glance(&self, key: &[u8]) -> Option<Found<'_>> {
        self.find(self.place(key), key)
    }

    /// Looks a key up. A key past its time is removed and not found.
    #[inline]
    pub fn look(&mut self, key: &[u8], look: Look) -> Option<Found<'_>> {
        self.look_at(self.place(key), key, look)
    }

    /// [`Keyspace::look`] with the place known.
    pub fn look_at(&mut self, place: Place, key: &[u8], look: Look) -> Option<Found<'_>> {
        let header = self.find(place, key).map(|found| found.header);
        let live = match header {
            Some(header) if header.is_expired(self.due_ms) => {
                // Writes need the room; reads leave it to the end of a pause.
                if !look.count || !self.keeps_expired() {
                    self.expire_now(place, key);
                }
                None
            }
            Some(header) if header.fields_due(self.due_ms) => {
                self.expire_fields(place, key, usize::MAX);
                self.find(place, key).map(|found| found.header)
            }
            other => other,
        };
        if look.count {
            self.engine.shards[place.shard()]
                .counters
                .look(live.is_some());
        }
        let Some(header) = live else {
            if look.count {
                self.notify(NotifyClass::KEY_MISS, "keymiss", key);
            }
            return None;
        };
        if look.touch
            && !self.no_touch
            && let Some(lru) = access::touched(header.lru, &self.clock)
            && let Some(entry) = self
                .table_touched(place)
                .and_then(|table| table.get_mut_hashed(place.hash, key))
        {
            Header::patch(entry.payload, header.kind, lru);
        }
        self.find(place, key)
    }

    /// A read by a data command in one search: found only if the key is live and nothing has
    /// to be written for the access. Otherwise nothing happened yet and [`Keyspace::look`] must
    /// be asked. This is the common case of hot reads: the clock of an entry moves at most once
    /// a second.
    #[inline]
    pub fn hit(&self, key: &[u8]) -> Option<Found<'_>> {
        let place = self.place(key);
        let found = self.find(place, key)?;
        let header = found.header;
        // Under LFU the access draws a random number: that must happen once.
        let untouched = self.no_touch
            || !self.clock.is_lfu() && access::touched(header.lru, &self.clock).is_none()
            || self.held.shard(place.shard()).is_in_snapshot();
        if header.is_expired(self.due_ms) || !untouched {
            return None;
        }
        self.engine.shards[place.shard()].counters.look(true);
        Some(found)
    }

    /// Counts a hit or a miss for a look-up that did not.
    pub fn count_look(&self, key: &[u8], hit: bool) {
        self.engine.shards[self.place(key).shard()]
            .counters
            .look(hit);
    }

    /// Whether a live key exists; not an access.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.look(key, Look::SILENT).is_some()
    }

    /// A string value for reading; counts as access.
    ///
    /// # Errors
    /// `WRONGTYPE` when the key holds another type.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, ReplyError> {
        self.string_as(key, Look::READ)
            .map(|found| found.map(|f| f.bytes))
    }

    /// A string value with its header.
    ///
    /// # Errors
    /// `WRONGTYPE` when the key holds another type.
    #[inline]
    pub fn string_as(&mut self, key: &[u8], look: Look) -> Result<Option<Found<'_>>, ReplyError> {
        match self.look(key, look) {
            Some(found) if !found.header.kind.is_string() => Err(ReplyError::WRONG_TYPE),
            other => Ok(other),
        }
    }

    typed_access! {
        List List: list list_mut list_or_create List::default();
        Hash Hash: hash hash_mut hash_or_create Hash::default();
        Set Set: set set_mut set_or_create Set::default();
        Zset Zset: zset zset_mut zset_or_create Zset::default();
        Stream Stream: stream stream_mut stream_or_create Stream::default();
    }

    /// Says that a key was changed: fails the transactions that watch it and invalidates
    /// client-side caches.
    #[inline]
    pub fn modified(&mut self, key: &[u8]) {
        let place = self.place(key);
        if !self.held.shard(place.shard()).watched.is_empty() {
            self.raise_watchers(place, key);
        }
        if self.engine.settings.tracking.load(Relaxed) {
            self.engine.events.invalidate(self.db, key);
        }
    }

    #[cold]
    fn raise_watchers(&mut self, place: Place, key: &[u8]) {
        let gone = self.find(place, key).is_none();
        let at: &dyn WatchKey = &(self.db, key);
        let shard = self.held.shard_mut(place.shard());
        for watcher in shard.watched.get_mut(at).into_iter().flatten() {
            if watcher.stale && gone {
                watcher.stale = false;
            } else {
                watcher.flag.raise();
            }
        }
    }

    /// Publishes a keyspace event if its class is switched on.
    #[inline]
    pub fn notify(&self, class: NotifyClass, event: &'static str, key: &[u8]) {
        if self.engine.settings.notify_flags.load(Relaxed) & class.0 != 0 {
            self.engine
                .events
                .keyspace_event(self.db, class, event, key);
        }
    }

    /// The access clock of this command.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Changes the selected database for the rest of the command.
    pub fn select(&mut self, db: usize) {
        self.db = db;
    }

    /// A held shard, for commands that work on shards as a whole.
    pub fn shard_mut(&mut self, index: usize) -> &mut Shard {
        self.held.shard_mut(index)
    }
}
