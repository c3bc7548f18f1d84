//! ZRANGEBYSCORE, ZREVRANGEBYSCORE, ZRANGEBYLEX, ZREVRANGEBYLEX: ZRANGE with the
//! kind of range and the direction in the name.

use super::zrange::{By, reply_range};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrangebylex",
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Lists the members of a sorted set between two strings in byte order.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned; O(log(N)) \
        for a fixed `LIMIT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::String),
            ArgSpec::new("max", ArgType::String),
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
        deprecated_since: "6.2.0",
        replaced_by: "`ZRANGE` with the `BYLEX` argument",
        handler: zrangebylex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrangebyscore",
        group: Group::SortedSet,
        since: "1.0.5",
        summary: "Lists the members of a sorted set whose score lies in a range.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned; O(log(N)) \
        for a fixed `LIMIT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::Double),
            ArgSpec::new("max", ArgType::Double),
            ArgSpec {
                token: "WITHSCORES",
                since: "2.0.0",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
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
        history: &[("2.0.0", "New option `WITHSCORES`.")],
        deprecated_since: "6.2.0",
        replaced_by: "`ZRANGE` with the `BYSCORE` argument",
        handler: zrangebyscore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrevrangebylex",
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Lists the members of a sorted set between two strings, last in byte order first.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned; O(log(N)) \
        for a fixed `LIMIT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("max", ArgType::String),
            ArgSpec::new("min", ArgType::String),
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
        deprecated_since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
        handler: zrevrangebylex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrevrangebyscore",
        group: Group::SortedSet,
        since: "2.2.0",
        summary: "Lists the members of a sorted set whose score lies in a range, highest first.",
        complexity: "O(log(N)+M), N being the size of the set and M the members returned; O(log(N)) \
        for a fixed `LIMIT`.",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("max", ArgType::Double),
            ArgSpec::new("min", ArgType::Double),
            ArgSpec {
                token: "WITHSCORES",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
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
        history: &[("2.1.6", "`min` and `max` may be left out of the range.")],
        deprecated_since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
        handler: zrevrangebyscore,
        ..CommandSpec::BLANK
    },
];

fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, Some(By::Score), Some(false))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, Some(By::Score), Some(true))
}

fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, Some(By::Lex), Some(false))
}

fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_range(ctx, args, Some(By::Lex), Some(true))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ranges_by_name() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c");
        assert_eq!(
            c.run("ZRANGEBYSCORE z 2 inf"),
            "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"
        );
        assert_eq!(
            c.run("ZREVRANGEBYSCORE z (3 -inf WITHSCORES LIMIT 1 1"),
            "*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(c.run("ZRANGEBYLEX z (a [b"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(
            c.run("ZREVRANGEBYLEX z + [b"),
            "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"
        );
        assert_eq!(c.run("ZRANGEBYSCORE z -inf inf LIMIT -1 9"), "*0\r\n");
        assert_eq!(c.run("ZRANGEBYSCORE z -inf inf LIMIT 0 0"), "*0\r\n");
        assert_eq!(
            c.run("ZRANGEBYLEX z - + WITHSCORES"),
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n"
        );
        assert_eq!(c.run("ZRANGEBYSCORE z 1 2 REV"), "-ERR syntax error\r\n");
        c.session.resp = 3;
        assert_eq!(
            c.run("ZREVRANGEBYSCORE z 3 3 WITHSCORES"),
            "*1\r\n*2\r\n$1\r\nc\r\n,3\r\n"
        );
    }
}
