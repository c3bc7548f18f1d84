//! LSET, LINSERT, LREM, LTRIM: changes at places other than the ends.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::removed;
use crate::command::args;
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lset",
        group: Group::List,
        summary: "Replaces the list element at an index.",
        complexity: "O(N), N being the length of the list; O(1) at either end.",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("index", ArgType::Integer),
            ArgSpec::new("element", ArgType::String),
        ],
        handler: lset,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "linsert",
        group: Group::List,
        since: "2.2.0",
        summary: "Puts an element next to another one of a list, before or after it.",
        complexity: "O(N), N being the elements passed before the pivot; O(1) near the head.",
        arity: 5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                args: &[
                    ArgSpec {
                        token: "BEFORE",
                        ..ArgSpec::new("before", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "AFTER",
                        ..ArgSpec::new("after", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("where", ArgType::OneOf)
            },
            ArgSpec::new("pivot", ArgType::String),
            ArgSpec::new("element", ArgType::String),
        ],
        handler: linsert,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lrem",
        group: Group::List,
        summary: "Removes elements equal to a value from a list.",
        complexity: "O(N+M) for a list of N elements that loses M.",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("count", ArgType::Integer),
            ArgSpec::new("element", ArgType::String),
        ],
        handler: lrem,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "ltrim",
        group: Group::List,
        summary: "Cuts a list down to the elements between two indexes.",
        complexity: "O(N) for N elements removed.",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("stop", ArgType::Integer),
        ],
        handler: ltrim,
        ..CommandSpec::BLANK
    },
];

fn lset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.ks.engine.settings.list_limits();
    let key = args[1];
    let list = ctx.ks.list_mut(key)?.ok_or(ReplyError::NO_SUCH_KEY)?;
    let index = args::int(args[2])?;
    if !list.set(&limits, index, args[3]) {
        return Err(ReplyError::INDEX_OUT_OF_RANGE);
    }
    ctx.out.ok();
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::LIST, "lset", key);
    ctx.ks.dirty += 1;
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.ks.engine.settings.list_limits();
    let key = args[1];
    let after = match args[2] {
        word if args::is(word, "after") => true,
        word if args::is(word, "before") => false,
        _ => return Err(ReplyError::SYNTAX),
    };
    let Some(list) = ctx.ks.list_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    if !list.insert(&limits, args[3], after, args[4]) {
        ctx.out.int(-1);
        return Ok(());
    }
    let len = list.len();
    ctx.out.count(len);
    ctx.ks.modified(key);
    ctx.ks.signal_ready(key);
    ctx.ks.notify(NotifyClass::LIST, "linsert", key);
    ctx.ks.dirty += 1;
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.ks.engine.settings.list_limits();
    let key = args[1];
    let count = args::int(args[2])?;
    let Some(list) = ctx.ks.list_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let gone = list.remove(&limits, count, args[3]);
    let empty = list.is_empty();
    if gone > 0 {
        ctx.ks.modified(key);
        removed(&mut ctx.ks, key, "lrem", empty, gone);
    }
    ctx.out.count(gone);
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.ks.engine.settings.list_limits();
    let key = args[1];
    let (start, end) = (args::int(args[2])?, args::int(args[3])?);
    if let Some(list) = ctx.ks.list_mut(key)? {
        let gone = list.trim(&limits, start, end);
        let empty = list.is_empty();
        // Redis says so even when nothing was cut off.
        removed(&mut ctx.ks, key, "ltrim", empty, gone);
        ctx.ks.modified(key);
    }
    ctx.out.ok();
    Ok(())
}
