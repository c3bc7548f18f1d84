//! `maxmemory`: keys go, or writes are refused, when more memory is in use than is allowed.
//!
//! Before each command the memory in use is compared with the limit. Where it is above, keys go one
//! by one by `maxmemory-policy` ([`basalt_engine::keyspace::evict`]) for as long as
//! `maxmemory-eviction-tenacity` allows; what is left to do then is done in the background
//! while commands run. Only where no key may go are commands that need memory refused.
//!
//! Not counted are buffers of the log, what a snapshot holds for itself, what clients hold that
//! are being closed, and messages to clients that cache keys, up to a share of the limit: all pass,
//! and evicting for them would feed them. How much is to go is measured once; from then on what the
//! removed keys gave back is added up, so that what their removal causes costs no more keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_engine::keyspace::evict::{Order, Pool, Rules};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::handle::invalidations_pending;
use crate::config::{Config, MaxmemoryPolicy};
use crate::memory;
use crate::server::{Server, unix_us};

/// Keys that go between two looks at the memory in use.
const BATCH: usize = 16;
/// Messages on keys that went do not count below an eighth of the limit, but at least up to this.
const UNCOUNTED_MESSAGES: u64 = 4 << 20;
/// Pause between two looks at whether big values have been freed.
const FREEING: Duration = Duration::from_micros(50);

/// What eviction remembers between commands.
#[derive(Default)]
pub struct Eviction {
    pool: Mutex<(Option<MaxmemoryPolicy>, Pool)>,
    /// There is more to do than fitted into a command's time.
    again: Notify,
    /// Since when that is so, Unix microseconds; 0: it is not.
    behind_since_us: AtomicI64,
}

/// What came out of an attempt to get below the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relief {
    /// Memory is below the limit, or now is not the time to evict.
    Done,
    /// Keys can still go; it takes longer than a command may wait.
    UnderWay,
    /// No key may go.
    Nothing,
}

impl Eviction {
    /// To be called when `maxmemory` or its policy may have changed.
    pub fn limits_changed(&self) {
        self.again.notify_one();
    }

    /// For how long more memory than allowed has been in use without a break, microseconds.
    pub fn exceeded_us(&self) -> u64 {
        match self.behind_since_us.load(Relaxed) {
            0 => 0,
            since => u64::try_from(unix_us() - since).unwrap_or(0),
        }
    }
}

/// What a configured policy asks for; `None` for `noeviction`.
fn rules(config: &Config) -> Option<Rules> {
    use MaxmemoryPolicy as Policy;
    let (volatile_only, order) = match config.maxmemory_policy {
        Policy::VolatileLru => (true, Order::Lru),
        Policy::VolatileLfu => (true, Order::Lfu),
        Policy::VolatileRandom => (true, Order::Random),
        Policy::VolatileTtl => (true, Order::Ttl),
        Policy::AllkeysLru => (false, Order::Lru),
        Policy::AllkeysLfu => (false, Order::Lfu),
        Policy::AllkeysRandom => (false, Order::Random),
        Policy::NoEviction => return None,
    };
    Some(Rules {
        volatile_only,
        order,
        samples: config.maxmemory_samples as usize,
        unlink: config.lazyfree_lazy_eviction,
        held: memory::held_by_this_thread,
    })
}

/// How long a command may be kept by eviction; `None` for as long as it takes.
fn patience(tenacity: u32) -> Option<Duration> {
    let micros = match tenacity {
        0..=10 => 50 * u64::from(tenacity),
        11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => return None,
    };
    Some(Duration::from_micros(micros))
}

impl Server {
    /// Bytes that are in use but do not count against `maxmemory`.
    pub fn not_counted_for_evict(&self) -> u64 {
        self.persist.aof.buffered() as u64
            + self.engine.snapshot_room.used()
            + self.client_memory.leaving()
            + self.messages_not_counted()
    }

    fn messages_not_counted(&self) -> u64 {
        let most = UNCOUNTED_MESSAGES.max(self.hot.maxmemory.load(Relaxed) / 8);
        // Buffers grow by doubling.
        (2 * invalidations_pending()).min(most)
    }

    /// Whether a command that needs memory has to be refused; keys go first, where they may. No
    /// shard may be held.
    pub fn short_of_memory(&self, now_ms: i64) -> bool {
        let limit = self.hot.maxmemory.load(Relaxed);
        if limit == 0 || memory::used_lately(now_ms) <= limit {
            return false;
        }
        self.relieve_memory(now_ms) == Relief::Nothing
    }

    fn bytes_above_limit(&self) -> u64 {
        let limit = self.hot.maxmemory.load(Relaxed);
        if limit == 0 {
            return 0;
        }
        memory::used()
            .saturating_sub(self.not_counted_for_evict())
            .saturating_sub(limit)
    }

    fn may_evict(&self) -> bool {
        !self.hot.loading.load(Relaxed)
            && !self.hot.paused.load(Relaxed)
            && !self.engine.scripts.running.is_running()
    }

    /// Removes keys until memory is below the limit or the time is up.
    fn relieve_memory(&self, now_ms: i64) -> Relief {
        if self.bytes_above_limit() > 0 {
            // Clients that take too much go before keys.
            self.relieve_clients();
        }
        let relief = match self.bytes_above_limit() {
            0 => Relief::Done,
            _ if !self.may_evict() => return Relief::Done,
            _ => self.evict(now_ms),
        };
        let since = &self.eviction.behind_since_us;
        if relief == Relief::Done {
            let exceeded = self.eviction.exceeded_us();
            if exceeded != 0 && since.swap(0, Relaxed) != 0 {
                self.stats.eviction_exceeded_us.fetch_add(exceeded, Relaxed);
            }
        } else if since.load(Relaxed) == 0 {
            since.store(unix_us(), Relaxed);
        }
        relief
    }

    fn evict(&self, now_ms: i64) -> Relief {
        let config = self.config.load();
        let Some(rules) = rules(&config) else {
            return Relief::Nothing;
        };
        let patience = patience(config.maxmemory_eviction_tenacity);
        let Some(mut state) = self.eviction.pool.try_lock() else {
            // Another thread is at it.
            if patience.is_none() {
                drop(self.eviction.pool.lock());
            }
            return Relief::UnderWay;
        };
        let (policy, pool) = &mut *state;
        if policy.replace(config.maxmemory_policy) != Some(config.maxmemory_policy) {
            pool.clear();
        }
        let began = Instant::now();
        let in_time = || patience.is_none_or(|patience| began.elapsed() < patience);
        let aim = self.bytes_above_limit();
        let (mut more, mut freed, mut entries) = (true, 0, 0);
        let relief = loop {
            // Big values are freed by another thread.
            while self.engine.lazy().pending() > 0 && in_time() {
                std::thread::sleep(FREEING);
            }
            let above = self.bytes_above_limit();
            if above == 0 {
                break Relief::Done;
            }
            if !more {
                break Relief::Nothing;
            }
            if freed >= signed(aim) {
                break Relief::Done;
            }
            // While a snapshot holds pages, what goes from them gives nothing back.
            if entries >= aim.saturating_mul(2) || entries > 0 && !in_time() {
                self.eviction.again.notify_one();
                break Relief::UnderWay;
            }
            let batch = self.evict_batch(&rules, pool, signed(above), now_ms);
            more = batch.entries > 0;
            freed += batch.freed;
            entries += batch.entries;
        };
        self.note_latency("eviction-cycle", began.elapsed(), now_ms);
        relief
    }

    /// Removes some keys, until they gave back so many bytes.
    fn evict_batch(&self, rules: &Rules, pool: &mut Pool, wanted: i64, now_ms: i64) -> Gone {
        let mut gone = Gone::default();
        for _ in 0..BATCH {
            let Some(evicted) = self.engine.evict_one(rules, pool, now_ms) else {
                break;
            };
            self.stats.evicted_keys.fetch_add(1, Relaxed);
            gone.entries += evicted.bytes as u64;
            gone.freed += evicted.freed;
            if evicted.object || gone.freed >= wanted {
                break;
            }
        }
        gone
    }
}

/// What a few keys took.
#[derive(Default)]
struct Gone {
    /// Bytes of their entries, 0 if no key may go.
    entries: u64,
    /// Bytes given back with them.
    freed: i64,
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Goes on where commands had no time to, until the process ends.
pub async fn run(server: Arc<Server>) {
    loop {
        server.eviction.again.notified().await;
        while server.hot.maxmemory.load(Relaxed) != 0
            && server.relieve_memory(crate::server::unix_ms()) == Relief::UnderWay
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_tenacity() {
        let micros = |tenacity| patience(tenacity).map(|time| time.as_micros());
        assert_eq!(micros(0), Some(0));
        assert_eq!(micros(10), Some(500));
        assert_eq!(micros(11), Some(575));
        assert!(micros(99) > Some(100_000_000));
        assert_eq!(micros(100), None);
    }
}
