//! LPOP, RPOP, LMPOP and the commands that wait for something to pop: BLPOP, BRPOP, BLMPOP.
//!
//! A popping command that names several keys takes from the first that exists; a key of
//! another type before it is an error. What it did is logged as the LPOP or RPOP of that key.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};

use super::{parse_side, removed};
use crate::command::args::{self, Cursor};
use crate::command::collection::bulk_element;
use crate::error::ReplyError;
use crate::keyspace::Kind;
use crate::keyspace::blocked::OnTimeout;
use crate::value::list::Side;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpop",
        group: Group::List,
        summary: "Takes elements off the head of a list.",
        complexity: "O(N) for N elements returned.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                since: "6.2.0",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        history: &[("6.2.0", "New argument `count`.")],
        handler: lpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "rpop",
        group: Group::List,
        summary: "Takes elements off the tail of a list.",
        complexity: "O(N) for N elements returned.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                since: "6.2.0",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        history: &[("6.2.0", "New argument `count`.")],
        handler: rpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lmpop",
        group: Group::List,
        since: "7.0.0",
        summary: "Takes elements off the first non-empty list of several.",
        complexity: "O(N+M) for N keys tried and M elements taken.",
        arity: -4,
        flags: Flags::WRITE,
        acl: Acl::LIST,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
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
                ..ArgSpec::new("where", ArgType::OneOf)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: lmpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "blpop",
        group: Group::List,
        since: "2.0.0",
        summary: "Takes the first element off the first non-empty list of several, waiting if all are \
        empty.",
        complexity: "O(N) for N keys.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-2, 1, 0),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("timeout", ArgType::Double),
        ],
        history: &[("6.0.0", "`timeout` may have a fraction.")],
        handler: blpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "brpop",
        group: Group::List,
        since: "2.0.0",
        summary: "Takes the last element off the first non-empty list of several, waiting if all are \
        empty.",
        complexity: "O(N) for N keys.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-2, 1, 0),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("timeout", ArgType::Double),
        ],
        history: &[("6.0.0", "`timeout` may have a fraction.")],
        handler: brpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "blmpop",
        group: Group::List,
        since: "7.0.0",
        summary: "Takes elements off the first non-empty list of several, waiting if all are empty.",
        complexity: "O(N+M) for N keys tried and M elements taken.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[KeySpec::index(
            2,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec::new("timeout", ArgType::Double),
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
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
                ..ArgSpec::new("where", ArgType::OneOf)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: blmpop,
        ..CommandSpec::BLANK
    },
];

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, Side::Left)
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop(ctx, args, Side::Right)
}

fn lmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = MultiPop::parse(args, 1)?;
    if !request.run(ctx)? {
        ctx.out.null_array();
    }
    Ok(())
}

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, Side::Left)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, Side::Right)
}

fn blmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = MultiPop::parse(args, 2)?;
    let deadline = args::timeout_deadline(args[1], ctx.ks.now_ms)?;
    if !request.run(ctx)? {
        ctx.block_on(request.keys, Kind::List, deadline, OnTimeout::NullArray);
    }
    Ok(())
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, side: Side) -> CmdResult {
    let key = args[1];
    match *args {
        [_, _] => {
            if !pop_one(ctx, key, side, false)? {
                ctx.out.null();
            }
        }
        [_, _, word] => match args::positive(word)? {
            0 if ctx.ks.list_mut(key)?.is_some() => ctx.out.array(0),
            count => {
                if pop_many(ctx, key, side, count, false)? == 0 {
                    ctx.out.null_array();
                }
            }
        },
        _ => return Err(ReplyError::wrong_arity(ctx.name())),
    }
    Ok(())
}

fn blocking_pop(ctx: &mut Ctx<'_>, args: Args<'_>, side: Side) -> CmdResult {
    let (timeout, keys) = args[1..].split_last().ok_or(ReplyError::SYNTAX)?;
    let deadline = args::timeout_deadline(timeout, ctx.ks.now_ms)?;
    for key in keys {
        if pop_one(ctx, key, side, true)? {
            ctx.propagate(&[pop_command(side), key]);
            return Ok(());
        }
    }
    ctx.block_on(keys, Kind::List, deadline, OnTimeout::NullArray);
    Ok(())
}

/// What LMPOP and BLMPOP ask for.
struct MultiPop<'a> {
    keys: Args<'a>,
    side: Side,
    count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads `numkeys key [key ...] LEFT|RIGHT [COUNT count]` from word `at` on.
    fn parse(args: Args<'a>, at: usize) -> Result<MultiPop<'a>, ReplyError> {
        let number = |word: &[u8], message: &str| {
            args::int_in(word, 1, i64::MAX, message)
                .map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let mut words = Cursor::new(args, at);
        let count = number(words.required()?, "numkeys should be greater than 0")?;
        let keys = args
            .get(words.position()..)
            .and_then(|rest| rest.get(..count))
            .ok_or(ReplyError::SYNTAX)?;
        let mut words = Cursor::new(args, words.position() + keys.len());
        let mut request = MultiPop {
            keys,
            side: parse_side(words.required()?)?,
            count: 1,
        };
        if words.remaining() > 0 {
            if !words.take("COUNT") {
                return Err(ReplyError::SYNTAX);
            }
            request.count = number(words.required()?, "count should be greater than 0")?;
        }
        match words.remaining() {
            0 => Ok(request),
            _ => Err(ReplyError::SYNTAX),
        }
    }

    /// Pops from the first key that exists and replies; false when none does.
    fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, ReplyError> {
        for key in self.keys {
            let popped = pop_many(ctx, key, self.side, self.count, true)?;
            if popped > 0 {
                let count = popped.to_string();
                ctx.propagate(&[pop_command(self.side), key, count.as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Pops one element and replies with it, `with_key` in an array after the key. False, with
/// nothing replied, when there is no such key.
fn pop_one(ctx: &mut Ctx<'_>, key: &[u8], side: Side, with_key: bool) -> Result<bool, ReplyError> {
    let limits = ctx.ks.engine.settings.list_limits();
    let Some(list) = ctx.ks.list_mut(key)? else {
        return Ok(false);
    };
    let Some(popped) = list.pop(&limits, side) else {
        return Ok(false);
    };
    let empty = list.is_empty();
    if with_key {
        ctx.out.array(2);
        ctx.out.bulk(key);
    }
    popped.with_bytes(|bytes| ctx.out.bulk(bytes));
    removed(&mut ctx.ks, key, super::pop_event(side), empty, 1);
    ctx.ks.modified(key);
    Ok(true)
}

/// Pops up to `count` elements and replies with an array of them, `with_key` in an array
/// after the key. Gives how many; 0, with nothing replied, when there is no such key.
fn pop_many(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    side: Side,
    count: usize,
    with_key: bool,
) -> Result<usize, ReplyError> {
    let limits = ctx.ks.engine.settings.list_limits();
    let Some(list) = ctx.ks.list_mut(key)? else {
        return Ok(0);
    };
    let count = count.min(list.len());
    if count == 0 {
        return Ok(0);
    }
    if with_key {
        ctx.out.array(2);
        ctx.out.bulk(key);
    }
    ctx.out.array(count);
    list.pop_many(&limits, side, count, |entry| bulk_element(ctx.out, entry));
    let empty = list.is_empty();
    removed(&mut ctx.ks, key, super::pop_event(side), empty, count);
    ctx.ks.modified(key);
    Ok(count)
}

/// The command that pops at this end, as it is logged.
fn pop_command(side: Side) -> &'static [u8] {
    match side {
        Side::Left => b"LPOP",
        Side::Right => b"RPOP",
    }
}
