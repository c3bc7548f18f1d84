//! Small questions about the server: TIME, ROLE, MODULE.

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Acl, Args, CmdResult, CommandSpec, Flags, Group};

use crate::client::Conn;
use crate::server::unix_us;

/// The rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "time",
        group: Group::Server,
        since: "2.6.0",
        summary: "Reads the server's clock: seconds and microseconds.",
        complexity: "O(1)",
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        tips: &["nondeterministic_output"],
        handler: time,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "role",
        group: Group::Server,
        since: "2.8.12",
        summary: "Tells whether the server is a primary or replica, and how replication stands.",
        complexity: "O(1)",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::SENTINEL),
        acl: Acl::ADMIN.or(Acl::DANGEROUS),
        handler: role,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "module",
        group: Group::Server,
        since: "4.0.0",
        summary: "Groups the commands about modules.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "help",
                group: Group::Server,
                since: "5.0.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                handler: module_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "list",
                group: Group::Server,
                since: "4.0.0",
                summary: "Lists the loaded modules.",
                complexity: "O(N) for N modules.",
                arity: 2,
                flags: Flags::ADMIN.or(Flags::NOSCRIPT),
                tips: &["nondeterministic_output_order"],
                handler: module_list,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
];

const MODULE_HELP: &[&str] = &["LIST", "    Return a list of loaded modules."];

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

/// Always a primary without replicas, whose stream has not begun.
fn role(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(3);
    ctx.out.bulk(b"master");
    ctx.out.int(0);
    ctx.out.array(0);
    Ok(())
}

fn module_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(0);
    Ok(())
}

fn module_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("module", MODULE_HELP);
    Ok(())
}
