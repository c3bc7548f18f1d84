//! One client connection: its state, how its requests are processed, and its task.
//!
//! ```text
//! socket -> task (buffer) -> Decoder -> process (checks) -> Engine::call -> Reply -> task -> socket
//!                                            others -> Handle (outbox, signals) ----^
//! ```

pub mod caller;
pub mod describe;
pub mod eviction;
pub mod handle;
mod observe;
pub mod pause;
mod permit;
pub mod process;
mod refuse;
pub mod registry;
mod show;
pub mod task;
pub mod tracking;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use basalt_engine::command::Ctx;
use basalt_engine::keyspace::blocked::{Waiter, Wake};
use basalt_engine::{Host, Reply, Session};

use crate::acl::Account;
use crate::persist::aof::Replay;
use crate::pubsub::Kind;
use crate::server::Server;
use crate::stats::WorkerStats;
use handle::Handle;
use permit::WakeClient;

/// CLIENT REPLY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// None is sent.
    Off,
    /// The next command is not answered.
    SkipNext,
    /// This command is not answered.
    Skip,
}

/// Subscriptions of a client, by kind.
#[derive(Default, Debug)]
pub struct Subscriptions {
    /// SUBSCRIBE.
    pub channels: HashSet<Vec<u8>>,
    /// PSUBSCRIBE.
    pub patterns: HashSet<Vec<u8>>,
    /// SSUBSCRIBE.
    pub shard: HashSet<Vec<u8>>,
}

/// Something a client waits for that is not a key.
pub enum Waiting {
    /// Nothing.
    No,
    /// A blocked command of the engine.
    Keys(Arc<Waiter>),
    /// A time; then these bytes are the reply.
    Until(i64, Vec<u8>),
    /// The end of CLIENT PAUSE.
    Pause(i64),
    /// The log (`WAITAOF`).
    Synced(SyncWait),
    /// A stack that a script can leave: the request is to be run again there.
    Stack,
}

/// What a client waits for in `WAITAOF`.
#[derive(Clone, Copy, Debug)]
pub struct SyncWait {
    /// The newest effect of its session.
    pub index: u64,
    /// When the time is up, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// It asked for the log of this server only: the wait ends with that.
    pub local_only: bool,
}

/// The connection as command handlers see it: `Conn::of(ctx)`.
pub struct Conn {
    /// The process.
    pub server: Arc<Server>,
    /// The side others see.
    pub handle: Arc<Handle>,
    /// Counters of the thread.
    pub worker: Arc<WorkerStats>,
    /// The user it is logged in with.
    pub account: Arc<Account>,
    /// AUTH was given, or none is needed.
    pub authenticated: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Close when everything written so far was sent.
    pub close_after_reply: bool,
    /// Close at once, whatever is still to be sent.
    pub close_now: bool,
    /// Others on this thread have a turn before its next command.
    pub gives_way: bool,
    /// CLIENT CACHING was given for the next command.
    pub caching: bool,
    /// Subscriptions.
    pub subs: Subscriptions,
    /// Set by a handler that makes its client wait for a time.
    pub wait_until: Option<(i64, Vec<u8>)>,
    /// Set by a handler that makes its client wait for the log.
    pub wait_synced: Option<SyncWait>,
    /// Since when its next write is put off, so that a snapshot costs less memory.
    pub put_off_ms: Option<i64>,
    /// How long the command ran that is blocked now, before it was.
    pub blocked_nanos: u64,
    /// While a script runs: the database of the client.
    pub script_of_db: Option<usize>,
    /// The time that the script which runs was told, in Unix microseconds: it stands still for it.
    pub script_us: Option<i64>,
    /// Memory was short when the command began that runs now, if it may run scripts.
    pub short_of_memory: bool,
    waker: Arc<dyn Wake>,
}

impl Conn {
    /// The state of a new connection.
    pub fn new(server: Arc<Server>, handle: Arc<Handle>, worker: Arc<WorkerStats>) -> Conn {
        let authenticated = !server.hot.auth_required.load(Relaxed);
        let waker = Arc::new(WakeClient::new(&server, &handle));
        Conn {
            account: server.accounts.default_account().clone(),
            server,
            handle,
            worker,
            authenticated,
            reply_mode: ReplyMode::On,
            close_after_reply: false,
            close_now: false,
            gives_way: false,
            caching: false,
            subs: Subscriptions::default(),
            wait_until: None,
            wait_synced: None,
            put_off_ms: None,
            blocked_nanos: 0,
            script_of_db: None,
            script_us: None,
            short_of_memory: false,
            waker,
        }
    }

    /// The connection a handler runs for. Handlers of this crate are only in tables that
    /// connections run, so it is always there; scripts of a log that is replayed have one of their own.
    ///
    /// # Panics
    /// When a host of another kind runs a server command.
    pub fn of<'c>(ctx: &'c mut Ctx<'_>) -> &'c mut Conn {
        Conn::from_host(ctx.host)
    }

    /// As [`Conn::of`], borrowing only the host, so that other parts of the context stay free.
    ///
    /// # Panics
    /// When a host of another kind runs a server command.
    pub fn from_host(host: &mut dyn Host) -> &mut Conn {
        let host = host.as_any();
        if host.is::<Replay>() {
            return host
                .downcast_mut::<Replay>()
                .map(Replay::conn)
                .expect("it is one");
        }
        host.downcast_mut::<Conn>()
            .expect("server commands run on connections only")
    }

    /// The connection, if there is one: a log that is being replayed has none.
    pub fn try_of<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut Conn> {
        ctx.host.as_any().downcast_mut::<Conn>()
    }

    /// The subscriptions of a kind, and where their number is shown to others.
    pub fn subscriptions(&mut self, kind: Kind) -> (&mut HashSet<Vec<u8>>, &AtomicUsize) {
        let handle = &self.handle;
        match kind {
            Kind::Channel => (&mut self.subs.channels, &handle.channels),
            Kind::Pattern => (&mut self.subs.patterns, &handle.patterns),
            Kind::Shard => (&mut self.subs.shard, &handle.shard_channels),
        }
    }

    /// Whether the command that just ran makes its client wait.
    pub fn waits(&self) -> bool {
        self.wait_until.is_some() || self.wait_synced.is_some()
    }

    /// Stores what others see of the session.
    pub fn publish_session(&self, session: &Session) {
        let handle = &self.handle;
        handle.db.store(session.db, Relaxed);
        handle.resp.store(session.resp, Relaxed);
        let (queued, bytes) = match &session.txn {
            None => (-1, 0),
            Some(txn) => (
                i64::try_from(txn.queue.len()).unwrap_or(i64::MAX),
                txn.bytes,
            ),
        };
        handle.multi.store(queued, Relaxed);
        handle.multi_bytes.store(bytes, Relaxed);
        let watched = session.watched.len();
        if handle.watch.swap(watched, Relaxed) != watched {
            *handle.watch_flag.lock() = (watched > 0).then(|| session.watch.clone());
        }
    }

    /// Switches to protocol version 2 or 3.
    pub fn speak(&mut self, session: &mut Session, out: &mut Reply, version: u8) {
        session.resp = version;
        out.protocol = Reply::new(version).protocol;
        self.handle.resp.store(version, Relaxed);
    }

    /// Whether the client is in RESP2 subscribe mode or similar: has any subscription.
    pub fn is_subscriber(&self) -> bool {
        !self.subs.channels.is_empty()
            || !self.subs.patterns.is_empty()
            || !self.subs.shard.is_empty()
    }
}
