//! SISMEMBER, SMISMEMBER, SCARD and SMEMBERS.

use crate::command::collection::bulk_element;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::value::Set;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sismember",
        group: Group::Set,
        summary: "Tells whether a set has a member.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SET,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
        ],
        handler: sismember,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "smismember",
        group: Group::Set,
        since: "6.2.0",
        summary: "Tells for each of several members whether a set has it.",
        complexity: "O(N) for N members asked about.",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("member", ArgType::String)
            },
        ],
        handler: smismember,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "scard",
        group: Group::Set,
        summary: "Counts the members of a set.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::SET,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: scard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "smembers",
        group: Group::Set,
        summary: "Lists every member of a set.",
        complexity: "O(N), N being the size of the set.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: smembers,
        ..CommandSpec::BLANK
    },
];

fn sismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.ks.set(args[1])?;
    let found = set.is_some_and(|set| set.contains(args[2]));
    ctx.out.int(i64::from(found));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.ks.set(args[1])?;
    let members = &args[2..];
    ctx.out.array(members.len());
    for member in members {
        let found = set.is_some_and(|set| set.contains(member));
        ctx.out.int(i64::from(found));
    }
    Ok(())
}

fn scard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let len = ctx.ks.set(args[1])?.map_or(0, Set::len);
    ctx.out.count(len);
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let set = ctx.ks.set(args[1])?;
    ctx.out.set(set.map_or(0, Set::len));
    for member in set.iter().flat_map(|set| set.iter()) {
        bulk_element(ctx.out, member);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn membership_size_and_all_members() {
        let mut c = Client::new();
        c.run("SADD s 1 x");
        assert_eq!(c.run("SISMEMBER s 1"), ":1\r\n");
        assert_eq!(c.run("SISMEMBER s 01"), ":0\r\n");
        assert_eq!(c.run("SISMEMBER none 1"), ":0\r\n");
        assert_eq!(c.run("SMISMEMBER s 1 y x"), "*3\r\n:1\r\n:0\r\n:1\r\n");
        assert_eq!(c.run("SMISMEMBER none 1 y"), "*2\r\n:0\r\n:0\r\n");
        assert_eq!(c.run("SCARD s"), ":2\r\n");
        assert_eq!(c.run("SCARD none"), ":0\r\n");
        assert_eq!(c.run("SMEMBERS none"), "*0\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("SMEMBERS s"), "~2\r\n$1\r\n1\r\n$1\r\nx\r\n");
        assert_eq!(c.run("SMEMBERS none"), "~0\r\n");
        assert_eq!(c.run("SISMEMBER s 1"), ":1\r\n");
        c.run("HSET h a 1");
        for line in ["SISMEMBER h a", "SMISMEMBER h a", "SCARD h", "SMEMBERS h"] {
            assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
        }
    }
}
