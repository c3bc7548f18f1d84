//! XSETID: the counters of a stream, as a log or an administrator sets them.

use super::args::strict_id;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::value::stream::StreamId;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xsetid",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Sets the last ID of a stream; replication uses it.",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("last-id", ArgType::String),
        ArgSpec {
            token: "ENTRIESADDED",
            since: "7.0.0",
            optional: true,
            ..ArgSpec::new("entries-added", ArgType::Integer)
        },
        ArgSpec {
            token: "MAXDELETEDID",
            since: "7.0.0",
            optional: true,
            ..ArgSpec::new("max-deleted-id", ArgType::String)
        },
    ],
    history: &[(
        "7.0.0",
        "New arguments `entries_added` and `max_deleted_entry_id`.",
    )],
    handler: xsetid,
    ..CommandSpec::BLANK
}];

fn xsetid(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let id = strict_id(args[2], 0)?;
    let (mut added, mut deleted) = (None, StreamId::MIN);
    let mut words = Cursor::new(args, 3);
    while let Some(word) = words.next() {
        match words.next() {
            Some(value) if args::is(word, "entriesadded") => {
                let count = u64::try_from(args::int(value)?)
                    .map_err(|_| ReplyError::err("entries_added must be positive"))?;
                added = Some(count);
            }
            Some(value) if args::is(word, "maxdeletedid") => {
                deleted = strict_id(value, 0)?;
                if id < deleted {
                    return Err(smaller_than("the provided max_deleted_entry_id"));
                }
            }
            _ => return Err(ReplyError::SYNTAX),
        }
    }
    let key = args[1];
    let stream = ctx.ks.stream_mut(key)?.ok_or(ReplyError::NO_SUCH_KEY)?;
    if id < stream.extent().max_deleted_id {
        return Err(smaller_than("current max_deleted_entry_id"));
    }
    if !stream.is_empty() {
        if stream.last().is_some_and(|last| id < last.id) {
            return Err(smaller_than("the target stream top item"));
        }
        if added.is_some_and(|added| added < stream.len()) {
            return Err(ReplyError::err(
                "The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.set_ids(id, added, (!deleted.is_zero()).then_some(deleted));
    ctx.out.ok();
    ctx.ks.dirty += 1;
    ctx.ks.notify(NotifyClass::STREAM, "xsetid", key);
    Ok(())
}

fn smaller_than(what: &str) -> ReplyError {
    ReplyError::err(format_args!(
        "The ID specified in XSETID is smaller than {what}"
    ))
}
