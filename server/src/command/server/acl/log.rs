//! ACL LOG and DRYRUN.

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Group};
use basalt_engine::command::{Ctx, args};
use basalt_engine::{ReplyError, shown};

use super::ADMIN_FLAGS;
use crate::acl::Entry;
use crate::client::Conn;
use crate::server::unix_ms;

/// `ACL LOG`.
pub(super) const LOG: CommandSpec = CommandSpec {
    name: "log",
    group: Group::Server,
    since: "6.0.0",
    summary: "Shows the latest refused commands and failed logins, or clears that log.",
    complexity: "O(N) for N entries shown.",
    arity: -2,
    flags: ADMIN_FLAGS,
    args: &[ArgSpec {
        optional: true,
        args: &[
            ArgSpec::new("count", ArgType::Integer),
            ArgSpec {
                token: "RESET",
                ..ArgSpec::new("reset", ArgType::PureToken)
            },
        ],
        ..ArgSpec::new("operation", ArgType::OneOf)
    }],
    history: &[(
        "7.2.0",
        "Entries have an ID and the times of creation and last update.",
    )],
    handler: acl_log,
    ..CommandSpec::BLANK
};

/// `ACL DRYRUN`.
pub(super) const DRYRUN: CommandSpec = CommandSpec {
    name: "dryrun",
    group: Group::Server,
    since: "7.0.0",
    summary: "Checks whether a user may run a command, without running it.",
    complexity: "O(1)",
    arity: -4,
    flags: ADMIN_FLAGS,
    args: &[
        ArgSpec::new("username", ArgType::String),
        ArgSpec::new("command", ArgType::String),
        ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("arg", ArgType::String)
        },
    ],
    handler: acl_dryrun,
    ..CommandSpec::BLANK
};

/// Entries shown if no number is given.
const SHOWN: i64 = 10;

fn acl_log(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let log = &conn.server.accounts.log;
    let count = match words {
        [_, _] => SHOWN,
        [_, _, word] if args::is(word, "reset") => {
            log.clear();
            ctx.out.ok();
            return Ok(());
        }
        [_, _, word] => args::int(word)?,
        _ => return Err(super::super::subcommand_syntax(words)),
    };
    let now_ms = unix_ms();
    let entries = log.newest(usize::try_from(count).unwrap_or(0));
    ctx.out.array(entries.len());
    for entry in &entries {
        show(ctx, entry, now_ms);
    }
    Ok(())
}

fn show(ctx: &mut Ctx<'_>, entry: &Entry, now_ms: i64) {
    let out = &mut *ctx.out;
    out.map(10);
    out.bulk(b"count");
    out.int(entry.count);
    for (name, text) in [
        ("reason", entry.reason.name().as_bytes()),
        ("context", entry.context.name().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.username),
    ] {
        out.bulk(name.as_bytes());
        out.bulk(text);
    }
    out.bulk(b"age-seconds");
    out.double((now_ms - entry.updated_ms) as f64 / 1000.0);
    out.bulk(b"client-info");
    out.bulk(&entry.client_info);
    for (name, number) in [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created_ms),
        ("timestamp-last-updated", entry.updated_ms),
    ] {
        out.bulk(name.as_bytes());
        out.int(number);
    }
}

fn acl_dryrun(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let [_, _, name, request @ ..] = words else {
        return Err(ReplyError::SYNTAX);
    };
    let registry = ctx.engine().registry;
    let Some(account) = Conn::of(ctx).server.accounts.get(name) else {
        let name = shown(name);
        return Err(ReplyError::err(format_args!("User '{name}' not found")));
    };
    let Ok(command) = registry.resolve(request) else {
        let name = shown(request.first().copied().unwrap_or_default());
        return Err(ReplyError::err(format_args!("Command '{name}' not found")));
    };
    if !command.arity_fits(request.len()) {
        return Err(ReplyError::wrong_arity(command.table_name()));
    }
    match account.rules().check(command, request) {
        Ok(()) => ctx.out.ok(),
        Err(denied) => {
            let text = denied.message(account.name(), command, request, true);
            ctx.out.bulk(&ReplyError::raw(text).wire_bytes());
        }
    }
    Ok(())
}
