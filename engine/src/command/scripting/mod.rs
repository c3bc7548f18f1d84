//! EVAL, FCALL, SCRIPT and FUNCTION.

mod eval;
mod function;

use super::Ctx;
use super::args;
use super::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, Locking, concat,
};
use crate::error::ReplyError;

use function::{
    function_delete, function_dump, function_flush, function_help, function_kill, function_list,
    function_load, function_restore, function_stats,
};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<8>(&[eval::SPECS, CONTAINERS]);

const CONTAINERS: &[CommandSpec] = &[
    CommandSpec {
        name: "function",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Groups the commands about function libraries.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "delete",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Removes a library with its functions.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NOSCRIPT.or(Flags::WRITE),
                acl: Acl::SCRIPTING,
                args: &[ArgSpec::new("library-name", ArgType::String)],
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                locking: Locking::All,
                handler: function_delete,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "dump",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Serializes all libraries into a binary payload.",
                complexity: "O(N) for N functions.",
                arity: 2,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                handler: function_dump,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "flush",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Removes all libraries.",
                complexity: "O(N) for N functions removed.",
                arity: -2,
                flags: Flags::NOSCRIPT.or(Flags::WRITE),
                acl: Acl::SCRIPTING,
                args: &[ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "ASYNC",
                            ..ArgSpec::new("async", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "SYNC",
                            ..ArgSpec::new("sync", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("flush-type", ArgType::OneOf)
                }],
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                locking: Locking::All,
                handler: function_flush,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                acl: Acl::SCRIPTING,
                handler: function_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "kill",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Stops the function that is running, if it has not written yet.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
                acl: Acl::SCRIPTING,
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                handler: function_kill,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "list",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Describes the loaded libraries and their functions.",
                complexity: "O(N) for N functions.",
                arity: -2,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                args: &[
                    ArgSpec {
                        token: "LIBRARYNAME",
                        optional: true,
                        ..ArgSpec::new("library-name-pattern", ArgType::String)
                    },
                    ArgSpec {
                        token: "WITHCODE",
                        optional: true,
                        ..ArgSpec::new("withcode", ArgType::PureToken)
                    },
                ],
                tips: &["nondeterministic_output_order"],
                handler: function_list,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "load",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Loads a library from its source code.",
                complexity: "O(1), compilation aside.",
                arity: -3,
                flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
                acl: Acl::SCRIPTING,
                args: &[
                    ArgSpec {
                        token: "REPLACE",
                        optional: true,
                        ..ArgSpec::new("replace", ArgType::PureToken)
                    },
                    ArgSpec::new("function-code", ArgType::String),
                ],
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                locking: Locking::All,
                handler: function_load,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "restore",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Loads the libraries of a payload made by `FUNCTION DUMP`.",
                complexity: "O(N) for N functions in the payload.",
                arity: -3,
                flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
                acl: Acl::SCRIPTING,
                args: &[
                    ArgSpec::new("serialized-value", ArgType::String),
                    ArgSpec {
                        optional: true,
                        args: &[
                            ArgSpec {
                                token: "FLUSH",
                                ..ArgSpec::new("flush", ArgType::PureToken)
                            },
                            ArgSpec {
                                token: "APPEND",
                                ..ArgSpec::new("append", ArgType::PureToken)
                            },
                            ArgSpec {
                                token: "REPLACE",
                                ..ArgSpec::new("replace", ArgType::PureToken)
                            },
                        ],
                        ..ArgSpec::new("policy", ArgType::OneOf)
                    },
                ],
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                locking: Locking::All,
                handler: function_restore,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "stats",
                group: Group::Scripting,
                since: "7.0.0",
                summary: "Tells which function is running and what the engines hold.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
                acl: Acl::SCRIPTING,
                tips: &[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ],
                handler: function_stats,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "script",
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Groups the commands about the script cache.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "debug",
                group: Group::Scripting,
                since: "3.2.0",
                summary: "Turns the script debugger on or off for this connection.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                args: &[ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "YES",
                            ..ArgSpec::new("yes", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "SYNC",
                            ..ArgSpec::new("sync", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "NO",
                            ..ArgSpec::new("no", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("mode", ArgType::OneOf)
                }],
                handler: script_debug,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "exists",
                group: Group::Scripting,
                since: "2.6.0",
                summary: "Tells which scripts are in the cache.",
                complexity: "O(N) for N scripts asked about.",
                arity: -3,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                args: &[ArgSpec {
                    multiple: true,
                    ..ArgSpec::new("sha1", ArgType::String)
                }],
                tips: &[
                    "request_policy:all_shards",
                    "response_policy:agg_logical_and",
                ],
                handler: script_exists,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "flush",
                group: Group::Scripting,
                since: "2.6.0",
                summary: "Empties the script cache.",
                complexity: "O(N) for N cached scripts.",
                arity: -2,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                args: &[ArgSpec {
                    since: "6.2.0",
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "ASYNC",
                            ..ArgSpec::new("async", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "SYNC",
                            ..ArgSpec::new("sync", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("flush-type", ArgType::OneOf)
                }],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                history: &[("6.2.0", "New options `ASYNC` and `SYNC`.")],
                locking: Locking::All,
                handler: script_flush,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Scripting,
                since: "5.0.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                acl: Acl::SCRIPTING,
                handler: script_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "kill",
                group: Group::Scripting,
                since: "2.6.0",
                summary: "Stops the script that is running, if it has not written yet.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
                acl: Acl::SCRIPTING,
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                handler: script_kill,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "load",
                group: Group::Scripting,
                since: "2.6.0",
                summary: "Puts a script into the cache and replies with its SHA1.",
                complexity: "O(N), N being the bytes of the script.",
                arity: 3,
                flags: Flags::NOSCRIPT.or(Flags::STALE),
                acl: Acl::SCRIPTING,
                args: &[ArgSpec::new("script", ArgType::String)],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                locking: Locking::All,
                handler: script_load,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "show",
                group: Group::Scripting,
                since: "8.0.0",
                summary: "Reads the source of a cached script.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NOSCRIPT,
                acl: Acl::SCRIPTING,
                args: &[ArgSpec::new("sha1", ArgType::String)],
                handler: script_show,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
];

const SCRIPT_HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];

/// Whether the words after the subcommand are nothing, ASYNC or SYNC.
pub(super) fn is_flush_mode(words: Args<'_>) -> bool {
    match words {
        [] => true,
        [mode] => args::is(mode, "sync") || args::is(mode, "async"),
        _ => false,
    }
}

fn script_flush(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if !is_flush_mode(&words[2..]) {
        return Err(ReplyError::err(
            "SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    ctx.engine().scripts.flush();
    ctx.out.ok();
    Ok(())
}

fn script_exists(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let engine = ctx.engine();
    ctx.out.array(words.len() - 2);
    for sha in &words[2..] {
        ctx.out.int(i64::from(engine.scripts.exists(sha)));
    }
    Ok(())
}

fn script_load(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let sha = ctx.engine().scripts.load(words[2])?;
    ctx.out.bulk(&sha);
    Ok(())
}

fn script_show(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let Some(body) = ctx.engine().scripts.source(words[2]) else {
        return Err(ReplyError::raw("NOSCRIPT No matching script."));
    };
    ctx.out.bulk(&body);
    Ok(())
}

fn script_kill(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.engine().scripts.running.kill(true)?;
    ctx.out.ok();
    Ok(())
}

fn script_debug(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if args::is(words[2], "no") {
        ctx.out.ok();
        Ok(())
    } else if args::is(words[2], "yes") || args::is(words[2], "sync") {
        Err(ReplyError::err("The script debugger is not available"))
    } else {
        Err(ReplyError::err("Use SCRIPT DEBUG YES/SYNC/NO"))
    }
}

fn script_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("script", SCRIPT_HELP);
    Ok(())
}
