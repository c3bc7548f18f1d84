//! BITOP.
//!
//! The result is folded one source at a time, each in one pass that the compiler turns into
//! vector code, so no source is copied but the first.

use std::sync::Arc;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Kind, NotifyClass};
use crate::value::Value;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "bitop",
    group: Group::Bitmap,
    since: "2.6.0",
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N), N being the length of the longest string.",
    arity: -4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    acl: Acl::BITMAP,
    keys: &[
        KeySpec::one(2, KeyFlags::OW.or(KeyFlags::UPDATE)),
        KeySpec::index(
            3,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        ),
    ],
    args: &[
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "AND",
                    ..ArgSpec::new("and", ArgType::PureToken)
                },
                ArgSpec {
                    token: "OR",
                    ..ArgSpec::new("or", ArgType::PureToken)
                },
                ArgSpec {
                    token: "XOR",
                    ..ArgSpec::new("xor", ArgType::PureToken)
                },
                ArgSpec {
                    token: "NOT",
                    ..ArgSpec::new("not", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("operation", ArgType::OneOf)
        },
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("destkey", ArgType::Key)
        },
        ArgSpec {
            key_spec: 1,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        },
    ],
    handler: bitop,
    ..CommandSpec::BLANK
}];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    And,
    Or,
    Xor,
    Not,
}

impl Op {
    fn parse(word: &[u8]) -> Result<Op, ReplyError> {
        [
            ("and", Op::And),
            ("or", Op::Or),
            ("xor", Op::Xor),
            ("not", Op::Not),
        ]
        .into_iter()
        .find_map(|(name, op)| args::is(word, name).then_some(op))
        .ok_or(ReplyError::SYNTAX)
    }

    /// Combines `more` into `acc`, the shorter one going on with zeros.
    fn fold(self, acc: &mut Vec<u8>, more: &[u8]) {
        if acc.len() < more.len() {
            acc.resize(more.len(), 0);
        }
        let (shared, beyond) = acc.split_at_mut(more.len());
        let pairs = shared.iter_mut().zip(more);
        match self {
            Op::And => {
                pairs.for_each(|(a, b)| *a &= b);
                beyond.fill(0);
            }
            Op::Or => pairs.for_each(|(a, b)| *a |= b),
            Op::Xor => pairs.for_each(|(a, b)| *a ^= b),
            Op::Not => {}
        }
    }
}

fn bitop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let op = Op::parse(args[1])?;
    let target = args[2];
    if op == Op::Not && args.len() != 4 {
        return Err(ReplyError::err(
            "BITOP NOT must be called with a single source key.",
        ));
    }
    let mut result = ctx.ks.string(args[3])?.unwrap_or_default().to_vec();
    for key in &args[4..] {
        op.fold(&mut result, ctx.ks.string(key)?.unwrap_or_default());
    }
    if op == Op::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let len = result.len();
    if len > 0 {
        let value = Value::Str(Arc::new(result));
        ctx.ks.put_value(target, value, Kind::Raw, None);
        ctx.ks.modified(target);
        ctx.ks.notify(NotifyClass::STRING, "set", target);
        ctx.ks.dirty += 1;
    } else if ctx.ks.remove(target) {
        ctx.ks.modified(target);
        ctx.ks.notify(NotifyClass::GENERIC, "del", target);
        ctx.ks.dirty += 1;
    }
    ctx.out.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn operations() {
        let mut c = Client::new();
        c.run_words(&[b"SET", b"a", b"\x01\x02\xff"]);
        c.run_words(&[b"SET", b"b", b"\x01\x02\xff\xff"]);
        for (line, reply) in [
            ("BITOP and d a b", &b"\x01\x02\xff\x00"[..]),
            ("BITOP AND d b a none", b"\0\0\0\0"),
            ("BITOP or d none a b", b"\x01\x02\xff\xff"),
            ("BITOP xor d a b", b"\0\0\0\xff"),
            ("BITOP not d b", b"\xfe\xfd\0\0"),
            ("BITOP not d d", b"\x01\x02\xff\xff"),
        ] {
            assert_eq!(c.run(line), format!(":{}\r\n", reply.len()), "{line}");
            let expected = [b"$4\r\n", reply, b"\r\n"].concat();
            assert_eq!(c.run_words(&[b"GET", b"d"]), expected, "{line}");
            assert_eq!(c.run("OBJECT ENCODING d"), "$3\r\nraw\r\n");
        }
        let long = [0x0f; 1000];
        c.run_words(&[b"SET", b"long", &long]);
        c.run("SET d x EX 10");
        assert_eq!(c.run("BITOP XOR d long a"), ":1000\r\n");
        assert_eq!(c.run("TTL d"), ":-1\r\n");
        assert_eq!(
            c.run_words(&[b"GETRANGE", b"d", b"2", b"3"]),
            b"$2\r\n\xf0\x0f\r\n"
        );
    }

    #[test]
    fn an_empty_result_removes_the_target() {
        let mut c = Client::with_events();
        assert_eq!(c.run("BITOP OR d x y"), ":0\r\n");
        assert_eq!(c.events(), ["keymiss x", "keymiss y"]);
        c.run("SADD d x");
        c.events();
        assert_eq!(c.run("BITOP NOT d x"), ":0\r\n");
        assert_eq!(c.events(), ["keymiss x", "del d"]);
        c.run("SET a 1");
        c.run("SADD d x");
        c.events();
        assert_eq!(c.run("BITOP OR d a x"), ":1\r\n");
        assert_eq!(c.events(), ["keymiss x", "set d"]);
    }

    #[test]
    fn words_are_checked() {
        let mut c = Client::new();
        assert_eq!(c.run("BITOP what d a"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("BITOP NOT d a b"),
            "-ERR BITOP NOT must be called with a single source key.\r\n"
        );
        c.put_zset("z", &[("m", 1.0)]);
        c.run("SET a 1");
        assert!(c.run("BITOP OR d a z").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("EXISTS d"), ":0\r\n");
    }
}
