//! COMMAND: the command table as clients see it.
//!
//! Everything is read from the registry; see `docs.rs` beside this file for COMMAND DOCS.

use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, BeginSearch, CmdResult, CommandSpec, FindKeys, Flags, Group,
    KeyFlags, KeySpec,
};
use basalt_engine::command::{Command, Ctx};
use basalt_engine::{Aggregate, Reply, ReplyError};

use super::docs::command_docs;
use crate::config::text::glob;

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "command",
    group: Group::Server,
    since: "2.8.13",
    summary: "Describes all commands to clients.",
    complexity: "O(N) for N commands.",
    arity: -1,
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output_order"],
    subcommands: &[
        CommandSpec {
            name: "count",
            group: Group::Server,
            since: "2.8.13",
            summary: "Counts the commands.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            handler: command_count,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "docs",
            group: Group::Server,
            since: "7.0.0",
            summary: "Explains commands to people: summary, syntax, history.",
            complexity: "O(N) for N commands looked up.",
            arity: -2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            args: &[ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("command-name", ArgType::String)
            }],
            tips: &["nondeterministic_output_order"],
            handler: command_docs,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "getkeys",
            group: Group::Server,
            since: "2.8.13",
            summary: "Picks out the keys of a full command line.",
            complexity: "O(N) for N words in the line.",
            arity: -3,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            args: &[
                ArgSpec::new("command", ArgType::String),
                ArgSpec {
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("arg", ArgType::String)
                },
            ],
            handler: command_getkeys,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "getkeysandflags",
            group: Group::Server,
            since: "7.0.0",
            summary: "Picks out the keys of a full command line and what would be done to each.",
            complexity: "O(N) for N words in the line.",
            arity: -3,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            args: &[
                ArgSpec::new("command", ArgType::String),
                ArgSpec {
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("arg", ArgType::String)
                },
            ],
            handler: command_getkeysandflags,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "5.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            handler: command_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "info",
            group: Group::Server,
            since: "2.8.13",
            summary: "Describes the given commands to clients.",
            complexity: "O(N) for N commands looked up.",
            arity: -2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            args: &[ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("command-name", ArgType::String)
            }],
            tips: &["nondeterministic_output_order"],
            history: &[("7.0.0", "Without a name it describes all commands.")],
            handler: command_info,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "list",
            group: Group::Server,
            since: "7.0.0",
            summary: "Lists the names of commands, possibly filtered.",
            complexity: "O(N) for N commands.",
            arity: -2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            acl: Acl::CONNECTION,
            args: &[ArgSpec {
                token: "FILTERBY",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "MODULE",
                        ..ArgSpec::new("module-name", ArgType::String)
                    },
                    ArgSpec {
                        token: "ACLCAT",
                        ..ArgSpec::new("category", ArgType::String)
                    },
                    ArgSpec {
                        token: "PATTERN",
                        ..ArgSpec::new("pattern", ArgType::Pattern)
                    },
                ],
                ..ArgSpec::new("filterby", ArgType::OneOf)
            }],
            tips: &["nondeterministic_output_order"],
            handler: command_list,
            ..CommandSpec::BLANK
        },
    ],
    handler: command,
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
];

fn command(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let registry = ctx.engine().registry;
    ctx.out.array(registry.commands().count());
    registry
        .commands()
        .for_each(|command| describe(ctx.out, command));
    Ok(())
}

fn command_count(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.count(ctx.engine().registry.commands().count());
    Ok(())
}

fn command_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let registry = ctx.engine().registry;
    if args.len() == 2 {
        return command(ctx, args);
    }
    ctx.out.array(args.len() - 2);
    for name in &args[2..] {
        match registry.find_full(name) {
            Some(command) => describe(ctx.out, command),
            None => ctx.out.null(),
        }
    }
    Ok(())
}

/// Status replies as a set.
fn flag_names(out: &mut Reply, names: impl Iterator<Item = impl AsRef<str>>) {
    let names: Vec<_> = names.collect();
    out.set(names.len());
    names.iter().for_each(|name| out.simple(name.as_ref()));
}

/// First key, last key and step as they were told before key specs: the range that covers
/// the leading specs with fixed positions.
fn legacy_range(command: &Command) -> (i32, i32, i32) {
    let fixed = |key: &KeySpec| match (key.begin, key.find) {
        (BeginSearch::Index(at), FindKeys::Range(last, step, _)) => Some((at, last, step)),
        _ => None,
    };
    let absolute = |at: i32, last: i32| if last >= 0 { at + last } else { last };
    if let [key] = command.spec.keys {
        return fixed(key).map_or((0, 0, 0), |(at, last, step)| (at, absolute(at, last), step));
    }
    let mut range: Option<(i32, i32)> = None;
    for (at, last, step) in command.spec.keys.iter().filter_map(fixed) {
        let follows = range.is_none_or(|(_, end)| end == at - 1);
        if step != 1 || !follows {
            continue;
        }
        let last = absolute(at, last);
        range = Some(match range {
            None => (at, last),
            // A last key counted from the end lies behind any counted from the start.
            Some((first, end)) => (first.min(at), if last < 0 { last } else { end.max(last) }),
        });
    }
    range.map_or((0, 0, 0), |(first, last)| (first, last, 1))
}

fn describe(out: &mut Reply, command: &Command) {
    let (first, last, step) = legacy_range(command);
    out.array(10);
    out.bulk(command.name.as_bytes());
    out.int(command.spec.arity.into());
    flag_names(out, command.flags.names());
    out.int(first.into());
    out.int(last.into());
    out.int(step.into());
    flag_names(out, command.acl.names().map(|name| format!("@{name}")));
    out.set(command.spec.tips.len());
    command
        .spec
        .tips
        .iter()
        .for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(command.spec.keys.len());
    command.spec.keys.iter().for_each(|key| key_spec(out, key));
    if command.subcommands.is_empty() {
        out.set(0);
    } else {
        out.array(command.subcommands.len());
        command
            .subcommands
            .iter()
            .for_each(|sub| describe(out, sub));
    }
}

fn key_spec(out: &mut Reply, key: &KeySpec) {
    out.map(3 + usize::from(!key.notes.is_empty()));
    if !key.notes.is_empty() {
        out.bulk(b"notes");
        out.bulk(key.notes.as_bytes());
    }
    out.bulk(b"flags");
    flag_names(out, key.flags.names());
    out.bulk(b"begin_search");
    match key.begin {
        BeginSearch::Unknown => search(out, "unknown", 0),
        BeginSearch::Index(at) => {
            search(out, "index", 1);
            number(out, "index", at);
        }
        BeginSearch::Keyword(word, from) => {
            search(out, "keyword", 2);
            out.bulk(b"keyword");
            out.bulk(word.as_bytes());
            number(out, "startfrom", from);
        }
    }
    out.bulk(b"find_keys");
    match key.find {
        FindKeys::Unknown => search(out, "unknown", 0),
        FindKeys::Range(last, step, limit) => {
            search(out, "range", 3);
            number(out, "lastkey", last);
            number(out, "keystep", step);
            number(out, "limit", limit);
        }
        FindKeys::Keynum(count_at, first, step) => {
            search(out, "keynum", 3);
            number(out, "keynumidx", count_at);
            number(out, "firstkey", first);
            number(out, "keystep", step);
        }
    }
}

fn search(out: &mut Reply, kind: &str, facts: usize) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(facts);
}

fn number(out: &mut Reply, name: &str, value: i32) {
    out.bulk(name.as_bytes());
    out.int(value.into());
}

fn command_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let accepts: Box<dyn Fn(&Command) -> bool> = match &args[2..] {
        [] => Box::new(|_| true),
        [filter, kind, value] if filter.eq_ignore_ascii_case(b"filterby") => {
            let value = value.to_vec();
            if kind.eq_ignore_ascii_case(b"module") {
                // There are no modules, so none of them has a command.
                Box::new(|_| false)
            } else if kind.eq_ignore_ascii_case(b"aclcat") {
                let category = std::str::from_utf8(&value).ok().and_then(Acl::by_name);
                Box::new(move |command| category.is_some_and(|wanted| command.acl.has(wanted)))
            } else if kind.eq_ignore_ascii_case(b"pattern") {
                Box::new(move |command| glob(&value, command.name.as_bytes(), true))
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        _ => return Err(ReplyError::SYNTAX),
    };
    let header = ctx.out.deferred();
    let mut count = 0;
    for command in ctx.engine().registry.all() {
        if accepts(command) {
            ctx.out.bulk(command.name.as_bytes());
            count += 1;
        }
    }
    ctx.out.close(header, Aggregate::Array, count);
    Ok(())
}

fn command_getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    get_keys(ctx, &args[2..], false)
}

fn command_getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    get_keys(ctx, &args[2..], true)
}

fn get_keys(ctx: &mut Ctx<'_>, words: Args<'_>, with_flags: bool) -> CmdResult {
    let command = ctx
        .engine()
        .registry
        .resolve(words)
        .map_err(|_| ReplyError::err("Invalid command specified"))?;
    let real_keys = |key: &&KeySpec| !key.flags.has(KeyFlags::NOT_KEY);
    if command.spec.get_keys.is_none() && command.spec.keys.iter().find(real_keys).is_none() {
        return Err(ReplyError::err("The command has no key arguments"));
    }
    if !command.arity_fits(words.len()) {
        return Err(ReplyError::err(
            "Invalid number of arguments specified for command",
        ));
    }
    let keys = command.keys(words).unwrap_or_default();
    if keys.is_empty() {
        if !command.flags.has(Flags::NO_MANDATORY_KEYS) {
            return Err(ReplyError::err("Invalid arguments specified for command"));
        }
        ctx.out.array(0);
        return Ok(());
    }
    ctx.out.array(keys.len());
    for (at, flags) in keys {
        let word = words.get(at).copied().unwrap_or_default();
        if with_flags {
            ctx.out.array(2);
        }
        ctx.out.bulk(word);
        if with_flags {
            flag_names(ctx.out, flags.names());
        }
    }
    Ok(())
}

fn command_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("command", HELP);
    Ok(())
}
