//! Keyspace event classes (`notify-keyspace-events`) and the sink that receives events.

/// A set of event classes; the letters are those of the directive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotifyClass(pub u32);

#[allow(missing_docs, reason = "the classes are the field's own terms")]
impl NotifyClass {
    pub const KEYSPACE: NotifyClass = NotifyClass(1 << 0);
    pub const KEYEVENT: NotifyClass = NotifyClass(1 << 1);
    pub const GENERIC: NotifyClass = NotifyClass(1 << 2);
    pub const STRING: NotifyClass = NotifyClass(1 << 3);
    pub const LIST: NotifyClass = NotifyClass(1 << 4);
    pub const SET: NotifyClass = NotifyClass(1 << 5);
    pub const HASH: NotifyClass = NotifyClass(1 << 6);
    pub const ZSET: NotifyClass = NotifyClass(1 << 7);
    pub const EXPIRED: NotifyClass = NotifyClass(1 << 8);
    pub const EVICTED: NotifyClass = NotifyClass(1 << 9);
    pub const STREAM: NotifyClass = NotifyClass(1 << 10);
    pub const KEY_MISS: NotifyClass = NotifyClass(1 << 11);
    pub const MODULE: NotifyClass = NotifyClass(1 << 13);
    pub const NEW: NotifyClass = NotifyClass(1 << 14);
    /// What `A` stands for: all but `m` and `n`.
    pub const ALL: NotifyClass = NotifyClass(0b10_0111_1111_1100);
}

/// Receives what happens to keys. Called with shard locks held: implementations must not
/// call back into the engine.
pub trait EventSink: Send + Sync {
    /// A keyspace event of a class that is switched on.
    fn keyspace_event(&self, db: usize, class: NotifyClass, event: &str, key: &[u8]);
    /// A key changed while client-side caching is in use.
    fn invalidate(&self, db: usize, key: &[u8]);
    /// All keys of one or all databases were removed while client-side caching is in use.
    fn invalidate_all(&self) {}
    /// From here to [`EventSink::served`], what this thread does it does for the blocked session.
    fn serving(&self, _session: u64) {}
    /// The command of the blocked session was run; its wait is over, or it goes on.
    fn served(&self, _session: u64, _over: bool) {}
}

/// Drops everything.
#[derive(Debug, Clone, Copy)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn keyspace_event(&self, _: usize, _: NotifyClass, _: &str, _: &[u8]) {}
    fn invalidate(&self, _: usize, _: &[u8]) {}
}
