//! MSET and MSETNX: several strings in one step.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "mset",
        group: Group::String,
        since: "1.0.1",
        summary: "Stores several keys and values in one atomic step.",
        complexity: "O(N) for N keys written.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 2, 0),
            KeyFlags::OW.or(KeyFlags::UPDATE),
        )],
        args: &[ArgSpec {
            multiple: true,
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("value", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        }],
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        handler: mset,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "msetnx",
        group: Group::String,
        since: "1.0.1",
        summary: "Stores several keys and values in one atomic step, or none if any key exists.",
        complexity: "O(N) for N keys written.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::STRING,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 2, 0),
            KeyFlags::OW.or(KeyFlags::INSERT),
        )],
        args: &[ArgSpec {
            multiple: true,
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("value", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        }],
        handler: msetnx,
        ..CommandSpec::BLANK
    },
];

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pairs = pairs(ctx, args)?;
    store_all(ctx, pairs);
    ctx.out.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pairs = pairs(ctx, args)?;
    for pair in pairs.chunks_exact(2) {
        if ctx.ks.look(pair[0], Look::WRITE).is_some() {
            ctx.out.int(0);
            return Ok(());
        }
    }
    store_all(ctx, pairs);
    ctx.out.int(1);
    Ok(())
}

/// The words after the name, which must be an even number.
fn pairs<'a>(ctx: &Ctx<'_>, args: Args<'a>) -> Result<Args<'a>, ReplyError> {
    let pairs = &args[1..];
    if !pairs.len().is_multiple_of(2) {
        return Err(ReplyError::wrong_arity(ctx.name()));
    }
    Ok(pairs)
}

fn store_all(ctx: &mut Ctx<'_>, pairs: Args<'_>) {
    for pair in pairs.chunks_exact(2) {
        ctx.ks
            .set_string(pair[0], pair[1], StringEncoding::Auto, Ttl::Clear);
        ctx.ks.modified(pair[0]);
        ctx.ks.notify(NotifyClass::STRING, "set", pair[0]);
        ctx.ks.dirty += 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn sets_all_or_none() {
        let mut c = Client::new();
        assert_eq!(c.run("MSET a 1 b 2 a 3"), "+OK\r\n");
        assert_eq!(c.run("MGET a b"), "*2\r\n$1\r\n3\r\n$1\r\n2\r\n");
        assert_eq!(c.run("MSETNX c 1 b 9"), ":0\r\n");
        assert_eq!(c.run("EXISTS c"), ":0\r\n");
        assert_eq!(c.run("MSETNX c 1 d 1"), ":1\r\n");
        assert_eq!(
            c.run("MSET a 1 b"),
            "-ERR wrong number of arguments for 'mset' command\r\n"
        );
        assert_eq!(
            c.run("MSETNX a 1 b"),
            "-ERR wrong number of arguments for 'msetnx' command\r\n"
        );
    }

    #[test]
    fn clears_the_expiry() {
        let mut c = Client::new();
        c.run("SET a 1 EX 100");
        c.run("MSET a 2");
        assert_eq!(c.run("TTL a"), ":-1\r\n");
    }
}
