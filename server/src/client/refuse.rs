//! Whether a command may run now: the checks, in the order in which Redis makes them.
//!
//! EXEC counts as the commands it would run. Nothing here changes anything, but that keys go when memory is short.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::spec::Flags;
use basalt_engine::command::{Args, Command};
use basalt_engine::{Queued, ReplyError, Session};

use super::Conn;
use super::caller::flags_of;
use super::show::shown_before_it_runs;

/// Why a command may not run now, in the order in which Redis checks.
pub(super) fn refusal(
    session: &Session,
    conn: &mut Conn,
    (command, flags): (&'static Command, Flags),
    args: Args<'_>,
    now_ms: i64,
) -> Option<ReplyError> {
    let server = &conn.server;
    if flags.has(Flags::PROTECTED)
        && let Some(error) = protected(conn, command)
    {
        return Some(error);
    }
    if !conn.authenticated && !flags.has(Flags::NO_AUTH) && server.hot.auth_required.load(Relaxed) {
        return Some(ReplyError::NO_AUTH);
    }
    if session.txn.is_some()
        && flags.has(Flags::NO_MULTI)
        && !matches!(command.spec.name, "multi" | "watch")
    {
        return Some(ReplyError::NOT_IN_MULTI);
    }
    if let Some(error) = conn.forbids(session, command, args) {
        return Some(error);
    }
    if conn.handle.monitor.load(Relaxed)
        && flags.any(Flags::WRITE.or(Flags::READONLY).or(Flags::MAY_REPLICATE))
    {
        return Some(ReplyError::err("Replica can't interact with the keyspace"));
    }
    conn.short_of_memory =
        server.hot.maxmemory.load(Relaxed) != 0 && server.short_of_memory(now_ms);
    if conn.short_of_memory && grows_memory(session, conn, (command, flags)) {
        return Some(ReplyError::OOM);
    }
    let server = &conn.server;
    let writes = writes(session, conn, (command, flags));
    if (writes || command.spec.name == "ping")
        && let Some(error) = conn.disk_refusal()
    {
        return Some(error);
    }
    if writes && server.hot.lacks_replicas.load(Relaxed) {
        return Some(ReplyError::NO_REPLICAS);
    }
    if conn.is_subscriber()
        && session.resp == 2
        && !matches!(
            command.spec.name,
            "ping"
                | "subscribe"
                | "ssubscribe"
                | "psubscribe"
                | "unsubscribe"
                | "sunsubscribe"
                | "punsubscribe"
                | "quit"
                | "reset"
        )
    {
        return Some(ReplyError::err(format_args!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            command.name
        )));
    }
    if server.hot.loading.load(Relaxed) && !runs_while_loading(session, command) {
        return Some(ReplyError::LOADING);
    }
    if !flags.has(Flags::ALLOW_BUSY) {
        return server.engine.scripts.running.busy();
    }
    None
}

impl Conn {
    /// Why nothing may be written: what was written before did not reach the disk.
    pub(super) fn disk_refusal(&self) -> Option<ReplyError> {
        let persist = &self.server.persist;
        if persist.snapshots.failed.load(Relaxed) && self.server.writes_stopped() {
            return Some(ReplyError::SNAPSHOTS_FAIL);
        }
        let reason = persist.aof.refusal()?;
        Some(ReplyError::raw(format!(
            "MISCONF Errors writing to the AOF file: {reason}"
        )))
    }
}

/// The flags of a queued command.
fn queued_flags(conn: &Conn, queued: &Queued) -> Flags {
    if shown_before_it_runs(queued.command) {
        flags_of(conn, queued.command, &queued.args.slices())
    } else {
        queued.command.flags
    }
}

/// Whether a command changes data; EXEC counts as the commands it would run.
pub(super) fn writes(
    session: &Session,
    conn: &Conn,
    (command, flags): (&'static Command, Flags),
) -> bool {
    match (&session.txn, command.spec.name) {
        (Some(txn), "exec") => txn
            .queue
            .iter()
            .any(|queued| queued_flags(conn, queued).has(Flags::WRITE)),
        _ => flags.has(Flags::WRITE),
    }
}

/// Whether a command may run before the data is complete; EXEC, if all that it would run may.
fn runs_while_loading(session: &Session, command: &'static Command) -> bool {
    let may = |command: &Command| command.flags.has(Flags::LOADING);
    match (&session.txn, command.spec.name) {
        (Some(txn), "exec") => txn.queue.iter().all(|queued| may(queued.command)),
        _ => may(command),
    }
}

/// Whether a command is refused when memory is short: it may make values longer, or grow the
/// queue of a transaction. EXEC counts as the commands it would run.
fn grows_memory(
    session: &Session,
    conn: &Conn,
    (command, flags): (&'static Command, Flags),
) -> bool {
    let denied = |flags: Flags| flags.has(Flags::DENYOOM);
    match (&session.txn, command.spec.name) {
        (Some(txn), "exec") => txn
            .queue
            .iter()
            .any(|queued| denied(queued_flags(conn, queued))),
        (Some(_), "discard" | "quit" | "reset") => false,
        (Some(_), _) => true,
        (None, _) => denied(flags),
    }
}

/// DEBUG and MODULE are refused unless the configuration allows them to this client.
fn protected(conn: &Conn, command: &'static Command) -> Option<ReplyError> {
    let config = conn.server.config.load();
    let (allowed, name) = match command
        .parent
        .map_or(command.spec.name, |parent| parent.name)
    {
        "debug" => (
            config.enable_debug_command.allows(conn.handle.local),
            "enable-debug-command",
        ),
        "module" => (
            config.enable_module_command.allows(conn.handle.local),
            "enable-module-command",
        ),
        _ => return None,
    };
    let shown = command
        .parent
        .map_or(command.spec.name, |parent| parent.name)
        .to_uppercase();
    (!allowed).then(|| {
        ReplyError::err(format_args!(
            "{shown} command not allowed. If the {name} option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
        ))
    })
}

/// Until when CLIENT PAUSE holds this command back.
pub(super) fn held_back(
    session: &Session,
    conn: &Conn,
    (command, flags): (&'static Command, Flags),
    now_ms: i64,
) -> Option<i64> {
    let is_write = |flags: Flags| flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
    let writes = match (&session.txn, command.spec.name) {
        (Some(txn), "exec") => txn
            .queue
            .iter()
            .any(|queued| is_write(queued_flags(conn, queued))),
        _ => is_write(flags),
    };
    let container = command.parent.map_or("", |parent| parent.name);
    if container == "client" && command.spec.name == "unpause" {
        return None;
    }
    conn.server.pause.holds(writes, now_ms)
}
