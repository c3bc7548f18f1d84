//! Walking the keyspace: SCAN cursors, KEYS, RANDOMKEY, and whole-database operations.
//!
//! A SCAN cursor is `hash position << 14 | slot`. Slot tables are ordered by key hash, so a
//! cursor says exactly which part has been returned: everything in lower slots, and everything
//! in its slot with a lower hash. Growth and shrinking cannot make an element be missed.

use super::header::Header;
use super::shard::{SHARDS, SLOTS, SLOTS_PER_SHARD, Watcher};
use super::view::{Found, Keyspace, Place};
use crate::env;

/// Bits of a hash kept in a cursor; with the 14 of the slot it stays below 2^53, exact in
/// clients that hold numbers as doubles.
const POSITION_BITS: u32 = 34;
const SLOT_BITS: u32 = 14;

impl Keyspace<'_> {
    /// Visits at least `count` entries from `cursor` on, if there are that many, expired ones
    /// included; returns the next cursor, 0 at the end. Needs every shard locked.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], Header)) -> u64 {
        let mut slot = (cursor as usize) & (SLOTS - 1);
        let mut from = (cursor >> SLOT_BITS) << (64 - POSITION_BITS);
        let mut seen = 0;
        while slot < SLOTS {
            let index = slot / SLOTS_PER_SHARD;
            let empty = self.engine.shards[index].counts[self.db].keys() == 0;
            let Some(db) = self.held.shard(index).db(self.db).filter(|_| !empty) else {
                slot = (index + 1) * SLOTS_PER_SHARD;
                from = 0;
                continue;
            };
            let table = &db.slots[slot % SLOTS_PER_SHARD];
            if !table.is_empty() {
                let next = table.scan(
                    from,
                    POSITION_BITS,
                    count.saturating_sub(seen).max(1),
                    &mut |_, entry| {
                        seen += 1;
                        visit(entry.key, Header::decode(entry.payload).0);
                    },
                );
                if let Some(next) = next {
                    return (next >> (64 - POSITION_BITS)) << SLOT_BITS | slot as u64;
                }
            }
            from = 0;
            slot += 1;
            if seen >= count && slot < SLOTS {
                return slot as u64;
            }
        }
        0
    }

    /// Visits every entry of the selected database in slot order. Needs every shard locked.
    pub fn for_each_key(&self, visit: &mut dyn FnMut(&[u8], Header)) {
        for index in 0..SHARDS {
            if let Some(db) = self.held.shard(index).db(self.db) {
                for entry in db.slots.iter().flat_map(|table| table.iter()) {
                    visit(entry.key, Header::decode(entry.payload).0);
                }
            }
        }
    }

    /// A key chosen uniformly, expired or not. O(shards + slots of a shard). Needs every shard locked.
    pub fn random_key(&self) -> Option<Vec<u8>> {
        let mut rank = env::random_below(self.engine.key_count(self.db));
        for index in 0..SHARDS {
            let keys = self.engine.shards[index].counts[self.db].keys();
            if rank >= keys {
                rank -= keys;
                continue;
            }
            for table in &self.held.shard(index).db(self.db)?.slots {
                if rank < table.len() {
                    return table.nth(rank).map(|entry| entry.key.to_vec());
                }
                rank -= table.len();
            }
        }
        None
    }

    /// Empties a database and returns how many keys it had; the tables are freed in the
    /// background. O(shards). Needs every shard locked.
    pub fn flush(&mut self, db: usize) -> usize {
        let keys = self.engine.key_count(db);
        self.raise_watchers_of(db, None);
        self.signal_loss_of(db);
        let tables = (0..SHARDS)
            .filter_map(|index| self.held.shard_mut(index).take_db(db))
            .collect();
        for cell in self.engine.shards.iter() {
            cell.counts[db].clear();
        }
        self.engine.lazy().free_tables(tables, keys);
        keys
    }

    /// Wakes clients that mind the loss of a key which is about to go with its database.
    fn signal_loss_of(&mut self, db: usize) {
        let blocked = &self.engine.blocked;
        if blocked.any() {
            let keys = blocked.keys_of(db).into_iter();
            let lost: Vec<_> = keys
                .filter(|key| blocked.minds_loss(db, key) && self.glance_in(db, key).is_some())
                .map(|key| (db, key))
                .collect();
            self.ready.extend(lost);
        }
    }

    /// Exchanges two databases. O(shards). Needs every shard locked.
    pub fn swap_dbs(&mut self, a: usize, b: usize) {
        self.raise_watchers_of(a, Some(b));
        self.raise_watchers_of(b, Some(a));
        for (index, cell) in self.engine.shards.iter().enumerate() {
            self.held.shard_mut(index).swap_dbs(a, b);
            cell.counts[a].swap(&cell.counts[b]);
        }
        for db in [a, b] {
            self.ready.extend(
                self.engine
                    .blocked
                    .keys_of(db)
                    .into_iter()
                    .map(|key| (db, key)),
            );
        }
    }

    /// [`Keyspace::glance`] at another database.
    fn glance_in(&self, db: usize, key: &[u8]) -> Option<Found<'_>> {
        self.find_in(db, Place::of(key), key)
    }

    /// Fails the transactions watching keys of `db` that are in it or come to it from
    /// `incoming`. A stale key does not count as being there.
    fn raise_watchers_of(&mut self, db: usize, incoming: Option<usize>) {
        for index in 0..SHARDS {
            let mut watched = std::mem::take(&mut self.held.shard_mut(index).watched);
            for ((at, key), watchers) in &mut watched {
                if *at == db {
                    self.raise_for(db, incoming, key, watchers);
                }
            }
            self.held.shard_mut(index).watched = watched;
        }
    }

    fn raise_for(&self, db: usize, incoming: Option<usize>, key: &[u8], watchers: &mut [Watcher]) {
        let leaves = self.glance_in(db, key).is_some();
        let comes = incoming.and_then(|other| self.glance_in(other, key));
        if !leaves && comes.is_none() {
            return;
        }
        let comes_stale = comes.is_some_and(|found| found.header.is_expired(self.due_ms));
        for watcher in watchers {
            let was_there = leaves && !watcher.stale;
            if was_there || (comes.is_some() && !comes_stale) {
                watcher.flag.raise();
            } else {
                watcher.stale = comes_stale;
            }
        }
    }

    /// Content of a slot of the selected database, for CLUSTER and DEBUG commands.
    pub fn slot_keys(&self, slot: usize, limit: usize) -> Vec<Vec<u8>> {
        match self.held.shard(slot / SLOTS_PER_SHARD).db(self.db) {
            Some(db) => db.slots[slot % SLOTS_PER_SHARD]
                .iter()
                .take(limit)
                .map(|entry| entry.key.to_vec())
                .collect(),
            None => Vec::new(),
        }
    }
}
