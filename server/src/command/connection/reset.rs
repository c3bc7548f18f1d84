//! RESET: back to the state of a fresh connection.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Acl, Args, CmdResult, CommandSpec, Flags, Group};

use crate::client::{Conn, ReplyMode};

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "reset",
    group: Group::Connection,
    since: "6.2.0",
    summary: "Brings this connection back to the state it had when it was opened.",
    complexity: "O(1)",
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::NO_AUTH)
        .or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    handler: reset,
    ..CommandSpec::BLANK
}];

fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let engine = ctx.engine();
    let conn = Conn::from_host(ctx.host);
    let server = conn.server.clone();
    ctx.session.txn = None;
    engine.release_watches(ctx.session);
    server.stop_monitoring(&conn.handle);
    server.stop_tracking(&conn.handle);
    server.pubsub.forget(conn);
    // What was pushed until now comes before the confirmation.
    conn.handle.drain_outbox(&mut ctx.out.buf);
    ctx.session.db = 0;
    ctx.ks.select(0);
    conn.handle.db.store(0, Relaxed);
    ctx.session.no_touch = false;
    conn.handle.no_touch.store(false, Relaxed);
    conn.handle.no_evict.store(false, Relaxed);
    conn.become_default();
    conn.reply_mode = ReplyMode::On;
    conn.handle.silent.store(false, Relaxed);
    conn.handle.labels.lock().name.clear();
    conn.speak(ctx.session, ctx.out, 2);
    ctx.out.simple("RESET");
    Ok(())
}
