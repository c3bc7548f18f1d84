//! Putting loaded entries in: no events, no log, no waiting clients.

use std::sync::Arc;

use super::Kind;
use super::header::{Header, INLINE_MAX};
use super::shard::SLOTS_PER_SHARD;
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

impl Engine {
    /// Puts a loaded entry in under its shard's lock; whether the key was new. An entry that
    /// was there is replaced; unless the caller says that it wants that, counts are wrong
    /// from then on and what was loaded is to be thrown away. O(1).
    pub(crate) fn put_loaded(
        &self,
        db: usize,
        key: &[u8],
        expire_ms: Option<i64>,
        lru: u32,
        value: LoadedValue<'_>,
        replace: bool,
    ) -> bool {
        let place = Place::of(key);
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
        };
        let mut buf = [0; 12];
        let head = header.encode(&mut buf);
        let cell = &self.shards[place.shard()];
        let mut shard = cell.lock.lock();
        shard.before_write(db, place.slot);
        let tables = shard.db_or_create(db);
        cell.counts[db].note_tables(tables);
        let table = &mut tables.slots[place.slot % SLOTS_PER_SHARD];
        let had_expiry = replace
            && table
                .get_hashed(place.hash, key)
                .is_some_and(|old| Header::decode(old.payload).0.expire_ms.is_some());
        let old = table.put_hashed(place.hash, key, &[head, inline], obj);
        let counts = &cell.counts[db];
        counts.add_volatile(isize::from(expire_ms.is_some()) - isize::from(had_expiry));
        if old.is_none() {
            counts.add_keys(1);
        }
        old.is_none()
    }
}
