//! EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT. A time that has passed deletes the key at once.
//! The log gets absolute milliseconds.

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass};

/// When the time is set; of keys and of fields of hashes.
pub(in crate::command) const CONDITION: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            token: "NX",
            ..ArgSpec::new("nx", ArgType::PureToken)
        },
        ArgSpec {
            token: "XX",
            ..ArgSpec::new("xx", ArgType::PureToken)
        },
        ArgSpec {
            token: "GT",
            ..ArgSpec::new("gt", ArgType::PureToken)
        },
        ArgSpec {
            token: "LT",
            ..ArgSpec::new("lt", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("condition", ArgType::OneOf)
};

/// The same, for commands that are older than it.
const SINCE_7: ArgSpec = ArgSpec {
    since: "7.0.0",
    ..CONDITION
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "expire",
        summary: "Makes a key expire after some seconds.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("seconds", ArgType::Integer),
            SINCE_7,
        ],
        history: &[("7.0.0", "New options `NX`, `XX`, `GT` and `LT`.")],
        handler: expire,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pexpire",
        since: "2.6.0",
        summary: "Makes a key expire after some milliseconds.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("milliseconds", ArgType::Integer),
            SINCE_7,
        ],
        history: &[("7.0.0", "New options `NX`, `XX`, `GT` and `LT`.")],
        handler: pexpire,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "expireat",
        since: "1.2.0",
        summary: "Makes a key expire at a Unix time in seconds.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("unix-time-seconds", ArgType::UnixTime),
            SINCE_7,
        ],
        history: &[("7.0.0", "New options `NX`, `XX`, `GT` and `LT`.")],
        handler: expireat,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pexpireat",
        since: "2.6.0",
        summary: "Makes a key expire at a Unix time in milliseconds.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime),
            SINCE_7,
        ],
        history: &[("7.0.0", "New options `NX`, `XX`, `GT` and `LT`.")],
        handler: pexpireat,
        ..CommandSpec::BLANK
    },
];

/// Restrictions by the expiry that is there; several may be given.
#[derive(Default, Clone, Copy)]
pub(in crate::command) struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    /// Reads the words `NX`, `XX`, `GT` and `LT`.
    pub(in crate::command) fn parse(words: Args<'_>) -> Result<Conditions, ReplyError> {
        let mut given = Conditions::default();
        for word in words {
            let flag = match word.to_ascii_lowercase().as_slice() {
                b"nx" => &mut given.nx,
                b"xx" => &mut given.xx,
                b"gt" => &mut given.gt,
                b"lt" => &mut given.lt,
                _ => {
                    return Err(ReplyError::err(format_args!(
                        "Unsupported option {}",
                        crate::error::shown(word)
                    )));
                }
            };
            *flag = true;
        }
        if given.nx && (given.xx || given.gt || given.lt) {
            return Err(ReplyError::err(
                "NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if given.gt && given.lt {
            return Err(ReplyError::err(
                "GT and LT options at the same time are not compatible",
            ));
        }
        Ok(given)
    }

    /// Whether the expiry may become `new`; no expiry counts as infinitely late.
    pub(in crate::command) fn allow(self, current: Option<i64>, new: i64) -> bool {
        !(self.nx && current.is_some()
            || self.xx && current.is_none()
            || self.gt && current.is_none_or(|at| new <= at)
            || self.lt && current.is_some_and(|at| new >= at))
    }
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    set_expiry(ctx, args, 1000, now_ms)
}

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    set_expiry(ctx, args, 1, now_ms)
}

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, 1000, 0)
}

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_expiry(ctx, args, 1, 0)
}

fn set_expiry(ctx: &mut Ctx<'_>, args: Args<'_>, unit_ms: i64, base_ms: i64) -> CmdResult {
    let key = args[1];
    let conditions = Conditions::parse(&args[3..])?;
    let at = args::int(args[2])?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or_else(|| ReplyError::invalid_expire(ctx.name()))?;
    let allowed = ctx
        .ks
        .look(key, Look::WRITE)
        .is_some_and(|found| conditions.allow(found.header.expire_ms, at));
    if !allowed {
        ctx.out.int(0);
        return Ok(());
    }
    let event = if at <= ctx.ks.due_ms {
        ctx.ks.remove(key);
        ctx.propagate(&[b"DEL", key]);
        "del"
    } else {
        ctx.ks.set_expire(key, Some(at));
        propagate_at(ctx, args, at);
        "expire"
    };
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::GENERIC, event, key);
    ctx.ks.dirty += 1;
    ctx.out.int(1);
    Ok(())
}

fn propagate_at(ctx: &mut Ctx<'_>, args: Args<'_>, at: i64) {
    if ctx.engine().log.is_active() {
        let at = itoa::Buffer::new().format(at).to_owned();
        let mut words: Vec<&[u8]> = vec![b"PEXPIREAT", args[1], at.as_bytes()];
        words.extend(&args[3..]);
        ctx.propagate(&words);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn units_and_bases() {
        let mut c = Client::new();
        c.run("SET k v");
        assert_eq!(c.run("EXPIRE none 10"), ":0\r\n");
        assert_eq!(c.run("EXPIRE k 10"), ":1\r\n");
        assert_eq!(c.run("PTTL k"), ":10000\r\n");
        assert_eq!(c.run("PEXPIRE k 10"), ":1\r\n");
        assert_eq!(c.run("PTTL k"), ":10\r\n");
        assert_eq!(c.run("EXPIREAT k 1700000005"), ":1\r\n");
        assert_eq!(c.run("PTTL k"), ":5000\r\n");
        assert_eq!(c.run("PEXPIREAT k 1700000005123"), ":1\r\n");
        assert_eq!(c.run("PTTL k"), ":5123\r\n");
        c.now_ms += 5123;
        assert_eq!(c.run("PTTL k"), ":0\r\n");
        c.now_ms += 1;
        assert_eq!(c.run("GET k"), "$-1\r\n");
    }

    #[test]
    fn conditions_compare_with_the_present_expiry() {
        let mut c = Client::new();
        c.run("SET k v");
        for (line, reply) in [
            ("EXPIRE k 100 XX", 0),
            ("EXPIRE k 100 GT", 0),
            ("EXPIRE k 100 lt", 1),
            ("EXPIRE k 100 LT", 0),
            ("EXPIRE k 100 GT", 0),
            ("EXPIRE k 101 GT XX", 1),
            ("EXPIRE k 90 NX", 0),
            ("EXPIRE k 90 XX", 1),
        ] {
            assert_eq!(c.run(line), format!(":{reply}\r\n"), "{line}");
        }
        c.run("PERSIST k");
        assert_eq!(c.run("EXPIRE k 100 NX"), ":1\r\n");
    }

    #[test]
    fn errors() {
        let mut c = Client::new();
        c.run("SET k v");
        let invalid = |name: &str| format!("-ERR invalid expire time in '{name}' command\r\n");
        assert_eq!(c.run("EXPIRE k 9223372036854775807"), invalid("expire"));
        assert_eq!(c.run("EXPIRE k -9223372036854775808"), invalid("expire"));
        assert_eq!(c.run("PEXPIRE k 9223372036854775807"), invalid("pexpire"));
        assert_eq!(
            c.run("EXPIREAT none 9223372036854775807"),
            invalid("expireat")
        );
        assert_eq!(c.run("EXPIRE k x foo"), "-ERR Unsupported option foo\r\n");
        assert_eq!(
            c.run("EXPIRE k x NX GT"),
            "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"
        );
        assert_eq!(
            c.run("EXPIRE k x LT GT"),
            "-ERR GT and LT options at the same time are not compatible\r\n"
        );
        assert_eq!(
            c.run("EXPIRE k 1.5"),
            "-ERR value is not an integer or out of range\r\n"
        );
        assert_eq!(c.run("TTL k"), ":-1\r\n");
    }

    #[test]
    fn a_past_time_deletes() {
        let mut c = Client::with_events();
        let log = c.record_log();
        c.run("MSET a 1 b 2");
        assert_eq!(c.run("EXPIRE a -1"), ":1\r\n");
        assert_eq!(c.run("PEXPIREAT b -5"), ":1\r\n");
        assert_eq!(c.run("DBSIZE"), ":0\r\n");
        c.run("SET c 1");
        c.run("EXPIRE c 10 nx");
        assert_eq!(
            c.events(),
            [
                "new a", "set a", "new b", "set b", "del a", "del b", "new c", "set c", "expire c"
            ]
        );
        assert_eq!(
            log.take(),
            [
                "MSET a 1 b 2",
                "DEL a",
                "DEL b",
                "SET c 1",
                "PEXPIREAT c 1700000010000 nx"
            ]
        );
    }
}
