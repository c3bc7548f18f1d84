//! What a command runs for: a connection, and, if it may run scripts, a stack that can be left.
//!
//! What surrounds the commands of scripts is here: their checks in Redis's order and words,
//! their counters, MONITOR, and the turns of others while a script is slow.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::Command;
use basalt_engine::command::spec::{Args, Flags, Group};
use basalt_engine::keyspace::blocked::Wake;
use basalt_engine::{Host, ReplyError, Session};

use super::show::shown_before_it_runs;
use super::{Conn, observe};
use crate::stats::bump;

/// Leaves a slow script alone for a moment, so that the other clients of the thread are served.
pub trait Aside {
    /// Returns when it is the script's turn again.
    fn step(&self);
}

/// A connection that runs one command.
pub(super) struct Caller<'a> {
    /// The connection.
    pub conn: &'a mut Conn,
    /// How to let others have their turn.
    pub aside: Option<&'a dyn Aside>,
}

/// Whether a command runs scripts: it needs a stack of its own.
pub(super) fn runs_scripts(session: &Session, command: &Command) -> bool {
    match &session.txn {
        Some(txn) if command.spec.name == "exec" => {
            txn.queue.iter().any(|queued| runs_lua(queued.command))
        }
        _ => runs_lua(command),
    }
}

/// Whether a command by itself runs scripts or the code of libraries.
fn runs_lua(command: &Command) -> bool {
    shown_before_it_runs(command)
        || command.spec.group == Group::Scripting
            && command.parent.is_some()
            && matches!(command.spec.name, "load" | "restore")
}

/// The flags of a command: those of its row, or what its script says of itself.
pub(super) fn flags_of(conn: &Conn, command: &Command, args: Args<'_>) -> Flags {
    if shown_before_it_runs(command) {
        conn.server.engine.scripts.flags(command, args)
    } else {
        command.flags
    }
}

impl Host for Caller<'_> {
    fn as_any(&mut self) -> &mut dyn Any {
        &mut *self.conn
    }

    fn before_queued(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
    ) -> Result<(), ReplyError> {
        // What a script runs was checked as such before.
        if self.conn.script_of_db.is_none()
            && let Some(error) = self.conn.forbids_queued(command, args)
        {
            self.conn.server.stats.count_error(error.code());
            return Err(error);
        }
        observe::started(self.conn, command, args);
        Ok(())
    }

    fn after_queued(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        failed: Option<&ReplyError>,
    ) {
        observe::finished_queued(self.conn, command, args, failed);
    }

    fn after_read(&mut self, command: &'static Command, args: &[&[u8]]) {
        let conn = &mut *self.conn;
        if conn.handle.tracks.load(Relaxed) {
            conn.server
                .tracking
                .remember(&conn.handle, conn.caching, command, args);
        }
    }

    fn script_runs(&mut self, runs: bool) {
        self.conn.script_us = None;
        let handle = &self.conn.handle;
        match (runs, self.conn.script_of_db.take()) {
            (true, _) => self.conn.script_of_db = Some(handle.db.load(Relaxed)),
            // SELECT in a script is for the script only.
            (false, Some(db)) => handle.db.store(db, Relaxed),
            (false, None) => {}
        }
    }

    fn script_permits(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
    ) -> Result<(), ReplyError> {
        self.conn.forbids_script(command, args).map_or(Ok(()), Err)
    }

    fn may_run(&mut self, command: &'static Command, args: &[&[u8]]) -> bool {
        let limits = self.conn.limits_of_user();
        limits.is_none_or(|rules| rules.check(command, args).is_ok())
    }

    fn may_read_all(&mut self, command: &'static Command, args: &[&[u8]]) -> bool {
        let limits = self.conn.limits_of_user();
        limits.is_none_or(|rules| rules.check_reading_all(command, args))
    }

    fn script_can(&mut self, command: &'static Command, allow_oom: bool) -> Result<(), ReplyError> {
        if command.flags.has(Flags::WRITE)
            && let Some(error) = self.conn.disk_refusal()
        {
            return Err(error);
        }
        if command.flags.has(Flags::WRITE) && self.conn.server.hot.lacks_replicas.load(Relaxed) {
            return Err(ReplyError::NO_REPLICAS);
        }
        if !allow_oom && self.conn.short_of_memory && command.flags.has(Flags::DENYOOM) {
            return Err(ReplyError::OOM);
        }
        Ok(())
    }

    fn script_may_write(&mut self) -> Result<(), ReplyError> {
        let server = &self.conn.server;
        if server.persist.snapshots.failed.load(Relaxed) && server.writes_stopped() {
            return Err(ReplyError::raw(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
            ));
        }
        match server.persist.aof.refusal() {
            None if server.hot.lacks_replicas.load(Relaxed) => Err(ReplyError::NO_REPLICAS),
            None => Ok(()),
            Some(reason) => Err(ReplyError::raw(format!(
                "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {reason}"
            ))),
        }
    }

    fn script_may_grow(&mut self) -> Result<(), ReplyError> {
        if self.conn.short_of_memory {
            return Err(ReplyError::raw(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
        Ok(())
    }

    fn script_refused(&mut self, command: Option<&'static Command>, error: &ReplyError) {
        if let Some(command) = command {
            bump(&self.conn.worker.commands[command.id].rejected, 1);
        }
        self.conn.server.stats.count_error(error.code());
    }

    fn script_failed(&mut self, command: &'static Command, error: Option<&ReplyError>) {
        bump(&self.conn.worker.commands[command.id].failed, 1);
        if let Some(error) = error {
            self.conn.server.stats.count_error(error.code());
        }
    }

    fn script_is_slow(&mut self) {
        if let Some(aside) = self.aside {
            observe::step_aside(self.conn, aside);
        }
    }

    fn waker(&self) -> Option<Arc<dyn Wake>> {
        Some(self.conn.waker.clone())
    }
}
