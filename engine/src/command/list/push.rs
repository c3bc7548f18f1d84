//! LPUSH, RPUSH and their variants for lists that exist.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use crate::keyspace::NotifyClass;
use crate::value::list::Side;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpush",
        group: Group::List,
        summary: "Puts elements at the head of a list, creating it if needed.",
        complexity: "O(N) for N elements added.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("element", ArgType::String)
            },
        ],
        history: &[("2.4.0", "More than one `element` may be given.")],
        handler: lpush,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "rpush",
        group: Group::List,
        summary: "Puts elements at the tail of a list, creating it if needed.",
        complexity: "O(N) for N elements added.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("element", ArgType::String)
            },
        ],
        history: &[("2.4.0", "More than one `element` may be given.")],
        handler: rpush,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lpushx",
        group: Group::List,
        since: "2.2.0",
        summary: "Puts elements at the head of a list that exists.",
        complexity: "O(N) for N elements added.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("element", ArgType::String)
            },
        ],
        history: &[("4.0.0", "More than one `element` may be given.")],
        handler: lpushx,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "rpushx",
        group: Group::List,
        since: "2.2.0",
        summary: "Puts elements at the tail of a list that exists.",
        complexity: "O(N) for N elements added.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("element", ArgType::String)
            },
        ],
        history: &[("4.0.0", "More than one `element` may be given.")],
        handler: rpushx,
        ..CommandSpec::BLANK
    },
];

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, Side::Left, true)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, Side::Right, true)
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, Side::Left, false)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    push(ctx, args, Side::Right, false)
}

fn push(ctx: &mut Ctx<'_>, args: Args<'_>, side: Side, create: bool) -> CmdResult {
    let (key, elements) = (args[1], &args[2..]);
    let limits = ctx.ks.engine.settings.list_limits();
    let list = if create {
        Some(ctx.ks.list_or_create(key)?)
    } else {
        ctx.ks.list_mut(key)?
    };
    let Some(list) = list else {
        ctx.out.int(0);
        return Ok(());
    };
    list.push(&limits, side, elements);
    let len = list.len();
    ctx.out.count(len);
    ctx.ks.dirty += elements.len() as u64;
    ctx.ks.modified(key);
    if len > elements.len() {
        // A new list says so itself; on an old one, only BLMOVEM may wait for more.
        ctx.ks.signal_ready(key);
    }
    ctx.ks
        .notify(NotifyClass::LIST, super::push_event(side), key);
    Ok(())
}
