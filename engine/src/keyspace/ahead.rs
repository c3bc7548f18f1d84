//! Having the memory of keys come before their commands run.
//!
//! A pipeline tells many keys at once. Where each of them is, is worked out first; then the
//! processor is asked for the roots of their tables, and then for their pages, so that the
//! waits for memory overlap. Nothing here changes what commands do.

use super::view::Place;
use crate::engine::Engine;

impl Engine {
    /// First step for a key that a request is likely to read or write: works out its place and
    /// asks for the root of its table.
    #[inline]
    pub fn expect(&self, db: usize, key: &[u8]) -> Place {
        let place = Place::of(key);
        if let Some(counts) = self.shards[place.shard()].counts.get(db) {
            counts.prefetch_slot(place.slot);
        }
        place
    }

    /// Second step, some time after the first: asks for the page.
    #[inline]
    pub fn approach(&self, db: usize, place: Place) {
        if let Some(shard) = self.shards[place.shard()].lock.try_lock()
            && let Some(tables) = shard.db(db)
        {
            tables.table(place.slot).prefetch();
        }
    }
}
