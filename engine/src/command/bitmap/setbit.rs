//! SETBIT and GETBIT.

use super::bits;
use super::range::offset;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::{Kind, Look, NotifyClass};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "setbit",
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Writes one bit of a string, which grows if needed.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::BITMAP,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("offset", ArgType::Integer),
            ArgSpec::new("value", ArgType::Integer),
        ],
        handler: setbit,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "getbit",
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Reads one bit of a string.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::BITMAP,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("offset", ArgType::Integer),
        ],
        handler: getbit,
        ..CommandSpec::BLANK
    },
];

/// Texts of a value that is not 0 or 1.
const NOT_A_BIT: &str = "bit is not an integer or out of range";

fn setbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let at = offset(ctx, args[2], None)?;
    let on = args::int_in(args[3], 0, 1, NOT_A_BIT)? == 1;
    let found = ctx.ks.string_as(key, Look::WRITE)?;
    let before = found
        .as_ref()
        .is_some_and(|found| bits::get(found.bytes, at));
    let len = at / 8 + 1;
    let grows = found.as_ref().is_none_or(|found| found.bytes.len() < len);
    let changed = grows || before != on;
    // Even where no bit changes the value is a plain string from now on.
    if changed || found.is_some_and(|found| found.header.kind != Kind::Raw) {
        ctx.ks.edit_string(key, |bytes| {
            bits::grow(bytes, len);
            bits::set(bytes, at, on);
        });
    }
    if changed {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::STRING, "setbit", key);
        ctx.ks.dirty += 1;
    }
    ctx.out.int(before.into());
    Ok(())
}

fn getbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let at = offset(ctx, args[2], None)?;
    let bytes = ctx.ks.string(args[1])?.unwrap_or_default();
    ctx.out.int(bits::get(bytes, at).into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::testing::Client;

    const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range\r\n";
    const BAD_BIT: &str = "-ERR bit is not an integer or out of range\r\n";

    #[test]
    fn setbit_answers_the_bit_before() {
        let mut c = Client::with_events();
        let log = c.record_log();
        assert_eq!(c.run("SETBIT k 1 1"), ":0\r\n");
        assert_eq!(c.run("GET k"), "$1\r\n@\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nraw\r\n");
        assert_eq!(c.run("SETBIT k 1 1"), ":1\r\n");
        assert_eq!(c.run("SETBIT k 15 0"), ":0\r\n");
        assert_eq!(c.run("STRLEN k"), ":2\r\n");
        assert_eq!(c.run("SETBIT k 1 0"), ":1\r\n");
        assert_eq!(c.run("GET k"), "$2\r\n\0\0\r\n");
        assert_eq!(c.events(), ["new k", "setbit k", "setbit k", "setbit k"]);
        assert_eq!(
            log.take(),
            ["SETBIT k 1 1", "SETBIT k 15 0", "SETBIT k 1 0"]
        );
    }

    #[test]
    fn setbit_makes_a_number_plain_and_keeps_its_expiry() {
        let mut c = Client::new();
        c.run("SET k 1 EX 10");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nint\r\n");
        assert_eq!(c.run("SETBIT k 2 1"), ":1\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nraw\r\n");
        assert_eq!(c.run("SETBIT k 6 1"), ":0\r\n");
        assert_eq!(c.run("GET k"), "$1\r\n3\r\n");
        assert_eq!(c.run("SETBIT k 80000 1"), ":0\r\n");
        assert_eq!(c.run("STRLEN k"), ":10001\r\n");
        assert_eq!(c.run("GETBIT k 80000"), ":1\r\n");
        assert_eq!(c.run("TTL k"), ":10\r\n");
    }

    #[test]
    fn offsets_and_bits_are_checked() {
        let mut c = Client::new();
        for offset in ["-1", "x", "1.5", "#1", "4294967296", "9223372036854775808"] {
            assert_eq!(c.run(&format!("SETBIT k {offset} x")), BAD_OFFSET);
            assert_eq!(c.run(&format!("GETBIT k {offset}")), BAD_OFFSET);
        }
        for bit in ["-1", "2", "x", "20"] {
            assert_eq!(c.run(&format!("SETBIT k 1 {bit}")), BAD_BIT);
        }
        assert_eq!(c.run("GETBIT k 4294967295"), ":0\r\n");
        c.engine().settings.proto_max_bulk_len.store(2, Relaxed);
        assert_eq!(c.run("SETBIT k 16 1"), BAD_OFFSET);
        assert_eq!(c.run("EXISTS k"), ":0\r\n");
        assert_eq!(c.run("SETBIT k 15 1"), ":0\r\n");
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("SETBIT z 0 1").starts_with("-WRONGTYPE "));
        assert!(c.run("GETBIT z 0").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("SETBIT z 0 2"), BAD_BIT);
    }

    #[test]
    fn getbit_reads_numbers_too() {
        let mut c = Client::new();
        c.run("SET k 1");
        assert_eq!(c.run("GETBIT k 2"), ":1\r\n");
        assert_eq!(c.run("GETBIT k 7"), ":1\r\n");
        assert_eq!(c.run("GETBIT k 6"), ":0\r\n");
        assert_eq!(c.run("GETBIT k 8"), ":0\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nint\r\n");
    }
}
