//! HSET, HMSET and HSETNX.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::notify::NotifyClass;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hset",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Writes fields of a hash, creating it if needed.",
        complexity: "O(N) for N fields given.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                args: &[
                    ArgSpec::new("field", ArgType::String),
                    ArgSpec::new("value", ArgType::String),
                ],
                ..ArgSpec::new("data", ArgType::Block)
            },
        ],
        history: &[("4.0.0", "More than one `field` and `value` may be given.")],
        handler: hset,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hmset",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Writes several fields of a hash.",
        complexity: "O(N) for N fields given.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                multiple: true,
                args: &[
                    ArgSpec::new("field", ArgType::String),
                    ArgSpec::new("value", ArgType::String),
                ],
                ..ArgSpec::new("data", ArgType::Block)
            },
        ],
        deprecated_since: "4.0.0",
        replaced_by: "`HSET` with multiple field-value pairs",
        handler: hmset,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hsetnx",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Writes a field of a hash unless it is there already.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("field", ArgType::String),
            ArgSpec::new("value", ArgType::String),
        ],
        handler: hsetnx,
        ..CommandSpec::BLANK
    },
];

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let new = set_pairs(ctx, args)?;
    ctx.out.count(new);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    set_pairs(ctx, args)?;
    ctx.out.ok();
    Ok(())
}

/// Sets all pairs and returns how many fields are new.
fn set_pairs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<usize, ReplyError> {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ReplyError::wrong_arity(ctx.name()));
    }
    let key = args[1];
    let limits = ctx.engine().settings.hash_limits();
    let hash = ctx.ks.hash_or_create(key)?;
    hash.prepare(args[2..].iter().copied(), &limits);
    let mut new = 0;
    for [field, value] in pairs {
        new += usize::from(hash.set(field, value, &limits));
    }
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::HASH, "hset", key);
    ctx.ks.dirty += pairs.len() as u64;
    Ok(new)
}

fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, field, value) = (args[1], args[2], args[3]);
    let limits = ctx.engine().settings.hash_limits();
    let hash = ctx.ks.hash_or_create(key)?;
    if hash.contains(field) {
        ctx.out.int(0);
        return Ok(());
    }
    hash.prepare([field, value].into_iter(), &limits);
    hash.set(field, value, &limits);
    ctx.out.int(1);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::HASH, "hset", key);
    ctx.ks.dirty += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn hset_counts_new_fields_and_hmset_says_ok() {
        let mut c = Client::new();
        assert_eq!(c.run("HSET h a 1 b 2 a 3"), ":2\r\n");
        assert_eq!(c.run("HSET h a 4"), ":0\r\n");
        assert_eq!(c.run("HMSET h c 5"), "+OK\r\n");
        assert_eq!(
            c.run("HMGET h a b c"),
            "*3\r\n$1\r\n4\r\n$1\r\n2\r\n$1\r\n5\r\n"
        );
    }

    #[test]
    fn a_field_without_value_is_an_arity_error_under_the_name_called() {
        let mut c = Client::new();
        let error = |name: &str| format!("-ERR wrong number of arguments for '{name}' command\r\n");
        assert_eq!(c.run("HSET h a"), error("hset"));
        assert_eq!(c.run("HSET h a 1 b"), error("hset"));
        assert_eq!(c.run("HmSeT h a 1 b"), error("hmset"));
        assert_eq!(c.run("HLEN h"), ":0\r\n");
    }

    #[test]
    fn hsetnx_sets_only_what_is_missing() {
        let mut c = Client::new();
        assert_eq!(c.run("HSETNX h a 1"), ":1\r\n");
        assert_eq!(c.run("HSETNX h a 2"), ":0\r\n");
        assert_eq!(c.run("HSETNX h b 3"), ":1\r\n");
        assert_eq!(c.run("HGET h a"), "$1\r\n1\r\n");
        c.run("SADD s x");
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        assert_eq!(c.run("HSETNX s a 1"), wrong);
        assert_eq!(c.run("HSET s a 1"), wrong);
    }
}
