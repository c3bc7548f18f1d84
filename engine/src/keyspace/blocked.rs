//! Clients blocked on keys (`BLPOP` and kin), in the order in which they came.
//!
//! A blocked command is kept whole and run again when one of its keys may serve it, as Redis
//! does: the command itself decides whether it can go on. Waiters are registered and woken
//! while the shard locks of their keys are held, so no wake-up is lost.
//!
//! A wait ends once: either its command is run and answers, or it is cancelled. Each waiter
//! has a lock, its turn, held while its command runs and while it is cancelled; so a popped
//! element always has a reader, or had one that went away after its reply was there.
//!
//! Order of locks: shards, the turn of one waiter, this table.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::command::Command;
use crate::error::ReplyError;
use crate::keyspace::Kind;
use crate::session::OwnedArgs;

/// Wakes the task of a blocked client.
pub trait Wake: Send + Sync {
    /// The reply of the waiter is there.
    fn wake(&self);
    /// Whether the command may still be run for whom it waits: what its user may do can have
    /// changed meanwhile.
    ///
    /// # Errors
    /// The reply to give in place of the command's.
    fn permits(&self, _command: &'static Command, _args: &[&[u8]]) -> Result<(), ReplyError> {
        Ok(())
    }
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// The command ran; these are its reply bytes.
    Reply(Vec<u8>),
    /// The command was not run again, for this reason.
    Refused(ReplyError),
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
    /// It is also run again when a key went away or holds another type, to fail on it.
    pub minds_loss: bool,
    /// When to give up, Unix milliseconds.
    pub deadline_ms: Option<i64>,
    /// Reply of the command when the time is up.
    pub on_timeout: OnTimeout,
    /// Commit index of the newest effect of serving it, 0 if there was none. There before the
    /// outcome is.
    pub log_index: AtomicU64,
    /// When to run the command again though no key changed, Unix milliseconds; `i64::MAX` for
    /// never.
    again_ms: AtomicI64,
    /// It writes a key it does not wait on, so serving it may let others go on.
    moves: bool,
    /// Its place in the queues, larger for later ones; 0 when the wait is over.
    ticket: AtomicU64,
    turn: Mutex<()>,
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
    /// Run the command again also when a key went away or holds another type.
    pub minds_loss: bool,
    /// When to give up.
    pub deadline_ms: Option<i64>,
    /// Reply when the time is up.
    pub on_timeout: OnTimeout,
    /// The command to run in the end, where it is not the one that was sent.
    pub words: Option<OwnedArgs>,
    /// When to run it again though no key changed.
    pub again_ms: Option<i64>,
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
        let words = args.slices();
        let moves = command.keys(&words).is_none_or(|keys| {
            keys.iter()
                .filter_map(|(at, _)| words.get(*at))
                .any(|key| !request.keys.iter().any(|waited| **waited == **key))
        });
        drop(words);
        Waiter {
            id: session.id,
            db,
            resp: session.resp,
            no_touch: session.no_touch,
            command,
            args,
            keys: request.keys,
            kind: request.kind,
            minds_loss: request.minds_loss,
            deadline_ms: request.deadline_ms,
            on_timeout: request.on_timeout,
            log_index: AtomicU64::new(0),
            again_ms: AtomicI64::new(request.again_ms.unwrap_or(i64::MAX)),
            moves,
            ticket: AtomicU64::new(0),
            turn: Mutex::new(()),
            outcome: Mutex::new(None),
            waker,
        }
    }

    /// Whether it still waits: nobody served it and nobody ended its wait.
    pub fn is_waiting(&self) -> bool {
        self.ticket() != 0
    }

    /// When something is to be done about it, Unix milliseconds: it gives up, or its command is
    /// run again ([`Engine::retry`](crate::Engine::retry)).
    pub fn timer_ms(&self) -> Option<i64> {
        let at = self.again_ms.load(Ordering::Relaxed);
        let at = at.min(self.deadline_ms.unwrap_or(i64::MAX));
        (at != i64::MAX).then_some(at)
    }

    /// Takes the outcome if the wait is over.
    pub fn take_outcome(&self) -> Option<Served> {
        self.outcome.lock().take()
    }

    /// Begins to serve it; nothing when the wait is over. It cannot be cancelled meanwhile.
    pub(crate) fn take_turn(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turn.lock();
        (self.ticket() != 0).then_some(turn)
    }

    /// Whether a key that holds a value of this type, or none, is reason to run it again.
    fn wants(&self, kind: Option<Kind>) -> bool {
        self.minds_loss || kind == Some(self.kind)
    }

    /// Whether serving it may touch more than the key it is served on.
    fn is_wide(&self) -> bool {
        self.moves || self.keys.len() > 1
    }

    fn ticket(&self) -> u64 {
        self.ticket.load(Ordering::Relaxed)
    }

    /// Whether its command may still be run.
    pub(crate) fn permitted(&self, args: &[&[u8]]) -> Result<(), ReplyError> {
        self.waker.permits(self.command, args)
    }

    fn finish(&self, served: Served) {
        *self.outcome.lock() = Some(served);
        self.waker.wake();
    }
}

/// The waiters on one key.
#[derive(Default)]
struct Queue {
    /// By rising ticket.
    waiters: VecDeque<Arc<Waiter>>,
    /// How many of them touch more than this key.
    wide: usize,
}

impl Queue {
    fn push(&mut self, waiter: &Arc<Waiter>) {
        // A key may be named twice.
        if !self
            .waiters
            .back()
            .is_some_and(|last| Arc::ptr_eq(last, waiter))
        {
            self.wide += usize::from(waiter.is_wide());
            self.waiters.push_back(waiter.clone());
        }
    }

    /// Position of the first waiter with a larger ticket.
    fn after(&self, ticket: u64) -> usize {
        self.waiters
            .partition_point(|waiter| waiter.ticket() <= ticket)
    }

    fn remove(&mut self, ticket: u64) {
        let at = self.after(ticket).wrapping_sub(1);
        if self
            .waiters
            .get(at)
            .is_some_and(|waiter| waiter.ticket() == ticket)
            && let Some(waiter) = self.waiters.remove(at)
        {
            self.wide -= usize::from(waiter.is_wide());
        }
    }
}

#[derive(Default)]
struct Queues {
    /// By database, then by key; no queue is empty.
    by_db: HashMap<usize, HashMap<Box<[u8]>, Queue>>,
    last_ticket: u64,
}

impl Queues {
    fn get(&self, db: usize, key: &[u8]) -> Option<&Queue> {
        self.by_db.get(&db)?.get(key)
    }

    fn key_count(&self) -> usize {
        self.by_db.values().map(HashMap::len).sum()
    }

    fn minds_loss(&self, db: usize, key: &[u8]) -> bool {
        self.get(db, key)
            .is_some_and(|queue| queue.waiters.iter().any(|waiter| waiter.minds_loss))
    }

    fn add(&mut self, waiter: &Arc<Waiter>) {
        self.last_ticket += 1;
        waiter.ticket.store(self.last_ticket, Ordering::Relaxed);
        let queues = self.by_db.entry(waiter.db).or_default();
        for key in &waiter.keys {
            queues.entry(key.clone()).or_default().push(waiter);
        }
    }

    fn remove(&mut self, waiter: &Waiter) -> bool {
        let ticket = waiter.ticket();
        let Some(queues) = self.by_db.get_mut(&waiter.db).filter(|_| ticket != 0) else {
            return false;
        };
        for key in &waiter.keys {
            if let Some(queue) = queues.get_mut(key) {
                queue.remove(ticket);
                if queue.waiters.is_empty() {
                    queues.remove(key);
                }
            }
        }
        waiter.ticket.store(0, Ordering::Relaxed);
        true
    }
}

/// All blocked clients.
#[derive(Default)]
pub struct Blocked {
    queues: Mutex<Queues>,
    keys: AtomicUsize,
    clients: AtomicUsize,
    timed: AtomicUsize,
    /// Clients that mind the loss of a key.
    minding: AtomicUsize,
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

    /// Number of keys with somebody waiting who is told when they go away. O(waiters).
    pub fn minded_key_count(&self) -> usize {
        if self.minding.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let queues = self.queues.lock();
        let all = queues.by_db.values().flat_map(HashMap::values);
        all.filter(|queue| queue.waiters.iter().any(|waiter| waiter.minds_loss))
            .count()
    }

    /// Whether somebody who waits on the key must be told when it goes away. Costs one load
    /// while there is no such client at all.
    #[inline]
    pub(crate) fn minds_loss(&self, db: usize, key: &[u8]) -> bool {
        self.minding.load(Ordering::Acquire) != 0 && self.queues.lock().minds_loss(db, key)
    }

    /// Number of blocked clients.
    pub fn client_count(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Number of blocked clients that will give up at some time.
    pub fn timed_count(&self) -> usize {
        self.timed.load(Ordering::Relaxed)
    }

    /// Registers a waiter on all its keys. The caller holds the locks of their shards.
    pub fn add(&self, waiter: &Arc<Waiter>) {
        let mut queues = self.queues.lock();
        queues.add(waiter);
        self.keys.store(queues.key_count(), Ordering::Release);
        self.clients.fetch_add(1, Ordering::Relaxed);
        let timed = usize::from(waiter.deadline_ms.is_some());
        self.timed.fetch_add(timed, Ordering::Relaxed);
        let minding = usize::from(waiter.minds_loss);
        self.minding.fetch_add(minding, Ordering::Release);
    }

    /// Ends a wait from outside (time-out, CLIENT UNBLOCK, disconnect). False when it was
    /// served already, so that its outcome must be taken instead. Waits for a command that
    /// is running for it at this moment.
    pub fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        let _turn = waiter.turn.lock();
        self.end(waiter)
    }

    fn end(&self, waiter: &Waiter) -> bool {
        let mut queues = self.queues.lock();
        let found = queues.remove(waiter);
        if found {
            self.keys.store(queues.key_count(), Ordering::Release);
            self.clients.fetch_sub(1, Ordering::Relaxed);
            let timed = usize::from(waiter.deadline_ms.is_some());
            self.timed.fetch_sub(timed, Ordering::Relaxed);
            let minding = usize::from(waiter.minds_loss);
            self.minding.fetch_sub(minding, Ordering::Release);
        }
        found
    }

    /// Ends a wait with the reply its command produced. The caller has its turn.
    pub(crate) fn serve(&self, waiter: &Arc<Waiter>, reply: Vec<u8>) {
        if self.end(waiter) {
            waiter.finish(Served::Reply(reply));
        }
    }

    /// Ends a wait whose command may not be run any more. The caller has its turn.
    pub(crate) fn refuse(&self, waiter: &Arc<Waiter>, error: ReplyError) {
        if self.end(waiter) {
            waiter.finish(Served::Refused(error));
        }
    }

    /// Lets a waiter whose command could not go on wait again, as the last of all, as Redis
    /// does. The caller has its turn and the locks of the shards of its keys.
    pub(crate) fn requeue(&self, waiter: &Arc<Waiter>, again_ms: Option<i64>) {
        let mut queues = self.queues.lock();
        if queues.remove(waiter) {
            queues.add(waiter);
        }
        drop(queues);
        let again_ms = again_ms.unwrap_or(i64::MAX);
        if waiter.again_ms.swap(again_ms, Ordering::Relaxed) > again_ms {
            // Its timer is set too late.
            waiter.waker.wake();
        }
    }

    /// Ticket of the waiter that came last.
    pub(crate) fn last_ticket(&self) -> u64 {
        self.queues.lock().last_ticket
    }

    /// The first waiter on a key that holds a value of `kind`, or none, to whom that matters
    /// and whose ticket is in `range` (from exclusive, to inclusive), with its ticket.
    pub(crate) fn next(
        &self,
        db: usize,
        key: &[u8],
        kind: Option<Kind>,
        (from, to): (u64, u64),
    ) -> Option<(u64, Arc<Waiter>)> {
        let queues = self.queues.lock();
        let queue = queues.get(db, key)?;
        queue
            .waiters
            .range(queue.after(from)..)
            .take_while(|waiter| waiter.ticket() <= to)
            .find(|waiter| waiter.wants(kind))
            .map(|waiter| (waiter.ticket(), waiter.clone()))
    }

    /// Whether serving the waiters on this key, in any database, may touch keys that `covers`
    /// does not accept. A waiter that writes a key others may wait on counts as such: where
    /// the chain ends is not followed.
    pub(crate) fn needs_more(&self, key: &[u8], covers: &dyn Fn(&[u8]) -> bool) -> bool {
        let queues = self.queues.lock();
        queues
            .by_db
            .values()
            .filter_map(|queues| queues.get(key))
            .filter(|queue| queue.wide > 0)
            .flat_map(|queue| &queue.waiters)
            .any(|waiter| waiter.moves || !waiter.keys.iter().all(|key| covers(key)))
    }

    /// The command of somebody who waits on a key.
    pub(crate) fn command_waiting_on(&self, db: usize, key: &[u8]) -> Option<&'static Command> {
        let queues = self.queues.lock();
        let first = queues.get(db, key)?.waiters.front()?;
        Some(first.command)
    }

    /// Keys of a database that somebody waits for.
    pub(crate) fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        let queues = self.queues.lock();
        queues
            .by_db
            .get(&db)
            .map(|queues| queues.keys().cloned().collect())
            .unwrap_or_default()
    }
}
