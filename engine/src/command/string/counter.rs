//! INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT: strings as numbers.

use basalt_formats::num::{LongDouble, format_long_double_human, parse_i64, parse_long_double};

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "incr",
        group: Group::String,
        summary: "Adds one to an integer value; a missing key counts as 0.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: incr,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "decr",
        group: Group::String,
        summary: "Subtracts one from an integer value; a missing key counts as 0.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: decr,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "incrby",
        group: Group::String,
        summary: "Adds a given amount to an integer value; a missing key counts as 0.",
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
            ArgSpec::new("increment", ArgType::Integer),
        ],
        handler: incrby,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "decrby",
        group: Group::String,
        summary: "Subtracts a given amount from an integer value; a missing key counts as 0.",
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
            ArgSpec::new("decrement", ArgType::Integer),
        ],
        handler: decrby,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "incrbyfloat",
        group: Group::String,
        since: "2.6.0",
        summary: "Adds a floating point amount to a numeric value; a missing key counts as 0.",
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
            ArgSpec::new("increment", ArgType::Double),
        ],
        handler: incrbyfloat,
        ..CommandSpec::BLANK
    },
];

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args[1], 1)
}

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args[1], -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    add(ctx, args[1], args::int(args[2])?)
}

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let delta = args::int(args[2])?
        .checked_neg()
        .ok_or_else(|| ReplyError::err("decrement would overflow"))?;
    add(ctx, args[1], delta)
}

fn add(ctx: &mut Ctx<'_>, key: &[u8], delta: i64) -> CmdResult {
    let value = match ctx.ks.string_as(key, Look::SILENT)? {
        Some(found) => parse_i64(found.bytes).ok_or(ReplyError::NOT_INTEGER)?,
        None => 0,
    };
    let sum = value.checked_add(delta).ok_or(ReplyError::OVERFLOW)?;
    let mut text = itoa::Buffer::new();
    let text = text.format(sum).as_bytes();
    ctx.ks
        .set_string(key, text, StringEncoding::Auto, Ttl::Keep);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STRING, "incrby", key);
    ctx.ks.dirty += 1;
    ctx.out.int(sum);
    Ok(())
}

/// The sum is logged, not the addition: other machines may round otherwise.
fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let value = match ctx.ks.string_as(key, Look::SILENT)? {
        Some(found) => parse_long_double(found.bytes).ok_or(ReplyError::NOT_FLOAT)?,
        None => LongDouble::ZERO,
    };
    let delta = parse_long_double(args[2]).ok_or(ReplyError::NOT_FLOAT)?;
    let sum = value.checked_add(delta).ok_or(ReplyError::NAN_OR_INF)?;
    let mut text = Vec::with_capacity(24);
    format_long_double_human(sum, &mut text);
    ctx.ks
        .set_string(key, &text, StringEncoding::Length, Ttl::Keep);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STRING, "incrbyfloat", key);
    ctx.ks.dirty += 1;
    ctx.propagate(&[b"SET", key, &text, b"KEEPTTL"]);
    ctx.out.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts() {
        let mut c = Client::with_events();
        assert_eq!(c.run("INCR k"), ":1\r\n");
        assert_eq!(c.run("INCRBY k 41"), ":42\r\n");
        assert_eq!(c.run("DECR k"), ":41\r\n");
        assert_eq!(c.run("DECRBY k 50"), ":-9\r\n");
        assert_eq!(c.run("GET k"), "$2\r\n-9\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nint\r\n");
        assert_eq!(
            c.events(),
            ["new k", "incrby k", "incrby k", "incrby k", "incrby k"]
        );
    }

    #[test]
    fn keeps_the_expiry() {
        let mut c = Client::new();
        c.run("SET k 9 EX 10");
        c.run("INCR k");
        assert_eq!(c.run("TTL k"), ":10\r\n");
        c.run("INCRBYFLOAT k 0.5");
        assert_eq!(c.run("TTL k"), ":10\r\n");
        c.now_ms += 10_001;
        assert_eq!(c.run("INCR k"), ":1\r\n");
        assert_eq!(c.run("TTL k"), ":-1\r\n");
    }

    #[test]
    fn limits() {
        let mut c = Client::new();
        let overflow = "-ERR increment or decrement would overflow\r\n";
        c.run("SET k 9223372036854775807");
        assert_eq!(c.run("INCR k"), overflow);
        c.run("SET k -9223372036854775808");
        assert_eq!(c.run("DECR k"), overflow);
        assert_eq!(
            c.run("DECRBY k -9223372036854775808"),
            "-ERR decrement would overflow\r\n"
        );
        let not_integer = "-ERR value is not an integer or out of range\r\n";
        for bad in ["x", "01", "1.0", "\"\"", "9223372036854775808"] {
            c.run(&format!("SET k {bad}"));
            assert_eq!(c.run("INCR k"), not_integer, "{bad}");
        }
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(c.run("INCRBY z x"), not_integer);
        assert!(c.run("INCRBY z 1").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn floats() {
        let mut c = Client::new();
        let log = c.record_log();
        assert_eq!(c.run("INCRBYFLOAT k 3"), "$1\r\n3\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$6\r\nembstr\r\n");
        assert_eq!(c.run("INCRBYFLOAT k 0.1"), "$3\r\n3.1\r\n");
        assert_eq!(c.run("INCRBYFLOAT k -3.1"), "$1\r\n0\r\n");
        assert_eq!(
            log.take(),
            ["SET k 3 KEEPTTL", "SET k 3.1 KEEPTTL", "SET k 0 KEEPTTL"]
        );
        assert_eq!(
            c.run("INCRBYFLOAT k inf"),
            "-ERR increment would produce NaN or Infinity\r\n"
        );
        assert_eq!(
            c.run("INCRBYFLOAT k x"),
            "-ERR value is not a valid float\r\n"
        );
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("INCRBYFLOAT z x").starts_with("-WRONGTYPE "));
    }
}
