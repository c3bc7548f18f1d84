//! How a command runs: which shards it locks, the handler, then what follows from it while
//! the locks are still held: the log, and clients blocked on keys it filled.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::ctx::Ctx;
use super::registry::Command;
use super::spec::{Args, CmdResult, Flags, Locking};
use crate::engine::{Engine, Host, NoHost};
use crate::error::ReplyError;
use crate::keyspace::blocked::Waiter;
use crate::keyspace::held::Held;
use crate::keyspace::{Keyspace, Look, Place, ReadyKeys};
use crate::reply::Reply;
use crate::session::{Expected, OwnedArgs, Queued, Session};

/// How a command ended.
pub enum Flow {
    /// The reply is written.
    Done,
    /// An error reply is written.
    Failed(ReplyError),
    /// The caller waits; the reply comes through the waiter.
    Blocked(Arc<Waiter>),
}

/// Marks an open transaction as failed: EXEC will refuse it.
pub fn fail_transaction(session: &mut Session) {
    if let Some(txn) = &mut session.txn {
        txn.failed = true;
    }
}

/// Commands that run at once inside MULTI.
const UNQUEUED: &[&str] = &["exec", "discard", "multi", "watch", "quit", "reset"];

/// Whether the open transaction holds a command that writes.
fn writes_queued(session: &Session) -> bool {
    session.txn.as_ref().is_some_and(|txn| {
        txn.queue
            .iter()
            .any(|queued| queued.command.flags.any(Flags::WRITE))
    })
}

impl Engine {
    /// The command of a request with its arity checked.
    ///
    /// # Errors
    /// Unknown command, unknown subcommand, wrong number of arguments.
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Command, ReplyError> {
        let command = self.registry.resolve(args)?;
        if !command.arity_fits(args.len()) {
            return Err(ReplyError::wrong_arity(&command.name));
        }
        Ok(command)
    }

    /// Runs one request for a caller without a connection; the reply is appended to `out`.
    /// Handles MULTI. Unix time is the caller's, in milliseconds.
    pub fn execute(&self, session: &mut Session, args: Args<'_>, out: &mut Reply, now_ms: i64) {
        match self.resolve(args) {
            Err(error) => {
                fail_transaction(session);
                out.error(&error);
            }
            Ok(command) => {
                if !self.queue(session, command, args, out) {
                    self.call(command, session, &mut NoHost, args, out, now_ms);
                }
            }
        }
    }

    /// Queues a command if a transaction is open and the command is one that waits for EXEC.
    pub fn queue(
        &self,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        out: &mut Reply,
    ) -> bool {
        let Some(txn) = &mut session.txn else {
            return false;
        };
        if UNQUEUED.contains(&command.spec.name) && command.parent.is_none() {
            return false;
        }
        let args = OwnedArgs::new(args);
        txn.bytes += args.heap_bytes() + size_of::<Queued>();
        txn.queue.push(Queued { command, args });
        out.simple("QUEUED");
        true
    }

    /// Runs a resolved command under its locks and appends the reply to `out`.
    pub fn call(
        &self,
        command: &'static Command,
        session: &mut Session,
        host: &mut dyn Host,
        args: Args<'_>,
        out: &mut Reply,
        now_ms: i64,
    ) -> Flow {
        let mut ks = Keyspace::new(self, Held::Nothing, session.db, now_ms);
        ks.no_touch = session.no_touch;
        if session.replaying {
            ks.due_ms = i64::MIN;
        }
        let expected = session.expected.take();
        if self
            .lock(&mut ks, command, (session, expected), args)
            .is_none()
        {
            let error = self.scripts.running.refusal();
            out.error(&error);
            return Flow::Failed(error);
        }
        let mut ctx = Ctx::new(ks, session, out, host, command);
        let result = ctx.run(command, args);
        let block = ctx.block.take();
        let mut flow = Flow::Done;
        if let Some(mut request) = block
            && let Some(waker) = ctx.host.waker()
        {
            let words = request.words.take();
            let waiter = Arc::new(Waiter::new(
                ctx.session,
                ctx.ks.db,
                command,
                words.unwrap_or_else(|| OwnedArgs::new(args)),
                request,
                waker,
            ));
            self.blocked.add(&waiter);
            flow = Flow::Blocked(waiter);
        }
        if let Err(error) = result {
            flow = Flow::Failed(error);
        }
        ctx.append_effects(args);
        ctx.ks.forget_place();
        if !ctx.ks.ready.is_empty() {
            if !ctx.covers_ready() {
                // A read that found its key expired holds that one only.
                ctx.ks.settle_dirty();
                ctx.ks.held = Held::Nothing;
                ctx.ks.held = Held::all(&self.shards);
            }
            ctx.serve_ready();
            ctx.append_effects(args);
        }
        ctx.ks.settle_dirty();
        flow
    }

    /// Runs the commands of clients blocked on keys that changed outside of any command.
    pub(crate) fn serve_ready(&self, ready: ReadyKeys, now_ms: i64) {
        let _ = self.serve_held(ready, now_ms, true);
    }

    /// Runs the command of a waiter again, whose time for it has come ([`Waiter::timer_ms`]),
    /// and those of others who wait on its keys. False if nothing can be run because of a slow
    /// script.
    pub fn retry(&self, waiter: &Waiter, now_ms: i64) -> bool {
        let keys = waiter.keys.iter().map(|key| (waiter.db, key.clone()));
        self.serve_held(keys.collect(), now_ms, false).is_some()
    }

    /// `None` if the locks could not be had: who is patient waits for a slow script.
    fn serve_held(&self, ready: ReadyKeys, now_ms: i64, patient: bool) -> Option<()> {
        let (mut session, mut out, mut host) = (Session::new(0), Reply::new(2), NoHost);
        let held = if patient {
            Held::all(&self.shards)
        } else {
            Held::every(&self.shards, &self.scripts.running)?
        };
        let waited = |(db, key): &(usize, Box<[u8]>)| self.blocked.command_waiting_on(*db, key);
        let Some(command) = ready.iter().find_map(waited) else {
            return Some(());
        };
        let mut ks = Keyspace::new(self, held, 0, now_ms);
        ks.ready = ready;
        let mut ctx = Ctx::new(ks, &mut session, &mut out, &mut host, command);
        ctx.serve_ready();
        ctx.append_effects(&[]);
        ctx.ks.settle_dirty();
        Some(())
    }

    /// Takes the locks of a command, in ascending shard order, but those of a script. `None` when a script holds them
    /// that has become slow.
    fn lock<'e>(
        &'e self,
        ks: &mut Keyspace<'e>,
        command: &'static Command,
        (session, expected): (&Session, Option<Expected>),
        args: Args<'_>,
    ) -> Option<()> {
        let (shards, running) = (&self.shards, &*self.scripts.running);
        if command.single_key
            && let Some(key) = args.get(1)
        {
            let place = expected
                .and_then(|expected| expected.place_of(key))
                .unwrap_or_else(|| Place::of(key));
            ks.held = Held::one(shards, place.shard(), running)?;
            ks.remember_place(key, place);
        } else {
            ks.held = match command.spec.locking {
                Locking::None => Held::Nothing,
                Locking::All => Held::every(shards, running)?,
                Locking::Touched => Held::touched(shards, running)?,
                Locking::Keys if !command.has_keys() => Held::Nothing,
                Locking::Keys => match command.keys(args) {
                    Some(keys) => Held::these(
                        shards,
                        &mut keys
                            .iter()
                            .filter_map(|(at, _)| args.get(*at))
                            .map(|key| Place::of(key).shard())
                            .collect(),
                        running,
                    )?,
                    None => Held::every(shards, running)?,
                },
                Locking::Queued => self.lock_transaction(session)?,
            };
        }
        // Only now can nobody begin to wait on the keys any more.
        if self.blocked.any()
            && !ks.held.is_all()
            && match command.spec.locking {
                Locking::Queued => writes_queued(session),
                _ => command.flags.any(Flags::WRITE) && self.wakes_beyond(ks, command, args),
            }
        {
            ks.held = Held::Nothing;
            ks.held = Held::every(shards, running)?;
        }
        Some(())
    }

    /// Whether the command may wake a waiter that needs shards not held.
    fn wakes_beyond(&self, ks: &Keyspace<'_>, command: &'static Command, args: Args<'_>) -> bool {
        let covers = |key: &[u8]| ks.held.has(Place::of(key).shard());
        match command.keys(args) {
            Some(keys) => keys
                .iter()
                .filter_map(|(at, _)| args.get(*at))
                .any(|key| self.blocked.needs_more(key, &covers)),
            None => true,
        }
    }

    fn lock_transaction(&self, session: &Session) -> Option<Held<'_>> {
        let running = &*self.scripts.running;
        let queue = session.txn.as_ref().map_or(&[][..], |txn| &txn.queue);
        // Who closes clients waits for those who serve them, and scripts among these come to shards as they go.
        let closes = || queue.iter().any(|one| one.command.flags.has(Flags::ADMIN));
        if self.blocked.any() && (writes_queued(session) || closes()) {
            return Held::every(&self.shards, running);
        }
        let mut indexes: Vec<usize> = session
            .watched
            .iter()
            .map(|watched| Place::of(&watched.key).shard())
            .collect();
        for queued in queue {
            match queued.command.spec.locking {
                Locking::None => {}
                Locking::All | Locking::Touched | Locking::Queued => {
                    return Held::every(&self.shards, running);
                }
                Locking::Keys if !queued.command.has_keys() => {}
                Locking::Keys => {
                    let args = queued.args.slices();
                    match queued.command.keys(&args) {
                        Some(keys) => indexes.extend(
                            keys.iter()
                                .filter_map(|(at, _)| args.get(*at))
                                .map(|key| Place::of(key).shard()),
                        ),
                        None => return Held::every(&self.shards, running),
                    }
                }
            }
        }
        Held::these(&self.shards, &mut indexes, running)
    }
}

impl Ctx<'_> {
    /// Runs a handler and works out what goes to the log; an error is written as the reply.
    pub(crate) fn run(&mut self, command: &'static Command, args: Args<'_>) -> CmdResult {
        let dirty_before = self.ks.dirty;
        self.depth += 1;
        let outer = std::mem::replace(&mut self.command, command);
        let result = (command.spec.handler)(self, args);
        if let Err(error) = &result {
            self.out.error(error);
        }
        if command.flags.has(Flags::READONLY)
            && !self.retrying
            && self.ks.engine.settings.tracking.load(Relaxed)
        {
            self.host.after_read(command, args);
        }
        self.settle(args, dirty_before);
        self.depth -= 1;
        self.command = outer;
        result
    }

    /// Sends the effects of what ran, a command with these words, to the log; as one transaction
    /// if there are several.
    fn append_effects(&mut self, args: Args<'_>) {
        let log = &self.ks.engine.log;
        if let Some(db) = self.as_sent.take() {
            if self.ks.expired.as_ref().is_none_or(Vec::is_empty) {
                if !self.session.replaying {
                    let newest = log.append_one(db, args);
                    self.session.log_index = self.session.log_index.max(newest);
                }
                return;
            }
            self.effects.push((db, OwnedArgs::new(args)));
        }
        self.collect_expired();
        // What SCAN and its kin happen to expire does not belong together, as in Redis.
        let scattered = self.command.flags.has(Flags::TOUCHES_ARBITRARY_KEYS);
        let wrapped = self.effects.len() > 1 && !scattered;
        // What a log made once is not logged again.
        if !self.session.replaying {
            let newest = log.append_group(&self.effects, wrapped);
            self.session.log_index = self.session.log_index.max(newest);
        }
        self.effects.clear();
    }

    /// Whether all shards are held that serving those who wait on the ready keys may touch.
    fn covers_ready(&self) -> bool {
        let (blocked, held) = (&self.ks.engine.blocked, &self.ks.held);
        let covers = |key: &[u8]| held.has(Place::of(key).shard());
        let mut ready = self.ks.ready.iter();
        held.is_all() || !ready.any(|(_, key)| blocked.needs_more(key, &covers))
    }

    /// Runs the commands of clients blocked on keys that became ready, first come first served,
    /// until nothing more becomes ready.
    fn serve_ready(&mut self) {
        let (db, no_touch) = (self.ks.db, self.ks.no_touch);
        self.retrying = true;
        while !self.ks.ready.is_empty() {
            let batch = std::mem::take(&mut self.ks.ready);
            let mut seen = HashSet::new();
            for (db, key) in &batch {
                if batch.len() == 1 || seen.insert((*db, key)) {
                    self.serve_key(*db, key);
                }
            }
        }
        self.retrying = false;
        self.ks.db = db;
        self.ks.no_touch = no_touch;
    }

    /// Serves those who waited on a key when its turn came, as long as what it holds matters to
    /// them.
    fn serve_key(&mut self, db: usize, key: &[u8]) {
        let blocked = &self.ks.engine.blocked;
        let (mut served, last) = (0, blocked.last_ticket());
        self.ks.db = db;
        loop {
            let kind = self.ks.look(key, Look::SILENT).map(|f| f.header.kind);
            let Some((ticket, waiter)) = blocked.next(db, key, kind, (served, last)) else {
                break;
            };
            served = ticket;
            if let Some(_turn) = waiter.take_turn() {
                self.serve_one(&waiter);
            }
            self.ks.db = db;
        }
    }

    /// Runs the command of a waiter in this context, as the waiter's session.
    fn serve_one(&mut self, waiter: &Arc<Waiter>) {
        let args = waiter.args.slices();
        if let Err(refused) = waiter.permitted(&args) {
            return self.ks.engine.blocked.refuse(waiter, refused);
        }
        let mut theirs = Session::new(waiter.id);
        theirs.db = waiter.db;
        theirs.resp = waiter.resp;
        let ours = std::mem::replace(self.session, theirs);
        let our_out = std::mem::replace(self.out, Reply::new(waiter.resp));
        self.ks.no_touch = waiter.no_touch;
        let events = &self.ks.engine.events;
        events.serving(waiter.id);
        // A defect in their command must not leave us with their session.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let _written = self.run(waiter.command, &args);
            self.append_effects(&args);
        }));
        if ran.is_err() {
            tracing::error!("Internal error in command '{}'", waiter.command.name);
            self.block = None;
            self.out.buf.clear();
            self.out.error(&ReplyError::err("internal error"));
        }
        let theirs = std::mem::replace(self.session, ours);
        waiter.log_index.store(theirs.log_index, Relaxed);
        let reply = std::mem::replace(self.out, our_out);
        let blocked = &self.ks.engine.blocked;
        // What it caused for its own client is there before the client goes on.
        events.served(waiter.id, self.block.is_none());
        match self.block.take() {
            None => blocked.serve(waiter, reply.buf),
            Some(request) => blocked.requeue(waiter, request.again_ms),
        }
    }
}
