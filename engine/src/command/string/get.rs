//! GET, STRLEN and MGET: plain reads.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        group: Group::String,
        summary: "Reads the string stored at a key.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: get,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "strlen",
        group: Group::String,
        since: "2.2.0",
        summary: "Tells how many bytes a string has.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: strlen,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "mget",
        group: Group::String,
        summary: "Reads several keys at once; what is missing or no string comes back as null.",
        complexity: "O(N) for N keys read.",
        arity: -2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["request_policy:multi_shard"],
        handler: mget,
        ..CommandSpec::BLANK
    },
];

/// Replies with the string at `key` or null.
pub(super) fn reply_string(ctx: &mut Ctx<'_>, key: &[u8]) -> CmdResult {
    let value = ctx.ks.string(key)?;
    ctx.out.bulk_opt(value);
    Ok(())
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if let Some(found) = ctx.ks.hit(args[1]) {
        if !found.header.kind.is_string() {
            return Err(ReplyError::WRONG_TYPE);
        }
        ctx.out.bulk(found.bytes);
        return Ok(());
    }
    reply_string(ctx, args[1])
}

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let length = ctx.ks.string(args[1])?.map_or(0, <[u8]>::len);
    ctx.out.count(length);
    Ok(())
}

/// A key of another type reads as missing here, unlike everywhere else.
fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.out.array(args.len() - 1);
    for key in &args[1..] {
        let value = ctx.ks.string(key).unwrap_or(None);
        ctx.out.bulk_opt(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn reads_strings_and_refuses_other_types() {
        let mut c = Client::new();
        c.run("SET k hello");
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(c.run("GET k"), "$5\r\nhello\r\n");
        assert_eq!(c.run("GET none"), "$-1\r\n");
        assert!(c.run("GET z").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("STRLEN k"), ":5\r\n");
        assert_eq!(c.run("STRLEN none"), ":0\r\n");
        assert!(c.run("STRLEN z").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn null_follows_the_protocol() {
        let mut c = Client::new();
        c.session.resp = 3;
        assert_eq!(c.run("GET none"), "_\r\n");
        assert_eq!(c.run("MGET none"), "*1\r\n_\r\n");
    }

    #[test]
    fn mget_reads_other_types_as_missing() {
        let mut c = Client::new();
        c.run("SET k v");
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(
            c.run("MGET k z none k"),
            "*4\r\n$1\r\nv\r\n$-1\r\n$-1\r\n$1\r\nv\r\n"
        );
    }
}
