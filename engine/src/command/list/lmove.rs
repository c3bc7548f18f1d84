//! LMOVE and its older form RPOPLPUSH, and those that wait: BLMOVE, BRPOPLPUSH.
//!
//! The element is pushed before Redis tells of the pop, so the events come in that order.
//! BLMOVE and BRPOPLPUSH are logged as LMOVE and RPOPLPUSH.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::{parse_side, pop_event, push_event, removed};
use crate::command::args;
use crate::error::ReplyError;
use crate::keyspace::blocked::OnTimeout;
use crate::keyspace::{Keyspace, Kind, Look, NotifyClass};
use crate::value::list::{Popped, Side};

/// The end that is taken from.
pub(super) const WHEREFROM: ArgSpec = ArgSpec {
    args: &[
        ArgSpec {
            token: "LEFT",
            ..ArgSpec::new("left", ArgType::PureToken)
        },
        ArgSpec {
            token: "RIGHT",
            ..ArgSpec::new("right", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("wherefrom", ArgType::OneOf)
};

/// The end that is added to.
pub(super) const WHERETO: ArgSpec = ArgSpec {
    args: &[
        ArgSpec {
            token: "LEFT",
            ..ArgSpec::new("left", ArgType::PureToken)
        },
        ArgSpec {
            token: "RIGHT",
            ..ArgSpec::new("right", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("whereto", ArgType::OneOf)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lmove",
        group: Group::List,
        since: "6.2.0",
        summary: "Moves an element from an end of one list to an end of another.",
        complexity: "O(1)",
        arity: 5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            WHEREFROM,
            WHERETO,
        ],
        handler: lmove,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "rpoplpush",
        group: Group::List,
        since: "1.2.0",
        summary: "Moves the last element of a list to the front of another.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
        handler: rpoplpush,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "blmove",
        group: Group::List,
        since: "6.2.0",
        summary: "Moves an element from one list to another, waiting for one if the source is empty.",
        complexity: "O(1)",
        arity: 6,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            WHEREFROM,
            WHERETO,
            ArgSpec::new("timeout", ArgType::Double),
        ],
        handler: blmove,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "brpoplpush",
        group: Group::List,
        since: "2.2.0",
        summary: "Moves the last element of a list to the front of another, waiting for one if need \
        be.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec::new("timeout", ArgType::Double),
        ],
        history: &[("6.0.0", "`timeout` may have a fraction.")],
        deprecated_since: "6.2.0",
        replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
        handler: brpoplpush,
        ..CommandSpec::BLANK
    },
];

fn lmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (parse_side(args[3])?, parse_side(args[4])?);
    move_or_null(ctx, args[1], args[2], from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    move_or_null(ctx, args[1], args[2], Side::Right, Side::Left)
}

fn blmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (parse_side(args[3])?, parse_side(args[4])?);
    let deadline = args::timeout_deadline(args[5], ctx.ks.now_ms)?;
    if move_element(ctx, args[1], args[2], from, to)? {
        ctx.propagate(&[b"LMOVE", args[1], args[2], args[3], args[4]]);
    } else {
        wait_for(ctx, args[1], deadline);
    }
    Ok(())
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let deadline = args::timeout_deadline(args[3], ctx.ks.now_ms)?;
    if move_element(ctx, args[1], args[2], Side::Right, Side::Left)? {
        ctx.propagate(&[b"RPOPLPUSH", args[1], args[2]]);
    } else {
        wait_for(ctx, args[1], deadline);
    }
    Ok(())
}

/// Waits for the source. Redis answers a plain null where it may not wait, and a null array
/// when the time is up.
fn wait_for(ctx: &mut Ctx<'_>, source: &[u8], deadline_ms: Option<i64>) {
    if ctx.may_block() {
        ctx.block_on(&[source], Kind::List, deadline_ms, OnTimeout::NullArray);
    } else {
        ctx.out.null();
    }
}

fn move_or_null(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: Side,
    to: Side,
) -> CmdResult {
    if !move_element(ctx, source, destination, from, to)? {
        ctx.out.null();
    }
    Ok(())
}

/// Moves one element and replies with it; false, with nothing replied, when there is no source.
fn move_element(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: Side,
    to: Side,
) -> Result<bool, ReplyError> {
    if !is_list(&mut ctx.ks, source)? {
        return Ok(false);
    }
    is_list(&mut ctx.ks, destination)?;
    let moved = if source == destination {
        let limits = ctx.ks.engine.settings.list_limits();
        match ctx.ks.list_mut(source)? {
            Some(list) => list
                .rotate(&limits, from, to)
                .map(|element| (element, false)),
            None => None,
        }
    } else {
        take_and_push(&mut ctx.ks, (source, from), (destination, to))?
    };
    let Some((element, emptied)) = moved else {
        return Ok(false);
    };
    ctx.ks.modified(destination);
    ctx.ks
        .notify(NotifyClass::LIST, push_event(to), destination);
    element.with_bytes(|bytes| ctx.out.bulk(bytes));
    removed(&mut ctx.ks, source, pop_event(from), emptied, 1);
    ctx.ks.modified(source);
    Ok(true)
}

/// Moves an element between two keys; gives it and whether the source is empty now.
fn take_and_push(
    ks: &mut Keyspace<'_>,
    (source, from): (&[u8], Side),
    (destination, to): (&[u8], Side),
) -> Result<Option<(Popped, bool)>, ReplyError> {
    let limits = ks.engine.settings.list_limits();
    let Some(list) = ks.list_mut(source)? else {
        return Ok(None);
    };
    let Some(element) = list.pop(&limits, from) else {
        return Ok(None);
    };
    let emptied = list.is_empty();
    let list = ks.list_or_create(destination)?;
    list.push_popped(&limits, to, &element);
    if list.len() > 1 {
        ks.signal_ready(destination);
    }
    Ok(Some((element, emptied)))
}

/// Whether a key exists; it must be a list then.
pub(super) fn is_list(ks: &mut Keyspace<'_>, key: &[u8]) -> Result<bool, ReplyError> {
    match ks.look(key, Look::SILENT) {
        None => Ok(false),
        Some(found) if found.header.kind == Kind::List => Ok(true),
        Some(_) => Err(ReplyError::WRONG_TYPE),
    }
}
