//! BITCOUNT.

use super::bits;
use super::range::Unit;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "bitcount",
    group: Group::Bitmap,
    since: "2.6.0",
    summary: "Counts the one bits of a string, or of a range of it.",
    complexity: "O(N) for N bytes counted.",
    arity: -2,
    flags: Flags::READONLY,
    acl: Acl::BITMAP,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec::new("start", ArgType::Integer),
                ArgSpec::new("end", ArgType::Integer),
                ArgSpec {
                    since: "7.0.0",
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "BYTE",
                            ..ArgSpec::new("byte", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "BIT",
                            ..ArgSpec::new("bit", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("unit", ArgType::OneOf)
                },
            ],
            ..ArgSpec::new("range", ArgType::Block)
        },
    ],
    history: &[("7.0.0", "New option `BYTE|BIT`.")],
    handler: bitcount,
    ..CommandSpec::BLANK
}];

fn bitcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    // A missing key answers before the range is looked at, as in Redis 7.
    let count = match ctx.ks.string(args[1])? {
        Some(bytes) => count(bytes, &args[2..])?,
        None => 0,
    };
    ctx.out.int(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

/// The number of ones in the range that the words describe; all without words.
fn count(bytes: &[u8], words: Args<'_>) -> Result<u64, ReplyError> {
    let (start, end, unit) = match words {
        [] => return Ok(bits::ones(bytes)),
        [start, end] => (start, end, None),
        [start, end, unit] => (start, end, Some(unit)),
        _ => return Err(ReplyError::SYNTAX),
    };
    let (start, end) = (args::int(start)?, args::int(end)?);
    if start < 0 && end < 0 && start > end {
        return Ok(0);
    }
    let unit = unit.map_or(Ok(Unit::Byte), |unit| Unit::parse(unit))?;
    Ok(unit
        .bits(bytes.len(), start, end)
        .map_or(0, |(first, last)| bits::ones_between(bytes, first, last)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn whole_strings_and_ranges() {
        let mut c = Client::new();
        assert_eq!(c.run("BITCOUNT none"), ":0\r\n");
        assert_eq!(c.run("BITCOUNT none x"), ":0\r\n");
        c.run("SET k foobar");
        assert_eq!(c.run("BITCOUNT k"), ":26\r\n");
        assert_eq!(c.run("BITCOUNT k 0 0"), ":4\r\n");
        assert_eq!(c.run("BITCOUNT k 1 1 byte"), ":6\r\n");
        assert_eq!(c.run("BITCOUNT k 5 30 BIT"), ":17\r\n");
        assert_eq!(c.run("BITCOUNT k 1 -2"), ":18\r\n");
        assert_eq!(c.run("BITCOUNT k 4 1"), ":0\r\n");
        assert_eq!(c.run("BITCOUNT k -1 -2 what"), ":0\r\n");
        c.run("SET n 12");
        assert_eq!(c.run("BITCOUNT n"), ":6\r\n");
    }

    #[test]
    fn words_are_checked() {
        let mut c = Client::new();
        c.run("SET k v");
        let syntax = "-ERR syntax error\r\n";
        assert_eq!(c.run("BITCOUNT k 0"), syntax);
        assert_eq!(c.run("BITCOUNT k 0 1 what"), syntax);
        assert_eq!(c.run("BITCOUNT k 0 1 bit x"), syntax);
        let number = "-ERR value is not an integer or out of range\r\n";
        assert_eq!(c.run("BITCOUNT k a 1 what"), number);
        assert_eq!(c.run("BITCOUNT k 0 b"), number);
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("BITCOUNT z x").starts_with("-WRONGTYPE "));
    }
}
