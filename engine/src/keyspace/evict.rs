//! Eviction: which key goes when memory is short, as `maxmemory-policy` says.
//!
//! Nothing orders all keys by their last use; instead a few are sampled at random and the best
//! of them are kept in a small pool over several rounds, which comes close to the true order
//! (the scheme of Redis since 3.0). The pool holds names only: a candidate is looked at again
//! before it goes.

use super::access::Clock;
use super::header::Header;
use super::held::Held;
use super::notify::NotifyClass;
use super::shard::{Counts, SLOTS_PER_SHARD, ShardDb};
use super::view::{Keyspace, Place};
use crate::engine::Engine;
use crate::env;
use crate::structs::hash;

/// Candidates kept between rounds, as in Redis.
const POOL: usize = 16;
/// Pages looked into for keys with an expiry, per slot and round.
const PAGES_PER_SLOT: usize = 2;

/// Which of the keys goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// The one not used for longest.
    Lru,
    /// The one used least often.
    Lfu,
    /// The one whose time is nearest.
    Ttl,
    /// Any.
    Random,
}

/// A policy other than `noeviction`.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Only keys with an expiry may go.
    pub volatile_only: bool,
    /// Which of them goes first.
    pub order: Order,
    /// Keys sampled per round and database (`maxmemory-samples`).
    pub samples: usize,
    /// The log says UNLINK, not DEL (`lazyfree-lazy-eviction`).
    pub unlink: bool,
    /// Bytes that the calling thread holds, modulo 2^64, as the allocator counts them.
    pub held: fn() -> u64,
}

/// What went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evicted {
    /// Bytes of the entry itself.
    pub bytes: usize,
    /// It had a value outside the entry, whose size is not in `bytes`.
    pub object: bool,
    /// What the calling thread gave back with it. Neither values that are freed in the background
    /// are in it, nor what events and the log took.
    pub freed: i64,
}

#[derive(Debug)]
struct Candidate {
    /// The higher the sooner it goes.
    score: u64,
    db: usize,
    key: Box<[u8]>,
}

/// The best candidates of the rounds so far, best last.
#[derive(Default, Debug)]
pub struct Pool {
    candidates: Vec<Candidate>,
}

impl Pool {
    /// Forgets all candidates: scores of another policy mean something else.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    fn offer(&mut self, score: u64, db: usize, key: &[u8]) {
        let full = self.candidates.len() == POOL;
        if full && self.candidates[0].score >= score {
            return;
        }
        let known = |old: &Candidate| old.db == db && *old.key == *key;
        if self.candidates.iter().any(known) {
            return;
        }
        if full {
            self.candidates.remove(0);
        }
        let at = self.candidates.partition_point(|old| old.score < score);
        let key = key.into();
        self.candidates.insert(at, Candidate { score, db, key });
    }
}

impl Rules {
    fn count(&self, counts: &Counts) -> usize {
        if self.volatile_only {
            counts.volatile()
        } else {
            counts.keys()
        }
    }

    fn score(&self, header: &Header, clock: &Clock) -> u64 {
        match self.order {
            Order::Lru => clock.idle_seconds(header.lru),
            Order::Lfu => 255 - u64::from(clock.frequency(header.lru).min(255)),
            Order::Ttl => {
                let at = header.expire_ms.unwrap_or(i64::MAX);
                u64::MAX - u64::try_from(at).unwrap_or(0)
            }
            Order::Random => 0,
        }
    }

    /// Visits up to `samples` keys that may go, near a random place of the tables.
    fn sample(&self, tables: &ShardDb, visit: &mut dyn FnMut(&[u8], Header)) {
        let mut left = self.samples.max(1);
        let wanted = |header: &Header| !self.volatile_only || header.expire_ms.is_some();
        let (first, mut from) = self.start(tables);
        for slot in (first..SLOTS_PER_SHARD).chain(0..first) {
            let table = &tables.slots[slot];
            let mut one = |key: &[u8], payload: &[u8]| {
                let header = Header::decode(payload).0;
                if left > 0 && wanted(&header) {
                    left -= 1;
                    visit(key, header);
                }
            };
            if !self.volatile_only {
                if !table.is_empty() {
                    table.scan(from, 64, self.samples, &mut |_, entry| {
                        one(entry.key, entry.payload);
                    });
                }
            } else if table.min_hint() != u64::MAX {
                let mut pages = |from| {
                    table.pages_due(from, u64::MAX - 1, PAGES_PER_SLOT, &mut |entry| {
                        one(entry.key, entry.payload);
                    })
                };
                // Beyond the last page it begins again.
                if pages(from).is_none() && from != 0 {
                    pages(0);
                }
            }
            if left == 0 {
                return;
            }
            from = 0;
        }
    }

    /// A random slot, and a hash in it to begin at; every key is as likely where all may go.
    fn start(&self, tables: &ShardDb) -> (usize, u64) {
        if self.volatile_only {
            let slot = env::random_below(SLOTS_PER_SHARD);
            return (slot, env::random_u64());
        }
        let keys = tables.slots.iter().map(|table| table.len()).sum();
        let mut rank = env::random_below(keys);
        for (slot, table) in tables.slots.iter().enumerate() {
            if rank < table.len() {
                let from = table.nth(rank).map_or(0, |entry| hash::hash(entry.key));
                return (slot, from);
            }
            rank -= table.len();
        }
        (0, 0)
    }
}

impl Engine {
    /// Removes the key that should go first by the rules, with its event, the log, watches and
    /// waiting clients, and counts nothing. `None` if no key may go, or shards are held for long.
    /// O(databases * (shards + samples)); locks one shard at a time, and none may be held.
    pub fn evict_one(&self, rules: &Rules, pool: &mut Pool, now_ms: i64) -> Option<Evicted> {
        // A candidate may be gone by now, so that several have to be tried.
        loop {
            let (db, key) = match rules.order {
                Order::Random => self.any_key(rules)?,
                _ => {
                    self.fill(rules, pool, now_ms);
                    let best = pool.candidates.pop()?;
                    (best.db, best.key)
                }
            };
            if let Some(evicted) = self.evict_key(rules, db, &key, now_ms) {
                return Some(evicted);
            }
        }
    }

    /// A random shard that has keys which may go, by their number.
    fn random_shard(&self, rules: &Rules, db: usize) -> Option<usize> {
        let counts = || self.shards.iter().map(|cell| rules.count(&cell.counts[db]));
        let total = counts().sum();
        if total == 0 {
            return None;
        }
        let mut rank = env::random_below(total);
        for (index, count) in counts().enumerate() {
            if rank < count {
                return Some(index);
            }
            rank -= count;
        }
        None
    }

    fn sample_db(&self, rules: &Rules, db: usize, visit: &mut dyn FnMut(&[u8], Header)) {
        if let Some(index) = self.random_shard(rules, db)
            && let Some(held) = Held::try_one(&self.shards, index)
            && let Some(tables) = held.shard(index).db(db)
        {
            rules.sample(tables, visit);
        }
    }

    fn fill(&self, rules: &Rules, pool: &mut Pool, now_ms: i64) {
        let clock = Clock::new(now_ms, &self.settings);
        for db in 0..self.databases() {
            self.sample_db(rules, db, &mut |key, header| {
                pool.offer(rules.score(&header, &clock), db, key);
            });
        }
    }

    /// A random key of a random database among those that have one.
    fn any_key(&self, rules: &Rules) -> Option<(usize, Box<[u8]>)> {
        let with_keys = |db: &usize| {
            let any = |cell: &super::shard::ShardCell| rules.count(&cell.counts[*db]) > 0;
            self.shards.iter().any(any)
        };
        let dbs: Vec<usize> = (0..self.databases()).filter(with_keys).collect();
        let db = *dbs.get(env::random_below(dbs.len().max(1)))?;
        let one = Rules {
            samples: 1,
            ..*rules
        };
        let mut found = None;
        self.sample_db(&one, db, &mut |key, _| found = Some((db, key.into())));
        found
    }

    fn evict_key(&self, rules: &Rules, db: usize, key: &[u8], now_ms: i64) -> Option<Evicted> {
        let place = Place::of(key);
        let held = Held::try_one(&self.shards, place.shard())?;
        let mut ks = Keyspace::new(self, held, db, now_ms);
        let found = ks.find(place, key)?;
        if rules.volatile_only && found.header.expire_ms.is_none() {
            return None;
        }
        let (bytes, object) = (key.len() + found.bytes.len(), found.value.is_some());
        let before = (rules.held)();
        ks.take_out(place, key);
        let freed = before.wrapping_sub((rules.held)()).cast_signed();
        ks.modified(key);
        ks.notify(NotifyClass::EVICTED, "evicted", key);
        let word: &[u8] = if rules.unlink { b"UNLINK" } else { b"DEL" };
        self.log.append(db, &[word, key]);
        let ready = std::mem::take(&mut ks.ready);
        drop(ks);
        if !ready.is_empty() {
            self.serve_ready(ready, now_ms);
        }
        Some(Evicted {
            bytes,
            object,
            freed,
        })
    }
}

impl Keyspace<'_> {
    fn take_out(&mut self, place: Place, key: &[u8]) {
        self.remove(key);
        // What one entry leaves behind in its page is given back now: memory is short.
        if let Some(table) = self.table_mut(place) {
            table.trim(place.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;

    fn rules(volatile_only: bool, order: Order) -> Rules {
        Rules {
            volatile_only,
            order,
            samples: 5,
            unlink: false,
            held: || 0,
        }
    }

    /// Evicts until nothing may go; the keys in their order, from the events.
    fn evict_all(client: &Client, rules: &Rules) -> Vec<String> {
        client.events();
        let mut pool = Pool::default();
        let mut more = || client.engine().evict_one(rules, &mut pool, client.now_ms);
        while more().is_some() {}
        client.events()
    }

    #[test]
    fn only_keys_with_an_expiry_go_under_the_volatile_policies() {
        for order in [Order::Lru, Order::Lfu, Order::Ttl, Order::Random] {
            let mut client = Client::with_events();
            for i in 0..300 {
                client.run(&format!("SET plain{i} x"));
                client.run(&format!("SET short{i} x PX {}", 1_000_000 + i));
            }
            client.session.db = 3;
            client.run("HSET short h 1");
            client.run("PEXPIRE short 5000000");
            let gone = evict_all(&client, &rules(true, order));
            assert_eq!(gone.len(), 301);
            assert!(gone.iter().all(|line| line.contains("evicted short")));
            assert!(gone.contains(&"3:evicted short".to_owned()));
            assert_eq!(client.engine().key_count(0), 300);
        }
    }

    #[test]
    fn all_keys_may_go_under_the_other_policies() {
        for order in [Order::Lru, Order::Lfu, Order::Random] {
            let mut client = Client::with_events();
            for i in 0..200 {
                client.run(&format!("SET k{i} x"));
            }
            client.run("RPUSH list a b c");
            assert_eq!(evict_all(&client, &rules(false, order)).len(), 201);
            assert_eq!(client.engine().key_count(0), 0);
        }
    }

    #[test]
    fn the_nearest_expiry_goes_first() {
        let mut client = Client::with_events();
        for i in 0..1000 {
            client.run(&format!("SET k{i} x PX {}", (i + 1) * 1000));
        }
        let gone = evict_all(&client, &rules(true, Order::Ttl));
        let number = |line: &String| line["evicted k".len()..].parse::<usize>().ok();
        let late = gone[..300].iter().filter_map(number).filter(|i| *i >= 600);
        // Sampling, so not none.
        assert!(late.count() < 15);
    }

    #[test]
    fn what_was_used_lately_or_often_stays() {
        for order in [Order::Lru, Order::Lfu] {
            let mut client = Client::with_events();
            let lfu = order == Order::Lfu;
            let settings = &client.engine().settings;
            settings
                .lfu
                .store(lfu, std::sync::atomic::Ordering::Relaxed);
            for i in 0..1000 {
                client.run(&format!("SET k{i} x"));
            }
            client.now_ms += 100_000;
            for i in 0..500 {
                for _ in 0..if lfu { 20 } else { 1 } {
                    client.run(&format!("GET k{i}"));
                }
            }
            client.now_ms += 10_000;
            let gone = evict_all(&client, &rules(false, order));
            let number = |line: &String| line["evicted k".len()..].parse::<usize>().ok();
            let used = gone[..400].iter().filter_map(number).filter(|i| *i < 500);
            assert!(used.count() < 30, "{order:?}");
        }
    }

    #[test]
    fn an_eviction_is_logged_and_fails_transactions_that_watch() {
        let mut client = Client::new();
        let log = client.record_log();
        client.run("SET k v");
        client.run("WATCH k");
        let unlink = Rules {
            unlink: true,
            ..rules(false, Order::Random)
        };
        let evicted = client
            .engine()
            .evict_one(&unlink, &mut Pool::default(), client.now_ms);
        let evicted = evicted.expect("there is a key");
        assert_eq!(
            (evicted.bytes, evicted.object, evicted.freed),
            (2, false, 0)
        );
        assert_eq!(log.take(), ["SET k v", "UNLINK k"]);
        client.run("MULTI");
        client.run("GET k");
        assert_eq!(client.run("EXEC"), "*-1\r\n");
    }

    #[test]
    fn pages_give_back_what_eviction_leaves() {
        let mut client = Client::new();
        // One slot, so that its pages are full.
        for i in 0..2000 {
            client.run(&format!("SET {{t}}{i} {}", "v".repeat(40)));
        }
        let engine = client.engine();
        let bytes = || {
            let held = Held::all(&engine.shards);
            let place = Place::of(b"{t}");
            let tables = held.shard(place.shard()).db(0).expect("there are keys");
            tables.table(place.slot).heap_bytes()
        };
        let (before, mut pool) = (bytes(), Pool::default());
        let rules = rules(false, Order::Random);
        for _ in 0..200 {
            engine.evict_one(&rules, &mut pool, client.now_ms);
        }
        // A tenth of the keys is a tenth of the bytes, within the steps of size classes.
        let freed = (before - bytes()) as f64 / before as f64;
        assert!((0.06..0.14).contains(&freed), "{freed}");
    }
}
