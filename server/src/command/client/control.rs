//! CLIENT REPLY, NO-EVICT, NO-TOUCH, PAUSE, UNPAUSE, UNBLOCK.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::handle::Unblock;
use crate::client::pause::Mode;
use crate::client::{Conn, ReplyMode};
use crate::command::server::subcommand_syntax;
use crate::command::timeout_ms;
use crate::server::unix_ms;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "reply",
        group: Group::Connection,
        since: "3.2.0",
        summary: "Turns replies to this connection on or off, or skips the next one.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    token: "ON",
                    ..ArgSpec::new("on", ArgType::PureToken)
                },
                ArgSpec {
                    token: "OFF",
                    ..ArgSpec::new("off", ArgType::PureToken)
                },
                ArgSpec {
                    token: "SKIP",
                    ..ArgSpec::new("skip", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("action", ArgType::OneOf)
        }],
        handler: client_reply,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "no-evict",
        group: Group::Connection,
        since: "7.0.0",
        summary: "Shields this connection from being closed when clients use too much memory.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    token: "ON",
                    ..ArgSpec::new("on", ArgType::PureToken)
                },
                ArgSpec {
                    token: "OFF",
                    ..ArgSpec::new("off", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("enabled", ArgType::OneOf)
        }],
        handler: client_no_evict,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "no-touch",
        group: Group::Connection,
        since: "7.2.0",
        summary: "Says whether reads by this connection count as use of the keys for eviction.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    token: "ON",
                    ..ArgSpec::new("on", ArgType::PureToken)
                },
                ArgSpec {
                    token: "OFF",
                    ..ArgSpec::new("off", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("enabled", ArgType::OneOf)
        }],
        handler: client_no_touch,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pause",
        group: Group::Connection,
        since: "3.0.0",
        summary: "Holds back commands of all clients, or only writes, for some milliseconds.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[
            ArgSpec::new("timeout", ArgType::Integer),
            ArgSpec {
                since: "6.2.0",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "WRITE",
                        ..ArgSpec::new("write", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "ALL",
                        ..ArgSpec::new("all", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("mode", ArgType::OneOf)
            },
        ],
        history: &[("6.2.0", "New argument `mode`, with the value `WRITE`.")],
        handler: client_pause,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "unpause",
        group: Group::Connection,
        since: "6.2.0",
        summary: "Lets paused clients go on.",
        complexity: "O(N) for N paused clients.",
        arity: 2,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        handler: client_unpause,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "unblock",
        group: Group::Connection,
        since: "5.0.0",
        summary: "Wakes another client from a blocking command, as if timed out or with an \
                error.",
        complexity: "O(log N), N being the number of connections.",
        arity: -3,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[
            ArgSpec::new("client-id", ArgType::Integer),
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "TIMEOUT",
                        ..ArgSpec::new("timeout", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "ERROR",
                        ..ArgSpec::new("error", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("unblock-type", ArgType::OneOf)
            },
        ],
        handler: client_unblock,
        ..CommandSpec::BLANK
    },
];

fn client_reply(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    if args::is(words[2], "on") {
        conn.reply_mode = ReplyMode::On;
        ctx.out.ok();
    } else if args::is(words[2], "off") {
        conn.reply_mode = ReplyMode::Off;
    } else if args::is(words[2], "skip") {
        if conn.reply_mode != ReplyMode::Off {
            conn.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(ReplyError::SYNTAX);
    }
    let silent = conn.reply_mode == ReplyMode::Off;
    conn.handle.silent.store(silent, Relaxed);
    Ok(())
}

/// The word ON or OFF.
fn on_or_off(word: &[u8]) -> Result<bool, ReplyError> {
    if args::is(word, "on") {
        Ok(true)
    } else if args::is(word, "off") {
        Ok(false)
    } else {
        Err(ReplyError::SYNTAX)
    }
}

fn client_no_evict(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let on = on_or_off(words[2])?;
    Conn::of(ctx).handle.no_evict.store(on, Relaxed);
    ctx.out.ok();
    Ok(())
}

fn client_no_touch(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let on = on_or_off(words[2])?;
    Conn::of(ctx).handle.no_touch.store(on, Relaxed);
    ctx.session.no_touch = on;
    ctx.out.ok();
    Ok(())
}

fn client_pause(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let mode = match words.get(3) {
        None => Mode::All,
        Some(word) if args::is(word, "all") => Mode::All,
        Some(word) if args::is(word, "write") => Mode::Write,
        Some(_) => return Err(ReplyError::err("CLIENT PAUSE mode must be WRITE or ALL")),
    };
    if words.len() > 4 {
        return Err(subcommand_syntax(words));
    }
    let until = timeout_ms(words[2], unix_ms())?.unwrap_or(0);
    Conn::of(ctx).server.pause_clients(until, mode);
    ctx.out.ok();
    Ok(())
}

fn client_unpause(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Conn::of(ctx).server.unpause_clients();
    ctx.out.ok();
    Ok(())
}

fn client_unblock(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if words.len() > 4 {
        return Err(subcommand_syntax(words));
    }
    let how = match words.get(3) {
        None => Unblock::Timeout,
        Some(word) if args::is(word, "timeout") => Unblock::Timeout,
        Some(word) if args::is(word, "error") => Unblock::Error,
        Some(_) => {
            return Err(ReplyError::err(
                "CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    if words.len() > 4 {
        return Err(subcommand_syntax(words));
    }
    let id = args::int(words[2])?;
    let target = u64::try_from(id)
        .ok()
        .and_then(|id| Conn::of(ctx).server.clients.get(id));
    let unblocked = target.is_some_and(|target| target.unblock(how));
    // What comes next finds the other unblocked, and its command counted.
    Conn::of(ctx).gives_way = unblocked;
    ctx.out.int(i64::from(unblocked));
    Ok(())
}
