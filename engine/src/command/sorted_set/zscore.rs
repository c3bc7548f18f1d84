//! ZSCORE, ZMSCORE, ZCARD, ZCOUNT, ZLEXCOUNT.

use super::bounds;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zcard",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Counts the members of a sorted set.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: zcard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zcount",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Counts the members of a sorted set whose score lies in a range.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: 4,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::Double),
            ArgSpec::new("max", ArgType::Double),
        ],
        handler: zcount,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zlexcount",
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Counts the members of a sorted set between two strings in byte order.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: 4,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::String),
            ArgSpec::new("max", ArgType::String),
        ],
        handler: zlexcount,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zmscore",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Reads the scores of several members of a sorted set.",
        complexity: "O(N) for N members asked about.",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("member", ArgType::String)
            },
        ],
        handler: zmscore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zscore",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Looks up the score of one member of a sorted set.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
        ],
        handler: zscore,
        ..CommandSpec::BLANK
    },
];

fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.ks.zset(args[1])?;
    match zset.and_then(|zset| zset.score(args[2])) {
        Some(score) => ctx.out.double(score),
        None => ctx.out.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.ks.zset(args[1])?;
    let members = &args[2..];
    ctx.out.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => ctx.out.double(score),
            None => ctx.out.null(),
        }
    }
    Ok(())
}

fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let len = ctx.ks.zset(args[1])?.map_or(0, |zset| zset.len());
    ctx.out.count(len);
    Ok(())
}

fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let range = bounds::score_range(args[2], args[3])?;
    let zset = ctx.ks.zset(args[1])?;
    let count = zset.map_or(0, |zset| zset.score_span(&range).len());
    ctx.out.count(count);
    Ok(())
}

fn zlexcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let range = bounds::lex_range(args[2], args[3])?;
    let zset = ctx.ks.zset(args[1])?;
    let count = zset.map_or(0, |zset| zset.lex_span(&range, false).len());
    ctx.out.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn scores_in_both_protocols() {
        let mut c = Client::new();
        c.run("ZADD z 1.5 a -inf b 3e20 c");
        assert_eq!(c.run("ZSCORE z a"), "$3\r\n1.5\r\n");
        assert_eq!(c.run("ZSCORE z b"), "$4\r\n-inf\r\n");
        assert_eq!(c.run("ZSCORE z c"), "$5\r\n3e+20\r\n");
        assert_eq!(c.run("ZSCORE z x"), "$-1\r\n");
        assert_eq!(c.run("ZSCORE none x"), "$-1\r\n");
        assert_eq!(c.run("ZMSCORE z a x"), "*2\r\n$3\r\n1.5\r\n$-1\r\n");
        assert_eq!(c.run("ZMSCORE none a x"), "*2\r\n$-1\r\n$-1\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("ZSCORE z a"), ",1.5\r\n");
        assert_eq!(c.run("ZSCORE z x"), "_\r\n");
        assert_eq!(c.run("ZMSCORE z b x"), "*2\r\n,-inf\r\n_\r\n");
    }

    #[test]
    fn counts() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c");
        assert_eq!(c.run("ZCARD z"), ":3\r\n");
        assert_eq!(c.run("ZCOUNT z (1 +inf"), ":2\r\n");
        assert_eq!(c.run("ZCOUNT z 3 1"), ":0\r\n");
        assert_eq!(c.run("ZCOUNT none 1 3"), ":0\r\n");
        assert_eq!(c.run("ZLEXCOUNT z - (c"), ":2\r\n");
        assert_eq!(c.run("ZLEXCOUNT none - +"), ":0\r\n");
        c.run("SET s x");
        assert_eq!(c.run("ZCOUNT s 1 x"), "-ERR min or max is not a float\r\n");
        assert_eq!(
            c.run("ZLEXCOUNT s 1 x"),
            "-ERR min or max not valid string range item\r\n"
        );
        for line in [
            "ZCARD s",
            "ZCOUNT s 1 2",
            "ZLEXCOUNT s - +",
            "ZSCORE s a",
            "ZMSCORE s a",
        ] {
            assert!(c.run(line).starts_with("-WRONGTYPE"), "{line}");
        }
    }
}
