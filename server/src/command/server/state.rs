//! Small questions about the server: TIME.

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, Flags, Group};

use crate::client::Conn;
use crate::server::unix_us;

/// The rows.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "time",
    group: Group::Server,
    since: "2.6.0",
    summary: "Reads the server's clock: seconds and microseconds.",
    complexity: "O(1)",
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    tips: &["nondeterministic_output"],
    handler: time,
    ..CommandSpec::BLANK
}];

fn time(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let conn = Conn::of(ctx);
    let now_us = match conn.script_of_db {
        Some(_) => *conn.script_us.get_or_insert_with(unix_us),
        None => unix_us(),
    };
    ctx.out.array(2);
    ctx.out.bulk_int(now_us / 1_000_000);
    ctx.out.bulk_int(now_us % 1_000_000);
    Ok(())
}
