//! XREAD: what was added to streams after given IDs, at once or as it comes.
//!
//! A command that waits keeps the IDs it began with: `$` is the end of the stream at the time
//! of the call, whenever an entry comes.

use super::args::{block_deadline, streams_get_keys, strict_id};
use super::reply;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::Kind;
use crate::keyspace::blocked::OnTimeout;
use crate::reply::Aggregate;
use crate::value::Stream;
use crate::value::stream::StreamId;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xread",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Reads what was added to streams after given IDs, and may wait for it.",
    arity: -4,
    flags: Flags::BLOCKING.or(Flags::READONLY),
    acl: Acl::STREAM,
    keys: &[KeySpec::keyword(
        "STREAMS",
        1,
        FindKeys::Range(-1, 1, 2),
        KeyFlags::RO.or(KeyFlags::ACCESS),
    )],
    get_keys: Some(streams_get_keys),
    args: &[
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
    history: &[("8.10.0", "New options `MAXCOUNT` and `MAXSIZE`.")],
    handler: xread,
    ..CommandSpec::BLANK
}];

/// What is asked for.
struct Request<'a> {
    /// Entries of each stream at most.
    count: usize,
    /// What all together may be.
    caps: reply::Caps,
    /// Whether to wait, and until when.
    block: Option<Option<i64>>,
    keys: Args<'a>,
    ids: Args<'a>,
}

impl<'a> Request<'a> {
    fn parse(ctx: &Ctx<'_>, words: Args<'a>) -> Result<Request<'a>, ReplyError> {
        let (mut count, mut block) = (0, None);
        let mut caps = reply::Caps::default();
        let mut cursor = Cursor::new(words, 1);
        let streams = loop {
            let option = cursor.required()?;
            let more = cursor.remaining();
            if args::is(option, "BLOCK") && more > 0 {
                block = Some(block_deadline(ctx, words[0], cursor.required()?)?);
            } else if args::is(option, "COUNT") && more > 0 {
                count = args::int(cursor.required()?)?.max(0);
            } else if more > 0 && caps.parse(option, &mut cursor)? {
            } else if args::is(option, "STREAMS") && more > 0 {
                break &words[cursor.position()..];
            } else if args::is(option, "GROUP") && more > 1 {
                return Err(only_in_groups("GROUP"));
            } else if args::is(option, "NOACK") {
                return Err(only_in_groups("NOACK"));
            } else if args::is(option, "CLAIM") && more > 0 {
                return Err(only_in_groups("CLAIM"));
            } else {
                return Err(ReplyError::SYNTAX);
            }
        };
        if streams.len() % 2 != 0 {
            return Err(ReplyError::err(
                "Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
                 specified.",
            ));
        }
        let (keys, ids) = streams.split_at(streams.len() / 2);
        caps.check(usize::try_from(count).unwrap_or(usize::MAX))?;
        Ok(Request {
            caps,
            count: match count {
                0 => usize::MAX,
                count => usize::try_from(count).unwrap_or(usize::MAX),
            },
            block,
            keys,
            ids,
        })
    }
}

fn only_in_groups(option: &str) -> ReplyError {
    ReplyError::err(format_args!(
        "The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

fn xread(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let request = Request::parse(ctx, words)?;
    let mut after = Vec::with_capacity(request.ids.len());
    for (key, word) in request.keys.iter().zip(request.ids) {
        let stream = ctx.ks.stream(key)?;
        after.push(after_of(word, stream)?);
    }
    let mut budget = request.caps.begin(ctx.out);
    let header = ctx.out.deferred();
    let mut served = 0;
    for (key, after) in request.keys.iter().zip(&after) {
        if !budget.has_room(ctx.out) {
            break;
        }
        let Some(stream) = ctx
            .ks
            .stream(key)?
            .filter(|stream| stream.has_after(*after))
        else {
            continue;
        };
        served += 1;
        if !ctx.out.is_resp3() {
            ctx.out.array(2);
        }
        ctx.out.bulk(key);
        let start = after.next().unwrap_or(StreamId::MAX);
        let range = stream.range(start, StreamId::MAX);
        reply::entries_within(ctx.out, range, request.count, &mut budget);
    }
    if served > 0 {
        let kind = match ctx.out.is_resp3() {
            true => Aggregate::Map,
            false => Aggregate::Array,
        };
        ctx.out.close(header, kind, served);
        return Ok(());
    }
    let Some(deadline_ms) = request.block else {
        ctx.out.null_array();
        return Ok(());
    };
    let (keys, kind) = (request.keys, Kind::Stream);
    ctx.block_on(keys, kind, deadline_ms, OnTimeout::NullArray);
    if request.ids.contains(&&b"$"[..]) {
        let ids: Vec<_> = after.iter().map(|id| id.text()).collect();
        let mut words = words.to_vec();
        let first = words.len() - ids.len();
        for (word, id) in words[first..].iter_mut().zip(&ids) {
            if *word == b"$" {
                *word = id;
            }
        }
        ctx.wait_with(&words);
    }
    Ok(())
}

/// The ID behind which entries are asked for.
fn after_of(word: &[u8], stream: Option<&Stream>) -> Result<StreamId, ReplyError> {
    match word {
        b"$" => Ok(stream.map_or(StreamId::MIN, Stream::last_id)),
        // The last entry, as newer servers have it.
        b"+" => Ok(stream
            .and_then(|stream| stream.last()?.id.prev())
            .unwrap_or_default()),
        b">" => Err(ReplyError::err(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.",
        )),
        word => strict_id(word, 0),
    }
}
