//! PING, ECHO, QUIT, SELECT.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "ping",
        group: Group::Connection,
        summary: "Answers, to show that the server is there.",
        complexity: "O(1)",
        arity: -1,
        flags: Flags::FAST.or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            optional: true,
            ..ArgSpec::new("message", ArgType::String)
        }],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: ping,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "echo",
        group: Group::Connection,
        summary: "Sends back the string it was given.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        acl: Acl::CONNECTION,
        args: &[ArgSpec::new("message", ArgType::String)],
        handler: echo,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "quit",
        group: Group::Connection,
        summary: "Closes this connection after the reply.",
        complexity: "O(1)",
        arity: -1,
        flags: Flags::ALLOW_BUSY
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_AUTH),
        acl: Acl::CONNECTION,
        deprecated_since: "7.2.0",
        replaced_by: "just closing the connection",
        handler: quit,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "select",
        group: Group::Connection,
        summary: "Changes the database this connection works on.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        acl: Acl::CONNECTION,
        args: &[ArgSpec::new("index", ArgType::Integer)],
        handler: select,
        ..CommandSpec::BLANK
    },
];

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() > 2 {
        return Err(ReplyError::wrong_arity("ping"));
    }
    let message = args.get(1).copied();
    if Conn::of(ctx).is_subscriber() && !ctx.out.is_resp3() {
        ctx.out.array(2);
        ctx.out.bulk(b"pong");
        ctx.out.bulk(message.unwrap_or_default());
    } else {
        match message {
            None => ctx.out.simple("PONG"),
            Some(message) => ctx.out.bulk(message),
        }
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.out.bulk(args[1]);
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Conn::of(ctx).close_after_reply = true;
    ctx.out.ok();
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let db = args::database(words[1], ctx.engine().databases())?;
    ctx.session.db = db;
    ctx.ks.select(db);
    if let Some(conn) = Conn::try_of(ctx) {
        conn.handle.db.store(db, Relaxed);
    }
    ctx.out.ok();
    Ok(())
}
