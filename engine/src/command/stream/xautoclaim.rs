//! XAUTOCLAIM: pending entries nobody worked on for a while go to a consumer.

use std::ops::Bound;

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::groups::{Claims, kind_of, range_start, stream_with_group};
use super::reply;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::reply::Reply;
use crate::value::Stream;
use crate::value::stream::{self, Nack, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xautoclaim",
    group: Group::Stream,
    since: "6.2.0",
    summary: "Scans the pending entries of a group and hands idle ones to a consumer.",
    complexity: "O(1) for a small `COUNT`.",
    arity: -6,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("group", ArgType::String),
        ArgSpec::new("consumer", ArgType::String),
        ArgSpec::new("min-idle-time", ArgType::String),
        ArgSpec::new("start", ArgType::String),
        ArgSpec {
            token: "COUNT",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "JUSTID",
            optional: true,
            ..ArgSpec::new("justid", ArgType::PureToken)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[(
        "7.0.0",
        "The reply lists entries that were deleted and thus dropped from the pending \
            ones.",
    )],
    handler: xautoclaim,
    ..CommandSpec::BLANK
}];

/// Entries looked at for each one asked for.
const ATTEMPTS_FACTOR: i64 = 10;
/// Highest COUNT that is taken.
const COUNT_MAX: i64 = i64::MAX / 16;
const DEFAULT_COUNT: i64 = 100;
/// From here on Redis finds no memory for the IDs of so many deleted entries, on any machine.
const COUNT_TOO_HIGH: i64 = 1 << 43;

struct Wanted {
    min_idle_ms: i64,
    start: StreamId,
    count: i64,
    just_id: bool,
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Wanted, ReplyError> {
        let message = "Invalid min-idle-time argument for XAUTOCLAIM";
        let min_idle_ms = args::int_in(args[4], i64::MIN, i64::MAX, message)?.max(0);
        let mut wanted = Wanted {
            min_idle_ms,
            start: range_start(args[5])?,
            count: DEFAULT_COUNT,
            just_id: false,
        };
        let mut words = Cursor::new(args, 6);
        while words.remaining() > 0 {
            if words.remaining() > 1 && words.take("COUNT") {
                wanted.count = args::int_in(words.required()?, 1, COUNT_MAX, "COUNT must be > 0")?;
            } else if words.take("JUSTID") {
                wanted.just_id = true;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(wanted)
    }
}

fn xautoclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name, consumer) = (args[1], args[2], args[3]);
    let now_ms = ctx.ks.now_ms;
    let kind = kind_of(&mut ctx.ks, key);
    let wanted = Wanted::parse(args)?;
    let mut claims = Claims::new(ctx);
    let out = &mut *ctx.out;
    let stream = stream_with_group(&mut ctx.ks, kind, key, name)?;
    if wanted.count >= COUNT_TOO_HIGH {
        return Err(ReplyError::err(
            "Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    let added = stream.with_group(name, |stream, group| {
        claim(stream, group, &wanted, consumer, now_ms, &mut claims, out)
    });
    if added == Some(true) {
        ctx.ks.dirty += 1;
        ctx.ks
            .notify(NotifyClass::STREAM, "xgroup-createconsumer", key);
    }
    ctx.ks.dirty += claims.count();
    ctx.propagate_nothing();
    claims.log(ctx, key, name);
    Ok(())
}

/// Claims and replies; whether the consumer is new.
fn claim(
    stream: &Stream,
    group: &mut stream::Group,
    wanted: &Wanted,
    consumer_name: &[u8],
    now_ms: i64,
    claims: &mut Claims,
    out: &mut Reply,
) -> bool {
    let last_id = group.last_id;
    let pending = &mut group.pending;
    let (consumer, added) = pending.find_or_add(consumer_name, now_ms);
    pending.mark_seen(consumer, now_ms);

    // The cursor comes first in the reply and is known last.
    let mut list = Reply {
        buf: Vec::new(),
        protocol: out.protocol,
    };
    let mut claimed = 0;
    let mut deleted = Vec::new();
    let mut from = Bound::Included(wanted.start);
    let mut left = wanted.count;
    let mut attempts = wanted.count.saturating_mul(ATTEMPTS_FACTOR);
    while attempts > 0 && left > 0 {
        attempts -= 1;
        let Some((&id, &old)) = pending.entries().iter_from(from.as_ref()).next() else {
            break;
        };
        from = Bound::Excluded(id);
        let Some(entry) = stream.get(id) else {
            // Deleted from the stream: it will never be processed.
            claims.add(&id.text(), pending.name(old.consumer), old, last_id);
            pending.remove(id);
            deleted.push(id);
            left -= 1;
            continue;
        };
        let idle_ms = now_ms.saturating_sub(old.delivery_time);
        if wanted.min_idle_ms != 0 && idle_ms < wanted.min_idle_ms {
            continue;
        }
        let nack = Nack {
            consumer,
            delivery_time: now_ms,
            delivery_count: old.delivery_count.wrapping_add(u64::from(!wanted.just_id)),
        };
        pending.assign(id, nack);
        if wanted.just_id {
            reply::id(&mut list, id);
        } else {
            reply::entry(&mut list, &entry);
        }
        claimed += 1;
        left -= 1;
        claims.add(&id.text(), consumer_name, nack, last_id);
    }
    if claimed > 0 {
        pending.mark_active(consumer, now_ms);
    }
    let next = pending.entries().iter_from(from.as_ref()).next();
    let cursor = next.map_or(StreamId::MIN, |(id, _)| *id);

    out.array(3);
    reply::id(out, cursor);
    out.array(claimed);
    out.buf.extend_from_slice(&list.buf);
    out.array(deleted.len());
    for id in deleted {
        reply::id(out, id);
    }
    added
}
