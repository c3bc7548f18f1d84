//! Freeing of big values off the command path: a 50-million-field hash must not stall the
//! client that deletes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;

use crate::keyspace::shard::ShardDb;
use crate::value::Value;

/// Values with more elements than this are freed in the background, as in Redis.
const THRESHOLD: usize = 64;

/// Tables of one database, as the shards held them.
#[allow(
    clippy::vec_box,
    reason = "the boxes are the shards' own; unboxing them would copy"
)]
pub type Tables = Vec<Box<ShardDb>>;

enum Garbage {
    Value(Value),
    Tables(Tables),
}

#[derive(Default, Debug)]
struct Counters {
    pending: AtomicUsize,
    freed: AtomicUsize,
}

/// A thread that drops what it is sent.
pub struct LazyFree {
    send: Mutex<Option<Sender<(Garbage, usize)>>>,
    counters: Arc<Counters>,
}

impl LazyFree {
    /// Starts the thread; it ends when the engine is dropped.
    pub fn start() -> LazyFree {
        let (send, receive) = channel::<(Garbage, usize)>();
        let counters = Arc::new(Counters::default());
        let shared = counters.clone();
        let spawned = std::thread::Builder::new()
            .name("lazy-free".into())
            .spawn(move || {
                for (garbage, objects) in receive {
                    match garbage {
                        Garbage::Value(value) => drop(value),
                        Garbage::Tables(tables) => drop(tables),
                    }
                    shared.pending.fetch_sub(objects, Ordering::Relaxed);
                    shared.freed.fetch_add(objects, Ordering::Relaxed);
                }
            });
        LazyFree {
            send: Mutex::new(spawned.is_ok().then_some(send)),
            counters,
        }
    }

    /// Frees a value: at once if small, else on the thread.
    pub fn free(&self, value: Value) {
        if value.free_effort() > THRESHOLD {
            self.post(Garbage::Value(value), 1);
        }
    }

    /// Frees whole tables on the thread.
    pub fn free_tables(&self, tables: Tables, keys: usize) {
        if !tables.is_empty() {
            self.post(Garbage::Tables(tables), keys);
        }
    }

    fn post(&self, garbage: Garbage, objects: usize) {
        if let Some(send) = &*self.send.lock() {
            self.counters.pending.fetch_add(objects, Ordering::Relaxed);
            if send.send((garbage, objects)).is_err() {
                self.counters.pending.fetch_sub(objects, Ordering::Relaxed);
            }
        }
    }

    /// Objects waiting to be freed.
    pub fn pending(&self) -> usize {
        self.counters.pending.load(Ordering::Relaxed)
    }

    /// Objects freed by the thread so far.
    pub fn freed(&self) -> usize {
        self.counters.freed.load(Ordering::Relaxed)
    }

    /// Sets the count of freed objects to zero.
    pub fn reset_freed(&self) {
        self.counters.freed.store(0, Ordering::Relaxed);
    }
}
