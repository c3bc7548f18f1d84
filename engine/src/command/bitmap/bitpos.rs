//! BITPOS.

use super::bits;
use super::range::Unit;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "bitpos",
    group: Group::Bitmap,
    since: "2.8.7",
    summary: "Finds the first one or zero bit of a string.",
    complexity: "O(N) for N bytes searched.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::BITMAP,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("bit", ArgType::Integer),
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec::new("start", ArgType::Integer),
                ArgSpec {
                    optional: true,
                    args: &[
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
                    ..ArgSpec::new("end-unit-block", ArgType::Block)
                },
            ],
            ..ArgSpec::new("range", ArgType::Block)
        },
    ],
    history: &[("7.0.0", "New option `BYTE|BIT`.")],
    handler: bitpos,
    ..CommandSpec::BLANK
}];

fn bitpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let bit = match args::int(args[2])? {
        0 => false,
        1 => true,
        _ => return Err(ReplyError::err("The bit argument must be 1 or 0.")),
    };
    // A missing key is an endless row of zeros, whatever range is asked for.
    let found = match ctx.ks.string(args[1])? {
        Some(bytes) => position(bytes, bit, &args[3..])?,
        None if bit => None,
        None => Some(0),
    };
    let reply = found.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX));
    ctx.out.int(reply);
    Ok(())
}

/// Where the first such bit is in the range that the words describe. Without an end the string
/// goes on with zeros for ever, so a zero is always found.
fn position(bytes: &[u8], bit: bool, words: Args<'_>) -> Result<Option<usize>, ReplyError> {
    let (start, end, unit) = match *words {
        [] => (0, None, Unit::Byte),
        [start] => (args::int(start)?, None, Unit::Byte),
        [start, end] => (args::int(start)?, Some(args::int(end)?), Unit::Byte),
        [start, end, unit] => {
            let start = args::int(start)?;
            let unit = Unit::parse(unit)?;
            (start, Some(args::int(end)?), unit)
        }
        _ => return Err(ReplyError::SYNTAX),
    };
    let Some((first, last)) = unit.bits(bytes.len(), start, end.unwrap_or(-1)) else {
        return Ok(None);
    };
    Ok(bits::find(bytes, bit, first, last).or((!bit && end.is_none()).then_some(last + 1)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn positions() {
        let mut c = Client::new();
        assert_eq!(c.run("BITPOS none 0"), ":0\r\n");
        assert_eq!(c.run("BITPOS none 1 x"), ":-1\r\n");
        c.run_words(&[b"SET", b"k", b"\xff\xf0\x00"]);
        assert_eq!(c.run("BITPOS k 0"), ":12\r\n");
        assert_eq!(c.run("BITPOS k 1"), ":0\r\n");
        assert_eq!(c.run("BITPOS k 1 2"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 0 0 0"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 0 8 -1 BIT"), ":12\r\n");
        assert_eq!(c.run("BITPOS k 0 0 11 BIT"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 1 -12 -1 bit"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 1 2 1"), ":-1\r\n");
        c.run_words(&[b"SET", b"k", &[0xff; 40]]);
        assert_eq!(c.run("BITPOS k 0"), ":320\r\n");
        assert_eq!(c.run("BITPOS k 0 39"), ":320\r\n");
        assert_eq!(c.run("BITPOS k 0 40"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 0 0 -1"), ":-1\r\n");
        c.run("SET k \"\"");
        assert_eq!(c.run("BITPOS k 0"), ":-1\r\n");
        assert_eq!(c.run("BITPOS k 1 0 -1"), ":-1\r\n");
    }

    #[test]
    fn words_are_checked() {
        let mut c = Client::new();
        c.run("SET k v");
        let number = "-ERR value is not an integer or out of range\r\n";
        assert_eq!(c.run("BITPOS k x"), number);
        assert_eq!(
            c.run("BITPOS k 2"),
            "-ERR The bit argument must be 1 or 0.\r\n"
        );
        assert_eq!(c.run("BITPOS k 0 a what what"), number);
        assert_eq!(c.run("BITPOS k 0 1 a what"), "-ERR syntax error\r\n");
        assert_eq!(c.run("BITPOS k 0 1 a bit"), number);
        assert_eq!(c.run("BITPOS k 0 1 2 bit x"), "-ERR syntax error\r\n");
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("BITPOS z 0 x").starts_with("-WRONGTYPE "));
    }
}
