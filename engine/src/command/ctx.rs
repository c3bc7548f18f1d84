//! [`Ctx`]: everything a handler works with.

use super::registry::Command;
use super::spec::Args;
use crate::engine::{Engine, Host};
use crate::keyspace::blocked::{BlockRequest, OnTimeout};
use crate::keyspace::held::Held;
use crate::keyspace::{Keyspace, Kind};
use crate::reply::Reply;
use crate::session::{OwnedArgs, Session};

/// What a command does to the log.
#[derive(Debug, Default)]
pub(crate) enum Effect {
    /// If it changed something, it is logged as sent.
    #[default]
    Verbatim,
    /// These commands are logged in its place.
    Instead(Vec<OwnedArgs>),
}

/// The surroundings of one running command.
pub struct Ctx<'a> {
    /// The data.
    pub ks: Keyspace<'a>,
    /// The caller.
    pub session: &'a mut Session,
    /// Where the reply goes.
    pub out: &'a mut Reply,
    /// What runs the command, for handlers of the host's own commands.
    pub host: &'a mut dyn Host,
    /// The command being run.
    pub command: &'static Command,
    pub(crate) block: Option<BlockRequest>,
    pub(crate) effect: Effect,
    pub(crate) effects: Vec<(usize, OwnedArgs)>,
    /// The only effect so far is the command itself as sent, on this database.
    pub(crate) as_sent: Option<usize>,
    /// Commands under way: one, or two while EXEC runs what was queued.
    pub(crate) depth: usize,
    /// The command of a blocked client is being run again for it.
    pub(crate) retrying: bool,
}

impl<'a> Ctx<'a> {
    pub(crate) fn new(
        ks: Keyspace<'a>,
        session: &'a mut Session,
        out: &'a mut Reply,
        host: &'a mut dyn Host,
        command: &'static Command,
    ) -> Ctx<'a> {
        let mut ks = ks;
        if ks.engine.log.is_active() {
            ks.expired = Some(Vec::new());
        }
        Ctx {
            ks,
            session,
            out,
            host,
            command,
            block: None,
            effect: Effect::Verbatim,
            effects: Vec::new(),
            as_sent: None,
            depth: 0,
            retrying: false,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &'a Engine {
        self.ks.engine
    }

    /// Lets go of the locks of a command that holds all of them, does `work`, and takes them
    /// again: for work on the whole engine that takes the locks itself. Whoever waits for a
    /// lock may come in between.
    pub fn unlocked<T>(&mut self, work: impl FnOnce(&Engine) -> T) -> T {
        let engine = self.ks.engine;
        self.ks.forget_place();
        let held = std::mem::replace(&mut self.ks.held, Held::Nothing);
        let all = held.is_all();
        drop(held);
        let result = work(engine);
        if all {
            self.ks.held = Held::all(&engine.shards);
        }
        result
    }

    /// Full name of the running command, e.g. `config|get`, for error texts.
    pub fn name(&self) -> &'static str {
        self.command.name.as_str()
    }

    /// Logs `args` in place of the command as sent; more calls log more.
    pub fn propagate(&mut self, args: &[&[u8]]) {
        if self.ks.engine.log.is_active() {
            match &mut self.effect {
                Effect::Instead(list) => list.push(OwnedArgs::new(args)),
                effect => *effect = Effect::Instead(vec![OwnedArgs::new(args)]),
            }
        }
    }

    /// Logs `args` for this command even if it changed nothing here.
    pub fn propagate_anyway(&mut self, args: &[&[u8]]) {
        if self.ks.engine.log.is_active() {
            self.effects.push((self.ks.db, OwnedArgs::new(args)));
        }
        self.propagate_nothing();
    }

    /// Logs nothing for this command, whatever it changed.
    pub fn propagate_nothing(&mut self) {
        self.effect = Effect::Instead(Vec::new());
    }

    /// Whether the command may wait: not inside EXEC, and not without a connection.
    pub fn may_block(&self) -> bool {
        self.retrying || !self.session.deny_blocking && self.host.waker().is_some()
    }

    /// Whether a script runs the command. A client that waited is none of its: the command of
    /// such a client may be run again by a script that fills a key.
    pub fn in_script(&self) -> bool {
        self.session.deny_blocking && self.engine().scripts.running.is_running()
    }

    /// Waits until one of the keys holds a value of `kind`: the command is then run again.
    /// Where waiting is not allowed (inside EXEC, without a connection) the time is up at once.
    pub fn block_on(
        &mut self,
        keys: &[&[u8]],
        kind: Kind,
        deadline_ms: Option<i64>,
        on_timeout: OnTimeout,
    ) {
        self.wait(keys, kind, false, deadline_ms, on_timeout);
    }

    /// As [`Ctx::block_on`], for a command that cannot go on without its keys: it is also run
    /// again, to fail, when one of them is removed or comes to hold another type.
    pub fn block_on_existing(
        &mut self,
        keys: &[&[u8]],
        kind: Kind,
        deadline_ms: Option<i64>,
        on_timeout: OnTimeout,
    ) {
        self.wait(keys, kind, true, deadline_ms, on_timeout);
    }

    fn wait(
        &mut self,
        keys: &[&[u8]],
        kind: Kind,
        minds_loss: bool,
        deadline_ms: Option<i64>,
        on_timeout: OnTimeout,
    ) {
        if !self.may_block() {
            return timed_out(self.out, on_timeout);
        }
        let keys = keys.iter().map(|key| Box::from(*key)).collect();
        self.block = Some(BlockRequest {
            keys,
            kind,
            minds_loss,
            deadline_ms,
            on_timeout,
            words: None,
            again_ms: None,
        });
    }

    /// Has a wait just begun try again at this time even if none of its keys changes.
    pub fn try_again_at(&mut self, at_ms: Option<i64>) {
        if let Some(request) = &mut self.block {
            request.again_ms = at_ms;
        }
    }

    /// These words instead of the command's own are run when a wait just begun ends: what was
    /// said relative to this moment is spelled out in them.
    pub fn wait_with(&mut self, words: &[&[u8]]) {
        if let Some(request) = &mut self.block {
            request.words = Some(OwnedArgs::new(words));
        }
    }

    /// Makes what expired on the way effects, so that they keep their place among
    /// the others.
    pub(crate) fn collect_expired(&mut self) {
        if let Some(expired) = &mut self.ks.expired {
            self.effects.append(expired);
        }
    }

    /// Ends a command: works out what goes to the log.
    pub(crate) fn settle(&mut self, args: Args<'_>, dirty_before: u64) {
        let effect = std::mem::take(&mut self.effect);
        self.collect_expired();
        if self.ks.dirty == dirty_before || !self.ks.engine.log.is_active() {
            return;
        }
        match effect {
            // By far the most common: nothing is copied before it goes to the log.
            Effect::Verbatim if self.depth == 1 && self.effects.is_empty() => {
                self.as_sent = Some(self.ks.db);
            }
            Effect::Verbatim => self.effects.push((self.ks.db, OwnedArgs::new(args))),
            Effect::Instead(list) => self
                .effects
                .extend(list.into_iter().map(|args| (self.ks.db, args))),
        }
    }
}

/// Writes the reply of a blocking command whose time is up.
pub fn timed_out(out: &mut Reply, on_timeout: OnTimeout) {
    match on_timeout {
        OnTimeout::Null => out.null(),
        OnTimeout::NullArray => out.null_array(),
    }
}
