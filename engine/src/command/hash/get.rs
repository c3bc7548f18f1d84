//! HGET, HMGET, HEXISTS, HSTRLEN and HLEN.

use crate::command::collection::bulk_element;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::value::Hash;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hget",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Reads one field of a hash.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
        ],
        handler: hget,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hmget",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Reads the given fields of a hash.",
        complexity: "O(N) for N fields given.",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("field", ArgType::String)
            },
        ],
        handler: hmget,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hexists",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Tells whether a hash has a field.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
        ],
        handler: hexists,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hstrlen",
        group: Group::Hash,
        since: "3.2.0",
        summary: "Tells how many bytes the value of a hash field has.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
        ],
        handler: hstrlen,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hlen",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Counts the fields of a hash.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: hlen,
        ..CommandSpec::BLANK
    },
];

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.ks.hash(args[1])?.and_then(|hash| hash.get(args[2])) {
        Some(value) => bulk_element(ctx.out, value),
        None => ctx.out.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(args[1])?;
    let fields = &args[2..];
    ctx.out.array(fields.len());
    for field in fields {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => bulk_element(ctx.out, value),
            None => ctx.out.null(),
        }
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(args[1])?;
    let found = hash.is_some_and(|hash| hash.contains(args[2]));
    ctx.out.int(i64::from(found));
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let len = ctx
        .ks
        .hash(args[1])?
        .map_or(0, |hash| hash.str_len(args[2]));
    ctx.out.count(len);
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let len = ctx.ks.hash(args[1])?.map_or(0, Hash::len);
    ctx.out.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn reads_of_present_and_missing_fields_and_keys() {
        let mut c = Client::new();
        c.run("HSET h a 1 b xyz");
        assert_eq!(c.run("HGET h b"), "$3\r\nxyz\r\n");
        assert_eq!(c.run("HGET h none"), "$-1\r\n");
        assert_eq!(c.run("HGET none a"), "$-1\r\n");
        assert_eq!(c.run("HMGET none a b"), "*2\r\n$-1\r\n$-1\r\n");
        assert_eq!(c.run("HMGET h a none"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(c.run("HEXISTS h a"), ":1\r\n");
        assert_eq!(c.run("HEXISTS h z"), ":0\r\n");
        assert_eq!(c.run("HEXISTS none z"), ":0\r\n");
        assert_eq!(c.run("HSTRLEN h b"), ":3\r\n");
        assert_eq!(c.run("HSTRLEN h z"), ":0\r\n");
        assert_eq!(c.run("HLEN h"), ":2\r\n");
        assert_eq!(c.run("HLEN none"), ":0\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("HGET h none"), "_\r\n");
        assert_eq!(c.run("HMGET h none"), "*1\r\n_\r\n");
    }

    #[test]
    fn other_types_are_refused() {
        let mut c = Client::new();
        c.run("SADD s x");
        for line in [
            "HGET s a",
            "HMGET s a",
            "HEXISTS s a",
            "HSTRLEN s a",
            "HLEN s",
        ] {
            assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
        }
    }
}
