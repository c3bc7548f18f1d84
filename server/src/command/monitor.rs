//! MONITOR.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, Flags, Group};

use crate::client::Conn;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "monitor",
    group: Group::Server,
    summary: "Streams every command the server runs to this connection.",
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE),
    handler: monitor,
    ..CommandSpec::BLANK
}];

fn monitor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.session.deny_blocking {
        return Err(ReplyError::err(
            "MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    let conn = Conn::from_host(ctx.host);
    if conn.handle.monitor.load(Relaxed) {
        // Once is enough; Redis does not answer the second time.
        return Ok(());
    }
    conn.server.start_monitoring(&conn.handle);
    ctx.out.ok();
    Ok(())
}
