//! MODULE: there is no module loader, on purpose, so the list is empty and nothing can be loaded.
//!
//! The errors are those of a server that finds no such module.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};

/// Flags of what changes the list.
const CHANGING: Flags = Flags::NO_ASYNC_LOADING
    .or(Flags::ADMIN)
    .or(Flags::NOSCRIPT)
    .or(Flags::PROTECTED);

/// The rows.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "module",
    group: Group::Server,
    since: "4.0.0",
    summary: "Groups the commands about modules.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "5.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            handler: module_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "list",
            group: Group::Server,
            since: "4.0.0",
            summary: "Lists the loaded modules.",
            complexity: "O(N) for N modules.",
            arity: 2,
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            tips: &["nondeterministic_output_order"],
            handler: module_list,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "load",
            group: Group::Server,
            since: "4.0.0",
            summary: "Starts a module, given its file.",
            complexity: "O(1)",
            arity: -3,
            flags: CHANGING,
            args: &[
                ArgSpec::new("path", ArgType::String),
                ArgSpec {
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("arg", ArgType::String)
                },
            ],
            handler: module_load,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "loadex",
            group: Group::Server,
            since: "7.0.0",
            summary: "Starts a module, given its file and directives for it.",
            complexity: "O(1)",
            arity: -3,
            flags: CHANGING,
            args: &[
                ArgSpec::new("path", ArgType::String),
                ArgSpec {
                    token: "CONFIG",
                    optional: true,
                    multiple: true,
                    multiple_token: true,
                    args: &[
                        ArgSpec::new("name", ArgType::String),
                        ArgSpec::new("value", ArgType::String),
                    ],
                    ..ArgSpec::new("configs", ArgType::Block)
                },
                ArgSpec {
                    token: "ARGS",
                    optional: true,
                    multiple: true,
                    ..ArgSpec::new("args", ArgType::String)
                },
            ],
            handler: module_load,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "unload",
            group: Group::Server,
            since: "4.0.0",
            summary: "Takes a loaded module out of the server.",
            complexity: "O(1)",
            arity: 3,
            flags: CHANGING,
            args: &[ArgSpec::new("name", ArgType::String)],
            handler: module_unload,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const MODULE_HELP: &[&str] = &["LIST", "    Return a list of loaded modules."];

fn module_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(0);
    Ok(())
}

fn module_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("module", MODULE_HELP);
    Ok(())
}

fn module_load(_ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let path = String::from_utf8_lossy(args[2]);
    tracing::warn!("Module {path} failed to load: this server has no module loader");
    Err(ReplyError::err(
        "Error loading the extension. Please check the server logs.",
    ))
}

fn module_unload(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(ReplyError::err(
        "Error unloading module: no such module with that name",
    ))
}
