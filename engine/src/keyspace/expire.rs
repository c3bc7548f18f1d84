//! Active expiry: finding keys whose time has come without anybody asking for them.
//!
//! Every page knows a lower bound of its entries' expiry times, so a pass touches only pages
//! that hold something due. One call works on one shard for a bounded number of pages, so the
//! lock is never held for long.

use super::held::Held;
use super::shard::{SHARDS, SLOTS_PER_SHARD};
use super::view::Keyspace;
use crate::engine::Engine;

/// Pages looked into per table and pass.
const PAGES_PER_TABLE: usize = 8;

impl Engine {
    /// One pass of active expiry over every shard; returns the number of keys removed.
    pub fn expire_pass(&self, now_ms: i64) -> usize {
        (0..SHARDS)
            .map(|index| self.expire_shard(index, now_ms))
            .sum()
    }

    fn expire_shard(&self, index: usize, now_ms: i64) -> usize {
        let cell = &self.shards[index];
        let mut removed = 0;
        for db in 0..self.databases() {
            if cell.counts[db].volatile() == 0 {
                continue;
            }
            let mut ks = Keyspace::new(self, Held::one(&self.shards, index), db, now_ms);
            let mut due: Vec<Vec<u8>> = Vec::new();
            let now = u64::try_from(now_ms).unwrap_or(0);
            for slot in 0..SLOTS_PER_SHARD {
                if let Some(tables) = ks.held.shard(index).db(db)
                    && tables.slots[slot].min_hint() < now
                {
                    tables.slots[slot].pages_due(0, now, PAGES_PER_TABLE, &mut |entry| {
                        if super::Header::decode(entry.payload).0.is_expired(now_ms) {
                            due.push(entry.key.to_vec());
                        }
                    });
                }
            }
            removed += due.iter().filter(|key| ks.expire_if_due(key)).count();
        }
        removed
    }
}
