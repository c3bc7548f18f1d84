//! From one request to its reply: look-up, the checks in Redis's order, queueing or running,
//! then counters, slow log and monitors.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use basalt_engine::command::Command;
use basalt_engine::command::spec::Flags;
use basalt_engine::{Flow, Reply, ReplyError, Session, fail_transaction};

use super::{Conn, ReplyMode, Waiting};
use crate::config::lookup;
use crate::server::unix_us;
use crate::stats::bump;

/// Time of a batch of requests: read once, so that commands of one pipeline cost one clock.
#[derive(Clone, Copy, Debug)]
pub struct BatchTime {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// Start of the current command.
    pub instant: Instant,
}

/// Processes one request; what the client now waits for, if anything.
pub fn process(
    session: &mut Session,
    conn: &mut Conn,
    reply: &mut Reply,
    args: &[&[u8]],
    time: &mut BatchTime,
) -> Waiting {
    let before = reply.buf.len();
    let command = match conn.server.engine.resolve(args) {
        Ok(command) => command,
        Err(error) => {
            if let Some(known) = conn.server.engine.registry.resolve(args).ok() {
                bump(&conn.worker.commands[known.id].rejected, 1);
            }
            reject(session, conn, reply, args, &error);
            return answered(conn, reply, before);
        }
    };
    if let Some(error) = refusal(session, conn, command) {
        bump(&conn.worker.commands[command.id].rejected, 1);
        reject(session, conn, reply, args, &error);
        return answered(conn, reply, before);
    }
    if conn.server.hot.paused.load(Relaxed)
        && let Some(until) = held_back(session, conn, command, time.now_ms)
    {
        return Waiting::Pause(until);
    }
    conn.handle
        .last_command
        .store(u32::try_from(command.id).unwrap_or(u32::MAX), Relaxed);
    let server = conn.server.clone();
    if server.engine.queue(session, command, args, reply) {
        return answered(conn, reply, before);
    }
    if server.hot.monitoring.load(Relaxed) {
        feed_monitors(conn, command, args, session.db);
    }
    let flow = server
        .engine
        .call(command, session, conn, args, reply, time.now_ms);
    let ended = Instant::now();
    let nanos = u64::try_from((ended - time.instant).as_nanos()).unwrap_or(u64::MAX);
    time.instant = ended;
    bump(&conn.worker.processed, 1);
    let stat = &conn.worker.commands[command.id];
    let waiting = match flow {
        Flow::Blocked(waiter) => {
            bump(&stat.nanos, nanos);
            return Waiting::Keys(waiter);
        }
        Flow::Failed(error) => {
            bump(&stat.failed, 1);
            server.stats.count_error(error.code());
            Waiting::No
        }
        Flow::Done => match conn.wait_until.take() {
            Some((until, bytes)) => Waiting::Until(until, bytes),
            None => Waiting::No,
        },
    };
    bump(&stat.calls, 1);
    bump(&stat.nanos, nanos);
    observe(conn, command, args, nanos, reply.buf.len() - before);
    match waiting {
        Waiting::No => answered(conn, reply, before),
        other => other,
    }
}

/// Applies CLIENT REPLY to what a command wrote.
fn answered(conn: &mut Conn, reply: &mut Reply, before: usize) -> Waiting {
    match conn.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => reply.buf.truncate(before),
        ReplyMode::SkipNext => {
            reply.buf.truncate(before);
            conn.reply_mode = ReplyMode::Skip;
        }
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
    if is_exec && session.txn.is_some() {
        session.txn = None;
        conn.server.engine.release_watches(session);
        let text = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
        reply.error(&ReplyError::raw(format!(
            "EXECABORT Transaction discarded because of: {text}"
        )));
    } else {
        fail_transaction(session);
        reply.error(error);
    }
    conn.server.stats.count_error(error.code());
}

/// Why a command may not run now, in the order in which Redis checks.
fn refusal(session: &Session, conn: &Conn, command: &'static Command) -> Option<ReplyError> {
    let server = &conn.server;
    let flags = command.flags;
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
    let maxmemory = server.hot.maxmemory.load(Relaxed);
    if maxmemory != 0 && flags.has(Flags::DENYOOM) && crate::memory::used() > maxmemory {
        return Some(ReplyError::OOM);
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
    None
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
    command: &'static Command,
    now_ms: i64,
) -> Option<i64> {
    let is_write = |command: &Command| command.flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
    let writes = match (&session.txn, command.spec.name) {
        (Some(txn), "exec") => txn.queue.iter().any(|queued| is_write(queued.command)),
        (Some(_), _) => return None,
        (None, _) => is_write(command),
    };
    let exempt = matches!(command.parent.map_or("", |parent| parent.name), "client")
        && command.spec.name == "unpause";
    if exempt {
        None
    } else {
        conn.server.pause.holds(writes, now_ms)
    }
}

/// Shows a command to MONITOR clients, unless it is one that must not be seen.
pub fn feed_monitors(conn: &Conn, command: &'static Command, args: &[&[u8]], db: usize) {
    if command.flags.has(Flags::SKIP_MONITOR)
        || command.flags.has(Flags::ADMIN) && command.spec.name != "exec"
    {
        return;
    }
    let hidden = shown(command, args);
    let shown = hidden.as_deref().unwrap_or(args);
    let from = if conn.handle.unix {
        format!("unix:{}", conn.handle.laddr)
    } else {
        conn.handle.addr.clone()
    };
    conn.server.monitors.feed(unix_us(), db, &from, shown);
}

/// The words of AUTH and HELLO without secrets.
fn redacted<'a>(args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let auth_at = if args
        .first()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"auth"))
    {
        Some(0)
    } else {
        args.iter()
            .position(|word| word.eq_ignore_ascii_case(b"auth"))
    };
    let count = if auth_at == Some(0) { args.len() } else { 2 };
    args.iter()
        .enumerate()
        .map(|(i, word)| {
            if auth_at.is_some_and(|at| i > at && i <= at + count) {
                &b"(redacted)"[..]
            } else {
                *word
            }
        })
        .collect()
}

/// The words of a command as logs may show them.
fn shown<'a>(command: &'static Command, args: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
    match command.name.as_str() {
        "auth" | "hello" => Some(redacted(args)),
        "config|set" => Some(
            args.iter()
                .enumerate()
                .map(|(at, word)| {
                    let names_secret = |name: &[u8]| {
                        lookup(name).is_some_and(|(directive, _)| directive.flags.sensitive())
                    };
                    let is_value = at >= 3 && at % 2 == 1;
                    if is_value && names_secret(args[at - 1]) {
                        &b"(redacted)"[..]
                    } else {
                        *word
                    }
                })
                .collect(),
        ),
        _ => None,
    }
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
    let micros = nanos / 1000;
    let reaches = |limit: &AtomicI64, value: u64| {
        u64::try_from(limit.load(Relaxed)).is_ok_and(|limit| value >= limit)
    };
    let request_bytes = request_bytes(args) as u64;
    let slow = reaches(&hot.slowlog_us, micros);
    let large_request = reaches(&hot.large_request, request_bytes);
    let large_reply = reaches(&hot.large_reply, reply_bytes as u64);
    if (slow || large_request || large_reply) && !command.flags.has(Flags::SKIP_SLOWLOG) {
        let server = &conn.server;
        let config = server.config.load();
        let name = conn.handle.labels.lock().name.clone();
        let hidden = shown(command, args);
        let words = hidden.as_deref().unwrap_or(args);
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
                    words,
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

/// A queued command is about to run inside EXEC.
pub(super) fn started(_conn: &mut Conn) {
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
}
