//! XCLAIM: given pending entries go to a consumer.

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::args as stream_args;
use super::groups::{Claims, kind_of, log_progress, no_group, stream_with_group};
use super::reply;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::error::{ReplyError, shown};
use crate::keyspace::NotifyClass;
use crate::reply::{Aggregate, Reply};
use crate::value::Stream;
use crate::value::stream::{self, Nack, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xclaim",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Hands given pending entries of a group to a consumer.",
    complexity: "O(log N), N being the pending entries of the group.",
    arity: -6,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("group", ArgType::String),
        ArgSpec::new("consumer", ArgType::String),
        ArgSpec::new("min-idle-time", ArgType::String),
        ArgSpec {
            multiple: true,
            ..ArgSpec::new("id", ArgType::String)
        },
        ArgSpec {
            token: "IDLE",
            optional: true,
            ..ArgSpec::new("ms", ArgType::Integer)
        },
        ArgSpec {
            token: "TIME",
            optional: true,
            ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
        },
        ArgSpec {
            token: "RETRYCOUNT",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "FORCE",
            optional: true,
            ..ArgSpec::new("force", ArgType::PureToken)
        },
        ArgSpec {
            token: "JUSTID",
            optional: true,
            ..ArgSpec::new("justid", ArgType::PureToken)
        },
        ArgSpec {
            token: "LASTID",
            optional: true,
            ..ArgSpec::new("lastid", ArgType::String)
        },
    ],
    tips: &["nondeterministic_output"],
    handler: xclaim,
    ..CommandSpec::BLANK
}];

/// What XCLAIM asks for, from its minimum idle time on.
struct Wanted<'a> {
    min_idle_ms: i64,
    /// IDs with their words.
    ids: Vec<(StreamId, &'a [u8])>,
    delivery_time: i64,
    /// `None` counts one more delivery, unless only IDs are asked for.
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl<'a> Wanted<'a> {
    fn parse(args: Args<'a>, now_ms: i64) -> Result<Wanted<'a>, ReplyError> {
        let number = |word: &[u8], what: &str| {
            let message = format!("Invalid {what} argument for XCLAIM");
            args::int_in(word, i64::MIN, i64::MAX, &message)
        };
        let min_idle_ms = number(args[4], "min-idle-time")?.max(0);
        // The first word that is no ID begins the options.
        let ids: Vec<_> = args[5..]
            .iter()
            .map_while(|word| Some((stream_args::strict_id(word, 0).ok()?, *word)))
            .collect();
        let mut words = Cursor::new(args, 5 + ids.len());
        let mut wanted = Wanted {
            min_idle_ms,
            ids,
            delivery_time: -1,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        while let Some(option) = words.next() {
            let more = words.remaining() > 0;
            if args::is(option, "FORCE") {
                wanted.force = true;
            } else if args::is(option, "JUSTID") {
                wanted.just_id = true;
            } else if more && args::is(option, "IDLE") {
                let idle_ms = number(words.required()?, "IDLE option")?;
                wanted.delivery_time = now_ms.wrapping_sub(idle_ms);
            } else if more && args::is(option, "TIME") {
                wanted.delivery_time = number(words.required()?, "TIME option")?;
            } else if more && args::is(option, "RETRYCOUNT") {
                let count = number(words.required()?, "RETRYCOUNT option")?;
                wanted.retry_count = u64::try_from(count).ok();
            } else if more && args::is(option, "LASTID") {
                wanted.last_id = stream_args::strict_id(words.required()?, 0)?;
            } else {
                return Err(ReplyError::err(format_args!(
                    "Unrecognized XCLAIM option '{}'",
                    shown(option)
                )));
            }
        }
        // Without a time, or with one that cannot be, the entry counts as delivered just now.
        if wanted.delivery_time < 0 || wanted.delivery_time > now_ms {
            wanted.delivery_time = now_ms;
        }
        Ok(wanted)
    }
}

fn xclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name, consumer) = (args[1], args[2], args[3]);
    let now_ms = ctx.ks.now_ms;
    let kind = kind_of(&mut ctx.ks, key);
    stream_with_group(&mut ctx.ks, kind, key, name)?;
    let wanted = Wanted::parse(args, now_ms)?;
    ctx.propagate_nothing();
    let mut claims = Claims::new(ctx);
    let out = &mut *ctx.out;
    let stream = ctx.ks.stream_mut(key)?;
    let done = stream.and_then(|stream| {
        stream.with_group(name, |stream, group| {
            claim(stream, group, &wanted, consumer, now_ms, &mut claims, out)
        })
    });
    let Some(done) = done else {
        return Err(no_group(key, name));
    };
    if done.added {
        ctx.ks.dirty += 1;
        ctx.ks
            .notify(NotifyClass::STREAM, "xgroup-createconsumer", key);
    }
    ctx.ks.dirty += claims.count();
    if claims.count() > 0 {
        // Who waits with XREADGROUP CLAIM may have less long to wait now.
        ctx.ks.signal_ready(key);
    }
    claims.log(ctx, key, name);
    if done.advanced && claims.count() == 0 {
        log_progress(ctx, key, name, done.last_id, done.entries_read);
        ctx.ks.dirty += 1;
    }
    Ok(())
}

/// What became of the group besides its pending entries.
struct Done {
    /// The consumer is new.
    added: bool,
    /// The last ID went up.
    advanced: bool,
    last_id: StreamId,
    entries_read: Option<u64>,
}

fn claim(
    stream: &Stream,
    group: &mut stream::Group,
    wanted: &Wanted<'_>,
    consumer_name: &[u8],
    now_ms: i64,
    claims: &mut Claims,
    out: &mut Reply,
) -> Done {
    let advanced = wanted.last_id > group.last_id;
    if advanced {
        group.last_id = wanted.last_id;
    }
    let last_id = group.last_id;
    let pending = &mut group.pending;
    let (consumer, added) = pending.find_or_add(consumer_name, now_ms);
    pending.mark_seen(consumer, now_ms);
    let list = out.deferred();
    let mut claimed = 0;
    for (id, word) in &wanted.ids {
        let old = pending.get(*id);
        let Some(entry) = stream.get(*id) else {
            // Deleted from the stream: it will never be processed.
            if let Some(nack) = old {
                claims.add(word, pending.name(nack.consumer), nack, last_id);
                pending.remove(*id);
            }
            continue;
        };
        let delivered = match old {
            None if !wanted.force => continue,
            None => 1,
            Some(nack) => {
                let idle_ms = now_ms.saturating_sub(nack.delivery_time);
                if wanted.min_idle_ms != 0 && idle_ms < wanted.min_idle_ms {
                    continue;
                }
                nack.delivery_count
            }
        };
        let nack = Nack {
            consumer,
            delivery_time: wanted.delivery_time,
            delivery_count: match wanted.retry_count {
                Some(count) => count,
                None => delivered.wrapping_add(u64::from(!wanted.just_id)),
            },
        };
        pending.assign(*id, nack);
        if wanted.just_id {
            reply::id(out, *id);
        } else {
            reply::entry(out, &entry);
        }
        claimed += 1;
        claims.add(word, consumer_name, nack, last_id);
    }
    if claimed > 0 {
        pending.mark_active(consumer, now_ms);
    }
    out.close(list, Aggregate::Array, claimed);
    Done {
        added,
        advanced,
        last_id,
        entries_read: group.entries_read,
    }
}
