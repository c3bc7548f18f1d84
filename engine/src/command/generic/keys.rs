//! DEL, UNLINK, EXISTS, TOUCH and TYPE.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, KeyFlags, KeySpec,
};
use crate::keyspace::{Look, NotifyClass};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        summary: "Removes keys together with their values.",
        complexity: "O(N) for N keys; freeing a collection of M elements adds O(M).",
        arity: -2,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RM.or(KeyFlags::DELETE),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: del,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "unlink",
        since: "4.0.0",
        summary: "Removes keys at once and frees their memory in the background.",
        complexity: "O(1) for each key; freeing N allocations costs O(N) on another thread.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RM.or(KeyFlags::DELETE),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: unlink,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "exists",
        summary: "Counts how many of the given keys are present.",
        complexity: "O(N) for N keys looked up.",
        arity: -2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::index(1, FindKeys::Range(-1, 1, 0), KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        history: &[("3.0.3", "More than one `key` may be given.")],
        handler: exists,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "touch",
        since: "3.2.1",
        summary: "Marks keys as just used and counts those present.",
        complexity: "O(N) for N keys.",
        arity: -2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::index(1, FindKeys::Range(-1, 1, 0), KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: touch,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "type",
        summary: "Names the data type stored at a key.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: type_of,
        ..CommandSpec::BLANK
    },
];

/// Big values are freed in the background, so UNLINK has nothing to add.
fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut removed = 0;
    for key in &args[1..] {
        if ctx.ks.exists(key) && ctx.ks.remove(key) {
            ctx.ks.modified(key);
            ctx.ks.notify(NotifyClass::GENERIC, "del", key);
            ctx.ks.dirty += 1;
            removed += 1;
        }
    }
    ctx.out.count(removed);
    Ok(())
}

fn unlink(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    del(ctx, args)
}

fn count_found(ctx: &mut Ctx<'_>, keys: Args<'_>, look: Look) -> usize {
    let found = |key: &&&[u8]| ctx.ks.look(key, look).is_some();
    keys.iter().filter(found).count()
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let found = count_found(ctx, &args[1..], Look::PEEK);
    ctx.out.count(found);
    Ok(())
}

/// Touches even for a client that asked for its reads not to.
fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let no_touch = std::mem::replace(&mut ctx.ks.no_touch, false);
    let found = count_found(ctx, &args[1..], Look::READ);
    ctx.ks.no_touch = no_touch;
    ctx.out.count(found);
    Ok(())
}

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = ctx
        .ks
        .look(args[1], Look::PEEK)
        .map_or("none", |found| found.header.kind.type_name());
    ctx.out.simple(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn removes_counts_and_tells_types() {
        let mut c = Client::with_events();
        c.run("MSET a 1 b 2");
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(c.run("TYPE a"), "+string\r\n");
        assert_eq!(c.run("TYPE z"), "+zset\r\n");
        assert_eq!(c.run("TYPE none"), "+none\r\n");
        assert_eq!(c.run("EXISTS a a none z"), ":3\r\n");
        assert_eq!(c.run("TOUCH a none z"), ":2\r\n");
        c.events();
        assert_eq!(c.run("DEL a none a z"), ":2\r\n");
        assert_eq!(c.run("UNLINK b b"), ":1\r\n");
        assert_eq!(c.events(), ["del a", "del z", "del b"]);
        assert_eq!(c.run("DBSIZE"), ":0\r\n");
    }

    #[test]
    fn an_expired_key_is_not_there_to_delete() {
        let mut c = Client::with_events();
        c.run("SET k v PX 10");
        c.now_ms += 11;
        c.events();
        let log = c.record_log();
        assert_eq!(c.run("DEL k"), ":0\r\n");
        assert_eq!(c.events(), ["expired k"]);
        assert_eq!(log.take(), ["DEL k"]);
    }

    #[test]
    fn touch_overrides_no_touch() {
        let mut c = Client::new();
        c.run("SET k v");
        c.session.no_touch = true;
        c.now_ms += 60_000;
        c.run("GET k");
        assert_eq!(c.run("OBJECT IDLETIME k"), ":60\r\n");
        c.run("TOUCH k");
        assert_eq!(c.run("OBJECT IDLETIME k"), ":0\r\n");
    }
}
