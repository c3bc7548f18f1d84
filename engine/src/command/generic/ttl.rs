//! TTL, PTTL, EXPIRETIME, PEXPIRETIME and PERSIST.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, KeyFlags, KeySpec,
};
use crate::keyspace::{Look, NotifyClass};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "ttl",
        summary: "Tells how many seconds a key has left.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output"],
        history: &[("2.8.0", "A missing key is answered with -2.")],
        handler: ttl,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pttl",
        since: "2.6.0",
        summary: "Tells how many milliseconds a key has left.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output"],
        history: &[("2.8.0", "A missing key is answered with -2.")],
        handler: pttl,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "expiretime",
        since: "7.0.0",
        summary: "Tells the Unix time in seconds at which a key expires.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: expiretime,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pexpiretime",
        since: "7.0.0",
        summary: "Tells the Unix time in milliseconds at which a key expires.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: pexpiretime,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "persist",
        since: "2.2.0",
        summary: "Takes the expiry off a key, so that it stays.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: persist,
        ..CommandSpec::BLANK
    },
];

/// Replies with the expiry of a key as `shown` makes of it; -1 without one, -2 without key.
fn reply_expiry(ctx: &mut Ctx<'_>, key: &[u8], shown: impl FnOnce(i64) -> i64) -> CmdResult {
    let answer = match ctx.ks.look(key, Look::PEEK) {
        None => -2,
        Some(found) => found.header.expire_ms.map_or(-1, shown),
    };
    ctx.out.int(answer);
    Ok(())
}

/// Milliseconds as seconds, rounded to the nearest.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    reply_expiry(ctx, args[1], |at| seconds(at.saturating_sub(now_ms).max(0)))
}

fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    reply_expiry(ctx, args[1], |at| at.saturating_sub(now_ms).max(0))
}

fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_expiry(ctx, args[1], seconds)
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_expiry(ctx, args[1], |at| at)
}

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let volatile = ctx
        .ks
        .look(key, Look::WRITE)
        .is_some_and(|found| found.header.expire_ms.is_some());
    if volatile {
        ctx.ks.set_expire(key, None);
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::GENERIC, "persist", key);
        ctx.ks.dirty += 1;
    }
    ctx.out.int(i64::from(volatile));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn times_left_and_absolute() {
        let mut c = Client::new();
        c.run("SET k v PX 1499");
        c.run("SET p v");
        assert_eq!(c.run("PTTL k"), ":1499\r\n");
        assert_eq!(c.run("TTL k"), ":1\r\n");
        assert_eq!(c.run("PEXPIRETIME k"), ":1700000001499\r\n");
        assert_eq!(c.run("EXPIRETIME k"), ":1700000001\r\n");
        for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
            assert_eq!(c.run(&format!("{command} p")), ":-1\r\n");
            assert_eq!(c.run(&format!("{command} none")), ":-2\r\n");
        }
        c.run("PEXPIREAT p 9223372036854775807");
        assert_eq!(c.run("PEXPIRETIME p"), ":9223372036854775807\r\n");
    }

    #[test]
    fn persist_once() {
        let mut c = Client::with_events();
        c.run("SET k v EX 10");
        c.events();
        assert_eq!(c.run("PERSIST k"), ":1\r\n");
        assert_eq!(c.run("PERSIST k"), ":0\r\n");
        assert_eq!(c.run("PERSIST none"), ":0\r\n");
        assert_eq!(c.run("TTL k"), ":-1\r\n");
        assert_eq!(c.events(), ["persist k"]);
        assert_eq!(c.engine().volatile_count(0), 0);
    }
}
