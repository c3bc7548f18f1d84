//! XDEL: deleting entries by their IDs.

use super::args::strict_id;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::NotifyClass;
use crate::value::stream::StreamId;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xdel",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Deletes entries of a stream by ID and counts those that were there.",
    complexity: "O(1) for each ID, however long the stream.",
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            multiple: true,
            ..ArgSpec::new("id", ArgType::String)
        },
    ],
    handler: xdel,
    ..CommandSpec::BLANK
}];

fn xdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let Some(stream) = ctx.ks.stream_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    // All IDs are read before anything is deleted.
    let ids: Vec<StreamId> = args[2..]
        .iter()
        .map(|word| strict_id(word, 0))
        .collect::<Result<_, _>>()?;
    let deleted = stream.delete(&ids);
    if deleted > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::STREAM, "xdel", key);
        ctx.ks.dirty += deleted;
    }
    ctx.out.int(i64::try_from(deleted).unwrap_or(i64::MAX));
    Ok(())
}
