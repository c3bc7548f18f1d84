//! Active expiry: finding keys whose time has come without anybody asking for them.
//!
//! Every page knows a lower bound of its entries' expiry times, so a pass touches only pages
//! that hold something due. One call works on one shard for a bounded number of pages, so the
//! lock is never held for long.

use super::held::Held;
use super::shard::{SHARDS, SLOTS_PER_SHARD};
use super::view::{Keyspace, Place};
use crate::engine::Engine;

/// Pages looked into per table and pass.
const PAGES_PER_TABLE: usize = 8;
/// Fields removed per hash and pass.
const FIELDS_PER_PASS: usize = 1000;
/// Keys of a shard whose expiry goes into the average.
const TTL_SAMPLES_PER_SHARD: usize = 4;

impl Engine {
    /// One pass of active expiry over every shard; returns the number of keys and
    /// of fields of hashes removed.
    pub fn expire_pass(&self, now_ms: i64) -> usize {
        (0..SHARDS)
            .map(|index| self.expire_shard(index, now_ms))
            .sum()
    }

    /// Average time left to keys with an expiry, in milliseconds, from a sample of a few per
    /// shard; 0 without such keys. Takes the lock of one shard after the other.
    pub fn average_ttl_ms(&self, db: usize, now_ms: i64) -> i64 {
        let (mut sum, mut samples) = (0i128, 0i128);
        for cell in self.shards.iter() {
            if cell
                .counts
                .get(db)
                .is_none_or(|counts| counts.volatile() == 0)
            {
                continue;
            }
            // A script may hold it for long; the next round will look again.
            let Some(shard) = cell.lock.try_lock() else {
                continue;
            };
            let tables = shard.db(db).map_or(&[][..], |tables| &tables.slots);
            let mut left = TTL_SAMPLES_PER_SHARD;
            for table in tables {
                // Pages whose bound is finite hold a key with an expiry.
                if left > 0 && table.min_hint() != u64::MAX {
                    table.pages_due(0, u64::MAX - 1, 1, &mut |entry| {
                        let expire_ms = super::Header::decode(entry.payload).0.expire_ms;
                        if let Some(at) = expire_ms.filter(|_| left > 0) {
                            left -= 1;
                            sum += i128::from(at.saturating_sub(now_ms).max(0));
                            samples += 1;
                        }
                    });
                }
            }
        }
        if samples == 0 {
            return 0;
        }
        i64::try_from(sum / samples).unwrap_or(i64::MAX)
    }

    fn expire_shard(&self, index: usize, now_ms: i64) -> usize {
        let cell = &self.shards[index];
        let mut removed = 0;
        for db in 0..self.databases() {
            if cell.counts[db].volatile() == 0 && cell.counts[db].lasting() == 0 {
                continue;
            }
            let Some(held) = Held::try_one(&self.shards, index) else {
                return removed;
            };
            let mut ks = Keyspace::new(self, held, db, now_ms);
            let mut due: Vec<Vec<u8>> = Vec::new();
            let mut fields_due: Vec<Vec<u8>> = Vec::new();
            let now = u64::try_from(now_ms).unwrap_or(0);
            for slot in 0..SLOTS_PER_SHARD {
                if let Some(tables) = ks.held.shard(index).db(db)
                    && tables.slots[slot].min_hint() < now
                {
                    tables.slots[slot].pages_due(0, now, PAGES_PER_TABLE, &mut |entry| {
                        let header = super::Header::decode(entry.payload).0;
                        if header.is_expired(now_ms) {
                            due.push(entry.key.to_vec());
                        } else if header.fields_due(now_ms) {
                            fields_due.push(entry.key.to_vec());
                        }
                    });
                }
            }
            removed += due.iter().filter(|key| ks.expire_if_due(key)).count();
            if !ks.keeps_expired() {
                for key in &fields_due {
                    removed += ks.expire_fields(Place::of(key), key, FIELDS_PER_PASS);
                }
            }
            let ready = std::mem::take(&mut ks.ready);
            drop(ks);
            if !ready.is_empty() {
                self.serve_ready(ready, now_ms);
            }
        }
        removed
    }
}
