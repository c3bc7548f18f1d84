//! Walking the keyspace: SCAN cursors, KEYS, RANDOMKEY, and whole-database operations.
//!
//! A SCAN cursor is `hash position << 14 | slot`. Slot tables are ordered by key hash, so a
//! cursor says exactly which part has been returned: everything in lower slots, and everything
//! in its slot with a lower hash. Growth and shrinking cannot make an element be missed.

use super::header::Header;
use super::shard::{SHARDS, SLOTS, SLOTS_PER_SHARD};
use super::view::Keyspace;
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
        self.raise_watchers(db, |_| true);
        let tables = (0..SHARDS)
            .filter_map(|index| self.held.shard_mut(index).take_db(db))
            .collect();
        for cell in &self.engine.shards {
            cell.counts[db].clear();
        }
        self.engine.lazy().free_tables(tables, keys);
        keys
    }

    /// Exchanges two databases. O(shards). Needs every shard locked.
    pub fn swap_dbs(&mut self, a: usize, b: usize) {
        for db in [a, b] {
            self.raise_watchers(db, |_| true);
        }
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
        // A key that exists in neither database was not changed by the exchange.
    }

    /// Fails the transactions watching keys of a database that exist in it or its partner.
    fn raise_watchers(&mut self, db: usize, matches: impl Fn(&[u8]) -> bool) {
        for index in 0..SHARDS {
            let watched: Vec<_> = self
                .held
                .shard(index)
                .watched
                .iter()
                .filter(|((at, key), _)| *at == db && matches(key))
                .map(|((_, key), flags)| (key.clone(), flags.clone()))
                .collect();
            for (_, flags) in watched {
                flags.iter().for_each(|flag| flag.raise());
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
