//! SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;
use crate::persist::aof::rewrite::RewriteError;
use crate::persist::snapshots::SaveError;

/// The rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "save",
        group: Group::Server,
        summary: "Writes a snapshot while everything else waits.",
        complexity: "O(N) for N keys in all databases.",
        flags: Flags::NO_ASYNC_LOADING
            .or(Flags::ADMIN)
            .or(Flags::NOSCRIPT)
            .or(Flags::NO_MULTI),
        handler: save,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "bgsave",
        group: Group::Server,
        summary: "Starts writing a snapshot in the background.",
        complexity: "O(1)",
        arity: -1,
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        args: &[ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "SCHEDULE",
                    since: "3.2.2",
                    ..ArgSpec::new("schedule", ArgType::PureToken)
                },
                ArgSpec {
                    token: "CANCEL",
                    since: "8.1.0",
                    ..ArgSpec::new("cancel", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("operation", ArgType::OneOf)
        }],
        history: &[
            ("3.2.2", "New option `SCHEDULE`."),
            ("8.1.0", "New option `CANCEL`."),
        ],
        handler: bgsave,
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
        name: "bgrewriteaof",
        group: Group::Server,
        summary: "Rewrites the append-only file in the background.",
        complexity: "O(1)",
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        handler: bgrewriteaof,
        ..CommandSpec::BLANK
    },
];

/// The reply of BGSAVE beside a rewrite of the log.
const REWRITING: &str = "Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.";

/// The reply when a file could not be written; the reason is in the log.
fn failed(error: SaveError) -> ReplyError {
    match error {
        SaveError::InProgress => ReplyError::err(error),
        SaveError::Io(_) => ReplyError::raw("ERR"),
    }
}

fn save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Conn::of(ctx).server.clone().save().map_err(failed)?;
    ctx.out.ok();
    Ok(())
}

fn bgsave(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let snapshots = &server.persist.snapshots;
    let schedule = match &words[1..] {
        [] => false,
        [word] if args::is(word, "schedule") => true,
        [word] if args::is(word, "cancel") => return cancel(ctx),
        _ => return Err(ReplyError::SYNTAX),
    };
    // Inside EXEC shards are locked, and what the cut would hold is half a transaction.
    let inside = ctx.session.deny_blocking;
    let rewriting = server.persist.aof.is_rewriting();
    if (inside || rewriting) && snapshots.background().is_none() {
        if !inside && !schedule {
            return Err(ReplyError::err(REWRITING));
        }
        snapshots.scheduled.store(true, Relaxed);
        ctx.out.simple("Background saving scheduled");
        return Ok(());
    }
    server.save_in_background().map_err(failed)?;
    ctx.out.simple("Background saving started");
    Ok(())
}

fn bgrewriteaof(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let aof = &server.persist.aof;
    let begun = if ctx.session.deny_blocking && !aof.is_rewriting() {
        Err(RewriteError::Saving)
    } else {
        server.rewrite_log()
    };
    match begun {
        Ok(()) => ctx
            .out
            .simple("Background append only file rewriting started"),
        Err(RewriteError::Saving) => {
            aof.rewrites.scheduled.store(true, Relaxed);
            // Who asks for one by hand does not wait for the end of a rest.
            aof.facts.failures.store(0, Relaxed);
            ctx.out
                .simple("Background append only file rewriting scheduled");
        }
        Err(error) => return Err(ReplyError::err(error)),
    }
    Ok(())
}

/// Ends the save under way, or else what is scheduled.
fn cancel(ctx: &mut Ctx<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let snapshots = &server.persist.snapshots;
    if snapshots.ask_to_end() {
        tracing::info!("Background saving will be aborted due to user request");
        ctx.out.simple("Background saving cancelled");
    } else if snapshots.scheduled.swap(false, Relaxed) {
        tracing::info!("Scheduled background saving will be cancelled due to user request");
        ctx.out.simple("Scheduled background saving cancelled");
    } else {
        return Err(ReplyError::err(
            "Background saving is currently not in progress or scheduled",
        ));
    }
    Ok(())
}

fn lastsave(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let at = Conn::of(ctx)
        .server
        .persist
        .snapshots
        .last_save_s
        .load(Relaxed);
    ctx.out.int(at);
    Ok(())
}
