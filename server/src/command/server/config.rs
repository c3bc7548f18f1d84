//! CONFIG: directives at run time.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, Locking,
};

use crate::client::Conn;
use crate::config::text::os_reason;
use crate::config::{Missing, SetContext};

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "config",
    group: Group::Server,
    since: "2.0.0",
    summary: "Groups the commands about the server's directives.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "get",
            group: Group::Server,
            since: "2.0.0",
            summary: "Reads the directives whose name fits a pattern.",
            complexity: "O(N) for N patterns given.",
            arity: -3,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec {
                multiple: true,
                ..ArgSpec::new("parameter", ArgType::String)
            }],
            history: &[("7.0.0", "More than one pattern may be given.")],
            handler: config_get,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "5.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            handler: config_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "resetstat",
            group: Group::Server,
            since: "2.0.0",
            summary: "Sets the counters shown by `INFO` back to zero.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            locking: Locking::All,
            handler: config_resetstat,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "rewrite",
            group: Group::Server,
            since: "2.8.0",
            summary: "Writes the directives in force back to the configuration file.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            handler: config_rewrite,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "set",
            group: Group::Server,
            since: "2.0.0",
            summary: "Changes directives while the server runs.",
            complexity: "O(N) for N directives given.",
            arity: -4,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec {
                multiple: true,
                args: &[
                    ArgSpec::new("parameter", ArgType::String),
                    ArgSpec::new("value", ArgType::String),
                ],
                ..ArgSpec::new("data", ArgType::Block)
            }],
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            history: &[("7.0.0", "More than one directive may be given.")],
            handler: config_set,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

fn config_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let found = Conn::of(ctx).server.config.load().get(&args[2..]);
    ctx.out.map(found.len());
    for (name, value) in found {
        ctx.out.bulk(name.as_bytes());
        ctx.out.bulk(&value);
    }
    Ok(())
}

fn config_set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if !args.len().is_multiple_of(2) {
        return Err(ReplyError::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = args[2..]
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let conn = Conn::of(ctx);
    let context = SetContext {
        client_is_local: conn.handle.local,
        loading: conn.server.hot.loading.load(Relaxed),
    };
    match conn.server.config.set(&pairs, context) {
        Ok(()) => {
            ctx.out.ok();
            Ok(())
        }
        Err(error) => Err(ReplyError::raw(error.reply())),
    }
}

fn config_rewrite(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    rewrite(ctx, Missing::Changed)
}

/// CONFIG REWRITE, and DEBUG CONFIG-REWRITE-FORCE-ALL.
pub(super) fn rewrite(ctx: &mut Ctx<'_>, missing: Missing) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let config = server.config.snapshot();
    let Some(path) = &config.config_file else {
        return Err(ReplyError::err(
            "The server is running without a config file",
        ));
    };
    match config.rewrite(path, Some(&server.accounts.lines()), missing) {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE executed with success.");
            ctx.out.ok();
            Ok(())
        }
        Err(error) => {
            let reason = os_reason(&error);
            tracing::warn!("CONFIG REWRITE failed: {reason}");
            Err(ReplyError::err(format_args!(
                "Rewriting config file: {reason}"
            )))
        }
    }
}

/// Runs with every shard locked, so that no other thread is adding to a counter meanwhile.
fn config_resetstat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let engine = ctx.engine();
    engine.reset_stats();
    engine.lazy().reset_freed();
    let server = Conn::of(ctx).server.clone();
    server.stats.reset();
    server.client_memory.evicted.store(0, Relaxed);
    ctx.out.ok();
    Ok(())
}

fn config_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("config", HELP);
    Ok(())
}
