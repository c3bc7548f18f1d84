//! XPENDING: what was delivered and not acknowledged.

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::groups::{no_group, range_end, range_start};
use super::reply;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::error::ReplyError;
use crate::reply::{Aggregate, Reply};
use crate::value::stream::{self, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xpending",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Shows what a group has delivered but not yet seen acknowledged.",
    complexity: "O(N), N being the entries returned; with `IDLE` O(M), M being the entries \
        scanned; the summary takes O(N), N being the consumers.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("group", ArgType::String),
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "IDLE",
                    since: "6.2.0",
                    optional: true,
                    ..ArgSpec::new("min-idle-time", ArgType::Integer)
                },
                ArgSpec::new("start", ArgType::String),
                ArgSpec::new("end", ArgType::String),
                ArgSpec::new("count", ArgType::Integer),
                ArgSpec {
                    optional: true,
                    ..ArgSpec::new("consumer", ArgType::String)
                },
            ],
            ..ArgSpec::new("filters", ArgType::Block)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[(
        "6.2.0",
        "New option `IDLE`; ranges may leave out their ends.",
    )],
    handler: xpending,
    ..CommandSpec::BLANK
}];

/// What the long form asks for.
struct Wanted<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// `[IDLE min-idle-time] start end count [consumer]`; words after these are not looked at.
    fn parse(args: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
        let mut at = 3;
        let mut min_idle_ms = 0;
        if args::is(args[at], "IDLE") {
            min_idle_ms = args::int(args[at + 1])?;
            at += 2;
        }
        let [start, end, count, rest @ ..] = &args[at..] else {
            return Err(ReplyError::SYNTAX);
        };
        let count = args::int(count)?.max(0);
        Ok(Wanted {
            min_idle_ms,
            start: range_start(start)?,
            end: range_end(end)?,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            consumer: rest.first().copied(),
        })
    }
}

fn xpending(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let wanted = match args.len() {
        3 => None,
        6..=9 => Some(Wanted::parse(args)?),
        _ => return Err(ReplyError::SYNTAX),
    };
    let (key, name) = (args[1], args[2]);
    let now_ms = ctx.ks.now_ms;
    let stream = ctx.ks.stream(key)?;
    let Some(group) = stream.and_then(|stream| stream.groups.get(name)) else {
        return Err(no_group(key, name));
    };
    match wanted {
        None => summary(ctx.out, group),
        Some(wanted) => entries(ctx.out, group, &wanted, now_ms),
    }
    Ok(())
}

fn summary(out: &mut Reply, group: &stream::Group) {
    let pending = &group.pending;
    out.array(4);
    out.count(pending.len());
    let (Some((first, _)), Some((last, _))) = (pending.entries().first(), pending.entries().last())
    else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    reply::id(out, *first);
    reply::id(out, *last);
    let busy = out.deferred();
    let mut count = 0;
    for consumer in pending.consumers().filter(|c| !c.pending().is_empty()) {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk(consumer.pending().len().to_string().as_bytes());
        count += 1;
    }
    out.close(busy, Aggregate::Array, count);
}

fn entries(out: &mut Reply, group: &stream::Group, wanted: &Wanted<'_>, now_ms: i64) {
    let pending = &group.pending;
    let from = std::ops::Bound::Included(&wanted.start);
    let ids: Box<dyn Iterator<Item = &StreamId>> = match wanted.consumer {
        None => Box::new(pending.entries().iter_from(from).map(|(id, _)| id)),
        Some(name) => match pending.find(name).and_then(|id| pending.consumer(id)) {
            Some(consumer) => Box::new(consumer.pending().iter_from(from).map(|(id, ())| id)),
            None => return out.array(0),
        },
    };
    let list = out.deferred();
    let mut count = 0;
    for id in ids.take_while(|id| **id <= wanted.end) {
        if count == wanted.count {
            break;
        }
        let Some(nack) = pending.get(*id) else {
            continue;
        };
        let idle_ms = now_ms.saturating_sub(nack.delivery_time);
        if wanted.min_idle_ms != 0 && idle_ms < wanted.min_idle_ms {
            continue;
        }
        out.array(4);
        reply::id(out, *id);
        out.bulk(pending.name(nack.consumer));
        out.int(idle_ms.max(0));
        out.int(nack.delivery_count.cast_signed());
        count += 1;
    }
    out.close(list, Aggregate::Array, count);
}
