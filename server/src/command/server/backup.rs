//! BACKUP: backups to the object store that `backup-url` names. Basalt's own.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};

use crate::backup::{BeginError, Outcome, Task};
use crate::client::Conn;

const READ: Flags = Flags::LOADING.or(Flags::STALE).or(Flags::NOSCRIPT);
const START: Flags = Flags::ADMIN.or(Flags::NOSCRIPT);

/// The row of a subcommand.
const fn subcommand(name: &'static str, summary: &'static str, flags: Flags) -> CommandSpec {
    CommandSpec {
        name,
        group: Group::Server,
        summary,
        complexity: "O(1); the work is done in the background.",
        arity: 2,
        flags,
        acl: Acl::ADMIN.or(Acl::DANGEROUS),
        ..CommandSpec::BLANK
    }
}

/// The row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "backup",
    group: Group::Server,
    summary: "Groups the commands about backups to an object store.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            handler: cancel,
            ..subcommand("cancel", "Ends the backup job in progress.", START)
        },
        CommandSpec {
            acl: Acl::NONE,
            handler: help,
            ..subcommand("help", "Lists the subcommands with a line on each.", READ)
        },
        CommandSpec {
            handler: list,
            ..subcommand("list", "Lists the backups of this data set.", READ)
        },
        CommandSpec {
            handler: now,
            ..subcommand("now", "Starts a backup in the background.", START)
        },
        CommandSpec {
            handler: status,
            ..subcommand("status", "Tells how backups stand.", READ)
        },
        CommandSpec {
            arity: -2,
            args: &[ArgSpec {
                optional: true,
                ..ArgSpec::new("id", ArgType::String)
            }],
            handler: verify,
            ..subcommand(
                "verify",
                "Starts reading a backup to see whether it is as it was written.",
                START,
            )
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "CANCEL",
    "    End the backup job in progress.",
    "LIST",
    "    List the backups of this data set, oldest first, as of the last job.",
    "NOW",
    "    Start a backup in the background.",
    "STATUS",
    "    Tell how backups stand.",
    "VERIFY [<id>]",
    "    Read a backup, the newest by default, and compare it with its hashes.",
];

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("backup", HELP);
    Ok(())
}

fn begin(ctx: &mut Ctx<'_>, task: Task, of: Option<String>) -> CmdResult {
    // Inside EXEC shards are locked, and what the cut would hold is half a transaction.
    if ctx.session.deny_blocking {
        return Err(ReplyError::err(
            "BACKUP NOW and VERIFY are not allowed in transactions and scripts",
        ));
    }
    let server = Conn::of(ctx).server.clone();
    server
        .begin_backup_job(task, of)
        .map_err(|error: BeginError| ReplyError::err(error))
}

fn now(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    begin(ctx, Task::Backup, None)?;
    ctx.out.simple("Backup started");
    Ok(())
}

fn verify(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let of = match &args[2..] {
        [] => None,
        [id] => {
            let known = id.len() <= 64 && id.iter().all(u8::is_ascii_graphic);
            let id = known.then(|| String::from_utf8_lossy(id).into_owned());
            Some(id.ok_or_else(|| ReplyError::err("there is no backup of that ID"))?)
        }
        _ => return Err(super::subcommand_syntax(args)),
    };
    begin(ctx, Task::Verify, of)?;
    ctx.out.simple("Verification started");
    Ok(())
}

fn cancel(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if !Conn::of(ctx).server.backups.cancel() {
        return Err(ReplyError::err("there is no backup job in progress"));
    }
    ctx.out.simple("Backup job cancelled");
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let listed = server.backups.listed.lock().clone();
    let Some(listed) = listed else {
        let error = match server.begin_listing() {
            Ok(()) => "the backups have not been looked at yet, ask again in a moment".to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(ReplyError::err(error));
    };
    ctx.out.array(listed.len());
    for backup in listed {
        ctx.out.map(7);
        text(ctx, "id", &backup.id);
        number(ctx, "time-ms", backup.cut_ms);
        count(ctx, "keys", backup.keys);
        count(ctx, "stored-bytes", backup.stored_bytes);
        count(ctx, "uploaded-bytes", backup.uploaded_bytes);
        number(ctx, "encrypted", i64::from(backup.encrypted));
        text(ctx, "error", &backup.error.unwrap_or_default());
    }
    Ok(())
}

fn status(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let backups = &server.backups;
    let run = backups.current();
    let task = match run.as_ref().map(|run| run.task) {
        None => "idle",
        Some(Task::Backup) => "backup",
        Some(Task::Verify) => "verify",
    };
    let keys = run.as_ref().map_or(0, |run| run.keys.load(Relaxed));
    let done = run
        .as_ref()
        .map_or(0, |run| run.progress.keys.load(Relaxed));
    let uploaded = run.as_ref().map_or(0, |run| run.upload.bytes.load(Relaxed));
    let seconds = run.as_ref().map_or(0, |run| run.began.elapsed().as_secs());
    let (last, verified) = (backups.last.lock().clone(), backups.verified.lock().clone());
    let pruned = backups.last_prune_error.lock().clone();
    ctx.out.map(19);
    text(ctx, "state", task);
    count(ctx, "running-seconds", seconds);
    count(ctx, "keys-processed", done.min(keys));
    count(ctx, "keys-total", keys);
    count(ctx, "uploaded-bytes", uploaded);
    text(
        ctx,
        "last-id",
        last.as_ref().map_or("", |last| last.id.as_str()),
    );
    number(
        ctx,
        "last-time-ms",
        last.as_ref().map_or(0, |last| last.cut_ms),
    );
    count(ctx, "last-keys", last.as_ref().map_or(0, |last| last.keys));
    number(ctx, "rpo-ms", backups.rpo_ms().unwrap_or(-1));
    outcome(ctx, "last-backup", &backups.last_backup.lock().clone());
    outcome(ctx, "last-verify", &backups.last_verify.lock().clone());
    text(ctx, "last-prune-error", &pruned);
    text(
        ctx,
        "last-verified-id",
        verified.as_ref().map_or("", |verified| verified.0.as_str()),
    );
    number(ctx, "next-time-ms", backups.next_ms.load(Relaxed));
    count(ctx, "failures", backups.failures.load(Relaxed));
    Ok(())
}

/// Three fields.
fn outcome(ctx: &mut Ctx<'_>, what: &str, outcome: &Outcome) {
    number(ctx, &format!("{what}-ended-ms"), outcome.at_ms);
    count(ctx, &format!("{what}-took-ms"), outcome.took_ms);
    text(ctx, &format!("{what}-error"), &outcome.error);
}

fn text(ctx: &mut Ctx<'_>, name: &str, value: &str) {
    ctx.out.bulk(name.as_bytes());
    ctx.out.bulk(value.as_bytes());
}

fn number(ctx: &mut Ctx<'_>, name: &str, value: i64) {
    ctx.out.bulk(name.as_bytes());
    ctx.out.int(value);
}

fn count(ctx: &mut Ctx<'_>, name: &str, value: u64) {
    number(ctx, name, i64::try_from(value).unwrap_or(i64::MAX));
}
