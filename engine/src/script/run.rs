//! One run of a script or function: its commands go through the engine's dispatch as those of a
//! transaction do, under the locks that the run holds.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use super::exchange::{Answer, Request, Talk};
use super::raw::{Plain, Serve};
use super::reply::as_integer;
use super::running::Running;
use super::shebang::ScriptFlags;
use crate::command::spec::{Acl, Flags, Locking};
use crate::command::{Command, Ctx};
use crate::error::ReplyError;
use crate::reply::Reply;

/// Effects of the script's commands go to the log.
const REPL_AOF: i64 = 1;
/// Effects go everywhere.
pub(super) const REPL_ALL: i64 = 3;

/// What a run is allowed and has chosen.
pub(super) struct Run<'c, 'e> {
    ctx: &'c mut Ctx<'e>,
    running: &'c Running,
    read_only: bool,
    allow_oom: bool,
    /// Protocol of the replies of its commands.
    resp: u8,
    /// Where its effects go.
    repl: i64,
    /// What a command panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

impl Serve for Run<'_, '_> {
    fn tick(&mut self) {
        self.ctx.host.script_is_slow();
    }

    fn answer(&mut self, talk: &mut Talk) {
        // Lua stands between this and whoever handles a panic.
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer_talk(talk)));
        if let Err(panic) = answered {
            self.panic = Some(panic);
            self.running.abandon();
            talk.answer = Answer::Refused(b"ERR internal error".to_vec(), true);
        }
    }

    fn finish(&mut self, result: Plain<'_>) {
        let out = &mut *self.ctx.out;
        match result {
            Plain::Text(text) => out.bulk(text),
            Plain::Boolean(truth) if self.resp >= 3 => out.boolean(truth),
            Plain::Boolean(true) => out.int(1),
            Plain::Number(n) => out.int(as_integer(n)),
            Plain::Boolean(false) | Plain::Nil => out.null(),
        }
    }
}

impl<'c, 'e> Run<'c, 'e> {
    pub fn new(
        ctx: &'c mut Ctx<'e>,
        running: &'c Running,
        flags: ScriptFlags,
        read_only: bool,
    ) -> Run<'c, 'e> {
        let known = !flags.has(ScriptFlags::COMPAT);
        Run {
            ctx,
            running,
            read_only: read_only || known && flags.has(ScriptFlags::NO_WRITES),
            allow_oom: known && flags.has(ScriptFlags::ALLOW_OOM),
            resp: 2,
            repl: REPL_ALL,
            panic: None,
        }
    }

    /// Does what a function of the script asks for.
    fn answer_talk(&mut self, talk: &mut Talk) {
        talk.answer = match talk.request {
            Request::Call => {
                let spare = talk.spare();
                match self.execute(&talk.words.slices(), spare) {
                    Ok(reply) => Answer::Reply(reply),
                    Err(error) => Answer::Refused(error.wire_bytes().into_owned(), true),
                }
            }
            Request::SetResp(version) => {
                self.resp = version;
                Answer::Done
            }
            Request::SetRepl(flags) => {
                self.repl = flags;
                Answer::Done
            }
            Request::AclCheck => self.acl_check(&talk.words.slices()),
        };
    }

    /// It is over; the protocol that its script chose.
    ///
    /// # Panics
    /// When a command did.
    pub fn end(self) -> u8 {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        self.resp
    }

    /// Runs one command; its reply, or why it was not run. The reply goes into `buf`, which is
    /// empty.
    fn execute(&mut self, args: &[&[u8]], buf: Vec<u8>) -> Result<Vec<u8>, ReplyError> {
        let command = self.ctx.engine().registry.resolve(args).ok();
        let checked = match command {
            None => Err(ReplyError::err("Unknown Redis command called from script")),
            Some(command) if !command.arity_fits(args.len()) => Err(ReplyError::err(
                "Wrong number of args calling Redis command from script",
            )),
            Some(command) => self.check(command, args).map(|()| command),
        };
        let command = match checked {
            Ok(command) => command,
            Err(error) => {
                self.ctx.host.script_refused(command, &error);
                return Err(error);
            }
        };
        if command.flags.has(Flags::WRITE) {
            self.running.write();
        }
        let ctx = &mut *self.ctx;
        if command.spec.locking == Locking::All
            || !command.has_keys() && command.spec.acl.has(Acl::KEYSPACE)
        {
            ctx.ks.held.complete();
        }
        let effects = ctx.effects.len();
        let mut reply = Reply::new(self.resp);
        reply.buf = buf;
        let outer = std::mem::replace(ctx.out, reply);
        let resp = std::mem::replace(&mut ctx.session.resp, self.resp);
        match ctx.host.before_queued(command, args) {
            Err(refused) => ctx.out.error(&refused),
            Ok(()) => {
                let result = ctx.run(command, args);
                ctx.host.after_queued(command, args, result.as_ref().err());
            }
        }
        ctx.session.resp = resp;
        let reply = std::mem::replace(ctx.out, outer);
        if self.repl & REPL_AOF == 0 {
            ctx.collect_expired();
            ctx.effects.truncate(effects);
        }
        Ok(reply.buf)
    }

    fn check(&mut self, command: &'static Command, args: &[&[u8]]) -> Result<(), ReplyError> {
        let flags = command.flags;
        let any = &self.ctx.engine().scripts.any_command;
        if flags.has(Flags::NOSCRIPT) && !any.load(Ordering::Relaxed) {
            return Err(ReplyError::err(
                "This Redis command is not allowed from script",
            ));
        }
        self.ctx.host.script_permits(command, args)?;
        if self.read_only && flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE)) {
            return Err(ReplyError::err(
                "Write commands are not allowed from read-only scripts.",
            ));
        }
        if !self.running.wrote() {
            self.ctx.host.script_can(command, self.allow_oom)?;
        }
        Ok(())
    }

    fn acl_check(&mut self, args: &[&[u8]]) -> Answer {
        match self.ctx.engine().registry.resolve(args) {
            Err(_) => Answer::Refused(
                b"ERR Invalid command passed to redis.acl_check_cmd()".to_vec(),
                false,
            ),
            Ok(command) if self.ctx.host.may_run(command, args) => Answer::Done,
            Ok(_) => Answer::No,
        }
    }
}
