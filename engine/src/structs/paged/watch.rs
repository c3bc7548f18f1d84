//! Telling that a writer copied a page because somebody else shares it.
//!
//! A snapshot that reads a big map keeps alive what it has not read yet. Whoever reads learns
//! here which pages cost memory since a writer made its own, and can read those first. Nothing
//! depends on being told: it is a matter of memory only.
//!
//! Watchers are those of the process, not of a map: pages have no room for them, and a page is
//! known by its address, which is unique as long as the watcher holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::RwLock;

/// A page that a writer left to those who share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The hash of an entry, or of a key that would be, in the page.
    pub hash: u64,
    /// Where the page is; means nothing unless the page is still held.
    pub(super) addr: usize,
    /// Its size.
    pub bytes: u64,
}

/// Somebody who wants to know.
pub trait Watcher: Send + Sync {
    /// A writer is about to copy a page. Called with locks of the keyspace held.
    fn copied(&self, page: Copied);
}

static WATCHED: AtomicUsize = AtomicUsize::new(0);
static WATCHERS: RwLock<Vec<Arc<dyn Watcher>>> = RwLock::new(Vec::new());

/// Ends the watch when dropped.
pub struct Watching(Arc<dyn Watcher>);

/// Begins to tell a watcher of pages of maps whose schema says so.
pub fn watch(watcher: Arc<dyn Watcher>) -> Watching {
    let mut watchers = WATCHERS.write();
    watchers.push(watcher.clone());
    WATCHED.store(watchers.len(), Relaxed);
    Watching(watcher)
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watchers = WATCHERS.write();
        if let Some(at) = watchers.iter().position(|one| Arc::ptr_eq(one, &self.0)) {
            watchers.swap_remove(at);
        }
        WATCHED.store(watchers.len(), Relaxed);
    }
}

/// Whether there are watchers.
#[inline]
pub(super) fn is_watched() -> bool {
    WATCHED.load(Relaxed) != 0
}

/// Tells all watchers.
#[cold]
pub(super) fn tell(page: Copied) {
    for watcher in &*WATCHERS.read() {
        watcher.copied(page);
    }
}
