//! HGETALL, HKEYS and HVALS.

use crate::command::collection::bulk_element;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::value::Hash;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetall",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Reads a whole hash, fields and values.",
        complexity: "O(N) for N fields.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: hgetall,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hkeys",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Lists the field names of a hash.",
        complexity: "O(N) for N fields.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: hkeys,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hvals",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Lists the values of a hash.",
        complexity: "O(N) for N fields.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: hvals,
        ..CommandSpec::BLANK
    },
];

fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(args[1])?;
    ctx.out.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.iter().flat_map(|hash| hash.iter()) {
        bulk_element(ctx.out, field);
        bulk_element(ctx.out, value);
    }
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(args[1])?;
    ctx.out.array(hash.map_or(0, Hash::len));
    for (field, _) in hash.iter().flat_map(|hash| hash.iter()) {
        bulk_element(ctx.out, field);
    }
    Ok(())
}

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(args[1])?;
    ctx.out.array(hash.map_or(0, Hash::len));
    for (_, value) in hash.iter().flat_map(|hash| hash.iter()) {
        bulk_element(ctx.out, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn a_whole_hash_is_a_map_in_resp3() {
        let mut c = Client::new();
        c.run("HSET h b 1 a x");
        let pairs = "$1\r\nb\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\nx\r\n";
        assert_eq!(c.run("HGETALL h"), format!("*4\r\n{pairs}"));
        assert_eq!(c.run("HGETALL none"), "*0\r\n");
        assert_eq!(c.run("HKEYS h"), "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
        assert_eq!(c.run("HVALS h"), "*2\r\n$1\r\n1\r\n$1\r\nx\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("HGETALL h"), format!("%2\r\n{pairs}"));
        assert_eq!(c.run("HGETALL none"), "%0\r\n");
        assert_eq!(c.run("HKEYS none"), "*0\r\n");
        assert_eq!(c.run("HVALS none"), "*0\r\n");
    }

    #[test]
    fn a_big_hash_comes_whole() {
        let mut c = Client::new();
        for n in 0..1000 {
            c.run(&format!("HSET h field:{n} {n}"));
        }
        assert_eq!(c.run("HLEN h"), ":1000\r\n");
        let reply = c.run("HGETALL h");
        assert!(reply.starts_with("*2000\r\n"));
        assert_eq!(reply.matches("field:").count(), 1000);
        for line in ["HGETALL s", "HKEYS s", "HVALS s"] {
            c.run("SADD s x");
            assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
        }
    }
}
