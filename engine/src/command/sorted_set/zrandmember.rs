//! ZRANDMEMBER.

use super::{member, members_header};
use crate::command::args;
use crate::command::collection::{check_sample, sample_count};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::env;
use crate::error::ReplyError;
use crate::value::zset::Below;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "zrandmember",
    group: Group::SortedSet,
    since: "6.2.0",
    summary: "Picks members of a sorted set by chance.",
    complexity: "O(N) for N members returned.",
    arity: -2,
    flags: Flags::READONLY,
    acl: Acl::SORTEDSET,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec::new("count", ArgType::Integer),
                ArgSpec {
                    token: "WITHSCORES",
                    optional: true,
                    ..ArgSpec::new("withscores", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("options", ArgType::Block)
        },
    ],
    tips: &["nondeterministic_output"],
    handler: zrandmember,
    ..CommandSpec::BLANK
}];

fn zrandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let below: Below<'_> = &mut |n| env::random_below(usize::try_from(n).unwrap_or(0)) as u64;
    let Some(count) = args.get(2) else {
        let out = &mut *ctx.out;
        match ctx.ks.zset(args[1])? {
            Some(zset) => zset.sample(1, below, &mut |member, _| {
                out.bulk(member);
                true
            }),
            None => out.null(),
        }
        return Ok(());
    };
    let (count, repeat) = sample_count(count)?;
    let with_scores = match &args[3..] {
        [] => false,
        [word] if args::is(word, "withscores") => true,
        _ => return Err(ReplyError::SYNTAX),
    };
    if with_scores && count > i64::MAX as u64 / 2 {
        return Err(ReplyError::OUT_OF_RANGE);
    }
    let most = ctx.engine().settings.max_string();
    let out = &mut *ctx.out;
    let Some(zset) = ctx.ks.zset(args[1])? else {
        out.array(0);
        return Ok(());
    };
    let len = zset.len();
    if repeat {
        let count = check_sample(most, count, || (len, zset.heap_bytes()))?;
        members_header(out, count, with_scores);
        zset.sample(count as u64, below, &mut |own, score| {
            member(out, own, with_scores.then_some(score));
            true
        });
        return Ok(());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(len);
    members_header(out, count, with_scores);
    let mut emit = |own: &[u8], score: f64| member(out, own, with_scores.then_some(score));
    if count == len {
        // Redis shows a whole set from its end.
        zset.visit(0..len, true, &mut emit);
    } else {
        zset.sample_distinct(count, below, &mut emit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn replies_take_the_shape_of_the_request() {
        let mut c = Client::new();
        c.run("ZADD z 1 a");
        assert_eq!(c.run("ZRANDMEMBER z"), "$1\r\na\r\n");
        assert_eq!(c.run("ZRANDMEMBER z 0"), "*0\r\n");
        assert_eq!(c.run("ZRANDMEMBER z 5"), "*1\r\n$1\r\na\r\n");
        assert_eq!(c.run("ZRANDMEMBER z -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
        assert_eq!(
            c.run("ZRANDMEMBER z -1 WITHSCORES"),
            "*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(c.run("ZRANDMEMBER none"), "$-1\r\n");
        assert_eq!(c.run("ZRANDMEMBER none 3"), "*0\r\n");
        c.session.resp = 3;
        assert_eq!(
            c.run("ZRANDMEMBER z 1 withscores"),
            "*1\r\n*2\r\n$1\r\na\r\n,1\r\n"
        );
        assert_eq!(c.run("ZRANDMEMBER none"), "_\r\n");
    }

    #[test]
    fn a_positive_count_gives_distinct_members() {
        let mut c = Client::new();
        for i in 0..200 {
            c.run(&format!("ZADD z {i} m{i}"));
        }
        for count in [1, 5, 150, 199, 200, 300] {
            let reply = c.run(&format!("ZRANDMEMBER z {count}"));
            let mut members: Vec<&str> =
                reply.split("\r\n").filter(|l| l.starts_with('m')).collect();
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), count.min(200), "{count}");
        }
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = Client::new();
        c.run("SET s x");
        c.run("ZADD z 1 a");
        for (line, error) in [
            (
                "ZRANDMEMBER s x y z",
                "value is not an integer or out of range",
            ),
            ("ZRANDMEMBER s 1 y", "syntax error"),
            ("ZRANDMEMBER s 1 withscores y", "syntax error"),
            (
                "ZRANDMEMBER s -9223372036854775808",
                "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            (
                "ZRANDMEMBER s 4611686018427387904 withscores",
                "value is out of range",
            ),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert_eq!(
            c.run("ZRANDMEMBER z -4611686018427387903"),
            "-ERR value is out of range\r\n"
        );
        assert!(c.run("ZRANDMEMBER s").starts_with("-WRONGTYPE"));
        assert!(c.run("ZRANDMEMBER s 0").starts_with("-WRONGTYPE"));
    }
}
