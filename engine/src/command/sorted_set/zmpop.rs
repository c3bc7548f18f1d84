//! ZMPOP, BZMPOP, BZPOPMIN, BZPOPMAX: taking members off the first of several keys
//! that has any.
//!
//! A blocking command that finds nothing waits for its keys; it is run again from
//! the start when one of them may hold a sorted set. Logged is what happened to the
//! one key: ZPOPMIN or ZPOPMAX.

use super::zpop::{End, Shape, pop};
use crate::command::args::{self, Cursor};
use crate::command::counted::{blmpop_get_keys, zmpop_get_keys};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::Kind;
use crate::keyspace::blocked::OnTimeout;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "bzmpop",
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Takes the lowest or highest members off the first non-empty sorted set of several, \
        waiting if all are empty.",
        complexity: "O(K) + O(M*log(N)), K being the number of keys, N the size of the set and M the \
        members taken.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::BLOCKING),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::index(
            2,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        get_keys: Some(blmpop_get_keys),
        args: &[
            ArgSpec::new("timeout", ArgType::Double),
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                args: &[
                    ArgSpec {
                        token: "MIN",
                        ..ArgSpec::new("min", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MAX",
                        ..ArgSpec::new("max", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("where", ArgType::OneOf)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: bzmpop,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "bzpopmax",
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Takes the highest member off the first non-empty sorted set of several, waiting if \
        all are empty.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::BLOCKING),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-2, 1, 0),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("timeout", ArgType::Double),
        ],
        history: &[("6.0.0", "`timeout` may have a fraction.")],
        handler: bzpopmax,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "bzpopmin",
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Takes the lowest member off the first non-empty sorted set of several, waiting if \
        all are empty.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::BLOCKING),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-2, 1, 0),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("timeout", ArgType::Double),
        ],
        history: &[("6.0.0", "`timeout` may have a fraction.")],
        handler: bzpopmin,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zmpop",
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Takes the lowest or highest members off the first non-empty sorted set of several.",
        complexity: "O(K) + O(M*log(N)), K being the number of keys, N the size of the set and M the \
        members taken.",
        arity: -4,
        flags: Flags::WRITE,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        get_keys: Some(zmpop_get_keys),
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                args: &[
                    ArgSpec {
                        token: "MIN",
                        ..ArgSpec::new("min", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MAX",
                        ..ArgSpec::new("max", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("where", ArgType::OneOf)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: zmpop,
        ..CommandSpec::BLANK
    },
];

fn zmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = MultiPop::parse(args, 1)?;
    if !request.pop_first(ctx)? {
        ctx.out.null_array();
    }
    Ok(())
}

fn bzmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = MultiPop::parse(args, 2)?;
    let deadline_ms = args::timeout_deadline(args[1], ctx.ks.now_ms)?;
    if !request.pop_first(ctx)? {
        ctx.block_on(request.keys, Kind::Zset, deadline_ms, OnTimeout::NullArray);
    }
    Ok(())
}

fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, End::Min)
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    blocking_pop(ctx, args, End::Max)
}

fn blocking_pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> CmdResult {
    let Some((timeout, keys)) = args[1..].split_last() else {
        return Err(ReplyError::SYNTAX);
    };
    let deadline_ms = args::timeout_deadline(timeout, ctx.ks.now_ms)?;
    for key in keys {
        if pop(ctx, key, end, 1, Shape::KeyFlat)?.is_some() {
            ctx.propagate(&[end.command(), key]);
            return Ok(());
        }
    }
    ctx.block_on(keys, Kind::Zset, deadline_ms, OnTimeout::NullArray);
    Ok(())
}

/// `numkeys key [key ...] MIN|MAX [COUNT count]`.
struct MultiPop<'a> {
    keys: Args<'a>,
    end: End,
    count: usize,
}

impl<'a> MultiPop<'a> {
    fn parse(args: Args<'a>, count_at: usize) -> Result<MultiPop<'a>, ReplyError> {
        const NUMKEYS: &str = "numkeys should be greater than 0";
        const COUNT: &str = "count should be greater than 0";
        let positive = |word, message| {
            let n = args::int_in(word, 1, i64::MAX, message)?;
            Ok(usize::try_from(n).unwrap_or(usize::MAX))
        };
        let numkeys = positive(args[count_at], NUMKEYS)?;
        let rest = args.get(count_at + 1..).unwrap_or_default();
        let keys = rest.get(..numkeys).ok_or(ReplyError::SYNTAX)?;
        let mut words = Cursor::new(rest, numkeys);
        let end = match words.required()? {
            word if args::is(word, "min") => End::Min,
            word if args::is(word, "max") => End::Max,
            _ => return Err(ReplyError::SYNTAX),
        };
        let mut count = None;
        while let Some(word) = words.next() {
            if count.is_some() || !args::is(word, "count") {
                return Err(ReplyError::SYNTAX);
            }
            count = Some(positive(words.required()?, COUNT)?);
        }
        Ok(MultiPop {
            keys,
            end,
            count: count.unwrap_or(1),
        })
    }

    /// Takes members off the first key there is; false if there is none.
    fn pop_first(&self, ctx: &mut Ctx<'_>) -> Result<bool, ReplyError> {
        for key in self.keys {
            if let Some(taken) = pop(ctx, key, self.end, self.count, Shape::KeyPairs)? {
                let taken = itoa::Buffer::new().format(taken).to_owned();
                ctx.propagate(&[self.end.command(), key, taken.as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn takes_from_the_first_key_there_is() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c");
        assert_eq!(
            c.run("ZMPOP 2 none z MAX COUNT 2"),
            "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        );
        c.session.resp = 3;
        assert_eq!(
            c.run("ZMPOP 1 z min count 9"),
            "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n,1\r\n"
        );
        assert_eq!(c.run("ZMPOP 1 z min"), "_\r\n");
        c.session.resp = 2;
        assert_eq!(c.run("ZMPOP 1 z min"), "*-1\r\n");
        assert_eq!(c.engine().key_count(0), 0);
    }

    #[test]
    fn blocking_commands_take_what_is_there() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c");
        assert_eq!(
            c.run("BZPOPMIN none z 0"),
            "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        c.session.resp = 3;
        assert_eq!(c.run("BZPOPMAX z 0"), "*3\r\n$1\r\nz\r\n$1\r\nc\r\n,3\r\n");
        assert_eq!(
            c.run("BZMPOP 0 1 z max"),
            "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nb\r\n,2\r\n"
        );
        assert_eq!(c.run("BZPOPMIN z 0.01"), "_\r\n");
        c.session.resp = 2;
        assert_eq!(c.run("BZMPOP 0.01 1 z min"), "*-1\r\n");
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = Client::new();
        c.run("SET s x");
        c.run("ZADD z 1 a");
        for (line, error) in [
            ("ZMPOP 0 s min", "numkeys should be greater than 0"),
            ("ZMPOP x s min", "numkeys should be greater than 0"),
            ("ZMPOP 2 s min", "syntax error"),
            ("ZMPOP 9223372036854775807 s min", "syntax error"),
            ("ZMPOP 1 s mid", "syntax error"),
            ("ZMPOP 1 s min count", "syntax error"),
            ("ZMPOP 1 s min count 0", "count should be greater than 0"),
            ("ZMPOP 1 s min count x", "count should be greater than 0"),
            ("ZMPOP 1 s min count 1 count 1", "syntax error"),
            ("BZMPOP x 0 s min", "numkeys should be greater than 0"),
            ("BZMPOP x 1 s mid", "syntax error"),
            ("BZMPOP x 1 s min", "timeout is not a float or out of range"),
            ("BZPOPMIN s z -1", "timeout is negative"),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        for line in [
            "ZMPOP 2 s z min",
            "BZPOPMAX none s z 0",
            "BZMPOP 0 2 s z max",
        ] {
            assert!(c.run(line).starts_with("-WRONGTYPE"), "{line}");
        }
        assert!(c.run("BZPOPMIN z s 0").starts_with("*3"));
    }
}
