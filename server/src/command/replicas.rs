//! SYNC, PSYNC, REPLCONF: what replicas send to their primary. There is no replication, so who asks
//! for data is told that; what precedes it is understood, so that the answer comes where a replica
//! reports it.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::args;
use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_formats::words::split_args;

/// Flags of what begins replication.
const BEGINNING: Flags = Flags::NO_ASYNC_LOADING
    .or(Flags::ADMIN)
    .or(Flags::NO_MULTI)
    .or(Flags::NOSCRIPT);

/// An address of a replica has fewer bytes.
const MAX_ADDRESS: usize = 256;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "psync",
        group: Group::Server,
        since: "2.8.0",
        summary: "Sent by a replica to continue or start replication.",
        arity: -3,
        flags: BEGINNING,
        args: &[
            ArgSpec::new("replicationid", ArgType::String),
            ArgSpec::new("offset", ArgType::Integer),
        ],
        handler: psync,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sync",
        group: Group::Server,
        summary: "Sent by old replicas to start a full copy.",
        flags: BEGINNING,
        handler: sync,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "replconf",
        group: Group::Server,
        since: "3.0.0",
        summary: "Sent by a replica to describe itself and report its offset.",
        complexity: "O(1)",
        arity: -1,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::ALLOW_BUSY),
        syscmd: true,
        handler: replconf,
        ..CommandSpec::BLANK
    },
];

fn refused() -> CmdResult {
    Err(ReplyError::err(
        "this server cannot feed replicas yet: replication is not built",
    ))
}

fn sync(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    refused()
}

fn psync(_ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if words.get(3).is_some_and(|word| args::is(word, "failover")) {
        return Err(ReplyError::err("PSYNC FAILOVER can't be sent to a master."));
    }
    args::int(words[2])?;
    refused()
}

/// Checks what a replica says of itself. Nothing of it is kept: no client is a replica here, so
/// that ACK and GETACK, which are not answered, do nothing either.
fn replconf(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if words.len().is_multiple_of(2) {
        return Err(ReplyError::SYNTAX);
    }
    for pair in words[1..].chunks_exact(2) {
        let (name, value) = (pair[0], pair[1]);
        if args::is(name, "listening-port") {
            args::int(value)?;
        } else if args::is(name, "ip-address") {
            if value.len() >= MAX_ADDRESS {
                return Err(ReplyError::err(format_args!(
                    "REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
        } else if args::is(name, "ack") || args::is(name, "getack") {
            return Ok(());
        } else if args::is(name, "rdb-only") {
            args::int_in(value, 0, 1, "")?;
        } else if args::is(name, "rdb-filter-only") {
            rdb_filter(value)?;
        } else if !args::is(name, "capa") {
            return Err(ReplyError::err(format_args!(
                "Unrecognized REPLCONF option: {}",
                basalt_engine::shown(name)
            )));
        }
    }
    ctx.out.ok();
    Ok(())
}

/// The parts of a snapshot that a replica wants; there is one that can be named.
fn rdb_filter(value: &[u8]) -> CmdResult {
    let Some(parts) = split_args(value) else {
        return Err(ReplyError::err("Missing rdb-filter-only values"));
    };
    match parts.iter().find(|part| !args::is(part, "functions")) {
        Some(part) => Err(ReplyError::err(format_args!(
            "Unsupported rdb-filter-only option: {}",
            basalt_engine::shown(part)
        ))),
        None => Ok(()),
    }
}
