//! ZPOPMIN and ZPOPMAX, and the taking of members that the commands over several
//! keys share.

use super::remove_emptied;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zpopmax",
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Takes the members with the highest scores off a sorted set.",
        complexity: "O(log(N)*M), N being the size of the set and M the members taken.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: zpopmax,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zpopmin",
        group: Group::SortedSet,
        since: "5.0.0",
        summary: "Takes the members with the lowest scores off a sorted set.",
        complexity: "O(log(N)*M), N being the size of the set and M the members taken.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
        ],
        handler: zpopmin,
        ..CommandSpec::BLANK
    },
];

/// Which end of a sorted set members are taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Min,
    Max,
}

impl End {
    /// The command that takes members of one key from this end.
    pub fn command(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

/// How taken members are replied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// `member score member score ...`
    Flat,
    /// `[member score] [member score] ...`
    Pairs,
    /// `key member score`
    KeyFlat,
    /// `key [[member score] ...]`
    KeyPairs,
}

fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop_one_key(ctx, args, End::Min)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    pop_one_key(ctx, args, End::Max)
}

fn pop_one_key(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> CmdResult {
    let (count, shape) = match args.get(2..).unwrap_or_default() {
        [] => (1, Shape::Flat),
        [count] if ctx.out.is_resp3() => (args::positive(count)?, Shape::Pairs),
        [count] => (args::positive(count)?, Shape::Flat),
        _ => return Err(ReplyError::SYNTAX),
    };
    if pop(ctx, args[1], end, count, shape)?.is_none() {
        ctx.out.array(0);
    }
    Ok(())
}

/// Takes up to `count` members off the sorted set at a key and replies them;
/// `None`, with nothing replied, if there is no such key. Says how many.
pub(super) fn pop(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    count: usize,
    shape: Shape,
) -> Result<Option<usize>, ReplyError> {
    let out = &mut *ctx.out;
    let Some(zset) = ctx.ks.zset_mut(key)? else {
        return Ok(None);
    };
    let taken = count.min(zset.len());
    if taken == 0 {
        out.array(0);
        return Ok(Some(0));
    }
    match shape {
        Shape::Flat => out.array(taken * 2),
        Shape::Pairs => out.array(taken),
        Shape::KeyFlat => {
            out.array(taken * 2 + 1);
            out.bulk(key);
        }
        Shape::KeyPairs => {
            out.array(2);
            out.bulk(key);
            out.array(taken);
        }
    }
    let mut emit = |member: &[u8], score: f64| {
        if matches!(shape, Shape::Pairs | Shape::KeyPairs) {
            out.array(2);
        }
        out.bulk(member);
        out.double(score);
    };
    let event = match end {
        End::Min => {
            zset.pop_min(taken, &mut emit);
            "zpopmin"
        }
        End::Max => {
            zset.pop_max(taken, &mut emit);
            "zpopmax"
        }
    };
    let emptied = zset.is_empty();
    ctx.ks.dirty += taken as u64;
    ctx.ks.notify(NotifyClass::ZSET, event, key);
    ctx.ks.modified(key);
    if emptied {
        remove_emptied(ctx, key);
    }
    Ok(Some(taken))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn takes_from_both_ends() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b 3 c 4 d 5 e");
        assert_eq!(c.run("ZPOPMIN z"), "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(
            c.run("ZPOPMAX z 2"),
            "*4\r\n$1\r\ne\r\n$1\r\n5\r\n$1\r\nd\r\n$1\r\n4\r\n"
        );
        assert_eq!(c.run("ZPOPMIN z 0"), "*0\r\n");
        assert_eq!(
            c.run("ZPOPMIN z 9"),
            "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"
        );
        assert_eq!(c.engine().key_count(0), 0);
        assert_eq!(c.run("ZPOPMIN z"), "*0\r\n");
        assert_eq!(c.run("ZPOPMIN z 3"), "*0\r\n");
    }

    #[test]
    fn resp3_nests_only_with_a_count() {
        let mut c = Client::new();
        c.session.resp = 3;
        c.run("ZADD z 1 a 2 b");
        assert_eq!(c.run("ZPOPMIN z"), "*2\r\n$1\r\na\r\n,1\r\n");
        assert_eq!(c.run("ZPOPMIN z 1"), "*1\r\n*2\r\n$1\r\nb\r\n,2\r\n");
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = Client::new();
        c.run("SET s x");
        assert_eq!(c.run("ZPOPMIN s x 1"), "-ERR syntax error\r\n");
        for count in ["x", "-1"] {
            assert_eq!(
                c.run(&format!("ZPOPMAX s {count}")),
                "-ERR value is out of range, must be positive\r\n"
            );
        }
        assert!(c.run("ZPOPMAX s 0").starts_with("-WRONGTYPE"));
    }
}
