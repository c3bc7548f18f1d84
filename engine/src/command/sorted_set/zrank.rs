//! ZRANK and ZREVRANK.

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrank",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Tells the rank of a member, counted from the lowest score.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
            ArgSpec {
                token: "WITHSCORE",
                optional: true,
                ..ArgSpec::new("withscore", ArgType::PureToken)
            },
        ],
        history: &[("7.2.0", "New option `WITHSCORE`.")],
        handler: zrank,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zrevrank",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Tells the rank of a member, counted from the highest score.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
            ArgSpec {
                token: "WITHSCORE",
                optional: true,
                ..ArgSpec::new("withscore", ArgType::PureToken)
            },
        ],
        history: &[("7.2.0", "New option `WITHSCORE`.")],
        handler: zrevrank,
        ..CommandSpec::BLANK
    },
];

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    rank(ctx, args, true)
}

fn rank(ctx: &mut Ctx<'_>, args: Args<'_>, reverse: bool) -> CmdResult {
    let with_score = match args.get(3..).unwrap_or_default() {
        [] => false,
        [word] if args::is(word, "withscore") => true,
        [_] => return Err(ReplyError::SYNTAX),
        _ => return Err(ReplyError::wrong_arity(ctx.name())),
    };
    let zset = ctx.ks.zset(args[1])?;
    match zset.and_then(|zset| zset.rank(args[2], reverse)) {
        Some((rank, score)) if with_score => {
            ctx.out.array(2);
            ctx.out.count(rank);
            ctx.out.double(score);
        }
        Some((rank, _)) => ctx.out.count(rank),
        None if with_score => ctx.out.null_array(),
        None => ctx.out.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn ranks_with_and_without_score() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2.5 b 3 c");
        assert_eq!(c.run("ZRANK z b"), ":1\r\n");
        assert_eq!(c.run("ZREVRANK z a"), ":2\r\n");
        assert_eq!(c.run("ZRANK z b withscore"), "*2\r\n:1\r\n$3\r\n2.5\r\n");
        assert_eq!(c.run("ZRANK z x"), "$-1\r\n");
        assert_eq!(c.run("ZRANK z x WITHSCORE"), "*-1\r\n");
        assert_eq!(c.run("ZREVRANK none x WITHSCORE"), "*-1\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("ZREVRANK z b withscore"), "*2\r\n:1\r\n,2.5\r\n");
        assert_eq!(c.run("ZRANK z x"), "_\r\n");
        assert_eq!(c.run("ZRANK z x WITHSCORE"), "_\r\n");
    }

    #[test]
    fn options_are_read_before_the_key() {
        let mut c = Client::new();
        c.run("SET s x");
        assert_eq!(c.run("ZRANK s a withscores"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("ZREVRANK s a withscore x"),
            "-ERR wrong number of arguments for 'zrevrank' command\r\n"
        );
        assert!(c.run("ZRANK s a").starts_with("-WRONGTYPE"));
    }
}
