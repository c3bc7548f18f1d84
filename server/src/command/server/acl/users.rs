//! ACL SETUSER, DELUSER, GETUSER, LIST and USERS.

use basalt_engine::acl::{Selector, has_blanks};
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Group};
use basalt_engine::{Reply, ReplyError};

use super::ADMIN_FLAGS;
use crate::acl::DEFAULT;
use crate::client::Conn;

/// `ACL SETUSER`.
pub(super) const SETUSER: CommandSpec = CommandSpec {
    name: "setuser",
    group: Group::Server,
    since: "6.0.0",
    summary: "Creates a user or changes its rules.",
    complexity: "O(N) for N rules given.",
    arity: -3,
    flags: ADMIN_FLAGS,
    args: &[
        ArgSpec::new("username", ArgType::String),
        ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("rule", ArgType::String)
        },
    ],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    history: &[
        ("6.2.0", "Channel patterns are understood."),
        (
            "7.0.0",
            "Selectors and read or write access by key are understood.",
        ),
    ],
    handler: acl_setuser,
    ..CommandSpec::BLANK
};

/// `ACL DELUSER`.
pub(super) const DELUSER: CommandSpec = CommandSpec {
    name: "deluser",
    group: Group::Server,
    since: "6.0.0",
    summary: "Removes users and closes their connections.",
    complexity: "O(1) amortized for a typical user.",
    arity: -3,
    flags: ADMIN_FLAGS,
    args: &[ArgSpec {
        multiple: true,
        ..ArgSpec::new("username", ArgType::String)
    }],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: acl_deluser,
    ..CommandSpec::BLANK
};

/// `ACL GETUSER`.
pub(super) const GETUSER: CommandSpec = CommandSpec {
    name: "getuser",
    group: Group::Server,
    since: "6.0.0",
    summary: "Describes the rules of one user.",
    complexity: "O(N) for N passwords, command rules and patterns of the user.",
    arity: 3,
    flags: ADMIN_FLAGS,
    args: &[ArgSpec::new("username", ArgType::String)],
    history: &[
        ("6.2.0", "Channel patterns are included."),
        (
            "7.0.0",
            "Selectors are included; key and channel patterns are written as \
            rules, not lists.",
        ),
    ],
    handler: acl_getuser,
    ..CommandSpec::BLANK
};

/// `ACL LIST`.
pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    group: Group::Server,
    since: "6.0.0",
    summary: "Writes all users as lines of an ACL file.",
    complexity: "O(N) for N users.",
    arity: 2,
    flags: ADMIN_FLAGS,
    handler: acl_list,
    ..CommandSpec::BLANK
};

/// `ACL USERS`.
pub(super) const USERS: CommandSpec = CommandSpec {
    name: "users",
    group: Group::Server,
    since: "6.0.0",
    summary: "Lists the names of all users.",
    complexity: "O(N) for N users.",
    arity: 2,
    flags: ADMIN_FLAGS,
    handler: acl_users,
    ..CommandSpec::BLANK
};

fn acl_setuser(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let [_, _, name, rules @ ..] = words else {
        return Err(ReplyError::SYNTAX);
    };
    if has_blanks(name) {
        return Err(ReplyError::err(
            "Usernames can't contain spaces or null characters",
        ));
    }
    let server = conn.server.clone();
    server.set_user(conn, name, rules)?;
    ctx.out.ok();
    Ok(())
}

fn acl_deluser(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let names = words.get(2..).unwrap_or_default();
    if names.contains(&DEFAULT) {
        return Err(ReplyError::err("The 'default' user cannot be removed"));
    }
    let conn = Conn::from_host(ctx.host);
    let server = conn.server.clone();
    let deleted = names
        .iter()
        .filter(|name| server.delete_user(conn, name))
        .count();
    ctx.out.count(deleted);
    Ok(())
}

/// The three fields of a selector.
fn describe(out: &mut Reply, selector: &Selector) {
    out.bulk(b"commands");
    out.bulk(&selector.describe_commands());
    out.bulk(b"keys");
    out.bulk(&selector.describe_keys());
    out.bulk(b"channels");
    out.bulk(&selector.describe_channels());
}

fn acl_getuser(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let name = words.get(2).copied().unwrap_or_default();
    let Some(account) = Conn::of(ctx).server.accounts.get(name) else {
        ctx.out.null();
        return Ok(());
    };
    let rules = account.rules();
    let out = &mut *ctx.out;
    out.map(6);
    out.bulk(b"flags");
    let flags: Vec<_> = rules.flags().collect();
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag.as_bytes()));
    out.bulk(b"passwords");
    out.array(rules.passwords().len());
    rules.hex_passwords().for_each(|hash| out.bulk(&hash));
    let mut selectors = rules.selectors();
    if let Some(root) = selectors.next() {
        describe(out, root);
    }
    out.bulk(b"selectors");
    let more: Vec<_> = selectors.collect();
    out.array(more.len());
    for selector in more {
        out.map(3);
        describe(out, selector);
    }
    Ok(())
}

fn acl_list(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let lines = Conn::of(ctx).server.accounts.lines();
    ctx.out.array(lines.len());
    for line in &lines {
        ctx.out.bulk(&[b"user ", &line[..]].concat());
    }
    Ok(())
}

fn acl_users(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let all = Conn::of(ctx).server.accounts.all();
    ctx.out.array(all.len());
    all.iter().for_each(|account| ctx.out.bulk(account.name()));
    Ok(())
}
