//! SET and its older relatives SETNX, SETEX, PSETEX and GETSET.
//!
//! Whatever expiry was asked for, the log gets an absolute one, so that replaying it later
//! has the same effect.

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeyRef, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

use super::get::reply_string;
use super::options::{Condition, Dialect, Expiry, Options, TimeForm};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "set",
        group: Group::String,
        summary: "Stores a string at a key, replacing whatever was there unless a condition forbids \
        it.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec {
            notes: "access: only with `GET`",
            ..KeySpec::one(
                1,
                KeyFlags::RW
                    .or(KeyFlags::ACCESS)
                    .or(KeyFlags::UPDATE)
                    .or(KeyFlags::VARIABLE_FLAGS),
            )
        }],
        get_keys: Some(set_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("value", ArgType::String),
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "NX",
                        since: "2.6.12",
                        ..ArgSpec::new("nx", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "XX",
                        since: "2.6.12",
                        ..ArgSpec::new("xx", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "IFEQ",
                        since: "8.1.0",
                        ..ArgSpec::new("comparison-value", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFNE",
                        since: "8.4.0",
                        ..ArgSpec::new("ifne-value", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFDEQ",
                        since: "8.4.0",
                        ..ArgSpec::new("ifdeq-digest", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFDNE",
                        since: "8.4.0",
                        ..ArgSpec::new("ifdne-digest", ArgType::String)
                    },
                ],
                ..ArgSpec::new("condition", ArgType::OneOf)
            },
            ArgSpec {
                token: "GET",
                since: "6.2.0",
                optional: true,
                ..ArgSpec::new("get", ArgType::PureToken)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "EX",
                        since: "2.6.12",
                        ..ArgSpec::new("seconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "PX",
                        since: "2.6.12",
                        ..ArgSpec::new("milliseconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "EXAT",
                        since: "6.2.0",
                        ..ArgSpec::new("unix-time-seconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "PXAT",
                        since: "6.2.0",
                        ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "KEEPTTL",
                        since: "6.0.0",
                        ..ArgSpec::new("keepttl", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("expiration", ArgType::OneOf)
            },
        ],
        history: &[
            ("2.6.12", "New options `EX`, `PX`, `NX` and `XX`."),
            ("6.0.0", "New option `KEEPTTL`."),
            ("6.2.0", "New options `GET`, `EXAT` and `PXAT`."),
            ("7.0.0", "`NX` may be combined with `GET`."),
            ("8.1.0", "New option `IFEQ`."),
            ("8.4.0", "New options `IFNE`, `IFDEQ` and `IFDNE`."),
        ],
        handler: set,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "setnx",
        group: Group::String,
        summary: "Stores a string unless the key exists already.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::OW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("value", ArgType::String),
        ],
        deprecated_since: "2.6.12",
        replaced_by: "`SET` with the `NX` argument",
        handler: setnx,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "setex",
        group: Group::String,
        since: "2.0.0",
        summary: "Stores a string that expires after some seconds.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("seconds", ArgType::Integer),
            ArgSpec::new("value", ArgType::String),
        ],
        deprecated_since: "2.6.12",
        replaced_by: "`SET` with the `EX` argument",
        handler: setex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "psetex",
        group: Group::String,
        since: "2.6.0",
        summary: "Stores a string that expires after some milliseconds.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("milliseconds", ArgType::Integer),
            ArgSpec::new("value", ArgType::String),
        ],
        deprecated_since: "2.6.12",
        replaced_by: "`SET` with the `PX` argument",
        handler: psetex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "getset",
        group: Group::String,
        summary: "Stores a new string and replies with the one it replaced.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("value", ArgType::String),
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`SET` with the `!GET` argument",
        handler: getset,
        ..CommandSpec::BLANK
    },
];

fn set_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let reads = args.get(3..)?.iter().any(|word| args::is(word, "GET"));
    let flags = if reads {
        KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE)
    } else {
        KeyFlags::OW.or(KeyFlags::UPDATE)
    };
    Some(vec![(1, flags)])
}

/// Stores a string and says so.
fn store(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    ctx.ks.set_string(key, value, StringEncoding::Auto, ttl);
    ctx.ks.modified(key);
    ctx.ks.dirty += 1;
    ctx.ks.notify(NotifyClass::STRING, "set", key);
}

/// Stores a string that expires; the log gets the time as `PXAT`.
fn store_until(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], deadline_ms: i64) {
    store(ctx, key, value, Ttl::At(deadline_ms));
    if ctx.engine().log.is_active() {
        let at = itoa::Buffer::new().format(deadline_ms).to_owned();
        ctx.propagate(&[b"SET", key, value, b"PXAT", at.as_bytes()]);
    }
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, value) = (args[1], args[2]);
    if args.len() == 3 {
        store(ctx, key, value, Ttl::Clear);
        ctx.out.ok();
        return Ok(());
    }
    let options = Options::parse(args, 3, Dialect::Set)?;
    let now_ms = ctx.ks.now_ms;
    let deadline = match options.expiry {
        Expiry::Time(form, word) => Some((form, form.deadline(word, now_ms, ctx.name())?)),
        _ => None,
    };
    if options.get {
        reply_string(ctx, key)?;
    }
    if !condition_holds(ctx, key, &options)? {
        if !options.get {
            ctx.out.null();
        }
        return Ok(());
    }
    match deadline {
        Some((TimeForm::PxAt, at)) => {
            store(ctx, key, value, Ttl::At(at));
            ctx.ks.notify(NotifyClass::GENERIC, "expire", key);
        }
        Some((_, at)) => {
            store_until(ctx, key, value, at);
            ctx.ks.notify(NotifyClass::GENERIC, "expire", key);
        }
        None => {
            let keep = options.expiry == Expiry::Keep;
            store(ctx, key, value, if keep { Ttl::Keep } else { Ttl::Clear });
            if options.get || matches!(options.condition, Condition::If(_)) {
                propagate_unconditional(ctx, args, &options);
            }
        }
    }
    if !options.get {
        ctx.out.ok();
    }
    Ok(())
}

fn condition_holds(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    options: &Options<'_>,
) -> Result<bool, ReplyError> {
    Ok(match options.condition {
        Condition::Always => true,
        Condition::Nx => ctx.ks.look(key, Look::WRITE).is_none(),
        Condition::Xx => ctx.ks.look(key, Look::WRITE).is_some(),
        Condition::If(comparison) => {
            let found = ctx.ks.string_as(key, Look::WRITE)?;
            comparison.holds(found.map(|found| found.bytes))
        }
    })
}

/// Logs a SET that was carried out without what only concerns its caller: GET and
/// comparisons.
fn propagate_unconditional(ctx: &mut Ctx<'_>, args: Args<'_>, options: &Options<'_>) {
    let mut words: Vec<&[u8]> = args[..3].to_vec();
    match options.condition {
        Condition::Nx => words.push(b"NX"),
        Condition::Xx => words.push(b"XX"),
        Condition::Always | Condition::If(_) => {}
    }
    if options.expiry == Expiry::Keep {
        words.push(b"KEEPTTL");
    }
    ctx.propagate(&words);
}

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let missing = ctx.ks.look(args[1], Look::WRITE).is_none();
    if missing {
        store(ctx, args[1], args[2], Ttl::Clear);
    }
    ctx.out.int(i64::from(missing));
    Ok(())
}

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_with_time(ctx, args, TimeForm::Ex)
}

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_with_time(ctx, args, TimeForm::Px)
}

fn set_with_time(ctx: &mut Ctx<'_>, args: Args<'_>, form: TimeForm) -> CmdResult {
    let deadline_ms = form.deadline(args[2], ctx.ks.now_ms, ctx.name())?;
    store_until(ctx, args[1], args[3], deadline_ms);
    ctx.ks.notify(NotifyClass::GENERIC, "expire", args[1]);
    ctx.out.ok();
    Ok(())
}

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_string(ctx, args[1])?;
    store(ctx, args[1], args[2], Ttl::Clear);
    ctx.propagate(&[b"SET", args[1], args[2]]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn conditions() {
        let mut c = Client::new();
        assert_eq!(c.run("SET k 1 XX"), "$-1\r\n");
        assert_eq!(c.run("SET k 1 NX"), "+OK\r\n");
        assert_eq!(c.run("SET k 2 NX"), "$-1\r\n");
        assert_eq!(c.run("SET k 2 xx"), "+OK\r\n");
        assert_eq!(c.run("SET k 3 NX GET"), "$1\r\n2\r\n");
        assert_eq!(c.run("GET k"), "$1\r\n2\r\n");
        assert_eq!(c.run("SETNX k 9"), ":0\r\n");
        assert_eq!(c.run("SETNX new 9"), ":1\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("SET k 1 NX"), "_\r\n");
    }

    #[test]
    fn ifeq_compares_the_whole_string() {
        let mut c = Client::new();
        assert_eq!(c.run("SET k b IFEQ a"), "$-1\r\n");
        c.run("SET k a");
        assert_eq!(c.run("SET k b IFEQ ab"), "$-1\r\n");
        assert_eq!(c.run("SET k b IFEQ a"), "+OK\r\n");
        assert_eq!(c.run("SET k c IFEQ x GET"), "$1\r\nb\r\n");
        assert_eq!(c.run("SET k c IFEQ b GET"), "$1\r\nb\r\n");
        assert_eq!(c.run("GET k"), "$1\r\nc\r\n");
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("SET z c IFEQ b").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn expiry_options() {
        let mut c = Client::new();
        assert_eq!(c.run("SET k v EX 10"), "+OK\r\n");
        assert_eq!(c.run("PTTL k"), ":10000\r\n");
        c.run("SET k w KEEPTTL");
        assert_eq!(c.run("PTTL k"), ":10000\r\n");
        c.run("SET k w");
        assert_eq!(c.run("PTTL k"), ":-1\r\n");
        c.run("SET k v PXAT 1700000005000");
        assert_eq!(c.run("TTL k"), ":5\r\n");
        c.run("SETEX k 7 v");
        assert_eq!(c.run("TTL k"), ":7\r\n");
        c.run("PSETEX k 9 v");
        assert_eq!(c.run("PTTL k"), ":9\r\n");
        let invalid = |name: &str| format!("-ERR invalid expire time in '{name}' command\r\n");
        assert_eq!(c.run("SET k v EX 0"), invalid("set"));
        assert_eq!(c.run("SET k v EX 9223372036854775807"), invalid("set"));
        assert_eq!(c.run("SETEX k -1 v"), invalid("setex"));
        assert_eq!(c.run("PSETEX k 9223372036854775807 v"), invalid("psetex"));
        assert_eq!(
            c.run("SET k v EX ten"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }

    #[test]
    fn set_over_an_expired_key_makes_a_new_one() {
        let mut c = Client::new();
        c.run("SET k v PX 10");
        c.now_ms += 20;
        assert_eq!(c.run("SET k w KEEPTTL"), "+OK\r\n");
        assert_eq!(c.run("GET k"), "$1\r\nw\r\n");
        assert_eq!(c.run("TTL k"), ":-1\r\n");
    }

    #[test]
    fn get_refuses_other_types_and_set_replaces_them() {
        let mut c = Client::new();
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("SET z v GET").starts_with("-WRONGTYPE "));
        assert!(c.run("GETSET z v").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("TYPE z"), "+zset\r\n");
        assert_eq!(c.run("SET z v"), "+OK\r\n");
        assert_eq!(c.run("TYPE z"), "+string\r\n");
        assert_eq!(c.run("GETSET z w"), "$1\r\nv\r\n");
        assert_eq!(c.run("GETSET none w"), "$-1\r\n");
    }

    #[test]
    fn the_log_gets_absolute_times_and_no_get() {
        let mut c = Client::new();
        let log = c.record_log();
        c.run("SET k v EX 10");
        c.run("SETEX k 10 v");
        c.run("SET k v GET KEEPTTL XX");
        c.run("SET k v IFEQ v");
        c.run("GETSET k w");
        c.run("SET k v NX");
        c.run("SET k v NX GET");
        assert_eq!(
            log.take(),
            [
                "SET k v PXAT 1700000010000",
                "SET k v PXAT 1700000010000",
                "SET k v XX KEEPTTL",
                "SET k v",
                "SET k w",
            ]
        );
    }

    #[test]
    fn events_in_order() {
        let mut c = Client::with_events();
        c.run("SET k v EX 10");
        c.run("SET k v NX");
        assert_eq!(c.events(), ["new k", "set k", "expire k"]);
    }
}
