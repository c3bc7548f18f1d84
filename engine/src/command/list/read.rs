//! LLEN, LINDEX, LRANGE, LPOS.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use crate::command::args::{self, Cursor};
use crate::command::collection::bulk_element;
use crate::error::ReplyError;
use crate::value::List;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "llen",
        group: Group::List,
        summary: "Counts the elements of a list.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: llen,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lindex",
        group: Group::List,
        summary: "Reads the list element at an index.",
        complexity: "O(N), N being the elements passed on the way; O(1) at either end.",
        arity: 3,
        flags: Flags::READONLY,
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("index", ArgType::Integer),
        ],
        handler: lindex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lrange",
        group: Group::List,
        summary: "Reads the list elements between two indexes, both included.",
        complexity: "O(S+N), S being the distance of the start from the head (or the nearer end of a \
        long list) and N the number of elements returned.",
        arity: 4,
        flags: Flags::READONLY,
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("stop", ArgType::Integer),
        ],
        handler: lrange,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "lpos",
        group: Group::List,
        since: "6.0.6",
        summary: "Searches a list for an element and tells at which indexes it stands.",
        complexity: "O(N) on average, N being the length of the list; less for matches near an end or \
        with `MAXLEN`.",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::LIST,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("element", ArgType::String),
            ArgSpec {
                token: "RANK",
                optional: true,
                ..ArgSpec::new("rank", ArgType::Integer)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("num-matches", ArgType::Integer)
            },
            ArgSpec {
                token: "MAXLEN",
                optional: true,
                ..ArgSpec::new("len", ArgType::Integer)
            },
        ],
        handler: lpos,
        ..CommandSpec::BLANK
    },
];

fn llen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let length = ctx.ks.list(args[1])?.map_or(0, List::len);
    ctx.out.count(length);
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(list) = ctx.ks.list(args[1])? else {
        ctx.out.null();
        return Ok(());
    };
    match list.get(args::int(args[2])?) {
        Some(entry) => bulk_element(ctx.out, entry),
        None => ctx.out.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (start, end) = (args::int(args[2])?, args::int(args[3])?);
    let Some(list) = ctx.ks.list(args[1])? else {
        ctx.out.array(0);
        return Ok(());
    };
    ctx.out.array(list.range_len(start, end));
    list.range(start, end)
        .for_each(|entry| bulk_element(ctx.out, entry));
    Ok(())
}

/// Options of LPOS.
struct Search {
    rank: i64,
    /// `None`: one match, answered as a number and not as an array.
    count: Option<usize>,
    max_len: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, ReplyError> {
        let mut search = Search {
            rank: 1,
            count: None,
            max_len: 0,
        };
        let mut words = Cursor::new(args, 3);
        while words.remaining() > 0 {
            if words.take("RANK") {
                search.rank = args::int_in(words.required()?, -i64::MAX, i64::MAX, "")?;
                if search.rank == 0 {
                    return Err(ReplyError::err(
                        "RANK can't be zero: use 1 to start from the first match, 2 from the \
                         second ... or use negative to start from the end of the list",
                    ));
                }
            } else if words.take("COUNT") {
                search.count = Some(limit(words.required()?, "COUNT can't be negative")?);
            } else if words.take("MAXLEN") {
                search.max_len = limit(words.required()?, "MAXLEN can't be negative")?;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(search)
    }
}

fn limit(word: &[u8], message: &str) -> Result<usize, ReplyError> {
    let n = args::int_in(word, 0, i64::MAX, message)?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

fn lpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Search {
        rank,
        count,
        max_len,
    } = Search::parse(args)?;
    let found = match ctx.ks.list(args[1])? {
        Some(list) => list.positions(args[2], rank, count.unwrap_or(1), max_len),
        None => Vec::new(),
    };
    match (count, found.first()) {
        (Some(_), _) => {
            ctx.out.array(found.len());
            found.iter().for_each(|&at| ctx.out.count(at));
        }
        (None, Some(&at)) => ctx.out.count(at),
        (None, None) => ctx.out.null(),
    }
    Ok(())
}
