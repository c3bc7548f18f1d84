//! XLEN, XRANGE, XREVRANGE: reading a stream by its IDs.

use super::args::bound;
use super::reply;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::value::stream::{Stream, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xlen",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Counts the entries of a stream.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STREAM,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: xlen,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "xrange",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Reads the entries of a stream between two IDs.",
        complexity: "O(N), N being the entries returned; O(1) for a fixed `COUNT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::STREAM,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::String),
            ArgSpec::new("end", ArgType::String),
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        history: &[("6.2.0", "Ranges may leave out their ends.")],
        handler: xrange,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "xrevrange",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Reads the entries of a stream between two IDs, newest first.",
        complexity: "O(N), N being the entries returned; O(1) for a fixed `COUNT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::STREAM,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("end", ArgType::String),
            ArgSpec::new("start", ArgType::String),
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        history: &[("6.2.0", "Ranges may leave out their ends.")],
        handler: xrevrange,
        ..CommandSpec::BLANK
    },
];

fn xlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let len = ctx.ks.stream(args[1])?.map_or(0, Stream::len);
    ctx.out.int(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let interval = interval(args[2], args[3])?;
    range(ctx, args, interval, false)
}

fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let interval = interval(args[3], args[2])?;
    range(ctx, args, interval, true)
}

/// The first and last ID of a range.
fn interval(start: &[u8], end: &[u8]) -> Result<(StreamId, StreamId), ReplyError> {
    let start = match bound(start, 0)? {
        (id, false) => id,
        (id, true) => id
            .next()
            .ok_or_else(|| ReplyError::err("invalid start ID for the interval"))?,
    };
    let end = match bound(end, u64::MAX)? {
        (id, false) => id,
        (id, true) => id
            .prev()
            .ok_or_else(|| ReplyError::err("invalid end ID for the interval"))?,
    };
    Ok((start, end))
}

fn range(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    (start, end): (StreamId, StreamId),
    back: bool,
) -> CmdResult {
    let mut count = usize::MAX;
    let mut words = Cursor::new(args, 4);
    while words.remaining() > 0 {
        if !words.take("COUNT") || words.remaining() == 0 {
            return Err(ReplyError::SYNTAX);
        }
        count = usize::try_from(args::int(words.required()?)?).unwrap_or(0);
    }
    let Some(stream) = ctx.ks.stream(args[1])? else {
        ctx.out.array(0);
        return Ok(());
    };
    if count == 0 {
        ctx.out.null_array();
    } else if back {
        reply::entries(ctx.out, stream.range_back(start, end), count);
    } else {
        reply::entries(ctx.out, stream.range(start, end), count);
    }
    Ok(())
}
