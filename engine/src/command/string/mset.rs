//! MSET, MSETNX and MSETEX: several strings in one step.

use basalt_formats::num::parse_i64;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeyRef,
    KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

use super::options::{Condition, Dialect, Expiry, Options};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "mset",
        group: Group::String,
        since: "1.0.1",
        summary: "Stores several keys and values in one atomic step.",
        complexity: "O(N) for N keys written.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 2, 0),
            KeyFlags::OW.or(KeyFlags::UPDATE),
        )],
        args: &[ArgSpec {
            multiple: true,
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("value", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        }],
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        handler: mset,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "msetnx",
        group: Group::String,
        since: "1.0.1",
        summary: "Stores several keys and values in one atomic step, or none if any key exists.",
        complexity: "O(N) for N keys written.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 2, 0),
            KeyFlags::OW.or(KeyFlags::INSERT),
        )],
        args: &[ArgSpec {
            multiple: true,
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("value", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        }],
        handler: msetnx,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "msetex",
        group: Group::String,
        since: "8.4.0",
        summary: "Stores several keys and values in one atomic step, with one expiry and one condition for all.",
        complexity: "O(N) for N keys written.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 2),
            KeyFlags::OW.or(KeyFlags::UPDATE),
        )],
        get_keys: Some(msetex_get_keys),
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                multiple: true,
                args: &[
                    ArgSpec {
                        key_spec: 0,
                        ..ArgSpec::new("key", ArgType::Key)
                    },
                    ArgSpec::new("value", ArgType::String),
                ],
                ..ArgSpec::new("data", ArgType::Block)
            },
            ArgSpec::ABSENT_OR_PRESENT,
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "EX",
                        ..ArgSpec::new("seconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "PX",
                        ..ArgSpec::new("milliseconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "EXAT",
                        ..ArgSpec::new("unix-time-seconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "PXAT",
                        ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "KEEPTTL",
                        ..ArgSpec::new("keepttl", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("expiration", ArgType::OneOf)
            },
        ],
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        handler: msetex,
        ..CommandSpec::BLANK
    },
];

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pairs = pairs(ctx, args)?;
    store_all(ctx, pairs, Ttl::Clear);
    ctx.out.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pairs = pairs(ctx, args)?;
    for pair in pairs.chunks_exact(2) {
        if ctx.ks.look(pair[0], Look::WRITE).is_some() {
            ctx.out.int(0);
            return Ok(());
        }
    }
    store_all(ctx, pairs, Ttl::Clear);
    ctx.out.int(1);
    Ok(())
}

/// The words after the name, which must be an even number.
fn pairs<'a>(ctx: &Ctx<'_>, args: Args<'a>) -> Result<Args<'a>, ReplyError> {
    let pairs = &args[1..];
    if !pairs.len().is_multiple_of(2) {
        return Err(ReplyError::wrong_arity(ctx.name()));
    }
    Ok(pairs)
}

fn store_all(ctx: &mut Ctx<'_>, pairs: Args<'_>, ttl: Ttl) {
    for pair in pairs.chunks_exact(2) {
        ctx.ks
            .set_string(pair[0], pair[1], StringEncoding::Auto, ttl);
        ctx.ks.modified(pair[0]);
        ctx.ks.notify(NotifyClass::STRING, "set", pair[0]);
        if let Ttl::At(_) = ttl {
            ctx.ks.notify(NotifyClass::GENERIC, "expire", pair[0]);
        }
        ctx.ks.dirty += 1;
    }
}

/// Logged as SET for each key, with an absolute time: that any server reads.
fn msetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let numkeys = args::int_in(
        args[1],
        1,
        i64::from(i32::MAX),
        "invalid numkeys value or out of range",
    )?;
    let pairs = usize::try_from(numkeys)
        .ok()
        .and_then(|numkeys| args[2..].get(..numkeys.checked_mul(2)?))
        .ok_or(ReplyError::SYNTAX)?;
    let options = Options::parse(args, 2 + pairs.len(), Dialect::MsetEx)?;
    let ttl = match options.expiry {
        Expiry::Time(form, word) => Ttl::At(form.deadline(word, ctx.ks.now_ms, ctx.name())?),
        Expiry::Keep => Ttl::Keep,
        Expiry::Unsaid | Expiry::Persist => Ttl::Clear,
    };
    let wanted = match options.condition {
        Condition::Nx => Some(false),
        Condition::Xx => Some(true),
        Condition::Always | Condition::If(_) => None,
    };
    for pair in pairs.chunks_exact(2) {
        if wanted.is_some_and(|wanted| ctx.ks.look(pair[0], Look::WRITE).is_some() != wanted) {
            ctx.out.int(0);
            return Ok(());
        }
    }
    store_all(ctx, pairs, ttl);
    let at = match ttl {
        Ttl::At(at) => itoa::Buffer::new().format(at).to_owned(),
        Ttl::Clear | Ttl::Keep => String::new(),
    };
    for pair in pairs.chunks_exact(2) {
        match ttl {
            Ttl::At(_) => ctx.propagate(&[b"SET", pair[0], pair[1], b"PXAT", at.as_bytes()]),
            Ttl::Keep => ctx.propagate(&[b"SET", pair[0], pair[1], b"KEEPTTL"]),
            Ttl::Clear => ctx.propagate(&[b"SET", pair[0], pair[1]]),
        }
    }
    ctx.out.int(1);
    Ok(())
}

/// The keys of MSETEX: as many as the first word says, every second word from there on.
fn msetex_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let numkeys = usize::try_from(parse_i64(args.get(1)?)?).ok()?;
    let pairs = args.get(2..)?.get(..numkeys.checked_mul(2)?)?;
    let access = KeyFlags::OW.or(KeyFlags::UPDATE);
    (numkeys > 0).then(|| {
        (2..2 + pairs.len())
            .step_by(2)
            .map(|at| (at, access))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn sets_all_or_none() {
        let mut c = Client::new();
        assert_eq!(c.run("MSET a 1 b 2 a 3"), "+OK\r\n");
        assert_eq!(c.run("MGET a b"), "*2\r\n$1\r\n3\r\n$1\r\n2\r\n");
        assert_eq!(c.run("MSETNX c 1 b 9"), ":0\r\n");
        assert_eq!(c.run("EXISTS c"), ":0\r\n");
        assert_eq!(c.run("MSETNX c 1 d 1"), ":1\r\n");
        assert_eq!(
            c.run("MSET a 1 b"),
            "-ERR wrong number of arguments for 'mset' command\r\n"
        );
        assert_eq!(
            c.run("MSETNX a 1 b"),
            "-ERR wrong number of arguments for 'msetnx' command\r\n"
        );
    }

    #[test]
    fn msetex_sets_all_or_none() {
        let mut c = Client::new();
        let log = c.record_log();
        assert_eq!(c.run("MSETEX 2 a 1 b 2 EX 10"), ":1\r\n");
        assert_eq!(c.run("PTTL b"), ":10000\r\n");
        assert_eq!(c.run("MSETEX 2 a 9 c 9 NX"), ":0\r\n");
        assert_eq!(c.run("MSETEX 2 a 9 c 9 PX 5 XX"), ":0\r\n");
        assert_eq!(c.run("EXISTS c"), ":0\r\n");
        assert_eq!(c.run("MSETEX 2 a 3 b 4 XX KEEPTTL"), ":1\r\n");
        assert_eq!(c.run("PTTL a"), ":10000\r\n");
        assert_eq!(c.run("MSETEX 1 a 5"), ":1\r\n");
        assert_eq!(c.run("PTTL a"), ":-1\r\n");
        assert_eq!(
            log.take(),
            [
                "MULTI",
                "SET a 1 PXAT 1700000010000",
                "SET b 2 PXAT 1700000010000",
                "EXEC",
                "MULTI",
                "SET a 3 KEEPTTL",
                "SET b 4 KEEPTTL",
                "EXEC",
                "SET a 5",
            ]
        );
        let numkeys = "-ERR invalid numkeys value or out of range\r\n";
        for (line, error) in [
            ("MSETEX 0 a 1", numkeys),
            ("MSETEX -1 a 1", numkeys),
            ("MSETEX 2147483648 a 1", numkeys),
            ("MSETEX 2147483647 a 1", "-ERR syntax error\r\n"),
            ("MSETEX 2 a 1 b", "-ERR syntax error\r\n"),
            ("MSETEX 1 a 1 NX XX", "-ERR syntax error\r\n"),
            ("MSETEX 1 a 1 GET", "-ERR syntax error\r\n"),
            ("MSETEX 1 a 1 IFEQ x", "-ERR syntax error\r\n"),
            ("MSETEX 1 a 1 EX 1 KEEPTTL", "-ERR syntax error\r\n"),
            (
                "MSETEX 1 a 1 EX 0",
                "-ERR invalid expire time in 'msetex' command\r\n",
            ),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
    }

    #[test]
    fn clears_the_expiry() {
        let mut c = Client::new();
        c.run("SET a 1 EX 100");
        c.run("MSET a 2");
        assert_eq!(c.run("TTL a"), ":-1\r\n");
    }
}
