//! SUBSCRIBE and kin, PUBLISH, PUBSUB.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    ArgSpec, ArgType, Args, Channels, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags,
    KeySpec, Locking,
};
use basalt_engine::{Reply, ReplyError};

use super::server::subcommand_syntax;
use crate::client::Conn;
use crate::client::handle::Handle;
use crate::pubsub::Kind;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "subscribe",
        group: Group::Pubsub,
        channels: Channels::Subscribe,
        since: "2.0.0",
        summary: "Subscribes to channels.",
        complexity: "O(N) for N channels given.",
        arity: -2,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        args: &[ArgSpec {
            multiple: true,
            ..ArgSpec::new("channel", ArgType::String)
        }],
        handler: subscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "unsubscribe",
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Ends subscriptions to channels, or to all of them.",
        complexity: "O(N) for N channels given.",
        arity: -1,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        args: &[ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("channel", ArgType::String)
        }],
        handler: unsubscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "psubscribe",
        group: Group::Pubsub,
        channels: Channels::SubscribePatterns,
        since: "2.0.0",
        summary: "Subscribes to every channel whose name fits a glob pattern.",
        complexity: "O(N) for N patterns given.",
        arity: -2,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        args: &[ArgSpec {
            multiple: true,
            ..ArgSpec::new("pattern", ArgType::Pattern)
        }],
        handler: psubscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "punsubscribe",
        group: Group::Pubsub,
        since: "2.0.0",
        summary: "Ends subscriptions to patterns, or to all of them.",
        complexity: "O(N) for N patterns given.",
        arity: -1,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        args: &[ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("pattern", ArgType::Pattern)
        }],
        handler: punsubscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "ssubscribe",
        group: Group::Pubsub,
        channels: Channels::Subscribe,
        since: "7.0.0",
        summary: "Subscribes to shard channels, which stay within one shard of the cluster.",
        complexity: "O(N) for N channels given.",
        arity: -2,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE),
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::NOT_KEY,
        )],
        locking: Locking::None,
        args: &[ArgSpec {
            multiple: true,
            ..ArgSpec::new("shardchannel", ArgType::String)
        }],
        handler: ssubscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sunsubscribe",
        group: Group::Pubsub,
        since: "7.0.0",
        summary: "Ends subscriptions to shard channels, or to all of them.",
        complexity: "O(N) for N channels given.",
        arity: -1,
        flags: Flags::PUBSUB
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE),
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::NOT_KEY,
        )],
        locking: Locking::None,
        args: &[ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("shardchannel", ArgType::String)
        }],
        handler: sunsubscribe,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "publish",
        group: Group::Pubsub,
        channels: Channels::Publish,
        since: "2.0.0",
        summary: "Sends a message to all subscribers of a channel.",
        complexity: "O(N+M), N being the subscribers of the channel and M the patterns subscribed to \
            by anyone.",
        arity: 3,
        flags: Flags::PUBSUB
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::MAY_REPLICATE)
            .or(Flags::SENTINEL),
        args: &[
            ArgSpec::new("channel", ArgType::String),
            ArgSpec::new("message", ArgType::String),
        ],
        handler: publish,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "spublish",
        group: Group::Pubsub,
        channels: Channels::Publish,
        since: "7.0.0",
        summary: "Sends a message to all subscribers of a shard channel.",
        complexity: "O(N), N being the subscribers of the channel.",
        arity: 3,
        flags: Flags::PUBSUB
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::MAY_REPLICATE),
        keys: &[KeySpec::one(1, KeyFlags::NOT_KEY)],
        locking: Locking::None,
        args: &[
            ArgSpec::new("shardchannel", ArgType::String),
            ArgSpec::new("message", ArgType::String),
        ],
        handler: spublish,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pubsub",
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Groups the commands that look at channels and subscriptions.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "channels",
                group: Group::Pubsub,
                since: "2.8.0",
                summary: "Lists the channels that have a subscriber.",
                complexity: "O(N) for N active channels and patterns of bounded length.",
                arity: -2,
                flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    ..ArgSpec::new("pattern", ArgType::Pattern)
                }],
                handler: pubsub_channels,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Pubsub,
                since: "6.2.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                handler: pubsub_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "numpat",
                group: Group::Pubsub,
                since: "2.8.0",
                summary: "Counts the distinct patterns subscribed to.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
                handler: pubsub_numpat,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "numsub",
                group: Group::Pubsub,
                since: "2.8.0",
                summary: "Counts the subscribers of each given channel.",
                complexity: "O(N) for N channels given.",
                arity: -2,
                flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("channel", ArgType::String)
                }],
                handler: pubsub_numsub,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "shardchannels",
                group: Group::Pubsub,
                since: "7.0.0",
                summary: "Lists the shard channels that have a subscriber.",
                complexity: "O(N) for N active channels and patterns of bounded length.",
                arity: -2,
                flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    ..ArgSpec::new("pattern", ArgType::Pattern)
                }],
                handler: pubsub_shardchannels,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "shardnumsub",
                group: Group::Pubsub,
                since: "7.0.0",
                summary: "Counts the subscribers of each given shard channel.",
                complexity: "O(N) for N channels given.",
                arity: -2,
                flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("shardchannel", ArgType::String)
                }],
                handler: pubsub_shardnumsub,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
];

/// How many subscriptions a reply about this kind counts: shard channels count alone.
fn counted(handle: &Handle, kind: Kind) -> usize {
    match kind {
        Kind::Shard => handle.shard_channels.load(Relaxed),
        Kind::Channel | Kind::Pattern => {
            handle.channels.load(Relaxed) + handle.patterns.load(Relaxed)
        }
    }
}

/// One reply of SUBSCRIBE or UNSUBSCRIBE and kin.
fn confirm(out: &mut Reply, word: &str, name: Option<&[u8]>, count: usize) {
    out.push(3);
    out.bulk(word.as_bytes());
    out.bulk_opt(name);
    out.count(count);
}

fn join(ctx: &mut Ctx<'_>, kind: Kind, word: &str, names: &[&[u8]]) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let server = conn.server.clone();
    for name in names {
        server.pubsub.subscribe(conn, kind, name);
        confirm(ctx.out, word, Some(name), counted(&conn.handle, kind));
    }
    // Who took the permission away since it was checked did not find the subscription yet.
    let account = &conn.account;
    if !account.is_free() {
        let rules = account.rules();
        let lost = |name: &&[u8]| !rules.allows_channel(name, kind == Kind::Pattern);
        conn.close_now |= names.iter().any(lost);
    }
    Ok(())
}

/// Ends subscriptions, all of a kind if none is named. Messages that came before go out before
/// the confirmation, so a client hears nothing of a channel after it.
fn leave(ctx: &mut Ctx<'_>, kind: Kind, word: &str, names: &[&[u8]]) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let server = conn.server.clone();
    let all: Vec<Vec<u8>>;
    let names: Vec<&[u8]> = if names.is_empty() {
        all = conn.subscriptions(kind).0.iter().cloned().collect();
        all.iter().map(Vec::as_slice).collect()
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        confirm(ctx.out, word, None, counted(&conn.handle, kind));
    }
    let in_exec = ctx.session.deny_blocking;
    for name in names {
        server.pubsub.unsubscribe(conn, kind, name);
        if !in_exec {
            conn.handle.drain_outbox(&mut ctx.out.buf);
        }
        confirm(ctx.out, word, Some(name), counted(&conn.handle, kind));
    }
    Ok(())
}

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    join(ctx, Kind::Channel, "subscribe", &args[1..])
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    leave(ctx, Kind::Channel, "unsubscribe", &args[1..])
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    join(ctx, Kind::Pattern, "psubscribe", &args[1..])
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    leave(ctx, Kind::Pattern, "punsubscribe", &args[1..])
}

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if ctx.session.deny_blocking {
        return Err(ReplyError::err(
            "SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    join(ctx, Kind::Shard, "ssubscribe", &args[1..])
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    leave(ctx, Kind::Shard, "sunsubscribe", &args[1..])
}

fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let receivers = Conn::of(ctx).server.pubsub.publish(args[1], args[2]);
    ctx.out.count(receivers);
    Ok(())
}

fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let receivers = Conn::of(ctx).server.pubsub.publish_shard(args[1], args[2]);
    ctx.out.count(receivers);
    Ok(())
}

fn names(ctx: &mut Ctx<'_>, kind: Kind, args: Args<'_>) -> CmdResult {
    if args.len() > 3 {
        return Err(subcommand_syntax(args));
    }
    let names = Conn::of(ctx)
        .server
        .pubsub
        .names(kind, args.get(2).copied());
    ctx.out.array(names.len());
    names.iter().for_each(|name| ctx.out.bulk(name));
    Ok(())
}

fn counts(ctx: &mut Ctx<'_>, kind: Kind, names: &[&[u8]]) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    ctx.out.array(names.len() * 2);
    for name in names {
        ctx.out.bulk(name);
        ctx.out.count(server.pubsub.listeners(kind, name));
    }
    Ok(())
}

fn pubsub_channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    names(ctx, Kind::Channel, args)
}

fn pubsub_shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    names(ctx, Kind::Shard, args)
}

fn pubsub_numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    counts(ctx, Kind::Channel, &args[2..])
}

fn pubsub_shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    counts(ctx, Kind::Shard, &args[2..])
}

fn pubsub_numpat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let count = Conn::of(ctx).server.pubsub.count(Kind::Pattern);
    ctx.out.count(count);
    Ok(())
}

fn pubsub_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help(
        "pubsub",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    );
    Ok(())
}
