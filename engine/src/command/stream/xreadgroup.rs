//! XREADGROUP: reading as a consumer of a group.
//!
//! `>` gives entries nobody of the group got yet, which become pending for the consumer unless
//! NOACK says otherwise; any other ID gives what is pending for the consumer already. What was
//! handed out is logged as XCLAIM of each entry and the place where the group is.

use std::ops::Bound;

use basalt_formats::resp::encode::Protocol;

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};

use super::args as stream_args;
use super::groups::{self, Claims, is_stream};
use super::reply;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::error::{ReplyError, shown};
use crate::keyspace::blocked::OnTimeout;
use crate::keyspace::{Kind, NotifyClass};
use crate::reply::{Aggregate, Reply};
use crate::value::Stream;
use crate::value::stream::{self, ConsumerId, Nack, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xreadgroup",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Reads new or pending entries of streams as a consumer of a group, and may wait.",
    complexity: "O(M) for each stream, M being the entries returned; O(1) for a fixed `COUNT`. A \
        blocked call makes each XADD serve the N waiting clients in O(N).",
    arity: -7,
    flags: Flags::BLOCKING.or(Flags::WRITE),
    acl: Acl::STREAM,
    keys: &[KeySpec::keyword(
        "STREAMS",
        4,
        FindKeys::Range(-1, 1, 2),
        KeyFlags::RO.or(KeyFlags::ACCESS),
    )],
    get_keys: Some(stream_args::streams_get_keys),
    args: &[
        ArgSpec {
            token: "GROUP",
            args: &[
                ArgSpec::new("group", ArgType::String),
                ArgSpec::new("consumer", ArgType::String),
            ],
            ..ArgSpec::new("group-block", ArgType::Block)
        },
        ArgSpec {
            token: "COUNT",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "BLOCK",
            optional: true,
            ..ArgSpec::new("milliseconds", ArgType::Integer)
        },
        ArgSpec {
            token: "NOACK",
            optional: true,
            ..ArgSpec::new("noack", ArgType::PureToken)
        },
        ArgSpec {
            token: "STREAMS",
            args: &[
                ArgSpec {
                    key_spec: 0,
                    multiple: true,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec {
                    multiple: true,
                    ..ArgSpec::new("id", ArgType::String)
                },
            ],
            ..ArgSpec::new("streams", ArgType::Block)
        },
    ],
    handler: xreadgroup,
    ..CommandSpec::BLANK
}];

/// What XREADGROUP asks for.
struct Wanted<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    /// Entries of each stream; 0 for all.
    count: usize,
    no_ack: bool,
    /// Whether to wait, and until when.
    block: Option<Option<i64>>,
    keys: Args<'a>,
    ids: Args<'a>,
}

impl<'a> Wanted<'a> {
    fn parse(ctx: &Ctx<'_>, args: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
        let mut owner = None;
        let mut count = 0;
        let mut no_ack = false;
        let mut block = None;
        let mut words = Cursor::new(args, 1);
        let streams = loop {
            let more = words.remaining().saturating_sub(1);
            let option = words.required()?;
            if more > 0 && args::is(option, "BLOCK") {
                let word = words.required()?;
                block = Some(stream_args::block_deadline(ctx, args[0], word)?);
            } else if more > 0 && args::is(option, "COUNT") {
                count = args::int(words.required()?)?.max(0);
            } else if more > 0 && args::is(option, "STREAMS") {
                break &args[words.position()..];
            } else if more > 1 && args::is(option, "GROUP") {
                owner = Some((words.required()?, words.required()?));
            } else if args::is(option, "NOACK") {
                no_ack = true;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        };
        if streams.len() % 2 != 0 {
            return Err(ReplyError::err(
                "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must \
                 be specified.",
            ));
        }
        let (keys, ids) = streams.split_at(streams.len() / 2);
        let (group, consumer) =
            owner.ok_or_else(|| ReplyError::err("Missing GROUP option for XREADGROUP"))?;
        Ok(Wanted {
            group,
            consumer,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            no_ack,
            block,
            keys,
            ids,
        })
    }

    /// Most entries to give of each stream.
    fn limit(&self) -> usize {
        match self.count {
            0 => usize::MAX,
            count => count,
        }
    }
}

/// Which entries of a stream are asked for.
#[derive(Clone, Copy)]
enum From {
    /// Those the group has not handed out.
    New,
    /// Those pending for the consumer whose ID is above this.
    Pending(StreamId),
}

impl From {
    fn parse(word: &[u8]) -> Result<From, ReplyError> {
        match word {
            b">" => return Ok(From::New),
            b"$" => {
                return Err(ReplyError::err(
                    "The $ ID is meaningless in the context of XREADGROUP: you want to read the \
                     history of this consumer by specifying a proper ID, or use the > ID to get \
                     new messages. The $ ID would just return an empty result set.",
                ));
            }
            _ => {}
        }
        match stream_args::strict_id(word, 0)? {
            StreamId::MAX => Ok(From::New),
            id => Ok(From::Pending(id)),
        }
    }
}

fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let wanted = Wanted::parse(ctx, args)?;
    let mut from = Vec::with_capacity(wanted.ids.len());
    for (key, id) in wanted.keys.iter().zip(wanted.ids) {
        let known = is_stream(&mut ctx.ks, key)?;
        let stream = if known { ctx.ks.stream_mut(key)? } else { None };
        if stream.is_none_or(|stream| stream.groups.get(wanted.group).is_none()) {
            return Err(ReplyError::raw(format!(
                "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                shown(key),
                shown(wanted.group)
            )));
        }
        from.push(From::parse(id)?);
    }
    ctx.propagate_nothing();

    let list = ctx.out.deferred();
    let mut served = 0;
    for (key, from) in wanted.keys.iter().zip(from) {
        served += usize::from(read_one(ctx, &wanted, key, from)?);
    }
    if served > 0 {
        let kind = match ctx.out.protocol {
            Protocol::Resp2 => Aggregate::Array,
            Protocol::Resp3 => Aggregate::Map,
        };
        ctx.out.close(list, kind, served);
    } else if let Some(deadline_ms) = wanted.block {
        let on_timeout = OnTimeout::NullArray;
        ctx.block_on_existing(wanted.keys, Kind::Stream, deadline_ms, on_timeout);
    } else {
        ctx.out.null_array();
    }
    Ok(())
}

/// Reads from one stream; whether it had something to say.
fn read_one(
    ctx: &mut Ctx<'_>,
    wanted: &Wanted<'_>,
    key: &[u8],
    from: From,
) -> Result<bool, ReplyError> {
    let now_ms = ctx.ks.now_ms;
    let mut claims = Claims::new(ctx);
    let out = &mut *ctx.out;
    is_stream(&mut ctx.ks, key)?;
    let stream = ctx.ks.stream_mut(key)?;
    let done = stream.and_then(|stream| {
        stream.with_group(wanted.group, |stream, group| {
            let (consumer, added) = group.pending.find_or_add(wanted.consumer, now_ms);
            group.pending.mark_seen(consumer, now_ms);
            let before = group.last_id;
            let serves = match from {
                From::Pending(_) => true,
                From::New => stream.has_after(before),
            };
            if serves {
                if out.protocol == Protocol::Resp2 {
                    out.array(2);
                }
                out.bulk(key);
                let list = out.deferred();
                let count = match from {
                    From::New => {
                        hand_out(stream, group, wanted, consumer, now_ms, &mut claims, out)
                    }
                    From::Pending(after) => {
                        repeat(stream, group, wanted, consumer, after, now_ms, out)
                    }
                };
                out.close(list, Aggregate::Array, count);
            }
            let advanced = group.last_id > before;
            let place = advanced.then_some((group.last_id, group.entries_read));
            (added, serves, place)
        })
    });
    let Some((added, serves, place)) = done else {
        return Ok(false);
    };
    if added {
        ctx.ks.dirty += 1;
        ctx.ks
            .notify(NotifyClass::STREAM, "xgroup-createconsumer", key);
        if wanted.no_ack {
            ctx.propagate(&[
                b"XGROUP",
                b"CREATECONSUMER",
                key,
                wanted.group,
                wanted.consumer,
            ]);
        }
    }
    claims.log(ctx, key, wanted.group);
    if let Some((last_id, entries_read)) = place {
        groups::log_progress(ctx, key, wanted.group, last_id, entries_read);
    }
    ctx.ks.dirty += u64::from(serves);
    Ok(serves)
}

/// Hands new entries out to a consumer; how many.
fn hand_out(
    stream: &Stream,
    group: &mut stream::Group,
    wanted: &Wanted<'_>,
    consumer: ConsumerId,
    now_ms: i64,
    claims: &mut Claims,
    out: &mut Reply,
) -> usize {
    let Some(start) = group.last_id.next() else {
        return 0;
    };
    let nack = Nack {
        consumer,
        delivery_time: now_ms,
        delivery_count: 1,
    };
    let mut count = 0;
    for entry in stream.range(start, StreamId::MAX).take(wanted.limit()) {
        group.advance(entry.id, stream.extent());
        reply::entry(out, &entry);
        count += 1;
        if !wanted.no_ack {
            // It may be pending already, if the group was set back.
            group.pending.assign(entry.id, nack);
            claims.add(&entry.id.text(), wanted.consumer, nack, group.last_id);
        }
    }
    if count > 0 && !wanted.no_ack {
        group.pending.mark_active(consumer, now_ms);
    }
    count
}

/// Shows a consumer again what is pending for it above `after`; how many.
fn repeat(
    stream: &Stream,
    group: &mut stream::Group,
    wanted: &Wanted<'_>,
    consumer: ConsumerId,
    after: StreamId,
    now_ms: i64,
    out: &mut Reply,
) -> usize {
    let Some(consumer) = group.pending.consumer(consumer) else {
        return 0;
    };
    // The set of IDs stays as it is: a clone shares it.
    let ids = consumer.pending().clone();
    let mut count = 0;
    for (id, ()) in ids.iter_from(Bound::Excluded(&after)).take(wanted.limit()) {
        match stream.get(*id) {
            Some(entry) => {
                reply::entry(out, &entry);
                group.pending.redeliver(*id, now_ms);
            }
            // Deleted from the stream, but it still has to be acknowledged.
            None => {
                out.array(2);
                reply::id(out, *id);
                out.null_array();
            }
        }
        count += 1;
    }
    count
}
