//! PFMERGE.

use super::{corrupt, encoding_of};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::{Look, NotifyClass};
use crate::structs::hyperloglog::{self as hll, Encoding};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "pfmerge",
    group: Group::Hyperloglog,
    since: "2.8.9",
    summary: "Unites HyperLogLogs and stores the result.",
    complexity: "O(N) for N keys, with a large constant.",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    acl: Acl::HYPERLOGLOG,
    keys: &[
        KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::INSERT)),
        KeySpec::index(
            2,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        ),
    ],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("destkey", ArgType::Key)
        },
        ArgSpec {
            key_spec: 1,
            optional: true,
            multiple: true,
            ..ArgSpec::new("sourcekey", ArgType::Key)
        },
    ],
    handler: pfmerge,
    ..CommandSpec::BLANK
}];

fn pfmerge(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let target = args[1];
    let limit = ctx.ks.engine.settings.hll_sparse_max();
    let mut registers = Box::new([0; hll::REGISTERS]);
    let mut dense = false;
    // The target is one of the sources.
    for key in &args[1..] {
        if let Some(found) = ctx.ks.look(key, Look::READ) {
            dense |= encoding_of(&found)? == Encoding::Dense;
            hll::merge_into(&mut registers, found.bytes).map_err(corrupt)?;
        }
    }
    if ctx.ks.look(target, Look::WRITE).is_none() {
        ctx.ks.edit_string(target, |bytes| *bytes = hll::empty());
    }
    ctx.ks
        .edit_string(target, |bytes| {
            if dense {
                hll::make_dense(bytes)?;
            }
            for (index, count) in registers.iter().enumerate() {
                if *count > 0 {
                    hll::raise(bytes, index, *count, limit)?;
                }
            }
            hll::make_stale(bytes);
            Ok(())
        })
        .map_err(corrupt)?;
    ctx.ks.modified(target);
    ctx.ks.notify(NotifyClass::STRING, "pfadd", target);
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}
