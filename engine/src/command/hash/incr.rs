//! HINCRBY and HINCRBYFLOAT.

use basalt_formats::num::{LongDouble, format_long_double_human, parse_i64, parse_long_double};
use basalt_formats::packed::Entry;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::notify::NotifyClass;

use super::expire::propagate_expiry;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hincrby",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Adds an integer to a field of a hash; a missing field counts as 0.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
            ArgSpec::new("increment", ArgType::Integer),
        ],
        handler: hincrby,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hincrbyfloat",
        group: Group::Hash,
        since: "2.6.0",
        summary: "Adds a floating point amount to a field of a hash; a missing field counts as 0.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
            ArgSpec::new("increment", ArgType::Double),
        ],
        handler: hincrbyfloat,
        ..CommandSpec::BLANK
    },
];

fn hincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, field) = (args[1], args[2]);
    let increment = args::int(args[3])?;
    let limits = ctx.engine().settings.hash_limits();
    let hash = ctx.ks.hash_or_create(key)?;
    let old = match hash.get(field) {
        None => 0,
        Some(Entry::Int(int)) => int,
        Some(Entry::Str(text)) => {
            parse_i64(text).ok_or_else(|| ReplyError::err("hash value is not an integer"))?
        }
    };
    let new = old.checked_add(increment).ok_or(ReplyError::OVERFLOW)?;
    hash.set_value(field, itoa::Buffer::new().format(new).as_bytes(), &limits);
    ctx.out.int(new);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::HASH, "hincrby", key);
    ctx.ks.dirty += 1;
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, field) = (args[1], args[2]);
    let increment = parse_long_double(args[3]).ok_or(ReplyError::NOT_FLOAT)?;
    if increment.is_infinite() {
        return Err(ReplyError::err("value is NaN or Infinity"));
    }
    let limits = ctx.engine().settings.hash_limits();
    let hash = ctx.ks.hash_or_create(key)?;
    let old = match hash.get(field) {
        None => LongDouble::ZERO,
        Some(value) => value
            .with_bytes(parse_long_double)
            .ok_or_else(|| ReplyError::err("hash value is not a float"))?,
    };
    let new = old.checked_add(increment).ok_or(ReplyError::NAN_OR_INF)?;
    let mut text = Vec::with_capacity(32);
    format_long_double_human(new, &mut text);
    hash.set_value(field, &text, &limits);
    let until = hash.expiry(field);
    ctx.out.bulk(&text);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::HASH, "hincrbyfloat", key);
    ctx.ks.dirty += 1;
    // The result is logged, not the sum: the reader may compute in another precision.
    ctx.propagate(&[b"HSET", key, field, &text]);
    if let Some(at) = until {
        propagate_expiry(ctx, key, at, &[field]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn integers_add_up_within_64_bits() {
        let mut c = Client::new();
        assert_eq!(c.run("HINCRBY h a 5"), ":5\r\n");
        assert_eq!(c.run("HINCRBY h a -7"), ":-2\r\n");
        assert_eq!(c.run("HGET h a"), "$2\r\n-2\r\n");
        let not_integer = "-ERR value is not an integer or out of range\r\n";
        assert_eq!(c.run("HINCRBY h a 1.5"), not_integer);
        assert_eq!(c.run("HINCRBY h a 9223372036854775808"), not_integer);
        c.run("HSET h max 9223372036854775807 min -9223372036854775808 text x1");
        let overflow = "-ERR increment or decrement would overflow\r\n";
        assert_eq!(c.run("HINCRBY h max 1"), overflow);
        assert_eq!(c.run("HINCRBY h min -1"), overflow);
        assert_eq!(c.run("HINCRBY h max -9223372036854775808"), ":-1\r\n");
        let not_value = "-ERR hash value is not an integer\r\n";
        assert_eq!(c.run("HINCRBY h text 1"), not_value);
        c.run("HSET h text 01");
        assert_eq!(c.run("HINCRBY h text 1"), not_value);
        c.run("SADD s x");
        assert_eq!(c.run("HINCRBY s a x"), not_integer);
        assert!(c.run("HINCRBY s a 1").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn floats_add_up_in_long_double() {
        let mut c = Client::new();
        assert_eq!(c.run("HINCRBYFLOAT h a 0.1"), "$3\r\n0.1\r\n");
        assert_eq!(c.run("HINCRBYFLOAT h a 0.2"), "$3\r\n0.3\r\n");
        assert_eq!(c.run("HINCRBYFLOAT h b 3"), "$1\r\n3\r\n");
        assert_eq!(c.run("HINCRBYFLOAT h b 5.0e3"), "$4\r\n5003\r\n");
        assert_eq!(
            c.run("HINCRBYFLOAT h b x"),
            "-ERR value is not a valid float\r\n"
        );
        assert_eq!(
            c.run("HINCRBYFLOAT h b inf"),
            "-ERR value is NaN or Infinity\r\n"
        );
        c.run("HSET h text x big 1e4932 inf inf");
        assert_eq!(
            c.run("HINCRBYFLOAT h text 1"),
            "-ERR hash value is not a float\r\n"
        );
        let infinite = "-ERR increment would produce NaN or Infinity\r\n";
        assert_eq!(c.run("HINCRBYFLOAT h big 1e4932"), infinite);
        assert_eq!(c.run("HINCRBYFLOAT h inf 1"), infinite);
    }
}
