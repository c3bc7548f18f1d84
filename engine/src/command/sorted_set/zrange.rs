//! ZRANGE, ZREVRANGE and ZRANGESTORE, and the reading of ranges that the older
//! commands of one kind each share.

use std::ops::Range;

use super::{bounds, member, members_header, store};
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::value::Zset;
use crate::value::zset::{AddFlags, LexRange, ScoreRange, limit_span};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrange",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Lists members of a sorted set in a range of ranks, scores or strings.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::String),
            ArgSpec::new("stop", ArgType::String),
            ArgSpec {
                since: "6.2.0",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "BYSCORE",
                        ..ArgSpec::new("byscore", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "BYLEX",
                        ..ArgSpec::new("bylex", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("sortby", ArgType::OneOf)
            },
            ArgSpec {
                token: "REV",
                since: "6.2.0",
                optional: true,
                ..ArgSpec::new("rev", ArgType::PureToken)
            },
            ArgSpec {
                token: "LIMIT",
                since: "6.2.0",
                optional: true,
                args: &[
                    ArgSpec::new("offset", ArgType::Integer),
                    ArgSpec::new("count", ArgType::Integer),
                ],
                ..ArgSpec::new("limit", ArgType::Block)
            },
            ArgSpec {
                token: "WITHSCORES",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
            },
        ],
        history: &[(
            "6.2.0",
            "New options `REV`, `BYSCORE`, `BYLEX` and `LIMIT`.",
        )],
        handler: zrange,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrangestore",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Stores a range of one sorted set as another.",
        complexity: "O(log(N)+M), N being the size of the set and M the members stored.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SORTEDSET,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::one(2, KeyFlags::RO.or(KeyFlags::ACCESS)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("dst", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("src", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::String),
            ArgSpec::new("max", ArgType::String),
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "BYSCORE",
                        ..ArgSpec::new("byscore", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "BYLEX",
                        ..ArgSpec::new("bylex", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("sortby", ArgType::OneOf)
            },
            ArgSpec {
                token: "REV",
                optional: true,
                ..ArgSpec::new("rev", ArgType::PureToken)
            },
            ArgSpec {
                token: "LIMIT",
                optional: true,
                args: &[
                    ArgSpec::new("offset", ArgType::Integer),
                    ArgSpec::new("count", ArgType::Integer),
                ],
                ..ArgSpec::new("limit", ArgType::Block)
            },
        ],
        handler: zrangestore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrevrange",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Lists members of a sorted set by rank, from the highest score down.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("stop", ArgType::Integer),
            ArgSpec {
                token: "WITHSCORES",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
            },
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` argument",
        handler: zrevrange,
        ..CommandSpec::BLANK
    },
];

fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, None, None)
}

fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, Some(By::Rank), Some(true))
}

fn zrangestore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let query = Query::parse(args, 2, true, None, None)?;
    let limits = ctx.ks.engine.settings.zset_limits();
    let mut result = match query.bounds {
        // The other kinds do not know their size beforehand: Redis begins them
        // in the big encoding, and so they stay.
        Bounds::Rank(..) => None,
        _ => Some(Zset::new_tree()),
    };
    if let Some(source) = ctx.ks.zset(args[2])? {
        let span = query.span(source);
        let result = result.get_or_insert_with(|| Zset::for_size(span.len(), 0, &limits));
        source.visit(span, query.reverse, &mut |member, score| {
            result.add(&limits, score, member, AddFlags::default());
        });
    }
    store(ctx, args[1], result.unwrap_or_default(), "zrangestore");
    Ok(())
}

/// What a range is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// A range as read from the words of a command.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

impl<'a> Query<'a> {
    /// Reads `min max [options]` behind the key at `key_at`. `by` and `reverse`
    /// are given by commands whose name says them; the words are then none of
    /// their options.
    fn parse(
        args: Args<'a>,
        key_at: usize,
        storing: bool,
        by: Option<By>,
        reverse: Option<bool>,
    ) -> Result<Query<'a>, ReplyError> {
        let (fixed_by, fixed_direction) = (by.is_some(), reverse.is_some());
        let mut by = by;
        let mut reverse = reverse.unwrap_or(false);
        let mut with_scores = false;
        let (mut offset, mut limit) = (0, -1);
        let mut words = Cursor::new(args, key_at + 3);
        while let Some(word) = words.next() {
            if !storing && args::is(word, "withscores") {
                with_scores = true;
            } else if args::is(word, "limit") && words.remaining() >= 2 {
                offset = args::int(words.required()?)?;
                limit = args::int(words.required()?)?;
            } else if !fixed_direction && !reverse && args::is(word, "rev") {
                reverse = true;
            } else if !fixed_by && by.is_none() && args::is(word, "bylex") {
                by = Some(By::Lex);
            } else if !fixed_by && by.is_none() && args::is(word, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        let by = by.unwrap_or(By::Rank);
        if limit != -1 && by == By::Rank {
            return Err(ReplyError::err(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(ReplyError::err(
                "syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (mut min, mut max) = (args[key_at + 1], args[key_at + 2]);
        if reverse && by != By::Rank {
            std::mem::swap(&mut min, &mut max);
        }
        let bounds = match by {
            By::Rank => Bounds::Rank(args::int(min)?, args::int(max)?),
            By::Score => Bounds::Score(bounds::score_range(min, max)?),
            By::Lex => Bounds::Lex(bounds::lex_range(min, max)?),
        };
        Ok(Query {
            bounds,
            reverse,
            with_scores,
            offset,
            limit,
        })
    }

    /// The ranks of a set that are meant.
    fn span(&self, zset: &Zset) -> Range<usize> {
        let span = match &self.bounds {
            Bounds::Rank(start, stop) => return zset.index_span(*start, *stop, self.reverse),
            Bounds::Score(range) => zset.score_span(range),
            Bounds::Lex(range) => zset.lex_span(range, self.reverse),
        };
        limit_span(span, self.offset, self.limit, self.reverse)
    }
}

/// Runs a command whose words are `name key min max [options]`.
pub(super) fn reply_range(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    by: Option<By>,
    reverse: Option<bool>,
) -> CmdResult {
    let query = Query::parse(args, 1, false, by, reverse)?;
    let out = &mut *ctx.out;
    let Some(zset) = ctx.ks.zset(args[1])? else {
        out.array(0);
        return Ok(());
    };
    let span = query.span(zset);
    members_header(out, span.len(), query.with_scores);
    zset.visit(span, query.reverse, &mut |own, score| {
        member(out, own, query.with_scores.then_some(score));
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn filled() -> Client {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c 4 d");
        c.run("SET s x");
        c
    }

    #[test]
    fn ranges_of_every_kind() {
        let mut c = filled();
        assert_eq!(c.run("ZRANGE z 1 2"), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(c.run("ZRANGE z 0 0 REV"), "*1\r\n$1\r\nd\r\n");
        assert_eq!(c.run("ZREVRANGE z 3 9"), "*1\r\n$1\r\na\r\n");
        assert_eq!(
            c.run("ZRANGE z (1 3 byscore limit 1 5"),
            "*1\r\n$1\r\nc\r\n"
        );
        assert_eq!(
            c.run("ZRANGE z +inf 3 byscore rev"),
            "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"
        );
        assert_eq!(c.run("ZRANGE z [b (c bylex"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(
            c.run("ZRANGE z + - bylex rev limit 0 1"),
            "*1\r\n$1\r\nd\r\n"
        );
        assert_eq!(c.run("ZRANGE z 2 1"), "*0\r\n");
        assert_eq!(c.run("ZRANGE none 0 -1"), "*0\r\n");
        assert_eq!(c.run("ZRANGE z 0 0 limit 5 -1"), "*1\r\n$1\r\na\r\n");
    }

    #[test]
    fn scores_are_flat_in_resp2_and_nested_in_resp3() {
        let mut c = filled();
        let line = "ZRANGE z 0 1 WITHSCORES";
        assert_eq!(
            c.run(line),
            "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"
        );
        c.session.resp = 3;
        assert_eq!(
            c.run(line),
            "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2\r\n"
        );
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = filled();
        for (line, error) in [
            ("ZRANGE s 0 1 LIMIT 0", "syntax error"),
            ("ZRANGE s 0 1 REV REV", "syntax error"),
            ("ZRANGE s 0 1 BYLEX BYSCORE", "syntax error"),
            ("ZREVRANGE s 0 1 REV", "syntax error"),
            ("ZREVRANGE s 0 1 BYLEX", "syntax error"),
            (
                "ZRANGE s 0 1 LIMIT x 1 foo",
                "value is not an integer or out of range",
            ),
            (
                "ZRANGE s x 1 LIMIT 0 1",
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ),
            (
                "ZRANGE s x 1 BYLEX WITHSCORES",
                "syntax error, WITHSCORES not supported in combination with BYLEX",
            ),
            ("ZRANGE s x 1", "value is not an integer or out of range"),
            ("ZRANGE s x 1 BYSCORE", "min or max is not a float"),
            (
                "ZRANGE s x + BYLEX",
                "min or max not valid string range item",
            ),
            ("ZRANGESTORE d s 0 1 WITHSCORES", "syntax error"),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert!(c.run("ZRANGE s 0 1").starts_with("-WRONGTYPE"));
        assert!(c.run("ZRANGESTORE d s 0 1").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn stores_ranges() {
        let mut c = filled();
        assert_eq!(c.run("ZRANGESTORE d z 0 1 REV"), ":2\r\n");
        assert_eq!(c.run("ZRANGE d 0 -1"), "*2\r\n$1\r\nc\r\n$1\r\nd\r\n");
        assert_eq!(c.run("ZRANGESTORE s z 2 2 BYSCORE"), ":1\r\n");
        assert_eq!(c.run("ZRANGE s 0 -1"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(c.run("ZRANGESTORE d z 9 9"), ":0\r\n");
        assert_eq!(c.run("ZCARD d"), ":0\r\n");
        assert_eq!(c.run("ZRANGESTORE z z 0 0"), ":1\r\n");
        assert_eq!(c.run("ZRANGESTORE z none 0 0"), ":0\r\n");
        assert_eq!(c.run("ZCARD z"), ":0\r\n");
    }
}
