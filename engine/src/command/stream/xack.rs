//! XACK: entries are done with.

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::args as stream_args;
use super::groups::is_stream;
use crate::command::ctx::Ctx;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xack",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Marks entries as done for a consumer group and counts those that were pending.",
    complexity: "O(1) for each ID.",
    arity: -4,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("group", ArgType::String),
        ArgSpec {
            multiple: true,
            ..ArgSpec::new("id", ArgType::String)
        },
    ],
    handler: xack,
    ..CommandSpec::BLANK
}];

fn xack(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args[1], args[2]);
    let known = is_stream(&mut ctx.ks, key)?;
    let stream = if known { ctx.ks.stream_mut(key)? } else { None };
    let Some(group) = stream.and_then(|stream| stream.groups.get_mut(name)) else {
        ctx.out.int(0);
        return Ok(());
    };
    // All words must be right before anything is changed.
    let ids = args[3..]
        .iter()
        .map(|word| stream_args::strict_id(word, 0))
        .collect::<Result<Vec<_>, _>>()?;
    let acknowledged = ids
        .into_iter()
        .filter(|id| group.pending.remove(*id).is_some())
        .count();
    ctx.ks.dirty += acknowledged as u64;
    ctx.out.count(acknowledged);
    Ok(())
}
