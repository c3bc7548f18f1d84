//! The one stream of effects: every change passes here once, in order, while the locks of the
//! shards it touched are held. The AOF, replicas and the archive are sinks of this stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

/// Receives effects in commit order. Called with shard locks held: it must only append to a
/// buffer, never block or call back into the engine.
pub trait LogSink: Send + Sync {
    /// One command that has the effect of what ran, on database `db`, with its commit index.
    fn effect(&self, index: u64, db: usize, args: &[&[u8]]);
}

/// The stream. With no sink attached, appending costs one load.
#[derive(Default)]
pub struct Log {
    active: AtomicBool,
    next: AtomicU64,
    sink: RwLock<Option<Box<dyn LogSink>>>,
}

impl Log {
    /// Attaches the sink that gets every effect from now on.
    pub fn attach(&self, sink: Box<dyn LogSink>) {
        *self.sink.write() = Some(sink);
        self.active.store(true, Ordering::Release);
    }

    /// Whether anybody listens: effects need not be built otherwise.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Commit index of the newest effect.
    pub fn index(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Appends one effect.
    pub fn append(&self, db: usize, args: &[&[u8]]) {
        if self.is_active()
            && let Some(sink) = &*self.sink.read()
        {
            let index = self.next.fetch_add(1, Ordering::AcqRel) + 1;
            sink.effect(index, db, args);
        }
    }

    /// Appends the removal of a key whose time has come.
    pub fn expired(&self, db: usize, key: &[u8]) {
        self.append(db, &[b"DEL", key]);
    }
}
