//! The connected clients of a process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use super::handle::Handle;

/// Connected clients by id.
#[derive(Default)]
pub struct Clients {
    next_id: AtomicU64,
    by_id: RwLock<BTreeMap<u64, Arc<Handle>>>,
}

impl Clients {
    /// A new unique id, from 1 up.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed) + 1
    }

    /// Adds a client.
    pub fn add(&self, handle: &Arc<Handle>) {
        self.by_id.write().insert(handle.id, handle.clone());
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        self.by_id.write().remove(&id);
    }

    /// The client with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Handle>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All clients in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Handle>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Number of clients that wait in a blocking command or for the end of a pause.
    pub fn blocked_count(&self) -> usize {
        self.by_id
            .read()
            .values()
            .filter(|handle| handle.blocked.load(Relaxed) || handle.paused.load(Relaxed))
            .count()
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
