//! APPEND, SETRANGE, GETRANGE and its old name SUBSTR: parts of strings.

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "append",
        group: Group::String,
        since: "2.0.0",
        summary: "Adds bytes to the end of a string, starting from an empty one if the key is missing.",
        complexity: "O(1) amortized: spare room is kept at the end, so only the new bytes are copied.",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("value", ArgType::String),
        ],
        handler: append,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "setrange",
        group: Group::String,
        since: "2.2.0",
        summary: "Overwrites bytes of a string from an offset on, padding with zeros where needed.",
        complexity: "O(M), M being the number of bytes written; in effect O(1) for short values.",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("offset", ArgType::Integer),
            ArgSpec::new("value", ArgType::String),
        ],
        handler: setrange,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "getrange",
        group: Group::String,
        since: "2.4.0",
        summary: "Reads the bytes of a string between two offsets, both included.",
        complexity: "O(N) for N bytes returned; in effect O(1) for short results.",
        arity: 4,
        flags: Flags::READONLY,
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("end", ArgType::Integer),
        ],
        handler: getrange,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "substr",
        group: Group::String,
        summary: "Reads the bytes of a string between two offsets, both included.",
        complexity: "O(N) for N bytes returned; in effect O(1) for short results.",
        arity: 4,
        flags: Flags::READONLY,
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("start", ArgType::Integer),
            ArgSpec::new("end", ArgType::Integer),
        ],
        deprecated_since: "2.0.0",
        replaced_by: "`GETRANGE`",
        handler: substr,
        ..CommandSpec::BLANK
    },
];

/// Length of `size` bytes with `more` added.
///
/// # Errors
/// More than `proto-max-bulk-len`.
fn grown(ctx: &Ctx<'_>, size: usize, more: usize) -> Result<usize, ReplyError> {
    size.checked_add(more)
        .filter(|total| *total <= ctx.engine().settings.max_string())
        .ok_or(ReplyError::STRING_TOO_LONG)
}

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, more) = (args[1], args[2]);
    let size = ctx
        .ks
        .string_as(key, Look::WRITE)?
        .map(|found| found.bytes.len());
    let total = match size {
        None => {
            ctx.ks
                .set_string(key, more, StringEncoding::Auto, Ttl::Clear);
            more.len()
        }
        Some(size) => {
            let total = grown(ctx, size, more.len())?;
            ctx.ks
                .edit_string(key, |bytes| bytes.extend_from_slice(more));
            total
        }
    };
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STRING, "append", key);
    ctx.ks.dirty += 1;
    ctx.out.count(total);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, patch) = (args[1], args[3]);
    let offset = args::int(args[2])?;
    let offset = usize::try_from(offset).map_err(|_| ReplyError::err("offset is out of range"))?;
    let size = ctx
        .ks
        .string_as(key, Look::WRITE)?
        .map_or(0, |found| found.bytes.len());
    if patch.is_empty() {
        ctx.out.count(size);
        return Ok(());
    }
    let end = grown(ctx, offset, patch.len())?;
    ctx.ks.edit_string(key, |bytes| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(patch);
    });
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STRING, "setrange", key);
    ctx.ks.dirty += 1;
    ctx.out.count(size.max(end));
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let start = args::int(args[2])?;
    let end = args::int(args[3])?;
    let bytes = ctx.ks.string(args[1])?.unwrap_or_default();
    ctx.out.bulk(part(bytes, start, end));
    Ok(())
}

fn substr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    getrange(ctx, args)
}

/// The bytes from `start` to `end`, both included; negative ones count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let len = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let absolute = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let start = absolute(start);
    let end = absolute(end).min(len - 1);
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => bytes.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::part;
    use crate::testing::Client;

    #[test]
    fn parts() {
        assert_eq!(part(b"Hello", 0, 2), b"Hel");
        assert_eq!(part(b"Hello", -3, -1), b"llo");
        assert_eq!(part(b"Hello", -1, -3), b"");
        assert_eq!(part(b"Hello", 3, 100), b"lo");
        assert_eq!(part(b"Hello", -100, 0), b"H");
        assert_eq!(part(b"Hello", -100, -100), b"H");
        assert_eq!(part(b"Hello", 5, 9), b"");
        assert_eq!(part(b"", 0, -1), b"");
        assert_eq!(part(b"Hello", i64::MIN, i64::MAX), b"Hello");
    }

    #[test]
    fn append_makes_or_extends() {
        let mut c = Client::with_events();
        assert_eq!(c.run("APPEND k 12"), ":2\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nint\r\n");
        assert_eq!(c.run("APPEND k 3"), ":3\r\n");
        assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nraw\r\n");
        assert_eq!(c.run("GET k"), "$3\r\n123\r\n");
        assert_eq!(c.run("APPEND k \"\""), ":3\r\n");
        assert_eq!(c.events(), ["new k", "append k", "append k", "append k"]);
    }

    #[test]
    fn append_keeps_the_expiry_of_long_and_short_strings() {
        let mut c = Client::new();
        for size in [10, 1000] {
            let text = "x".repeat(size);
            c.run(&format!("SET k {text} EX 10"));
            assert_eq!(c.run("APPEND k yy"), format!(":{}\r\n", size + 2));
            assert_eq!(c.run("TTL k"), ":10\r\n");
            assert_eq!(c.run("GETRANGE k -3 -1"), "$3\r\nxyy\r\n");
        }
    }

    #[test]
    fn strings_are_bounded() {
        let mut c = Client::new();
        c.engine()
            .settings
            .proto_max_bulk_len
            .store(10, std::sync::atomic::Ordering::Relaxed);
        let long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        c.run("SET k 12345678");
        assert_eq!(c.run("APPEND k 123"), long);
        assert_eq!(c.run("SETRANGE k 9 12"), long);
        assert_eq!(c.run("SETRANGE none 10 1"), long);
        assert_eq!(c.run("SETRANGE none 9223372036854775807 1"), long);
        assert_eq!(c.run("EXISTS none"), ":0\r\n");
        assert_eq!(c.run("APPEND k 12"), ":10\r\n");
    }

    #[test]
    fn setrange_pads_with_zeros() {
        let mut c = Client::new();
        assert_eq!(c.run("SETRANGE k 2 ab"), ":4\r\n");
        assert_eq!(c.run("GET k"), "$4\r\n\0\0ab\r\n");
        assert_eq!(c.run("SETRANGE k 0 x"), ":4\r\n");
        assert_eq!(c.run("GET k"), "$4\r\nx\0ab\r\n");
        assert_eq!(c.run("SETRANGE none 0 \"\""), ":0\r\n");
        assert_eq!(c.run("EXISTS none"), ":0\r\n");
        assert_eq!(c.run("SETRANGE k 9 \"\""), ":4\r\n");
        assert_eq!(c.run("SETRANGE k -1 a"), "-ERR offset is out of range\r\n");
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("SETRANGE z 0 \"\"").starts_with("-WRONGTYPE "));
        assert!(c.run("APPEND z a").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn getrange_and_substr() {
        let mut c = Client::new();
        c.run("SET k Hello");
        assert_eq!(c.run("GETRANGE k 1 3"), "$3\r\nell\r\n");
        assert_eq!(c.run("SUBSTR k 1 3"), "$3\r\nell\r\n");
        assert_eq!(c.run("GETRANGE none 0 -1"), "$0\r\n\r\n");
        c.put_zset("z", &[("m", 1.0)]);
        assert!(c.run("GETRANGE z 0 -1").starts_with("-WRONGTYPE "));
        assert_eq!(
            c.run("GETRANGE z 0 x"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }
}
