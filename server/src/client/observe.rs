//! What is noted of a command that ran: counters, latency, slow log and the logs of large commands.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use basalt_engine::ReplyError;
use basalt_engine::command::Command;
use basalt_engine::command::spec::Flags;

use super::caller::Aside;
use super::show::{feed_monitors, redacted, shown_before_it_runs};
use super::{Conn, tracking};
use crate::server::unix_us;
use crate::stats::bump;

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
pub(super) fn observe(
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
