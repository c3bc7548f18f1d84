//! Clients blocked on keys (`BLPOP` and kin), in the order in which they came.
//!
//! A blocked command is kept whole and run again when one of its keys may serve it, as Redis
//! does: the command itself decides whether it can go on. Waiters are registered and woken
//! while the shard locks of their keys are held, so no wake-up is lost; this table's own lock
//! is always taken after shard locks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::command::Command;
use crate::keyspace::Kind;
use crate::session::OwnedArgs;

/// Wakes the task of a blocked client.
pub trait Wake: Send + Sync {
    /// The reply of the waiter is there.
    fn wake(&self);
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// The command ran; these are its reply bytes.
    Reply(Vec<u8>),
    /// It must be answered as if the time was up.
    TimedOut,
}

/// One blocked command.
pub struct Waiter {
    /// Session id.
    pub id: u64,
    /// Database.
    pub db: usize,
    /// Protocol of the reply.
    pub resp: u8,
    /// CLIENT NO-TOUCH of the session.
    pub no_touch: bool,
    /// The command.
    pub command: &'static Command,
    /// Its words.
    pub args: OwnedArgs,
    /// Keys it waits on.
    pub keys: Vec<Box<[u8]>>,
    /// Type of value that can serve it.
    pub kind: Kind,
    /// When to give up, Unix milliseconds.
    pub deadline_ms: Option<i64>,
    /// Reply of the command when the time is up.
    pub on_timeout: OnTimeout,
    outcome: Mutex<Option<Served>>,
    waker: Arc<dyn Wake>,
}

/// What a blocked command answers when its time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnTimeout {
    /// A null bulk string (RESP2).
    Null,
    /// A null array (RESP2).
    NullArray,
}

/// What a handler asks for when it cannot go on.
pub struct BlockRequest {
    /// Keys to wait on.
    pub keys: Vec<Box<[u8]>>,
    /// Type of value that can serve it.
    pub kind: Kind,
    /// When to give up.
    pub deadline_ms: Option<i64>,
    /// Reply when the time is up.
    pub on_timeout: OnTimeout,
}

impl Waiter {
    pub(crate) fn new(
        session: &crate::Session,
        db: usize,
        command: &'static Command,
        args: OwnedArgs,
        request: BlockRequest,
        waker: Arc<dyn Wake>,
    ) -> Waiter {
        Waiter {
            id: session.id,
            db,
            resp: session.resp,
            no_touch: session.no_touch,
            command,
            args,
            keys: request.keys,
            kind: request.kind,
            deadline_ms: request.deadline_ms,
            on_timeout: request.on_timeout,
            outcome: Mutex::new(None),
            waker,
        }
    }

    /// Takes the outcome if the wait is over.
    pub fn take_outcome(&self) -> Option<Served> {
        self.outcome.lock().take()
    }

    fn finish(&self, served: Served) {
        *self.outcome.lock() = Some(served);
        self.waker.wake();
    }
}

type Queues = HashMap<(usize, Box<[u8]>), VecDeque<Arc<Waiter>>>;

/// All blocked clients.
#[derive(Default)]
pub struct Blocked {
    queues: Mutex<Queues>,
    keys: AtomicUsize,
    clients: AtomicUsize,
}

impl Blocked {
    /// Whether any client is blocked on a key.
    #[inline]
    pub fn any(&self) -> bool {
        self.keys.load(Ordering::Acquire) != 0
    }

    /// Number of keys somebody waits for.
    pub fn key_count(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Number of blocked clients.
    pub fn client_count(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Number of blocked clients that will give up at some time. O(waiters).
    pub fn timed_count(&self) -> usize {
        let queues = self.queues.lock();
        let waiters = queues.values().flatten();
        let timed = waiters.filter(|waiter| waiter.deadline_ms.is_some());
        timed.map(|waiter| waiter.id).collect::<HashSet<_>>().len()
    }

    /// Registers a waiter on all its keys. The caller holds the locks of their shards.
    pub fn add(&self, waiter: &Arc<Waiter>) {
        let mut queues = self.queues.lock();
        for key in &waiter.keys {
            let queue = queues.entry((waiter.db, key.clone())).or_default();
            if !queue.iter().any(|other| Arc::ptr_eq(other, waiter)) {
                queue.push_back(waiter.clone());
            }
        }
        self.keys.store(queues.len(), Ordering::Release);
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    fn remove_locked(&self, queues: &mut Queues, waiter: &Arc<Waiter>) -> bool {
        let mut found = false;
        for key in &waiter.keys {
            let at = (waiter.db, key.clone());
            if let Some(queue) = queues.get_mut(&at) {
                let before = queue.len();
                queue.retain(|other| !Arc::ptr_eq(other, waiter));
                found |= queue.len() != before;
                if queue.is_empty() {
                    queues.remove(&at);
                }
            }
        }
        if found {
            self.keys.store(queues.len(), Ordering::Release);
            self.clients.fetch_sub(1, Ordering::Relaxed);
        }
        found
    }

    /// Ends a wait from outside (time-out, CLIENT UNBLOCK, disconnect). False when it was
    /// served already, so that its outcome must be taken instead.
    pub fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        let mut queues = self.queues.lock();
        self.remove_locked(&mut queues, waiter)
    }

    /// Ends a wait with the reply its command produced.
    pub(crate) fn serve(&self, waiter: &Arc<Waiter>, reply: Vec<u8>) {
        if self.cancel(waiter) {
            waiter.finish(Served::Reply(reply));
        }
    }

    /// Waiters on a key, first come first.
    pub(crate) fn waiting(&self, db: usize, key: &[u8]) -> Vec<Arc<Waiter>> {
        let queues = self.queues.lock();
        queues
            .get(&(db, key) as &dyn super::watch::WatchKey)
            .map(|queue| queue.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether a waiter on this key names keys that `covers` does not accept.
    pub(crate) fn needs_more(&self, db: usize, key: &[u8], covers: &dyn Fn(&[u8]) -> bool) -> bool {
        let queues = self.queues.lock();
        queues
            .get(&(db, key) as &dyn super::watch::WatchKey)
            .is_some_and(|queue| {
                queue.iter().any(|waiter| {
                    let args = waiter.args.slices();
                    match waiter.command.keys(&args) {
                        Some(keys) => keys
                            .iter()
                            .any(|(at, _)| args.get(*at).is_none_or(|key| !covers(key))),
                        None => true,
                    }
                })
            })
    }

    /// Keys of a database that somebody waits for.
    pub(crate) fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        self.queues
            .lock()
            .keys()
            .filter(|(at, _)| *at == db)
            .map(|(_, key)| key.clone())
            .collect()
    }
}
