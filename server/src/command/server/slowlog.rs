//! SLOWLOG, and COMMANDLOG with its three logs: slow, large requests, large replies.

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_engine::command::{Ctx, args};
use basalt_engine::{Reply, ReplyError};

use crate::client::Conn;
use crate::server::Server;
use crate::slowlog::SlowLog;

/// The containers' rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "slowlog",
        group: Group::Server,
        since: "2.2.12",
        summary: "Groups the commands about the log of slow commands.",
        complexity: "That of the subcommand.",
        arity: -2,
        deprecated_since: "8.1.0",
        replaced_by: "`COMMANDLOG`",
        subcommands: &[
            CommandSpec {
                name: "get",
                group: Group::Server,
                since: "2.2.12",
                summary: "Shows the latest entries of the log of slow commands.",
                complexity: "O(N) for N entries returned.",
                arity: -2,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    ..ArgSpec::new("count", ArgType::Integer)
                }],
                tips: &["request_policy:all_nodes", "nondeterministic_output"],
                history: &[("4.0.0", "Entries name the client and its address and port.")],
                deprecated_since: "8.1.0",
                replaced_by: "`COMMANDLOG GET <count> SLOW`",
                handler: slowlog_get,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Server,
                since: "6.2.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                deprecated_since: "8.1.0",
                replaced_by: "`COMMANDLOG HELP`",
                handler: slowlog_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "len",
                group: Group::Server,
                since: "2.2.12",
                summary: "Counts the entries of the log of slow commands.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                tips: &[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ],
                deprecated_since: "8.1.0",
                replaced_by: "`COMMANDLOG LEN SLOW`",
                handler: slowlog_len,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "reset",
                group: Group::Server,
                since: "2.2.12",
                summary: "Empties the log of slow commands.",
                complexity: "O(N) for N entries in that log.",
                arity: 2,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                deprecated_since: "8.1.0",
                replaced_by: "`COMMANDLOG RESET SLOW`",
                handler: slowlog_reset,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "commandlog",
        group: Group::Server,
        since: "8.1.0",
        summary: "Groups the commands about the logs of slow and large commands.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "get",
                group: Group::Server,
                since: "8.1.0",
                summary: "Shows the latest entries of one of the command logs.",
                complexity: "O(N) for N entries returned.",
                arity: 4,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                args: &[
                    ArgSpec::new("count", ArgType::Integer),
                    ArgSpec {
                        args: &[
                            ArgSpec {
                                token: "SLOW",
                                ..ArgSpec::new("slow", ArgType::PureToken)
                            },
                            ArgSpec {
                                token: "LARGE-REQUEST",
                                ..ArgSpec::new("large-request", ArgType::PureToken)
                            },
                            ArgSpec {
                                token: "LARGE-REPLY",
                                ..ArgSpec::new("large-reply", ArgType::PureToken)
                            },
                        ],
                        ..ArgSpec::new("type", ArgType::OneOf)
                    },
                ],
                tips: &["request_policy:all_nodes", "nondeterministic_output"],
                handler: commandlog_get,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Server,
                since: "8.1.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                handler: commandlog_help,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "len",
                group: Group::Server,
                since: "8.1.0",
                summary: "Counts the entries of one of the command logs.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "SLOW",
                            ..ArgSpec::new("slow", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "LARGE-REQUEST",
                            ..ArgSpec::new("large-request", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "LARGE-REPLY",
                            ..ArgSpec::new("large-reply", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("type", ArgType::OneOf)
                }],
                tips: &[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ],
                handler: commandlog_len,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "reset",
                group: Group::Server,
                since: "8.1.0",
                summary: "Empties one of the command logs.",
                complexity: "O(N) for N entries in that log.",
                arity: 3,
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                args: &[ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "SLOW",
                            ..ArgSpec::new("slow", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "LARGE-REQUEST",
                            ..ArgSpec::new("large-request", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "LARGE-REPLY",
                            ..ArgSpec::new("large-reply", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("type", ArgType::OneOf)
                }],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: commandlog_reset,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
];

const SLOWLOG_HELP: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

const COMMANDLOG_HELP: &[&str] = &[
    "GET <count> <type>",
    "    Return top <count> entries of the specified <type> from the commandlog (-1 mean all).",
    "    Entries are made of:",
    "    id, timestamp,",
    "        time in microseconds for type of slow,",
    "        or size in bytes for type of large-request,",
    "        or size in bytes for type of large-reply",
    "    arguments array, client IP and port,",
    "    client name",
    "LEN <type>",
    "    Return the length of the specified type of commandlog.",
    "RESET <type>",
    "    Reset the specified type of commandlog.",
];

/// Entries of a plain SLOWLOG GET.
const DEFAULT_COUNT: usize = 10;

fn count(word: &[u8]) -> Result<usize, ReplyError> {
    let text = "count should be greater than or equal to -1";
    let count = args::int_in(word, -1, i64::MAX, text)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn show(out: &mut Reply, log: &SlowLog, count: usize) {
    let entries = log.newest(count);
    out.array(entries.len());
    for entry in &entries {
        out.array(6);
        out.int(i64::try_from(entry.id).unwrap_or(i64::MAX));
        out.int(entry.time);
        out.int(i64::try_from(entry.value).unwrap_or(i64::MAX));
        out.array(entry.words.len());
        entry.words.iter().for_each(|word| out.bulk(word));
        out.bulk(entry.addr.as_bytes());
        out.bulk(&entry.name);
    }
}

fn slowlog_get(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let count = match words {
        [_, _] => DEFAULT_COUNT,
        [_, _, word] => count(word)?,
        _ => return Err(super::subcommand_syntax(words)),
    };
    let server = Conn::of(ctx).server.clone();
    show(ctx.out, &server.slowlog, count);
    Ok(())
}

fn slowlog_len(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let len = Conn::of(ctx).server.slowlog.len();
    ctx.out.count(len);
    Ok(())
}

fn slowlog_reset(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    Conn::of(ctx).server.slowlog.reset();
    ctx.out.ok();
    Ok(())
}

fn slowlog_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("slowlog", SLOWLOG_HELP);
    Ok(())
}

/// The log of this name.
fn log<'s>(server: &'s Server, name: &[u8]) -> Result<&'s SlowLog, ReplyError> {
    let logs = [
        ("slow", &server.slowlog),
        ("large-request", &server.large_requests),
        ("large-reply", &server.large_replies),
    ];
    let found = logs.into_iter().find(|(kind, _)| args::is(name, kind));
    found.map(|(_, log)| log).ok_or_else(|| {
        ReplyError::err("type should be one of the following: slow, large-request, large-reply")
    })
}

fn commandlog_get(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let count = count(words[2])?;
    let server = Conn::of(ctx).server.clone();
    show(ctx.out, log(&server, words[3])?, count);
    Ok(())
}

fn commandlog_len(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let len = log(&Conn::of(ctx).server, words[2])?.len();
    ctx.out.count(len);
    Ok(())
}

fn commandlog_reset(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    log(&Conn::of(ctx).server, words[2])?.reset();
    ctx.out.ok();
    Ok(())
}

fn commandlog_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("commandlog", COMMANDLOG_HELP);
    Ok(())
}
