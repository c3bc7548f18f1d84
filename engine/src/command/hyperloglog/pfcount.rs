//! PFCOUNT.
//!
//! The estimate for one key is kept in the value: a read that refreshes it is a change, which
//! replicas and the log must see, because others may read the bytes.

use super::{corrupt, encoding_of};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Kind, Look};
use crate::structs::hyperloglog as hll;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "pfcount",
    group: Group::Hyperloglog,
    since: "2.8.9",
    summary: "Estimates how many distinct elements one or more HyperLogLogs have counted.",
    complexity: "O(1) for one key, mostly cached; O(N) for N keys, with a much larger constant.",
    arity: -2,
    flags: Flags::READONLY.or(Flags::MAY_REPLICATE),
    acl: Acl::HYPERLOGLOG,
    keys: &[KeySpec {
        notes: "RW: the cached count inside the value is refreshed and replicated",
        ..KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RW.or(KeyFlags::ACCESS),
        )
    }],
    args: &[ArgSpec {
        key_spec: 0,
        multiple: true,
        ..ArgSpec::new("key", ArgType::Key)
    }],
    handler: pfcount,
    ..CommandSpec::BLANK
}];

fn pfcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = match args[1..] {
        [key] => count_one(ctx, key)?,
        ref keys => {
            let mut registers = Box::new([0; hll::REGISTERS]);
            for key in keys {
                if let Some(found) = ctx.ks.look(key, Look::READ) {
                    encoding_of(&found)?;
                    hll::merge_into(&mut registers, found.bytes).map_err(corrupt)?;
                }
            }
            hll::count_registers(&registers)
        }
    };
    // As Redis casts it: estimates beyond 63 bits come from made-up registers only.
    ctx.out.int(count.cast_signed());
    Ok(())
}

/// The estimate for one key, kept or computed.
fn count_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<u64, ReplyError> {
    let Some(found) = ctx.ks.look(key, Look::READ) else {
        return Ok(0);
    };
    encoding_of(&found)?;
    let kept = hll::stored_count(found.bytes);
    let count = match kept {
        Some(count) => Ok(count),
        None => hll::count(found.bytes),
    };
    // Whatever it finds, the value is a plain string from now on.
    if found.header.kind != Kind::Raw || kept.is_none() && count.is_ok() {
        ctx.ks.edit_string(key, |bytes| {
            if let (None, Ok(count)) = (kept, count) {
                hll::store_count(bytes, count);
            }
        });
    }
    let count = count.map_err(corrupt)?;
    if kept.is_none() {
        ctx.ks.modified(key);
        ctx.ks.dirty += 1;
    }
    Ok(count)
}
