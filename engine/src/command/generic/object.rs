//! OBJECT: how a value is kept.

use std::sync::atomic::Ordering::Relaxed;

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Found, Kind, Look};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "object",
    since: "2.2.3",
    summary: "Groups the commands that look at how a value is kept in memory.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "encoding",
            since: "2.2.3",
            summary: "Names the internal representation of a value.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::READONLY,
            acl: Acl::KEYSPACE,
            keys: &[KeySpec::one(2, KeyFlags::RO)],
            args: &[ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            }],
            tips: &["nondeterministic_output"],
            handler: object_encoding,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "freq",
            since: "4.0.0",
            summary: "Reads the logarithmic counter of how often a key was used.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::READONLY,
            acl: Acl::KEYSPACE,
            keys: &[KeySpec::one(2, KeyFlags::RO)],
            args: &[ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            }],
            tips: &["nondeterministic_output"],
            handler: object_freq,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            since: "6.2.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            acl: Acl::KEYSPACE,
            handler: object_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "idletime",
            since: "2.2.3",
            summary: "Tells for how many seconds a key has not been used.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::READONLY,
            acl: Acl::KEYSPACE,
            keys: &[KeySpec::one(2, KeyFlags::RO)],
            args: &[ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            }],
            tips: &["nondeterministic_output"],
            handler: object_idletime,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "refcount",
            since: "2.2.3",
            summary: "Tells how many references a value has.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::READONLY,
            acl: Acl::KEYSPACE,
            keys: &[KeySpec::one(2, KeyFlags::RO)],
            args: &[ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            }],
            tips: &["nondeterministic_output"],
            handler: object_refcount,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

/// What REFCOUNT tells of the small integers that Redis shares between all keys.
const SHARED: i64 = i32::MAX as i64;
const SHARED_INTEGERS: i64 = 10_000;

/// Looks at a key; a miss counts but causes no event.
fn inspect<'k>(ctx: &'k mut Ctx<'_>, key: &[u8]) -> Option<Found<'k>> {
    let now_ms = ctx.ks.now_ms;
    let expired = |found: Found<'_>| found.header.is_expired(now_ms);
    // During CLIENT PAUSE a key past its time is hidden, not removed.
    let hidden =
        ctx.engine().settings.keep_expired.load(Relaxed) && ctx.ks.glance(key).is_some_and(expired);
    let there = !hidden && ctx.ks.exists(key);
    ctx.ks.count_look(key, there);
    if !there {
        ctx.out.null();
        return None;
    }
    ctx.ks.look(key, Look::SILENT)
}

fn object_encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(found) = inspect(ctx, args[2]) else {
        return Ok(());
    };
    let encoding = match (found.header.kind, found.value) {
        (Kind::Int, _) => "int",
        (Kind::Embstr, _) => "embstr",
        (_, Some(value)) => value.encoding(),
        (_, None) => "raw",
    };
    ctx.out.bulk(encoding.as_bytes());
    Ok(())
}

fn object_refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(found) = inspect(ctx, args[2]) else {
        return Ok(());
    };
    let kind = found.header.kind;
    let small = kind == Kind::Int
        && basalt_formats::num::parse_i64(found.bytes)
            .is_some_and(|n| (0..SHARED_INTEGERS).contains(&n));
    let shared = ctx.engine().settings.integers_shared.load(Relaxed);
    ctx.out.int(if small && shared { SHARED } else { 1 });
    Ok(())
}

fn object_idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(found) = inspect(ctx, args[2]) else {
        return Ok(());
    };
    let lru = found.header.lru;
    if ctx.engine().settings.lfu.load(Relaxed) {
        return Err(ReplyError::err(
            "An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let idle = ctx.ks.clock().idle_seconds(lru);
    ctx.out.int(i64::try_from(idle).unwrap_or(i64::MAX));
    Ok(())
}

fn object_freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(found) = inspect(ctx, args[2]) else {
        return Ok(());
    };
    let lru = found.header.lru;
    if !ctx.engine().settings.lfu.load(Relaxed) {
        return Err(ReplyError::err(
            "An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
             that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ));
    }
    let frequency = ctx.ks.clock().frequency(lru);
    ctx.out.int(i64::from(frequency));
    Ok(())
}

fn object_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help(
        "object",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::testing::Client;

    #[test]
    fn encodings() {
        let mut c = Client::new();
        let long = "x".repeat(45);
        for (value, encoding) in [
            ("12", "int"),
            ("-9223372036854775808", "int"),
            ("9223372036854775808", "embstr"),
            ("abc", "embstr"),
            (&long[..44], "embstr"),
            (&long, "raw"),
        ] {
            c.run(&format!("SET k {value}"));
            let told = c.run("OBJECT ENCODING k");
            assert_eq!(told, format!("${}\r\n{encoding}\r\n", encoding.len()));
        }
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(c.run("OBJECT ENCODING z"), "$8\r\nlistpack\r\n");
        assert_eq!(c.run("object encoding none"), "$-1\r\n");
    }

    #[test]
    fn reference_counts() {
        let mut c = Client::new();
        c.run("MSET a 9999 b 10000 c x d -1");
        assert_eq!(c.run("OBJECT REFCOUNT a"), ":2147483647\r\n");
        let shared = &c.engine().settings.integers_shared;
        shared.store(false, Relaxed);
        assert_eq!(c.run("OBJECT REFCOUNT a"), ":1\r\n");
        c.engine().settings.integers_shared.store(true, Relaxed);
        for key in ["b", "c", "d"] {
            assert_eq!(c.run(&format!("OBJECT REFCOUNT {key}")), ":1\r\n");
        }
    }

    #[test]
    fn idle_time_and_frequency_depend_on_the_policy() {
        let mut c = Client::new();
        c.run("SET k v");
        c.now_ms += 5_000;
        assert_eq!(c.run("OBJECT IDLETIME k"), ":5\r\n");
        assert_eq!(c.run("OBJECT FREQ none"), "$-1\r\n");
        assert!(c.run("OBJECT FREQ k").starts_with(
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please"
        ));
        c.engine().settings.lfu.store(true, Relaxed);
        c.run("SET new v");
        assert_eq!(c.run("OBJECT FREQ new"), ":5\r\n");
        c.run("GET new");
        assert_eq!(c.run("OBJECT FREQ new"), ":6\r\n");
        assert!(c.run("OBJECT IDLETIME k").starts_with(
            "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that"
        ));
    }

    #[test]
    fn help_and_unknown_subcommands() {
        let mut c = Client::new();
        let help = c.run("OBJECT HELP");
        assert!(help.starts_with(
            "*15\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
        ));
        assert_eq!(
            c.run("OBJECT FOO k"),
            "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.\r\n"
        );
        assert_eq!(
            c.run("OBJECT FREQ"),
            "-ERR wrong number of arguments for 'object|freq' command\r\n"
        );
    }

    #[test]
    fn a_look_is_no_use_and_makes_no_event() {
        let mut c = Client::with_events();
        c.run("OBJECT ENCODING none");
        assert!(c.events().is_empty());
        assert_eq!(c.engine().stats().misses, 1);
    }
}
