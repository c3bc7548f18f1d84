//! [`Handle`]: the side of a client that others see and reach, from any thread.
//!
//! The connection task owns the socket; others only append to the outbox, set a request flag
//! and wake it. Facts for CLIENT LIST are atomics that the task stores once per batch.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::*,
};
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};

use basalt_engine::WatchFlag;
use basalt_engine::keyspace::blocked::Waiter;

use super::tracking::Tracking;
use crate::acl::{Account, DEFAULT};

/// Buffers of a client that is idle for longer, in milliseconds, are given back.
pub const IDLE_MS: i64 = 2000;
/// Free space that is not worth giving back.
const SPARE_BYTES: usize = 4 * 1024;
/// Query buffers above this are made smaller although the client is active.
const LARGE_BYTES: usize = 32 * 1024;

/// What kind of client it is, for limits and filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "the classes are the field's own terms")]
pub enum Class {
    Normal = 0,
    Replica = 1,
    Pubsub = 2,
}

/// Texts that only CLIENT commands read.
#[derive(Default, Clone)]
pub struct Labels {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO lib-ver.
    pub lib_ver: Vec<u8>,
    /// The user it is logged in with; `None` is the default user.
    pub account: Option<Arc<Account>>,
}

impl Labels {
    /// The name of the user.
    pub fn user(&self) -> &[u8] {
        self.account.as_ref().map_or(DEFAULT, |own| own.name())
    }
}

/// Requests to a connection task.
#[allow(missing_docs, reason = "bits of Handle::signals")]
pub mod signal {
    /// Bytes in the outbox.
    pub const OUTBOX: u8 = 1;
    /// Close at once.
    pub const KILL: u8 = 2;
    /// A blocked command was served, or its wait ended.
    pub const UNBLOCKED: u8 = 4;
    /// Close after what is pending was written.
    pub const CLOSE_AFTER_REPLY: u8 = 8;
    /// CLIENT PAUSE ended.
    pub const RESUMED: u8 = 16;
    /// Give back memory of buffers that are larger than recent use.
    pub const SHRINK: u8 = 32;
    /// The log has come as far as the client waits for.
    pub const DURABLE: u8 = 64;
}

/// How CLIENT UNBLOCK ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblock {
    /// As if the time was up.
    Timeout,
    /// With an error.
    Error,
}

/// Hard limits of `client-output-buffer-limit` by class, for those who push to a client.
pub static OUTPUT_HARD: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Bytes of invalidation messages that no socket has taken yet, of all clients.
static INVALIDATIONS: AtomicI64 = AtomicI64::new(0);

/// Bytes of invalidation messages that no socket has taken yet, of all clients.
pub fn invalidations_pending() -> u64 {
    u64::try_from(INVALIDATIONS.load(Relaxed)).unwrap_or(0)
}

fn count_invalidations(more: usize, fewer: usize) {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    INVALIDATIONS.fetch_add(signed(more) - signed(fewer), Relaxed);
}

/// A client as others see it.
pub struct Handle {
    /// Client id.
    pub id: u64,
    /// Peer address, `ip:port` or `path:0`.
    pub addr: String,
    /// Own address.
    pub laddr: String,
    /// Socket descriptor number.
    pub fd: i32,
    /// Unix socket.
    pub unix: bool,
    /// Connected from this machine.
    pub local: bool,
    /// Unix milliseconds of the connection.
    pub created_ms: i64,
    /// Names.
    pub labels: Mutex<Labels>,
    /// Unix milliseconds of the last request.
    pub last_active_ms: AtomicI64,
    /// Selected database.
    pub db: AtomicUsize,
    /// 2 or 3.
    pub resp: AtomicU8,
    /// Queued commands, or -1 outside MULTI.
    pub multi: AtomicI64,
    /// Heap bytes of queued commands.
    pub multi_bytes: AtomicUsize,
    /// Watched keys.
    pub watch: AtomicUsize,
    /// The flag that watched keys raise, while there are any.
    pub watch_flag: Mutex<Option<Arc<WatchFlag>>>,
    /// `Command::id` of the last command, `u32::MAX` before the first.
    pub last_command: AtomicU32,
    /// Subscribed channels.
    pub channels: AtomicUsize,
    /// Subscribed patterns.
    pub patterns: AtomicUsize,
    /// Subscribed shard channels.
    pub shard_channels: AtomicUsize,
    /// In MONITOR mode.
    pub monitor: AtomicBool,
    /// CLIENT REPLY OFF: it is not shown commands either.
    pub silent: AtomicBool,
    /// Blocked by a command.
    pub blocked: AtomicBool,
    /// Held back by CLIENT PAUSE.
    pub paused: AtomicBool,
    /// Closes when its output is written.
    pub closing: AtomicBool,
    /// Gone or being closed: nothing reaches it any more.
    pub gone: AtomicBool,
    /// The blocked command, so that whoever closes the client can take it off its keys.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// Client-side caching.
    pub tracking: Mutex<Tracking>,
    /// Client-side caching is on; a copy of `tracking.on`.
    pub tracks: AtomicBool,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub no_touch: AtomicBool,
    /// CLIENT CAPA REDIRECT.
    pub takes_redirects: AtomicBool,
    /// Bytes in the query buffer and free in it.
    pub query_bytes: AtomicUsize,
    /// Capacity of the query buffer beyond `query_bytes`.
    pub query_free: AtomicUsize,
    /// Most bytes in the query buffer since the cron last looked.
    pub query_peak: AtomicUsize,
    /// Bytes of the arguments of the running command.
    pub argv_bytes: AtomicUsize,
    /// Capacity of the reply buffer.
    pub reply_capacity: AtomicUsize,
    /// Largest recent use of the reply buffer.
    pub reply_peak: AtomicUsize,
    /// Reply bytes not yet accepted by the socket, without the outbox. Stored by the task.
    pub reply_bytes: AtomicUsize,
    /// Bytes received from it.
    pub net_in: AtomicU64,
    /// Bytes sent to it.
    pub net_out: AtomicU64,
    /// Commands it ran.
    pub commands: AtomicU64,
    /// Bytes it counted for when it was last looked at (`maxmemory-clients`).
    pub counted: AtomicUsize,
    /// Bytes it will give back, when it was closed for its size.
    pub leaving: AtomicUsize,
    /// Its task has ended.
    pub dropped: AtomicBool,
    /// When the soft output limit was first exceeded, Unix milliseconds; 0: it is not.
    pub soft_since_ms: AtomicI64,
    /// How CLIENT UNBLOCK ended the wait.
    pub unblock: Mutex<Option<Unblock>>,
    /// It was closed because far more was pushed to it than its limit allows.
    pub overrun: AtomicBool,
    outbox: Mutex<Vec<u8>>,
    /// Bytes in the outbox; changed under its lock.
    outbox_bytes: AtomicUsize,
    /// Bytes of invalidation messages in the outbox; changed under its lock.
    invalidations_queued: AtomicUsize,
    /// Bytes of invalidation messages on their way from the outbox to the socket.
    invalidations_leaving: AtomicUsize,
    /// What comes behind the reply of the blocked command that is being served.
    behind_reply: Mutex<Vec<u8>>,
    signals: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Handle {
    /// A fresh handle.
    pub fn new(
        id: u64,
        addr: String,
        laddr: String,
        fd: i32,
        unix: bool,
        local: bool,
        now_ms: i64,
    ) -> Handle {
        Handle {
            id,
            addr,
            laddr,
            fd,
            unix,
            local,
            created_ms: now_ms,
            labels: Mutex::default(),
            last_active_ms: AtomicI64::new(now_ms),
            db: AtomicUsize::new(0),
            resp: AtomicU8::new(2),
            multi: AtomicI64::new(-1),
            multi_bytes: AtomicUsize::new(0),
            watch: AtomicUsize::new(0),
            watch_flag: Mutex::new(None),
            last_command: AtomicU32::new(u32::MAX),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            shard_channels: AtomicUsize::new(0),
            monitor: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            waiter: Mutex::new(None),
            tracking: Mutex::new(Tracking::default()),
            tracks: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            takes_redirects: AtomicBool::new(false),
            query_bytes: AtomicUsize::new(0),
            query_free: AtomicUsize::new(0),
            query_peak: AtomicUsize::new(0),
            argv_bytes: AtomicUsize::new(0),
            reply_capacity: AtomicUsize::new(0),
            reply_peak: AtomicUsize::new(0),
            reply_bytes: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            counted: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            dropped: AtomicBool::new(false),
            soft_since_ms: AtomicI64::new(0),
            unblock: Mutex::new(None),
            overrun: AtomicBool::new(false),
            outbox: Mutex::new(Vec::new()),
            outbox_bytes: AtomicUsize::new(0),
            invalidations_queued: AtomicUsize::new(0),
            invalidations_leaving: AtomicUsize::new(0),
            behind_reply: Mutex::new(Vec::new()),
            signals: AtomicU8::new(0),
            waker: Mutex::new(None),
        }
    }

    /// The class whose limits apply.
    pub fn class(&self) -> Class {
        if self.subscriptions() > 0 {
            Class::Pubsub
        } else {
            Class::Normal
        }
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.channels.load(Relaxed)
            + self.patterns.load(Relaxed)
            + self.shard_channels.load(Relaxed)
    }

    /// Reply bytes not yet accepted by the socket, outbox included.
    pub fn pending(&self) -> usize {
        self.reply_bytes.load(Relaxed) + self.outbox_bytes.load(Relaxed)
    }

    /// Appends bytes to what the client will be sent, and wakes it. Bytes for a client that is
    /// being closed are dropped, and the answer is false.
    pub fn push(&self, bytes: &[u8]) -> bool {
        self.put(bytes, false)
    }

    /// As [`Handle::push`], for a message on a key that changed: it counts as such until it is sent.
    pub fn push_invalidation(&self, bytes: &[u8]) -> bool {
        self.put(bytes, true)
    }

    fn put(&self, bytes: &[u8], invalidation: bool) -> bool {
        if self.gone.load(Relaxed) {
            return false;
        }
        if self.blocked.load(Relaxed) {
            let waiter = self.waiter.lock();
            if waiter.as_ref().is_some_and(|waiter| !waiter.is_waiting()) {
                // It was served, and its task had no turn yet to send the reply.
                return self.append(&self.behind_reply, bytes).is_some();
            }
        }
        let Some(outbox) = self.append(&self.outbox, bytes) else {
            return false;
        };
        self.outbox_bytes.store(outbox.len(), Relaxed);
        if invalidation {
            self.invalidations_queued.fetch_add(bytes.len(), SeqCst);
            count_invalidations(bytes.len(), 0);
        }
        drop(outbox);
        self.raise(signal::OUTBOX);
        if invalidation && self.gone.load(SeqCst) {
            self.forget_invalidations();
        }
        true
    }

    fn forget_invalidations(&self) {
        count_invalidations(0, self.invalidations_queued.swap(0, SeqCst));
        self.sent_all();
    }

    /// The socket took everything but what is in the outbox.
    #[inline]
    pub fn sent_all(&self) {
        if self.invalidations_leaving.load(Relaxed) != 0 {
            count_invalidations(0, self.invalidations_leaving.swap(0, SeqCst));
        }
    }

    /// `None`: there is too much already, and the client is closed.
    fn append<'a>(&self, to: &'a Mutex<Vec<u8>>, bytes: &[u8]) -> Option<MutexGuard<'a, Vec<u8>>> {
        let limit = OUTPUT_HARD[self.class() as usize].load(Relaxed);
        let mut to = to.lock();
        if limit != 0 && (to.len() + bytes.len()) as u64 > limit.saturating_mul(2) {
            // Its own task has no turn to see that it is far beyond its limit.
            *to = Vec::new();
            drop(to);
            self.overrun.store(true, Relaxed);
            self.close();
            return None;
        }
        to.extend_from_slice(bytes);
        Some(to)
    }

    /// As [`Handle::push`], for a client whose blocked command is being served: these bytes come
    /// behind its reply.
    pub fn push_behind_reply(&self, bytes: &[u8]) {
        self.behind_reply.lock().extend_from_slice(bytes);
    }

    /// What is to come behind the reply that ends a wait; to be taken when its `waiter` is gone.
    pub fn take_behind_reply(&self) -> Vec<u8> {
        std::mem::take(&mut *self.behind_reply.lock())
    }

    /// The command was run in vain, and its wait goes on: what it caused is sent without a reply.
    pub fn release_behind_reply(&self) {
        let bytes = self.take_behind_reply();
        if !bytes.is_empty() {
            self.push(&bytes);
        }
    }

    /// Moves the outbox to the end of `out`.
    pub fn drain_outbox(&self, out: &mut Vec<u8>) {
        let mut outbox = self.outbox.lock();
        self.signals.fetch_and(!signal::OUTBOX, AcqRel);
        self.reply_bytes.fetch_add(outbox.len(), Relaxed);
        self.outbox_bytes.store(0, Relaxed);
        let invalidations = self.invalidations_queued.swap(0, SeqCst);
        self.invalidations_leaving.fetch_add(invalidations, SeqCst);
        out.append(&mut outbox);
        // What is told of keys that go must not keep the memory they gave back.
        let keep = match self.tracks.load(Relaxed) {
            true => SPARE_BYTES,
            false => 64 * 1024,
        };
        if outbox.capacity() > keep {
            *outbox = Vec::new();
        }
    }

    /// CLIENT UNBLOCK: ends its wait; false if it does not wait.
    pub fn unblock(&self, how: Unblock) -> bool {
        let mut slot = self.unblock.lock();
        if slot.is_some() || !self.blocked.load(Relaxed) || self.gone.load(Relaxed) {
            return false;
        }
        // It may have been served while its task had no turn yet to notice.
        let served = |waiter: &Arc<Waiter>| !waiter.is_waiting();
        if self.waiter.lock().as_ref().is_some_and(served) {
            return false;
        }
        *slot = Some(how);
        drop(slot);
        self.raise(signal::UNBLOCKED);
        true
    }

    /// Whether its buffers are much larger than its recent use asks for. Starts the next
    /// observation of its use. Its reply buffer is given back when it is idle for longer than
    /// `reply_idle_ms`.
    pub fn wastes_memory(&self, idle_ms: i64, reply_idle_ms: i64) -> bool {
        let peak = self.query_peak.swap(0, Relaxed);
        let (used, free) = (
            self.query_bytes.load(Relaxed),
            self.query_free.load(Relaxed),
        );
        if idle_ms > reply_idle_ms && self.reply_capacity.load(Relaxed) > SPARE_BYTES {
            return true;
        }
        if idle_ms > IDLE_MS {
            return free > SPARE_BYTES;
        }
        free > SPARE_BYTES && used + free > LARGE_BYTES && (used + free) / 2 > peak.max(used)
    }

    /// Gives back what it holds when its client is gone; lists that still know it keep little.
    pub fn discard(&self) {
        self.gone.store(true, SeqCst);
        *self.waiter.lock() = None;
        *self.waker.lock() = None;
        *self.outbox.lock() = Vec::new();
        self.outbox_bytes.store(0, Relaxed);
        self.forget_invalidations();
        self.take_behind_reply();
        *self.labels.lock() = Labels::default();
    }

    /// Asks the task to close the connection at once; from now on nothing reaches the client.
    pub fn close(&self) {
        self.gone.store(true, SeqCst);
        self.raise(signal::KILL);
    }

    /// Sets a request flag and wakes the task.
    pub fn raise(&self, bits: u8) {
        let before = self.signals.fetch_or(bits, AcqRel);
        if before & bits != bits
            && let Some(waker) = &*self.waker.lock()
        {
            waker.wake_by_ref();
        }
    }

    /// The raised flags.
    #[inline]
    pub fn signals(&self) -> u8 {
        self.signals.load(Acquire)
    }

    /// Clears flags.
    pub fn clear(&self, bits: u8) {
        self.signals.fetch_and(!bits, AcqRel);
    }

    /// Sets who is woken. The task checks [`Handle::signals`] after this.
    pub fn set_waker(&self, waker: &Waker) {
        let mut slot = self.waker.lock();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }
}
