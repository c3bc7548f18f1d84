//! WAIT, WAITAOF, ROLE, FAILOVER, REPLICAOF of a primary without replicas.

use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};
use basalt_engine::{Reply, ReplyError};

use super::timeout_ms;
use crate::client::{Conn, SyncWait};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "wait",
        since: "3.0.0",
        summary: "Waits until enough replicas have confirmed this connection's earlier writes.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::BLOCKING,
        acl: Acl::CONNECTION,
        args: &[
            ArgSpec::new("numreplicas", ArgType::Integer),
            ArgSpec::new("timeout", ArgType::Integer),
        ],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        handler: wait,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "waitaof",
        since: "7.2.0",
        summary: "Waits until this connection's earlier writes are synced to append-only files here or \
            on replicas.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::BLOCKING,
        acl: Acl::CONNECTION,
        args: &[
            ArgSpec::new("numlocal", ArgType::Integer),
            ArgSpec::new("numreplicas", ArgType::Integer),
            ArgSpec::new("timeout", ArgType::Integer),
        ],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        handler: waitaof,
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
        name: "failover",
        group: Group::Server,
        since: "6.2.0",
        summary: "Has this primary swap roles with one of its replicas without losing writes.",
        complexity: "O(1)",
        arity: -1,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
        args: &[
            ArgSpec {
                token: "TO",
                optional: true,
                args: &[
                    ArgSpec::new("host", ArgType::String),
                    ArgSpec::new("port", ArgType::Integer),
                    ArgSpec {
                        token: "FORCE",
                        optional: true,
                        ..ArgSpec::new("force", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("target", ArgType::Block)
            },
            ArgSpec {
                token: "ABORT",
                optional: true,
                ..ArgSpec::new("abort", ArgType::PureToken)
            },
            ArgSpec {
                token: "TIMEOUT",
                optional: true,
                ..ArgSpec::new("milliseconds", ArgType::Integer)
            },
        ],
        handler: failover,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "replicaof",
        group: Group::Server,
        since: "5.0.0",
        summary: "Makes this server a replica of another, or a primary again.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NO_ASYNC_LOADING
            .or(Flags::ADMIN)
            .or(Flags::NOSCRIPT)
            .or(Flags::STALE),
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    args: &[
                        ArgSpec::new("host", ArgType::String),
                        ArgSpec::new("port", ArgType::Integer),
                    ],
                    ..ArgSpec::new("host-port", ArgType::Block)
                },
                ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "NO",
                            ..ArgSpec::new("no", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "ONE",
                            ..ArgSpec::new("one", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("no-one", ArgType::Block)
                },
            ],
            ..ArgSpec::new("args", ArgType::OneOf)
        }],
        handler: replicaof,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "slaveof",
        group: Group::Server,
        summary: "Makes this server a replica of another, or a primary again.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NO_ASYNC_LOADING
            .or(Flags::ADMIN)
            .or(Flags::NOSCRIPT)
            .or(Flags::STALE),
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    args: &[
                        ArgSpec::new("host", ArgType::String),
                        ArgSpec::new("port", ArgType::Integer),
                    ],
                    ..ArgSpec::new("host-port", ArgType::Block)
                },
                ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "NO",
                            ..ArgSpec::new("no", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "ONE",
                            ..ArgSpec::new("one", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("no-one", ArgType::Block)
                },
            ],
            ..ArgSpec::new("args", ArgType::OneOf)
        }],
        deprecated_since: "5.0.0",
        replaced_by: "`REPLICAOF`",
        handler: slaveof,
        ..CommandSpec::BLANK
    },
];

/// Answers at once if nothing more is wanted or waiting is not allowed; otherwise the reply
/// comes when the time is up, because no replica will ever confirm anything.
fn answer(ctx: &mut Ctx<'_>, enough: bool, until: Option<i64>, reply: impl Fn(&mut Reply)) {
    if enough || ctx.session.deny_blocking {
        return reply(ctx.out);
    }
    let mut later = Reply::new(ctx.session.resp);
    reply(&mut later);
    Conn::of(ctx).wait_until = Some((until.unwrap_or(i64::MAX), later.buf));
}

fn wait(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let replicas = args::int(words[1])?;
    let until = timeout_ms(words[2], ctx.ks.now_ms)?;
    answer(ctx, replicas <= 0, until, |out| out.int(0));
    Ok(())
}

fn waitaof(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let local = args::int_in(words[1], 0, 1, "")?;
    let replicas = args::positive(words[2])?;
    let until = timeout_ms(words[3], ctx.ks.now_ms)?;
    let index = ctx.session.log_index;
    let server = Conn::of(ctx).server.clone();
    let aof = &server.persist.aof;
    if local > 0 && !server.config.load().appendonly {
        return Err(ReplyError::err(
            "WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let here = aof.has_synced(index);
    let local_met = i64::from(here) >= local;
    if ctx.session.deny_blocking || local_met && replicas == 0 {
        ctx.out.array(2);
        ctx.out.int(i64::from(here));
        ctx.out.int(0);
        return Ok(());
    }
    Conn::of(ctx).wait_synced = Some(SyncWait {
        index,
        until_ms: until,
        local_only: replicas == 0,
    });
    Ok(())
}

fn role(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(3);
    ctx.out.bulk(b"master");
    ctx.out.int(0);
    ctx.out.array(0);
    Ok(())
}

fn replicaof(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if args::is(words[1], "no") && args::is(words[2], "one") {
        ctx.out.ok();
        return Ok(());
    }
    args::int_in(words[2], 0, 65535, "Invalid master port")?;
    Err(ReplyError::err(
        "this server cannot follow a primary yet: replication is not built",
    ))
}

/// A primary without replicas has nobody to hand over to; that comes after all errors in the
/// words themselves.
fn failover(_ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if matches!(words, [_, word] if args::is(word, "abort")) {
        return Err(ReplyError::err("No failover in progress."));
    }
    let (mut timeout, mut target, mut force) = (false, false, false);
    let mut rest = args::Cursor::new(words, 1);
    while let Some(word) = rest.next() {
        if args::is(word, "timeout") && rest.remaining() >= 1 && !timeout {
            if args::int(rest.required()?)? <= 0 {
                return Err(ReplyError::err("FAILOVER timeout must be greater than 0"));
            }
            timeout = true;
        } else if args::is(word, "to") && rest.remaining() >= 2 && !target {
            rest.required()?;
            args::int(rest.required()?)?;
            target = true;
        } else if args::is(word, "force") && !force {
            force = true;
        } else {
            return Err(ReplyError::SYNTAX);
        }
    }
    Err(ReplyError::err("FAILOVER requires connected replicas."))
}

fn slaveof(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    replicaof(ctx, words)
}
