//! GETEX and GETDEL: reads that also change the key's life.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::{Look, NotifyClass};

use super::get::reply_string;
use super::options::{Dialect, Expiry, Options};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "getex",
        group: Group::String,
        since: "6.2.0",
        summary: "Reads the string stored at a key and optionally changes its expiry.",
        complexity: "O(1)",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec {
            notes: "update: the expiry may change",
            ..KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE))
        }],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
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
                        token: "PERSIST",
                        ..ArgSpec::new("persist", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("expiration", ArgType::OneOf)
            },
        ],
        handler: getex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "getdel",
        group: Group::String,
        since: "6.2.0",
        summary: "Reads the string stored at a key and removes the key.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: getdel,
        ..CommandSpec::BLANK
    },
];

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let options = Options::parse(args, 2, Dialect::GetEx)?;
    let (now_ms, due_ms, name) = (ctx.ks.now_ms, ctx.ks.due_ms, ctx.name());
    let Some(found) = ctx.ks.string_as(key, Look::READ)? else {
        ctx.out.null();
        return Ok(());
    };
    let deadline = match options.expiry {
        Expiry::Time(form, word) => Some((form, form.deadline(word, now_ms, name)?)),
        _ => None,
    };
    ctx.out.bulk(found.bytes);
    let volatile = found.header.expire_ms.is_some();
    match deadline {
        Some((form, at)) if form.is_absolute() && at <= due_ms => {
            ctx.ks.remove(key);
            ctx.propagate(&[b"DEL", key]);
            changed(ctx, key, "del");
        }
        Some((_, at)) => {
            ctx.ks.set_expire(key, Some(at));
            let at = itoa::Buffer::new().format(at).to_owned();
            ctx.propagate(&[b"PEXPIREAT", key, at.as_bytes()]);
            changed(ctx, key, "expire");
        }
        None if options.expiry == Expiry::Persist && volatile => {
            ctx.ks.set_expire(key, None);
            ctx.propagate(&[b"PERSIST", key]);
            changed(ctx, key, "persist");
        }
        None => {}
    }
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    reply_string(ctx, key)?;
    if ctx.ks.remove(key) {
        ctx.propagate(&[b"DEL", key]);
        changed(ctx, key, "del");
    }
    Ok(())
}

fn changed(ctx: &mut Ctx<'_>, key: &[u8], event: &'static str) {
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::GENERIC, event, key);
    ctx.ks.dirty += 1;
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn getex_changes_the_expiry() {
        let mut c = Client::new();
        c.run("SET k v");
        let log = c.record_log();
        assert_eq!(c.run("GETEX k"), "$1\r\nv\r\n");
        assert_eq!(c.run("GETEX k PERSIST"), "$1\r\nv\r\n");
        assert_eq!(c.run("GETEX k EX 10"), "$1\r\nv\r\n");
        assert_eq!(c.run("TTL k"), ":10\r\n");
        assert_eq!(c.run("GETEX k"), "$1\r\nv\r\n");
        assert_eq!(c.run("TTL k"), ":10\r\n");
        assert_eq!(c.run("GETEX k PERSIST"), "$1\r\nv\r\n");
        assert_eq!(c.run("TTL k"), ":-1\r\n");
        assert_eq!(c.run("GETEX k PXAT 5"), "$1\r\nv\r\n");
        assert_eq!(c.run("EXISTS k"), ":0\r\n");
        assert_eq!(c.run("GETEX k EX 10"), "$-1\r\n");
        assert_eq!(
            log.take(),
            ["PEXPIREAT k 1700000010000", "PERSIST k", "DEL k"]
        );
    }

    #[test]
    fn getex_checks_in_order() {
        let mut c = Client::new();
        c.put_zset("z", &[("m", 1.0)]);
        c.run("SET k v");
        assert_eq!(c.run("GETEX none EX 0"), "$-1\r\n");
        assert_eq!(c.run("GETEX none EX"), "-ERR syntax error\r\n");
        assert!(c.run("GETEX z EX 0").starts_with("-WRONGTYPE "));
        assert_eq!(
            c.run("GETEX k EX 0"),
            "-ERR invalid expire time in 'getex' command\r\n"
        );
    }

    #[test]
    fn getdel_reads_and_removes() {
        let mut c = Client::with_events();
        c.run("SET k v");
        let log = c.record_log();
        assert_eq!(c.run("GETDEL k"), "$1\r\nv\r\n");
        assert_eq!(c.run("GETDEL k"), "$-1\r\n");
        assert_eq!(log.take(), ["DEL k"]);
        assert_eq!(c.events(), ["new k", "set k", "del k", "keymiss k"]);
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("GETDEL z").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("EXISTS z"), ":1\r\n");
    }
}
