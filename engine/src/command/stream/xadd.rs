//! XADD: appending an entry, with its options.

use super::args::NewId;
use super::{reply, trim};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::value::stream::{MAX_BYTES, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xadd",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Appends an entry to a stream, creating it if needed.",
    complexity: "O(1), plus O(N) when trimming, N being the entries removed.",
    arity: -5,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    acl: Acl::STREAM,
    keys: &[KeySpec {
        notes: "update rather than insert: the call may also trim",
        ..KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))
    }],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            token: "NOMKSTREAM",
            since: "6.2.0",
            optional: true,
            ..ArgSpec::new("nomkstream", ArgType::PureToken)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "MAXLEN",
                            ..ArgSpec::new("maxlen", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "MINID",
                            since: "6.2.0",
                            ..ArgSpec::new("minid", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("strategy", ArgType::OneOf)
                },
                ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "=",
                            ..ArgSpec::new("equal", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "~",
                            ..ArgSpec::new("approximately", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("operator", ArgType::OneOf)
                },
                ArgSpec::new("threshold", ArgType::String),
                ArgSpec {
                    token: "LIMIT",
                    since: "6.2.0",
                    optional: true,
                    ..ArgSpec::new("count", ArgType::Integer)
                },
            ],
            ..ArgSpec::new("trim", ArgType::Block)
        },
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "*",
                    ..ArgSpec::new("auto-id", ArgType::PureToken)
                },
                ArgSpec::new("id", ArgType::String),
            ],
            ..ArgSpec::new("id-selector", ArgType::OneOf)
        },
        ArgSpec {
            multiple: true,
            args: &[
                ArgSpec::new("field", ArgType::String),
                ArgSpec::new("value", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[
        (
            "6.2.0",
            "New options `NOMKSTREAM` and `LIMIT`; trimming by `MINID`.",
        ),
        ("7.0.0", "An ID may have the form `<ms>-*`."),
    ],
    handler: xadd,
    ..CommandSpec::BLANK
}];

fn xadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = trim::parse(ctx, args, true)?;
    let fields = args.get(options.id_at + 1..).unwrap_or_default();
    if fields.len() < 2 || fields.len() % 2 == 1 {
        return Err(ReplyError::wrong_arity(ctx.name()));
    }
    if options.id == NewId::Full(StreamId::MIN) {
        return Err(ReplyError::err(
            "The ID specified in XADD must be greater than 0-0",
        ));
    }
    let limits = ctx.engine().settings.stream_limits();
    let (key, now_ms) = (args[1], ctx.ks.now_ms);
    let stream = if options.no_mkstream {
        let Some(stream) = ctx.ks.stream_mut(key)? else {
            ctx.out.null();
            return Ok(());
        };
        stream
    } else {
        ctx.ks.stream_or_create(key)?
    };
    let id = next_id(stream.last_id(), options.id, now_ms)?;
    if fields.iter().map(|word| word.len()).sum::<usize>() > MAX_BYTES {
        return Err(ReplyError::err("Elements are too large to be stored"));
    }
    stream.add(&limits, id, fields);
    let trimmed = options.trim.map_or(0, |trim| stream.trim(&trim));
    let rewrite = trim::rewritten(&options, stream);

    reply::id(ctx.out, id);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STREAM, "xadd", key);
    ctx.ks.dirty += 1;
    if trimmed > 0 {
        ctx.ks.notify(NotifyClass::STREAM, "xtrim", key);
    }
    let generated = !matches!(options.id, NewId::Full(_));
    if (generated || rewrite.is_some()) && ctx.engine().log.is_active() {
        let id = id.text();
        let mut words = args.to_vec();
        if generated {
            words[options.id_at] = &id;
        }
        if let Some(rewrite) = &rewrite {
            rewrite.apply(&mut words);
        }
        ctx.propagate(&words);
    }
    ctx.ks.signal_ready(key);
    Ok(())
}

/// The ID of a new entry of a stream whose last one is `last`.
fn next_id(last: StreamId, wanted: NewId, now_ms: i64) -> Result<StreamId, ReplyError> {
    if last == StreamId::MAX {
        return Err(ReplyError::err(
            "The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = match wanted {
        NewId::Full(id) => Some(id),
        NewId::Ms(ms) if ms == last.ms => last.next().filter(|id| id.ms == ms),
        NewId::Ms(ms) => Some(StreamId::new(ms, 0)),
        NewId::Auto => match u64::try_from(now_ms) {
            Ok(now) if now > last.ms => Some(StreamId::new(now, 0)),
            _ => last.next(),
        },
    };
    id.filter(|id| *id > last).ok_or_else(|| {
        ReplyError::err(
            "The ID specified in XADD is equal or smaller than the target stream top item",
        )
    })
}
