//! [`Handle`]: the side of a client that others see and reach, from any thread.
//!
//! The connection task owns the socket; others only append to the outbox, set a request flag
//! and wake it. Facts for CLIENT LIST are atomics that the task stores once per batch.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::*,
};
use std::task::Waker;

use parking_lot::Mutex;

use basalt_engine::keyspace::blocked::Wake;

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
#[derive(Default, Debug, Clone)]
pub struct Labels {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO lib-ver.
    pub lib_ver: Vec<u8>,
    /// Authenticated user.
    pub user: String,
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
}

/// How CLIENT UNBLOCK ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblock {
    /// As if the time was up.
    Timeout,
    /// With an error.
    Error,
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
    /// Blocked by a command.
    pub blocked: AtomicBool,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub no_touch: AtomicBool,
    /// Bytes in the query buffer and free in it.
    pub query_bytes: AtomicUsize,
    /// Capacity of the query buffer beyond `query_bytes`.
    pub query_free: AtomicUsize,
    /// Bytes of arguments of a request that has not fully arrived.
    pub argv_bytes: AtomicUsize,
    /// Capacity of the reply buffer.
    pub reply_capacity: AtomicUsize,
    /// Largest recent use of the reply buffer.
    pub reply_peak: AtomicUsize,
    /// Reply bytes not yet accepted by the socket, outbox included.
    pub pending_bytes: AtomicUsize,
    /// Bytes received from it.
    pub net_in: AtomicU64,
    /// Bytes sent to it.
    pub net_out: AtomicU64,
    /// Commands it ran.
    pub commands: AtomicU64,
    /// When the soft output limit was first exceeded, Unix milliseconds; 0: it is not.
    pub soft_since_ms: AtomicI64,
    /// How CLIENT UNBLOCK ended the wait.
    pub unblock: Mutex<Option<Unblock>>,
    outbox: Mutex<Vec<u8>>,
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
            labels: Mutex::new(Labels {
                user: "default".into(),
                ..Labels::default()
            }),
            last_active_ms: AtomicI64::new(now_ms),
            db: AtomicUsize::new(0),
            resp: AtomicU8::new(2),
            multi: AtomicI64::new(-1),
            multi_bytes: AtomicUsize::new(0),
            watch: AtomicUsize::new(0),
            last_command: AtomicU32::new(u32::MAX),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            shard_channels: AtomicUsize::new(0),
            monitor: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            query_bytes: AtomicUsize::new(0),
            query_free: AtomicUsize::new(0),
            argv_bytes: AtomicUsize::new(0),
            reply_capacity: AtomicUsize::new(0),
            reply_peak: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            soft_since_ms: AtomicI64::new(0),
            unblock: Mutex::new(None),
            outbox: Mutex::new(Vec::new()),
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

    /// Appends bytes to what the client will be sent, and wakes it. Bytes for a client that is
    /// being closed are dropped.
    pub fn push(&self, bytes: &[u8]) {
        if self.signals.load(Relaxed) & signal::KILL != 0 {
            return;
        }
        self.outbox.lock().extend_from_slice(bytes);
        self.pending_bytes.fetch_add(bytes.len(), Relaxed);
        self.raise(signal::OUTBOX);
    }

    /// Moves the outbox to the end of `out`.
    pub fn drain_outbox(&self, out: &mut Vec<u8>) {
        let mut outbox = self.outbox.lock();
        self.signals.fetch_and(!signal::OUTBOX, AcqRel);
        self.pending_bytes.fetch_sub(outbox.len(), Relaxed);
        out.append(&mut outbox);
        if outbox.capacity() > 64 * 1024 {
            *outbox = Vec::new();
        }
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

/// Wakes the task of a client whose blocked command was served.
pub struct WakeClient(pub std::sync::Arc<Handle>);

impl Wake for WakeClient {
    fn wake(&self) {
        self.0.raise(signal::UNBLOCKED);
    }
}
