//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use std::ops::Range;

use super::{bounds, remove_emptied};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::NotifyClass;
use crate::value::Zset;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zrem",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Takes members out of a sorted set.",
        complexity: "O(M*log(N)), N being the size of the set and M the members given.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
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
        history: &[("2.4.0", "More than one member may be given.")],
        handler: zrem,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zremrangebylex",
        group: Group::SortedSet,
        since: "2.8.9",
        summary: "Removes the members of a sorted set between two strings in byte order.",
        complexity: "O(log(N)+M), N being the size of the set and M the members removed.",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::String),
            ArgSpec::new("max", ArgType::String),
        ],
        handler: zremrangebylex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zremrangebyrank",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Removes the members of a sorted set in a range of ranks.",
        complexity: "O(log(N)+M), N being the size of the set and M the members removed.",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("stop", ArgType::Integer),
        ],
        handler: zremrangebyrank,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zremrangebyscore",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Removes the members of a sorted set whose score lies in a range.",
        complexity: "O(log(N)+M), N being the size of the set and M the members removed.",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("min", ArgType::Double),
            ArgSpec::new("max", ArgType::Double),
        ],
        handler: zremrangebyscore,
        ..CommandSpec::BLANK
    },
];

fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let Some(zset) = ctx.ks.zset_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let mut removed = 0;
    for member in &args[2..] {
        removed += usize::from(zset.remove(member).is_some());
        if zset.is_empty() {
            break;
        }
    }
    let emptied = zset.is_empty();
    finish(ctx, key, removed, emptied, "zrem");
    Ok(())
}

fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (start, stop) = (args::int(args[2])?, args::int(args[3])?);
    remove_span(ctx, args[1], "zremrangebyrank", |zset| {
        zset.index_span(start, stop, false)
    })
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let range = bounds::score_range(args[2], args[3])?;
    remove_span(ctx, args[1], "zremrangebyscore", |zset| {
        zset.score_span(&range)
    })
}

fn zremrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let range = bounds::lex_range(args[2], args[3])?;
    remove_span(ctx, args[1], "zremrangebylex", |zset| {
        zset.lex_span(&range, false)
    })
}

fn remove_span(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    event: &'static str,
    span: impl Fn(&Zset) -> Range<usize>,
) -> CmdResult {
    let Some(zset) = ctx.ks.zset_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let removed = zset.remove_span(span(zset), &mut |_, _| {});
    let emptied = zset.is_empty();
    finish(ctx, key, removed, emptied, event);
    Ok(())
}

fn finish(ctx: &mut Ctx<'_>, key: &[u8], removed: usize, emptied: bool, event: &'static str) {
    if removed > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::ZSET, event, key);
        if emptied {
            remove_emptied(ctx, key);
        }
        ctx.ks.dirty += removed as u64;
    }
    ctx.out.count(removed);
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn removes_members_and_the_empty_key() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c");
        assert_eq!(c.run("ZREM z a x a"), ":1\r\n");
        assert_eq!(c.run("ZREM z b c d"), ":2\r\n");
        assert_eq!(c.engine().key_count(0), 0);
        assert_eq!(c.run("ZREM z b"), ":0\r\n");
        c.run("SET s x");
        assert!(c.run("ZREM s a").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn removes_ranges() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f");
        assert_eq!(c.run("ZREMRANGEBYRANK z -1 -1"), ":1\r\n");
        assert_eq!(c.run("ZREMRANGEBYRANK z 9 12"), ":0\r\n");
        assert_eq!(c.run("ZREMRANGEBYSCORE z (1 2"), ":1\r\n");
        assert_eq!(c.run("ZREMRANGEBYLEX z [a [c"), ":2\r\n");
        assert_eq!(c.run("ZRANGE z 0 -1"), "*2\r\n$1\r\nd\r\n$1\r\ne\r\n");
        assert_eq!(c.run("ZREMRANGEBYRANK z 0 -1"), ":2\r\n");
        assert_eq!(c.engine().key_count(0), 0);
    }

    #[test]
    fn bounds_are_read_before_the_key() {
        let mut c = Client::new();
        c.run("SET s x");
        assert_eq!(
            c.run("ZREMRANGEBYRANK s x 1"),
            "-ERR value is not an integer or out of range\r\n"
        );
        assert_eq!(
            c.run("ZREMRANGEBYSCORE s x 1"),
            "-ERR min or max is not a float\r\n"
        );
        assert_eq!(
            c.run("ZREMRANGEBYLEX s x 1"),
            "-ERR min or max not valid string range item\r\n"
        );
        assert!(c.run("ZREMRANGEBYLEX s - +").starts_with("-WRONGTYPE"));
    }
}
