//! ZADD and ZINCRBY.

use smallvec::SmallVec;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::value::Zset;
use crate::value::zset::{AddFlags, AddOutcome};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zadd",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Puts members with scores into a sorted set, or changes the scores of those there.",
        complexity: "O(log(N)) for each member, N being the size of the set.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                since: "3.0.2",
                ..ArgSpec::ABSENT_OR_PRESENT
            },
            ArgSpec {
                since: "6.2.0",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "GT",
                        ..ArgSpec::new("gt", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "LT",
                        ..ArgSpec::new("lt", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("comparison", ArgType::OneOf)
            },
            ArgSpec {
                token: "CH",
                since: "3.0.2",
                optional: true,
                ..ArgSpec::new("change", ArgType::PureToken)
            },
            ArgSpec {
                token: "INCR",
                since: "3.0.2",
                optional: true,
                ..ArgSpec::new("increment", ArgType::PureToken)
            },
            ArgSpec {
                multiple: true,
                args: &[
                    ArgSpec::new("score", ArgType::Double),
                    ArgSpec::new("member", ArgType::String),
                ],
                ..ArgSpec::new("data", ArgType::Block)
            },
        ],
        history: &[
            ("2.4.0", "More than one member may be given."),
            ("3.0.2", "New options `XX`, `NX`, `CH` and `INCR`."),
            ("6.2.0", "New options `GT` and `LT`."),
        ],
        handler: zadd,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zincrby",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Adds an amount to the score of a member; a missing member starts at 0.",
        complexity: "O(log(N)), N being the size of the set.",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("increment", ArgType::Integer),
            ArgSpec::new("member", ArgType::String),
        ],
        handler: zincrby,
        ..CommandSpec::BLANK
    },
];

pub(in crate::command) fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args, AddFlags::default())
}

fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let incr = AddFlags {
        incr: true,
        ..AddFlags::default()
    };
    add(ctx, args, incr)
}

/// What an addition of one or more members did.
#[derive(Default)]
struct Tally {
    added: usize,
    updated: usize,
    /// The last score, unless a flag forbade the addition.
    score: Option<f64>,
    nan: bool,
}

/// Options first, then pairs of score and member. ZINCRBY reads options too:
/// Redis does, so that `ZINCRBY key NX 1` is a syntax error there.
fn add(ctx: &mut Ctx<'_>, args: Args<'_>, mut flags: AddFlags) -> CmdResult {
    let key = args[1];
    let mut count_changed = false;
    let mut at = 2;
    while let Some(&word) = args.get(at) {
        match () {
            _ if args::is(word, "nx") => flags.nx = true,
            _ if args::is(word, "xx") => flags.xx = true,
            _ if args::is(word, "ch") => count_changed = true,
            _ if args::is(word, "incr") => flags.incr = true,
            _ if args::is(word, "gt") => flags.gt = true,
            _ if args::is(word, "lt") => flags.lt = true,
            _ => break,
        }
        at += 1;
    }
    let pairs = args.get(at..).unwrap_or_default();
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(ReplyError::SYNTAX);
    }
    if flags.nx && flags.xx {
        return Err(ReplyError::err(
            "XX and NX options at the same time are not compatible",
        ));
    }
    if (flags.nx && (flags.gt || flags.lt)) || (flags.gt && flags.lt) {
        return Err(ReplyError::err(
            "GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if flags.incr && pairs.len() > 2 {
        return Err(ReplyError::err(
            "INCR option supports a single increment-element pair",
        ));
    }
    let mut scores = SmallVec::<[f64; 4]>::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        scores.push(args::float(pair[0])?);
    }

    let tally = apply(ctx, key, &scores, pairs, flags)?;
    let changed = tally.added + tally.updated;
    if changed > 0 {
        ctx.ks.modified(key);
        let event = if flags.incr { "zincr" } else { "zadd" };
        ctx.ks.notify(NotifyClass::ZSET, event, key);
    }
    if tally.nan {
        return Err(ReplyError::err("resulting score is not a number (NaN)"));
    }
    ctx.ks.dirty += changed as u64;
    match (flags.incr, tally.score) {
        (true, Some(score)) => ctx.out.double(score),
        (true, None) => ctx.out.null(),
        (false, _) if count_changed => ctx.out.count(changed),
        (false, _) => ctx.out.count(tally.added),
    }
    Ok(())
}

fn apply(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    scores: &[f64],
    pairs: Args<'_>,
    flags: AddFlags,
) -> Result<Tally, ReplyError> {
    let limits = ctx.ks.engine.settings.zset_limits();
    let zset = if flags.xx {
        match ctx.ks.zset_mut(key)? {
            Some(zset) => zset,
            None => return Ok(Tally::default()),
        }
    } else {
        ctx.ks.zset_or_create(key)?
    };
    if zset.is_empty() {
        *zset = Zset::for_size(scores.len(), pairs[1].len(), &limits);
    } else {
        zset.reserve(scores.len(), &limits);
    }
    let mut tally = Tally::default();
    for (&score, pair) in scores.iter().zip(pairs.chunks_exact(2)) {
        let outcome = zset.add(&limits, score, pair[1], flags);
        tally.added += usize::from(matches!(outcome, AddOutcome::Added(_)));
        tally.updated += usize::from(matches!(outcome, AddOutcome::Updated(_)));
        match outcome {
            AddOutcome::Added(score)
            | AddOutcome::Updated(score)
            | AddOutcome::Unchanged(score) => tally.score = Some(score),
            AddOutcome::Nop => {}
            AddOutcome::Nan => {
                tally.nan = true;
                break;
            }
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_added_or_with_ch_changed_members() {
        let mut c = Client::new();
        assert_eq!(c.run("ZADD z 1 a 2 b 3 a"), ":2\r\n");
        assert_eq!(c.run("ZSCORE z a"), "$1\r\n3\r\n");
        assert_eq!(c.run("ZADD z CH 4 a 2 b 5 c"), ":2\r\n");
        assert_eq!(c.run("ZADD z 7 a"), ":0\r\n");
        assert_eq!(c.run("ZADD z nx 9 a 9 d"), ":1\r\n");
        assert_eq!(c.run("ZADD z xx ch 9 a 9 e"), ":1\r\n");
        assert_eq!(c.run("ZADD z gt ch 8 a 10 d 1 f"), ":2\r\n");
        assert_eq!(c.run("ZADD z lt ch 8 a 11 d"), ":1\r\n");
        assert_eq!(c.run("ZADD none xx 1 a"), ":0\r\n");
        assert_eq!(c.run("ZCARD none"), ":0\r\n");
    }

    #[test]
    fn increments_reply_with_the_score() {
        let mut c = Client::new();
        assert_eq!(c.run("ZINCRBY z 1.5 a"), "$3\r\n1.5\r\n");
        assert_eq!(c.run("ZADD z incr 1 a"), "$3\r\n2.5\r\n");
        assert_eq!(c.run("ZADD z incr nx 1 a"), "$-1\r\n");
        assert_eq!(c.run("ZADD z incr xx 1 b"), "$-1\r\n");
        assert_eq!(c.run("ZADD z incr gt -1 a"), "$-1\r\n");
        assert_eq!(c.run("ZADD none incr xx 1 b"), "$-1\r\n");
        assert_eq!(c.run("ZADD z inf i"), ":1\r\n");
        assert_eq!(
            c.run("ZINCRBY z -inf i"),
            "-ERR resulting score is not a number (NaN)\r\n"
        );
        c.session.resp = 3;
        assert_eq!(c.run("ZINCRBY z 1 a"), ",3.5\r\n");
        assert_eq!(c.run("ZADD z incr nx 1 a"), "_\r\n");
        assert_eq!(c.run("ZINCRBY z 1 i"), ",inf\r\n");
    }

    #[test]
    fn refuses_before_it_changes_anything() {
        let mut c = Client::new();
        c.run("SET s x");
        for (line, error) in [
            ("ZADD z 1", "wrong number of arguments for 'zadd' command"),
            ("ZADD z 1 a 2", "syntax error"),
            ("ZADD z nx ch", "syntax error"),
            ("ZINCRBY z nx 1", "syntax error"),
            (
                "ZADD z nx xx 1 a",
                "XX and NX options at the same time are not compatible",
            ),
            (
                "ZADD z nx gt 1 a",
                "GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "ZADD z gt lt 1 a",
                "GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "ZADD z incr 1 a 2 b",
                "INCR option supports a single increment-element pair",
            ),
            ("ZADD z 1 a x b", "value is not a valid float"),
            ("ZADD z nan a", "value is not a valid float"),
            ("ZADD s x b", "value is not a valid float"),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert!(c.run("ZADD s 1 b").starts_with("-WRONGTYPE"));
        assert!(c.run("ZADD s xx 1 b").starts_with("-WRONGTYPE"));
        assert_eq!(c.run("ZCARD z"), ":0\r\n");
    }
}
