//! From one request to its reply: look-up, the checks (`refuse`), queueing or running, then what
//! is noted of it (`observe`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use basalt_engine::command::Command;
use basalt_engine::command::spec::{Flags, Group};
use basalt_engine::{Flow, Reply, ReplyError, Session, fail_transaction};

use super::caller::{Aside, Caller, flags_of, runs_scripts};
use super::handle::signal;
use super::observe::observe;
use super::refuse::{held_back, refusal, writes};
use super::show::{feed_monitors, show, shown_before_it_runs};
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
    let refusal = refusal(session, conn, (command, flags), args, time.now_ms);
    let mut before = before;
    if server.hot.maxmemory.load(Relaxed) != 0 && conn.handle.signals() & signal::OUTBOX != 0 {
        // Of keys that went to make room, it hears before the reply.
        conn.handle.drain_outbox(&mut reply.buf);
        before = reply.buf.len();
    }
    if let Some(error) = refusal {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use basalt_engine::command::Ctx;
    use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, KeyFlags, KeySpec};
    use basalt_engine::keyspace::Kind;
    use basalt_engine::keyspace::blocked::OnTimeout;

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

    const BROKEN_POP: &[CommandSpec] = &[CommandSpec {
        name: "brokenpop",
        arity: 2,
        flags: Flags::WRITE.or(Flags::BLOCKING),
        keys: &[KeySpec::one(1, KeyFlags::RW)],
        handler: broken_pop,
        ..CommandSpec::BLANK
    }];

    /// Waits for a list, and cannot take from it.
    fn broken_pop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
        assert!(ctx.ks.list(args[1])?.is_none(), "on purpose");
        ctx.block_on(&args[1..], Kind::List, None, OnTimeout::NullArray);
        Ok(())
    }

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
    fn a_panic_in_the_command_of_a_waiter_leaves_the_pusher_its_session() {
        let server =
            build_with(Config::default(), &[BROKEN_POP], Default::default()).expect("a server");
        let (mut waiter, mut pusher) = (Caller::new(&server), Caller::new(&server));
        assert_eq!(waiter.call("BROKENPOP l"), "");
        assert_eq!(pusher.call("SELECT 0"), "+OK\r\n");
        let id = pusher.session.id;
        assert_eq!(pusher.call("RPUSH l a"), ":1\r\n");
        assert_eq!(pusher.session.id, id);
        assert_eq!(pusher.call("LLEN l"), ":1\r\n");
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
