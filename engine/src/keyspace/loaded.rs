//! Putting loaded entries in: no events, no log, no waiting clients.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Kind;
use super::header::{Header, INLINE_MAX, LONG};
use super::shard::{SLOTS_PER_SHARD, Shard, ShardCell};
use super::view::{Place, StringEncoding};
use super::write::string_kind;
use crate::engine::Engine;
use crate::value::Value;

/// What a loaded key holds.
pub(crate) enum LoadedValue<'a> {
    /// A string; its encoding follows from its text.
    Str(&'a [u8]),
    /// Anything else.
    Value(Value),
}

/// Puts entries in, keeping the lock of the shard it is at. Whoever brings entries shard by
/// shard, and slot by slot in a shard, pays for locks and cache misses once.
pub(crate) struct Loading<'e> {
    engine: &'e Engine,
    at: Option<(usize, MutexGuard<'e, Shard>)>,
    room: Option<Room>,
}

/// What the slots of a database are going to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The database.
    pub db: usize,
    /// Keys in a slot; a slot that is empty gets room for so many at once.
    pub keys: usize,
    /// Bytes of a key and what is packed beside it, on average.
    pub mean: usize,
}

impl<'e> Loading<'e> {
    /// At no shard yet.
    pub(crate) fn new(engine: &'e Engine, room: Option<Room>) -> Self {
        Loading {
            engine,
            at: None,
            room,
        }
    }

    /// The shard with its counts, locked; another one is released.
    fn shard(&mut self, index: usize) -> (&mut Shard, &'e ShardCell) {
        let cell = &self.engine.shards[index];
        if self.at.as_ref().is_some_and(|(at, _)| *at != index) {
            self.at = None;
        }
        let (_, guard) = self.at.get_or_insert_with(|| (index, cell.lock.lock()));
        (guard, cell)
    }

    /// Asks for the memory of a place that comes soon, if it is in the shard at hand.
    #[inline]
    pub(crate) fn approach(&self, db: usize, place: Place) {
        if let Some((at, guard)) = &self.at
            && *at == place.shard()
            && let Some(tables) = guard.db(db)
        {
            tables.table(place.slot).prefetch();
        }
    }

    /// The same for a place of which the memory asked for is likely there, and that comes next.
    #[inline]
    pub(crate) fn arrive(&self, db: usize, place: Place) {
        if let Some((at, guard)) = &self.at
            && *at == place.shard()
            && let Some(tables) = guard.db(db)
        {
            tables.table(place.slot).prefetch_end();
        }
    }

    /// Puts an entry in; whether the key was new. An entry that was there is replaced; unless
    /// the caller says that it wants that, counts are wrong from then on and what was loaded
    /// is to be thrown away. O(1).
    pub(crate) fn put(
        &mut self,
        (db, place, key): (usize, Place, &[u8]),
        expire_ms: Option<i64>,
        lru: u32,
        value: LoadedValue<'_>,
        replace: bool,
    ) -> bool {
        let (kind, inline, obj): (Kind, &[u8], Option<Value>) = match value {
            LoadedValue::Str(text) => {
                let kind = string_kind(text, StringEncoding::Auto);
                if text.len() <= INLINE_MAX {
                    (kind, text, None)
                } else {
                    (kind, &[], Some(Value::Str(Arc::new(text.to_vec()))))
                }
            }
            LoadedValue::Value(value) => (value.kind(), &[], Some(value)),
        };
        let header = Header {
            kind,
            expire_ms,
            lru,
            fields_ms: obj.as_ref().and_then(Value::next_field_expiry),
        };
        let mut buf = [0; LONG];
        let head = header.encode(&mut buf);
        let room = self.room;
        let (shard, cell) = self.shard(place.shard());
        shard.before_write(db, place.slot);
        let tables = shard.db_or_create(db);
        cell.counts[db].note_tables(tables);
        let table = &mut tables.slots[place.slot % SLOTS_PER_SHARD];
        let replaced = if replace {
            table.get_hashed(place.hash, key)
        } else {
            None
        };
        let replaced = replaced.map(|old| Header::decode(old.payload).0);
        let room = match room {
            Some(room) if room.db == db => (room.keys, room.keys.saturating_mul(room.mean)),
            _ => (0, 0),
        };
        let old = table.put_expecting(place.hash, key, &[head, inline], obj, room);
        let counts = &cell.counts[db];
        counts.note_times(replaced, Some(header));
        if old.is_none() {
            counts.add_keys(1);
        }
        old.is_none()
    }
}
