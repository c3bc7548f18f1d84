//! From one request to its reply: look-up, the checks in Redis's order, queueing or running,
//! then counters, slow log and monitors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use basalt_engine::command::Command;
use basalt_engine::command::spec::{Flags, Group};
use basalt_engine::{Flow, Queued, Reply, ReplyError, Session, fail_transaction};

use super::caller::{Aside, Caller, flags_of, runs_scripts};
use super::show::{feed_monitors, redacted, show, shown_before_it_runs};
use super::{Conn, ReplyMode, Waiting, tracking};
use crate::server::{Server, unix_us};
use crate::stats::bump;

/// Time of a batch of requests: read once, so that commands of one pipeline cost one clock.
#[derive(Clone, Copy, Debug)]
pub struct BatchTime {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// Start of the current command.
    pub instant: Instant,
}

/// Processes one request; what the client now waits for, if anything. The server is given
/// besides the connection that holds it, so that no command pays for counting references. Scripts
/// are run only where they can step `aside`.
pub fn process(
    server: &Server,
    session: &mut Session,
    conn: &mut Conn,
    reply: &mut Reply,
    args: &[&[u8]],
    time: &mut BatchTime,
    aside: Option<&dyn Aside>,
) -> Waiting {
    let before = reply.buf.len();
    if speaks_http(args) {
        warn_of_http(conn);
        conn.close_now = true;
        return Waiting::No;
    }
    let command = match server.engine.resolve(args) {
        Ok(command) => command,
        Err(error) => {
            let known = server.engine.registry.resolve(args).ok();
            if let Some(known) = known {
                bump(&conn.worker.commands[known.id].rejected, 1);
            }
            note_command(conn, known);
            reject(session, conn, reply, args, &error);
            return answered(conn, reply, before);
        }
    };
    note_command(conn, Some(command));
    let flags = flags_of(conn, command, args);
    if let Some(error) = refusal(session, conn, (command, flags), args, time.now_ms) {
        bump(&conn.worker.commands[command.id].rejected, 1);
        reject(session, conn, reply, args, &error);
        return answered(conn, reply, before);
    }
    if server.hot.paused.load(Relaxed)
        && let Some(until) = held_back(session, conn, (command, flags), time.now_ms)
    {
        return Waiting::Pause(until);
    }
    if (server.engine.snapshot_room.is_tight() || conn.put_off_ms.is_some())
        && writes(session, conn, (command, flags))
        && (session.txn.is_none() || command.spec.name == "exec")
        && let Some(until) = server.put_off(&mut conn.put_off_ms, &conn.handle)
    {
        return Waiting::Pause(until);
    }
    if server.engine.queue(session, command, args, reply) {
        return answered(conn, reply, before);
    }
    if aside.is_none() && runs_scripts(session, command) {
        return Waiting::Stack;
    }
    let flow = run(
        server,
        session,
        (&mut *conn, aside),
        reply,
        (command, args),
        time.now_ms,
    );
    let ended = Instant::now();
    let nanos = u64::try_from((ended - time.instant).as_nanos()).unwrap_or(u64::MAX);
    time.instant = ended;
    let stat = &conn.worker.commands[command.id];
    if let Flow::Blocked(waiter) = flow {
        conn.blocked_nanos = nanos;
        return Waiting::Keys(waiter);
    }
    bump(&conn.worker.processed, 1);
    let waiting = match flow {
        Flow::Blocked(_) => Waiting::No,
        Flow::Failed(error) => {
            bump(&stat.failed, 1);
            server.stats.count_error(error.code());
            Waiting::No
        }
        Flow::Done => match conn.wait_until.take() {
            Some((until, bytes)) => Waiting::Until(until, bytes),
            None => match conn.wait_synced.take() {
                Some(wait) => Waiting::Synced(wait),
                None => Waiting::No,
            },
        },
    };
    bump(&stat.calls, 1);
    bump(&stat.nanos, nanos);
    observe(conn, command, args, nanos, reply.buf.len() - before);
    match waiting {
        Waiting::No if pushes_replies(command) => {
            // What is pushed is not held back, but the turn of SKIP is over.
            let kept = reply.buf.len();
            answered(conn, reply, kept)
        }
        Waiting::No => answered(conn, reply, before),
        other => other,
    }
}

/// Remembers the last command for CLIENT LIST.
#[inline]
fn note_command(conn: &Conn, command: Option<&'static Command>) {
    let id = command.and_then(|command| u32::try_from(command.id).ok());
    conn.handle
        .last_command
        .store(id.unwrap_or(u32::MAX), Relaxed);
}

/// Runs a command that passed the checks, with what surrounds it: MONITOR, client-side caching,
/// and a net under it, so that a defect in one command costs its client and no one else.
fn run(
    server: &Server,
    session: &mut Session,
    (conn, aside): (&mut Conn, Option<&dyn Aside>),
    reply: &mut Reply,
    (command, args): (&'static Command, &[&[u8]]),
    now_ms: i64,
) -> Flow {
    let before = reply.buf.len();
    if command.spec.group == Group::Connection {
        conn.publish_session(session);
        let argv = args.iter().map(|word| word.len()).sum();
        conn.handle.argv_bytes.store(argv, Relaxed);
    }
    let may_block = command.flags.has(Flags::BLOCKING);
    let empties = command.spec.group == Group::Server && command.spec.name == "flushall";
    if may_block {
        // Set early: whoever sees the client wait may want to unblock it at once.
        conn.handle.blocked.store(true, Relaxed);
    }
    let first = shown_before_it_runs(command);
    if first && server.hot.monitoring.load(Relaxed) {
        feed_monitors(conn, command, args);
    }
    tracking::set_running(conn.handle.id);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut caller = Caller {
            conn: &mut *conn,
            aside,
        };
        server
            .engine
            .call(command, session, &mut caller, args, reply, now_ms)
    }));
    tracking::set_running(0);
    let flow = outcome.unwrap_or_else(|_| {
        tracing::error!("Internal error in command '{}'", command.name);
        reply.buf.truncate(before);
        session.txn = None;
        conn.script_of_db = None;
        let error = ReplyError::err("internal error");
        reply.error(&error);
        conn.close_after_reply = true;
        Flow::Failed(error)
    });
    if empties {
        server.data_was_emptied();
    }
    if may_block && !matches!(flow, Flow::Blocked(_)) && !conn.waits() {
        let mut unblock = conn.handle.unblock.lock();
        *unblock = None;
        conn.handle.blocked.store(false, Relaxed);
    }
    if server.engine.settings.tracking.load(Relaxed) {
        server.tracking.broadcast();
        server.tracking.limit();
    }
    if conn.caching
        && session.txn.is_none()
        && command
            .parent
            .is_none_or(|container| container.name != "client")
    {
        conn.caching = false;
    }
    if !first && server.hot.monitoring.load(Relaxed) {
        feed_monitors(conn, command, args);
    }
    flow
}

/// Commands whose replies are pushes, which CLIENT REPLY does not hold back.
fn pushes_replies(command: &Command) -> bool {
    matches!(
        command.spec.name,
        "subscribe" | "psubscribe" | "ssubscribe" | "unsubscribe" | "punsubscribe" | "sunsubscribe"
    )
}

/// Whether this is a line of an HTTP request: a browser was made to send it.
fn speaks_http(args: &[&[u8]]) -> bool {
    args.first().is_some_and(|word| {
        word.eq_ignore_ascii_case(b"host:") || word.eq_ignore_ascii_case(b"post")
    })
}

/// Logs an HTTP request, at most once a minute.
fn warn_of_http(conn: &Conn) {
    static LOGGED: AtomicI64 = AtomicI64::new(0);
    let now = unix_us() / 1_000_000;
    let last = LOGGED.load(Relaxed);
    if (now - last).abs() > 60 && LOGGED.swap(now, Relaxed) == last {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection from {} aborted.",
            conn.handle.addr
        );
    }
}

/// Applies CLIENT REPLY to what a command wrote.
fn answered(conn: &mut Conn, reply: &mut Reply, before: usize) -> Waiting {
    match conn.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => reply.buf.truncate(before),
        // Set by the command itself, which wrote nothing; EXEC around it may have.
        ReplyMode::SkipNext => conn.reply_mode = ReplyMode::Skip,
        ReplyMode::Skip => {
            reply.buf.truncate(before);
            conn.reply_mode = ReplyMode::On;
        }
    }
    Waiting::No
}

/// Answers a request that is not run.
fn reject(
    session: &mut Session,
    conn: &mut Conn,
    reply: &mut Reply,
    args: &[&[u8]],
    error: &ReplyError,
) {
    let is_exec = args
        .first()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"exec"));
    if is_exec {
        session.txn = None;
        conn.server.engine.release_watches(session);
        let text = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
        let aborted = ReplyError::raw(format!(
            "EXECABORT Transaction discarded because of: {text}"
        ));
        reply.error(&aborted);
        conn.server.stats.count_error(aborted.code());
        if conn.server.hot.monitoring.load(Relaxed) {
            show(conn, args);
        }
    } else {
        fail_transaction(session);
        reply.error(error);
        conn.server.stats.count_error(error.code());
    }
}

/// Why a command may not run now, in the order in which Redis checks.
fn refusal(
    session: &Session,
    conn: &mut Conn,
    (command, flags): (&'static Command, Flags),
    args: &[&[u8]],
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
    if conn.handle.monitor.load(Relaxed)
        && flags.any(Flags::WRITE.or(Flags::READONLY).or(Flags::MAY_REPLICATE))
    {
        return Some(ReplyError::err("Replica can't interact with the keyspace"));
    }
    conn.short_of_memory =
        server.hot.maxmemory.load(Relaxed) != 0 && server.short_of_memory(now_ms, args);
    if conn.short_of_memory && grows_memory(session, conn, (command, flags)) {
        return Some(ReplyError::OOM);
    }
    let server = &conn.server;
    if (writes(session, conn, (command, flags)) || command.spec.name == "ping")
        && let Some(error) = conn.disk_refusal()
    {
        return Some(error);
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
fn writes(session: &Session, conn: &Conn, (command, flags): (&'static Command, Flags)) -> bool {
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
fn held_back(
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

/// Bytes of a request as clients send it.
fn request_bytes(args: &[&[u8]]) -> usize {
    let digits = |n: usize| n.checked_ilog10().unwrap_or(0) as usize + 1;
    let words: usize = args
        .iter()
        .map(|word| digits(word.len()) + word.len() + 5)
        .sum();
    digits(args.len()) + 3 + words
}

/// Counters and logs of a command that was blocked and now has its reply. The wait itself is
/// not part of its duration.
pub(super) fn finished_waiting(
    conn: &mut Conn,
    command: &'static Command,
    args: &[&[u8]],
    reply: &[u8],
) {
    let nanos = std::mem::take(&mut conn.blocked_nanos);
    bump(&conn.worker.processed, 1);
    let stat = &conn.worker.commands[command.id];
    bump(&stat.calls, 1);
    bump(&stat.nanos, nanos);
    if let Some(error) = reply.strip_prefix(b"-") {
        bump(&stat.failed, 1);
        let code = error.split(|byte| *byte == b' ').next().unwrap_or(error);
        let code = String::from_utf8_lossy(code);
        conn.server.stats.count_error(&code);
    }
    observe(conn, command, args, nanos, reply.len());
}

/// Slow log, logs of large commands, latency histogram and latency monitor of a command that ran.
fn observe(
    conn: &mut Conn,
    command: &'static Command,
    args: &[&[u8]],
    nanos: u64,
    reply_bytes: usize,
) {
    let hot = &conn.server.hot;
    if hot.latency_tracking.load(Relaxed)
        && let Some(mut latency) = conn.worker.commands[command.id].latency.try_lock()
    {
        latency.get_or_insert_with(Default::default).record(nanos);
    }
    if conn.server.hotkeys.is_active() {
        let bytes = request_bytes(args).saturating_add(reply_bytes);
        conn.server
            .hotkeys
            .count(command, args, nanos, bytes as u64);
    }
    let micros = nanos / 1000;
    let reaches = |limit: &AtomicI64, value: u64| {
        u64::try_from(limit.load(Relaxed)).is_ok_and(|limit| value >= limit)
    };
    // Headers of words and request are below 32 bytes each: the exact sum is rarely needed.
    let at_most: usize = args.iter().map(|word| word.len() + 32).sum::<usize>() + 32;
    let request_bytes = if reaches(&hot.large_request, at_most as u64) {
        request_bytes(args) as u64
    } else {
        0
    };
    let slow = reaches(&hot.slowlog_us, micros);
    let large_request = reaches(&hot.large_request, request_bytes);
    let large_reply = reaches(&hot.large_reply, reply_bytes as u64);
    if (slow || large_request || large_reply) && !command.flags.has(Flags::SKIP_SLOWLOG) {
        let server = &conn.server;
        let config = server.config.load();
        let name = conn.handle.labels.lock().name.clone();
        let words = redacted(command, args);
        for (wanted, log, max_len, value) in [
            (slow, &server.slowlog, config.slowlog_max_len, micros),
            (
                large_request,
                &server.large_requests,
                config.commandlog_large_request_max_len,
                request_bytes,
            ),
            (
                large_reply,
                &server.large_replies,
                config.commandlog_large_reply_max_len,
                reply_bytes as u64,
            ),
        ] {
            if wanted {
                log.push(
                    usize::try_from(max_len).unwrap_or(usize::MAX),
                    unix_us() / 1_000_000,
                    value,
                    &words,
                    &conn.handle.addr,
                    &name,
                );
            }
        }
    }
    let threshold = hot.latency_ms.load(Relaxed);
    if threshold > 0 && micros / 1000 >= threshold as u64 {
        let event = if command.flags.has(Flags::FAST) {
            "fast-command"
        } else {
            "command"
        };
        conn.server
            .latency
            .add(event, unix_us() / 1_000_000, micros / 1000);
    }
}

thread_local! {
    static QUEUED_START: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Leaves a slow script alone for a moment. What this thread remembers of its command comes back
/// with it.
pub(super) fn step_aside(conn: &mut Conn, aside: &dyn Aside) {
    let started = QUEUED_START.take();
    let running = tracking::running();
    tracking::set_running(0);
    aside.step();
    tracking::set_running(running);
    QUEUED_START.set(started);
    conn.handle.last_active_ms.store(unix_us() / 1000, Relaxed);
}

/// A queued command is about to run inside EXEC.
pub(super) fn started(conn: &Conn, command: &'static Command, args: &[&[u8]]) {
    if shown_before_it_runs(command) && conn.server.hot.monitoring.load(Relaxed) {
        feed_monitors(conn, command, args);
    }
    QUEUED_START.set(Some(Instant::now()));
}

/// Counters of a command that ran inside EXEC.
pub(super) fn finished_queued(
    conn: &mut Conn,
    command: &'static Command,
    args: &[&[u8]],
    failed: Option<&ReplyError>,
) {
    let nanos = QUEUED_START.take().map_or(0, |start| {
        u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    });
    let stat = &conn.worker.commands[command.id];
    bump(&conn.worker.processed, 1);
    bump(&stat.calls, 1);
    bump(&stat.nanos, nanos);
    if let Some(error) = failed {
        bump(&stat.failed, 1);
        conn.server.stats.count_error(error.code());
    }
    observe(conn, command, args, nanos, 0);
    if command.spec.name == "flushall" && failed.is_none() {
        conn.server.data_was_emptied();
    }
    if !shown_before_it_runs(command) && conn.server.hot.monitoring.load(Relaxed) {
        feed_monitors(conn, command, args);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use basalt_engine::command::Ctx;
    use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, KeyFlags, KeySpec};

    use super::*;
    use crate::app::build_with;
    use crate::client::handle::Handle;
    use crate::config::Config;
    use crate::server::unix_ms;

    const BROKEN: &[CommandSpec] = &[CommandSpec {
        name: "broken",
        arity: 2,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyFlags::RW)],
        handler: broken,
        ..CommandSpec::BLANK
    }];

    fn broken(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
        ctx.out.array(3);
        panic!("on purpose");
    }

    /// A connection without a socket.
    struct Caller {
        session: Session,
        conn: Conn,
        reply: Reply,
    }

    impl Caller {
        fn new(server: &Arc<crate::server::Server>) -> Caller {
            let id = server.clients.next_id();
            let handle = Arc::new(Handle::new(
                id,
                "127.0.0.1:1".into(),
                "127.0.0.1:2".into(),
                0,
                false,
                true,
                unix_ms(),
            ));
            server.clients.add(&handle);
            let worker = server.stats.add_worker(server.engine.registry.all().len());
            Caller {
                session: Session::new(id),
                conn: Conn::new(server.clone(), handle, worker),
                reply: Reply::new(2),
            }
        }

        fn call(&mut self, line: &str) -> String {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let mut time = BatchTime {
                now_ms: unix_ms(),
                instant: Instant::now(),
            };
            let server = self.conn.server.clone();
            process(
                &server,
                &mut self.session,
                &mut self.conn,
                &mut self.reply,
                &args,
                &mut time,
                None,
            );
            String::from_utf8(std::mem::take(&mut self.reply.buf)).expect("text")
        }
    }

    #[test]
    fn a_panic_in_a_command_costs_its_client_only() {
        let server =
            build_with(Config::default(), &[BROKEN], Default::default()).expect("a server");
        let mut caller = Caller::new(&server);
        assert_eq!(caller.call("BROKEN k"), "-ERR internal error\r\n");
        assert!(caller.conn.close_after_reply);
        let mut other = Caller::new(&server);
        assert_eq!(other.call("SET k v"), "+OK\r\n");
        assert_eq!(other.call("MULTI"), "+OK\r\n");
        assert_eq!(other.call("SET k w"), "+QUEUED\r\n");
        assert_eq!(other.call("BROKEN k"), "+QUEUED\r\n");
        assert_eq!(other.call("EXEC"), "-ERR internal error\r\n");
        assert_eq!(Caller::new(&server).call("GET k"), "$1\r\nw\r\n");
    }
}
