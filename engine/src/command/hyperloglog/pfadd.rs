//! PFADD.

use super::{corrupt, encoding_of};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::{Kind, Look, NotifyClass};
use crate::structs::hyperloglog as hll;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "pfadd",
    group: Group::Hyperloglog,
    since: "2.8.9",
    summary: "Counts elements into a HyperLogLog, creating it if needed.",
    complexity: "O(1) for each element.",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    acl: Acl::HYPERLOGLOG,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            optional: true,
            multiple: true,
            ..ArgSpec::new("element", ArgType::String)
        },
    ],
    handler: pfadd,
    ..CommandSpec::BLANK
}];

fn pfadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let limit = ctx.ks.engine.settings.hll_sparse_max();
    let places = args[2..].iter().map(|element| hll::place(element));
    let mut updated = 0;
    match ctx.ks.look(key, Look::WRITE) {
        None => {
            ctx.ks.edit_string(key, |bytes| *bytes = hll::empty());
            updated = 1;
        }
        Some(found) => {
            encoding_of(&found)?;
            // Most elements change nothing: then the value, which a snapshot may share, is
            // left alone.
            let known = |(index, count)| {
                hll::dense_register(found.bytes, index).is_some_and(|value| value >= count)
            };
            if found.header.kind == Kind::Raw && places.clone().all(known) {
                ctx.out.int(0);
                return Ok(());
            }
        }
    }
    updated += ctx
        .ks
        .edit_string(key, |bytes| {
            let mut raised = 0;
            for (index, count) in places {
                raised += u64::from(hll::raise(bytes, index, count, limit)?);
            }
            if updated + raised > 0 {
                hll::make_stale(bytes);
            }
            Ok(raised)
        })
        .map_err(corrupt)?;
    if updated > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::STRING, "pfadd", key);
        ctx.ks.dirty += updated;
    }
    ctx.out.int(i64::from(updated > 0));
    Ok(())
}
