//! DEBUG RELOAD: saves, empties the data set, and loads what was saved. DEBUG LOADAOF: empties
//! it and loads the append-only file.
//!
//! The locks are given up while the engine saves and loads, which takes them itself; other
//! clients are told to wait. With more than one thread (`io-threads`), a command of another
//! client that was past its checks before may come in between.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{Args, CmdResult};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;
use crate::persist::aof::AofFiles;
use crate::persist::load::Source;
use crate::persist::snapshots::SaveError;

pub(super) fn reload(ctx: &mut Ctx<'_>, options: Args<'_>) -> CmdResult {
    let (mut flush, mut save, mut merge) = (true, true, false);
    for word in options {
        if args::is(word, "NOFLUSH") {
            flush = false;
        } else if args::is(word, "NOSAVE") {
            save = false;
        } else if args::is(word, "MERGE") {
            merge = true;
        } else {
            return Err(ReplyError::err(
                "DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    let server = Conn::of(ctx).server.clone();
    if save {
        ctx.unlocked(|_| server.save())
            .map_err(|error| match error {
                SaveError::InProgress => ReplyError::err(error),
                SaveError::Io(_) => ReplyError::raw("ERR"),
            })?;
    }
    if flush {
        empty(ctx);
        server.engine.scripts.clear_libraries();
    }
    let result = ctx.unlocked(|_| server.reload_snapshot(merge));
    if result.is_err() {
        return Err(ReplyError::err(
            "Error trying to load the RDB dump, check server logs.",
        ));
    }
    if save && flush {
        server.data_is_saved();
    }
    tracing::info!("DB reloaded by DEBUG RELOAD");
    ctx.out.ok();
    Ok(())
}

/// The data that is there goes only once a log was found; one that is damaged may leave less.
pub(super) fn load_aof(ctx: &mut Ctx<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let failed = || ReplyError::err("Error trying to load the AOF files, check server logs.");
    if let Err(reason) = server.persist.aof.flush() {
        tracing::warn!("The log is not complete on the disk: {reason}");
        return Err(failed());
    }
    let log = AofFiles::find(&server.config.load()).map_err(|failure| {
        failure.log();
        failed()
    })?;
    let log = log.ok_or_else(failed)?;
    empty(ctx);
    server.engine.scripts.clear_libraries();
    ctx.unlocked(|_| server.reload(&Source::Log(log), false))
        .map_err(|_| failed())?;
    server.data_is_saved();
    tracing::info!("Append Only File loaded by DEBUG LOADAOF");
    ctx.out.ok();
    Ok(())
}

/// Removes all keys of all databases.
fn empty(ctx: &mut Ctx<'_>) {
    for db in 0..ctx.engine().databases() {
        ctx.ks.flush(db);
    }
}
