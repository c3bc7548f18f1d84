//! XREADGROUP: reading as a consumer of a group.
//!
//! `>` gives entries nobody of the group got yet, which become pending for the consumer unless
//! NOACK says otherwise; any other ID gives what is pending for the consumer already. With CLAIM,
//! `>` gives first what is pending for anybody and idle for long enough, the longest idle first:
//! found by looking at all that is pending in the group, O(N) for a call. What was
//! handed out is logged as XCLAIM of each entry and the place where the group is.

use std::collections::BinaryHeap;
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
            token: "MAXCOUNT",
            since: "8.10.0",
            optional: true,
            ..ArgSpec::new("maxcount", ArgType::Integer)
        },
        ArgSpec {
            token: "MAXSIZE",
            since: "8.10.0",
            optional: true,
            ..ArgSpec::new("maxsize", ArgType::Integer)
        },
        ArgSpec {
            token: "BLOCK",
            optional: true,
            ..ArgSpec::new("milliseconds", ArgType::Integer)
        },
        ArgSpec {
            token: "CLAIM",
            since: "8.4.0",
            optional: true,
            ..ArgSpec::new("min-idle-time", ArgType::Integer)
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
    history: &[
        ("8.4.0", "New option `CLAIM`."),
        ("8.10.0", "New options `MAXCOUNT` and `MAXSIZE`."),
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
    /// What those of all streams together may be.
    caps: reply::Caps,
    no_ack: bool,
    /// Whether to wait, and until when.
    block: Option<Option<i64>>,
    /// CLAIM: pending entries idle for so many milliseconds come first.
    min_idle_ms: Option<i64>,
    keys: Args<'a>,
    ids: Args<'a>,
}

impl<'a> Wanted<'a> {
    fn parse(ctx: &Ctx<'_>, args: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
        let mut owner = None;
        let mut count = 0;
        let mut no_ack = false;
        let mut caps = reply::Caps::default();
        let (mut block, mut min_idle_ms) = (None, None);
        let mut words = Cursor::new(args, 1);
        let streams = loop {
            let more = words.remaining().saturating_sub(1);
            let option = words.required()?;
            if more > 0 && args::is(option, "BLOCK") {
                let word = words.required()?;
                block = Some(stream_args::block_deadline(ctx, args[0], word)?);
            } else if more > 0 && args::is(option, "COUNT") {
                count = args::int(words.required()?)?.max(0);
            } else if more > 0 && caps.parse(option, &mut words)? {
            } else if more > 0 && args::is(option, "STREAMS") {
                break &args[words.position()..];
            } else if more > 1 && args::is(option, "GROUP") {
                owner = Some((words.required()?, words.required()?));
            } else if args::is(option, "NOACK") {
                no_ack = true;
            } else if more > 0 && args::is(option, "CLAIM") {
                min_idle_ms = Some(min_idle(words.required()?)?);
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
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        caps.check(count)?;
        Ok(Wanted {
            group,
            consumer,
            count,
            caps,
            no_ack,
            block,
            min_idle_ms,
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

    let mut budget = wanted.caps.begin(ctx.out);
    let list = ctx.out.deferred();
    let (mut served, mut again_ms) = (0, None);
    for (key, from) in wanted.keys.iter().zip(from) {
        if !budget.has_room(ctx.out) {
            break;
        }
        let read = read_one(ctx, (&wanted, &mut budget), key, from)?;
        served += usize::from(read.serves);
        again_ms = again_ms.into_iter().chain(read.claimable_ms).min();
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
        ctx.try_again_at(again_ms);
    } else {
        ctx.out.null_array();
    }
    Ok(())
}

/// What came of one stream.
#[derive(Default)]
struct Read {
    /// It had something to say.
    serves: bool,
    /// When the next pending entry has been idle for long enough.
    claimable_ms: Option<i64>,
}

/// Reads from one stream.
fn read_one(
    ctx: &mut Ctx<'_>,
    (wanted, budget): (&Wanted<'_>, &mut reply::Budget),
    key: &[u8],
    from: From,
) -> Result<Read, ReplyError> {
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
            let claimable = match (from, wanted.min_idle_ms) {
                (From::New, Some(min_idle_ms)) => {
                    Claimable::find(stream, group, min_idle_ms, now_ms, wanted.limit())
                }
                _ => Claimable::default(),
            };
            let serves = match from {
                From::Pending(_) => true,
                From::New => !claimable.ids.is_empty() || stream.has_after(before),
            };
            if serves {
                if out.protocol == Protocol::Resp2 {
                    out.array(2);
                }
                out.bulk(key);
                let list = out.deferred();
                let count = match from {
                    From::New => {
                        let taken = Taker {
                            stream,
                            wanted,
                            consumer,
                            now_ms,
                            claims: &mut claims,
                            budget,
                            out,
                        };
                        taken.all(group, &claimable.ids)
                    }
                    From::Pending(after) => {
                        let shown = (&mut *out, budget);
                        repeat(stream, group, wanted, (consumer, after), now_ms, shown)
                    }
                };
                out.close(list, Aggregate::Array, count);
            }
            let advanced = group.last_id > before;
            let place = advanced.then_some((group.last_id, group.entries_read));
            let read = Read {
                serves,
                claimable_ms: claimable.next_ms,
            };
            (added, read, place)
        })
    });
    let Some((added, read, place)) = done else {
        return Ok(Read::default());
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
    ctx.ks.dirty += u64::from(read.serves);
    Ok(read)
}

/// Pending entries that CLAIM takes.
#[derive(Default)]
struct Claimable {
    /// The longest idle first.
    ids: Vec<StreamId>,
    /// When there will be one more.
    next_ms: Option<i64>,
}

impl Claimable {
    /// Looks through all that is pending. What was deleted from the stream is left where it is.
    fn find(
        stream: &Stream,
        group: &stream::Group,
        min_idle_ms: i64,
        now_ms: i64,
        limit: usize,
    ) -> Claimable {
        let latest = now_ms.saturating_sub(min_idle_ms);
        let (mut oldest, mut next_ms) = (BinaryHeap::new(), None);
        for (id, nack) in group.pending.entries() {
            if nack.delivery_time > latest {
                let at = nack.delivery_time.saturating_add(min_idle_ms);
                next_ms = next_ms.into_iter().chain([at]).min();
            } else if stream.get(*id).is_some() {
                oldest.push((nack.delivery_time, *id));
                if oldest.len() > limit {
                    oldest.pop();
                }
            }
        }
        let oldest = oldest.into_sorted_vec();
        Claimable {
            ids: oldest.into_iter().map(|(_, id)| id).collect(),
            next_ms,
        }
    }
}

/// Hands entries out to a consumer.
struct Taker<'a> {
    stream: &'a Stream,
    wanted: &'a Wanted<'a>,
    consumer: ConsumerId,
    now_ms: i64,
    claims: &'a mut Claims,
    budget: &'a mut reply::Budget,
    out: &'a mut Reply,
}

impl Taker<'_> {
    /// Pending entries that are claimed, then new ones; how many.
    fn all(mut self, group: &mut stream::Group, claimed: &[StreamId]) -> usize {
        let mut count = 0;
        for id in claimed {
            if !self.budget.has_room(self.out) {
                break;
            }
            count += usize::from(self.claim(group, *id));
        }
        let claimed = count;
        count += self.new_ones(group, self.wanted.limit() - claimed);
        if claimed > 0 || count > 0 && !self.wanted.no_ack {
            group.pending.mark_active(self.consumer, self.now_ms);
        }
        count
    }

    /// Takes over a pending entry, from whomever; NOACK makes no difference here.
    fn claim(&mut self, group: &mut stream::Group, id: StreamId) -> bool {
        let (Some(entry), Some(old)) = (self.stream.get(id), group.pending.get(id)) else {
            return false;
        };
        self.budget.take(self.out);
        let idle_ms = self.now_ms.saturating_sub(old.delivery_time).max(0);
        reply::delivered(self.out, &entry, idle_ms, old.delivery_count);
        let nack = Nack {
            consumer: self.consumer,
            delivery_time: self.now_ms,
            delivery_count: old.delivery_count.wrapping_add(1),
        };
        group.pending.assign(id, nack);
        let name = self.wanted.consumer;
        self.claims.add(&id.text(), name, nack, group.last_id);
        true
    }

    /// Entries nobody of the group got yet; how many.
    fn new_ones(&mut self, group: &mut stream::Group, limit: usize) -> usize {
        let Some(start) = group.last_id.next() else {
            return 0;
        };
        let nack = Nack {
            consumer: self.consumer,
            delivery_time: self.now_ms,
            delivery_count: 1,
        };
        let mut count = 0;
        for entry in self.stream.range(start, StreamId::MAX).take(limit) {
            if !self.budget.take(self.out) {
                break;
            }
            group.advance(entry.id, self.stream.extent());
            match self.wanted.min_idle_ms {
                None => reply::entry(self.out, &entry),
                Some(_) => reply::delivered(self.out, &entry, 0, 0),
            }
            count += 1;
            if !self.wanted.no_ack {
                // It may be pending already, if the group was set back.
                group.pending.assign(entry.id, nack);
                let name = self.wanted.consumer;
                self.claims.add(&entry.id.text(), name, nack, group.last_id);
            }
        }
        count
    }
}

/// The time that CLAIM names.
fn min_idle(word: &[u8]) -> Result<i64, ReplyError> {
    let message = "min-idle-time is not an integer or out of range";
    match args::int_in(word, i64::MIN, i64::MAX, message)? {
        n if n < 0 => Err(ReplyError::err("min-idle-time must be a positive integer")),
        n => Ok(n),
    }
}

/// Shows a consumer again what is pending for it above `after`; how many.
fn repeat(
    stream: &Stream,
    group: &mut stream::Group,
    wanted: &Wanted<'_>,
    (consumer, after): (ConsumerId, StreamId),
    now_ms: i64,
    (out, budget): (&mut Reply, &mut reply::Budget),
) -> usize {
    let Some(consumer) = group.pending.consumer(consumer) else {
        return 0;
    };
    // The set of IDs stays as it is: a clone shares it.
    let ids = consumer.pending().clone();
    let mut count = 0;
    for (id, ()) in ids.iter_from(Bound::Excluded(&after)).take(wanted.limit()) {
        if !budget.take(out) {
            break;
        }
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
