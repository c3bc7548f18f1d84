//! SHUTDOWN.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;
use crate::config::ShutdownFlags;

/// The row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
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
}];

/// Options of SHUTDOWN.
#[derive(Default)]
struct Wish {
    flags: ShutdownFlags,
    abort: bool,
}

impl Wish {
    fn parse(words: Args<'_>) -> Result<Wish, ReplyError> {
        let mut wish = Wish::default();
        for word in words {
            let options = [
                ("nosave", &mut wish.flags.nosave),
                ("save", &mut wish.flags.save),
                ("now", &mut wish.flags.now),
                ("force", &mut wish.flags.force),
                ("abort", &mut wish.abort),
            ];
            let option = options.into_iter().find(|(name, _)| args::is(word, name));
            *option.ok_or(ReplyError::SYNTAX)?.1 = true;
        }
        let flags = wish.flags;
        let other = flags != ShutdownFlags::empty();
        if wish.abort && other || flags.nosave && flags.save {
            return Err(ReplyError::SYNTAX);
        }
        Ok(wish)
    }
}

/// Ends the process, which closes the connection without a reply, or says why it goes on.
fn shutdown(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let wish = Wish::parse(&words[1..])?;
    if wish.abort {
        if Conn::of(ctx).server.stop_scheduled.swap(false, Relaxed) {
            tracing::warn!("Shutdown manually aborted.");
            ctx.out.ok();
            return Ok(());
        }
        return Err(ReplyError::err("No shutdown in progress."));
    }
    if !wish.flags.now && ctx.session.deny_blocking {
        return Err(ReplyError::err(
            "SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client",
        ));
    }
    let server = Conn::of(ctx).server.clone();
    if !wish.flags.nosave
        && let Some(busy) = server.engine.scripts.running.busy()
    {
        return Err(busy);
    }
    let Err(error) = server.stop(wish.flags);
    Err(ReplyError::err(error))
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
