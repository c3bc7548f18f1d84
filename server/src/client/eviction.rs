//! `maxmemory-clients`: the largest clients are closed when all of them take more memory than allowed.
//!
//! While there is a limit, each client's task counts what the client takes after every turn, and
//! whoever brings the sum above the limit closes clients, the largest first, himself among them.
//! Without a limit nothing is counted.
//!
//! Invariant: the sum is that of `Handle::counted` over all clients; one that is gone counts 0.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::*};

use parking_lot::Mutex;

use super::handle::Handle;
use crate::config::Config;
use crate::server::{Server, unix_ms};

/// What is known of the memory of all clients.
#[derive(Default, Debug)]
pub struct ClientMemory {
    /// `maxmemory-clients` in bytes, 0: no limit.
    limit: AtomicU64,
    /// Bytes of all clients; may be below zero for a moment.
    sum: AtomicI64,
    /// Bytes of clients that were closed for it and are not gone yet.
    leaving: AtomicI64,
    /// One thread at a time looks for clients to close.
    evicting: Mutex<()>,
    /// Nobody was left to be closed when last looked at, Unix milliseconds.
    in_vain_ms: AtomicI64,
    /// That was logged.
    complained: AtomicBool,
    /// Clients closed.
    pub evicted: AtomicU64,
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl ClientMemory {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit.load(Relaxed) != 0
    }

    fn is_over(&self, limit: u64) -> bool {
        self.sum.load(Relaxed) > i64::try_from(limit).unwrap_or(i64::MAX)
    }

    fn count(&self, handle: &Handle) {
        let bytes = handle.memory();
        let before = handle.counted.swap(bytes, SeqCst);
        self.sum
            .fetch_add(signed(bytes).wrapping_sub(signed(before)), Relaxed);
        // Who forgets it does so either before this, or after what was stored.
        if handle.gone.load(SeqCst) {
            self.forget(handle);
        }
    }

    /// A client that is gone takes nothing any more.
    fn forget(&self, handle: &Handle) {
        let before = handle.counted.swap(0, SeqCst);
        self.sum.fetch_sub(signed(before), Relaxed);
    }

    /// Its memory will be there soon.
    fn leaves(&self, handle: &Handle) {
        let bytes = handle.counted.load(Relaxed);
        handle.leaving.store(bytes, SeqCst);
        self.leaving.fetch_add(signed(bytes), Relaxed);
        if handle.dropped.load(SeqCst) {
            self.has_left(handle);
        }
    }

    fn has_left(&self, handle: &Handle) {
        let bytes = handle.leaving.swap(0, SeqCst);
        self.leaving.fetch_sub(signed(bytes), Relaxed);
    }

    /// The task of a client has ended, and gives back what it held.
    pub fn dropped(&self, handle: &Handle) {
        self.forget(handle);
        handle.dropped.store(true, SeqCst);
        self.has_left(handle);
    }

    /// Bytes of clients that were closed for their size and are not gone yet.
    pub fn leaving(&self) -> u64 {
        u64::try_from(self.leaving.load(Relaxed)).unwrap_or(0)
    }
}

impl Server {
    /// Counts what a client takes now, and closes clients when all of them take too much. To be
    /// called by its own task after each turn.
    pub fn count_client(&self, handle: &Handle) {
        let limit = self.client_memory.limit.load(Relaxed);
        if limit != 0 {
            self.client_memory.count(handle);
            self.evict_clients(limit);
        }
    }

    /// Puts a changed limit into effect.
    pub fn limit_clients(&self, config: &Config) {
        let memory = &self.client_memory;
        let limit = config.maxmemory_clients_bytes();
        if memory.limit.swap(limit, Relaxed) == limit || limit == 0 {
            return;
        }
        memory.in_vain_ms.store(0, Relaxed);
        memory.complained.store(false, Relaxed);
        self.relieve_clients();
    }

    /// Counts all clients, also those that had no turn since they were sent something, and closes
    /// some when they take too much.
    pub fn relieve_clients(&self) {
        let limit = self.client_memory.limit.load(Relaxed);
        if limit != 0 {
            let clients = self.clients.all();
            clients
                .iter()
                .for_each(|handle| self.client_memory.count(handle));
            self.evict_clients(limit);
        }
    }

    fn evict_clients(&self, limit: u64) {
        let memory = &self.client_memory;
        // With nobody left to close, looking again and again would only cost.
        if !memory.is_over(limit) || memory.in_vain_ms.load(Relaxed) == unix_ms() {
            return;
        }
        let Some(_turn) = memory.evicting.try_lock() else {
            return;
        };
        let mut clients = self.clients.all();
        // What others were sent is not counted before their turn.
        clients.iter().for_each(|handle| memory.count(handle));
        clients.retain(|handle| !handle.no_evict.load(Relaxed) && !handle.gone.load(Relaxed));
        clients.sort_by_key(|handle| std::cmp::Reverse(handle.counted.load(Relaxed)));
        for handle in clients {
            if !memory.is_over(limit) {
                return;
            }
            tracing::info!("Evicting client: {}", self.describe(&handle));
            memory.leaves(&handle);
            self.close_client(&handle);
            memory.forget(&handle);
            memory.evicted.fetch_add(1, Relaxed);
        }
        if memory.is_over(limit) {
            memory.in_vain_ms.store(unix_ms(), Relaxed);
            if !memory.complained.swap(true, Relaxed) {
                tracing::warn!("Over client maxmemory after evicting all evictable clients");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(id: u64) -> Handle {
        Handle::new(id, String::new(), String::new(), 0, false, true, 0)
    }

    #[test]
    fn the_sum_is_that_of_the_clients_that_are_there() {
        let memory = ClientMemory::default();
        let (one, other) = (handle(1), handle(2));
        one.query_bytes.store(1000, Relaxed);
        memory.count(&one);
        memory.count(&other);
        let both = memory.sum.load(Relaxed);
        assert_eq!(both, signed(one.memory() + other.memory()));
        one.query_bytes.store(0, Relaxed);
        memory.count(&one);
        assert_eq!(memory.sum.load(Relaxed), both - 1000);
        memory.leaves(&one);
        assert_eq!(memory.leaving(), one.memory() as u64);
        one.gone.store(true, Relaxed);
        memory.count(&one);
        memory.dropped(&one);
        memory.dropped(&other);
        // Too late.
        memory.leaves(&other);
        assert_eq!((memory.sum.load(Relaxed), memory.leaving()), (0, 0));
    }
}
