//! Small questions about the server: TIME, LASTSAVE, ROLE, MODULE; and SHUTDOWN.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;
use crate::server::unix_us;

/// The rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "time",
        group: Group::Server,
        since: "2.6.0",
        summary: "Reads the server's clock: seconds and microseconds.",
        complexity: "O(1)",
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        tips: &["nondeterministic_output"],
        handler: time,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lastsave",
        group: Group::Server,
        summary: "Tells the Unix time of the last good snapshot.",
        complexity: "O(1)",
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        acl: Acl::ADMIN.or(Acl::DANGEROUS),
        tips: &["nondeterministic_output"],
        handler: lastsave,
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
        ],
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "shutdown",
        group: Group::Server,
        summary: "Saves if so configured and stops the server.",
        complexity: "O(N) when saving, N being the number of keys in all databases; else O(1).",
        arity: -1,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::NO_MULTI)
            .or(Flags::SENTINEL)
            .or(Flags::ALLOW_BUSY),
        args: &[ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    args: &[
                        ArgSpec {
                            optional: true,
                            args: &[
                                ArgSpec {
                                    token: "NOSAVE",
                                    ..ArgSpec::new("nosave", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "SAVE",
                                    ..ArgSpec::new("save", ArgType::PureToken)
                                },
                            ],
                            ..ArgSpec::new("save-selector", ArgType::OneOf)
                        },
                        ArgSpec {
                            token: "NOW",
                            since: "7.0.0",
                            optional: true,
                            ..ArgSpec::new("now", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "FORCE",
                            since: "7.0.0",
                            optional: true,
                            ..ArgSpec::new("force", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("save-selector-block", ArgType::Block)
                },
                ArgSpec {
                    token: "ABORT",
                    since: "7.0.0",
                    ..ArgSpec::new("abort", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("abort-selector", ArgType::OneOf)
        }],
        history: &[("7.0.0", "New options `NOW`, `FORCE` and `ABORT`.")],
        handler: shutdown,
        ..CommandSpec::BLANK
    },
];

const MODULE_HELP: &[&str] = &["LIST", "    Return a list of loaded modules."];

fn time(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let now_us = unix_us();
    ctx.out.array(2);
    ctx.out.bulk_int(now_us / 1_000_000);
    ctx.out.bulk_int(now_us % 1_000_000);
    Ok(())
}

fn lastsave(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let at = Conn::of(ctx).server.last_save.load(Relaxed);
    ctx.out.int(at);
    Ok(())
}

/// Always a primary without replicas, whose stream has not begun.
fn role(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(3);
    ctx.out.bulk(b"master");
    ctx.out.int(0);
    ctx.out.array(0);
    Ok(())
}

fn module_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.array(0);
    Ok(())
}

fn module_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("module", MODULE_HELP);
    Ok(())
}

/// Options of SHUTDOWN.
#[derive(Default)]
struct Wish {
    nosave: bool,
    save: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl Wish {
    fn parse(words: Args<'_>) -> Result<Wish, ReplyError> {
        let mut wish = Wish::default();
        for word in words {
            let options = [
                ("nosave", &mut wish.nosave),
                ("save", &mut wish.save),
                ("now", &mut wish.now),
                ("force", &mut wish.force),
                ("abort", &mut wish.abort),
            ];
            let option = options.into_iter().find(|(name, _)| args::is(word, name));
            *option.ok_or(ReplyError::SYNTAX)?.1 = true;
        }
        let other = wish.nosave || wish.save || wish.now || wish.force;
        if wish.abort && other || wish.nosave && wish.save {
            return Err(ReplyError::SYNTAX);
        }
        Ok(wish)
    }
}

/// Ends the process; the connection closes without a reply.
fn shutdown(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let wish = Wish::parse(&words[1..])?;
    if wish.abort {
        return Err(ReplyError::err("No shutdown in progress."));
    }
    if !wish.now && ctx.session.deny_blocking {
        return Err(ReplyError::err(
            "SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client",
        ));
    }
    let conn = Conn::of(ctx);
    tracing::warn!("User requested shutdown...");
    conn.close_after_reply = true;
    conn.server.shutdown.request();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_exclude_each_other() {
        for good in [
            &[&b"NOSAVE"[..], b"now"][..],
            &[b"save", b"FORCE"],
            &[b"abort"],
            &[],
        ] {
            assert!(Wish::parse(good).is_ok());
        }
        for bad in [
            &[&b"nosave"[..], b"save"][..],
            &[b"abort", b"now"],
            &[b"later"],
        ] {
            assert!(Wish::parse(bad).is_err());
        }
    }
}
