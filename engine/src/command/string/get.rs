//! GET and STRLEN.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        group: Group::String,
        summary: "Reads the string stored at a key.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: get,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "strlen",
        group: Group::String,
        since: "2.2.0",
        summary: "Tells how many bytes a string has.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: strlen,
        ..CommandSpec::BLANK
    },
];

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let value = ctx.ks.string(args[1])?;
    ctx.out.bulk_opt(value);
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let length = ctx.ks.string(args[1])?.map_or(0, <[u8]>::len);
    ctx.out.count(length);
    Ok(())
}
