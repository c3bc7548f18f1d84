//! HDEL.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::notify::NotifyClass;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "hdel",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Removes fields from a hash.",
    complexity: "O(N) for N fields given.",
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::HASH,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
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
    history: &[("2.4.0", "More than one `field` may be given.")],
    handler: hdel,
    ..CommandSpec::BLANK
}];

fn hdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let Some(hash) = ctx.ks.hash_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let mut deleted = 0;
    for field in &args[2..] {
        deleted += usize::from(hash.remove(field));
        if hash.is_empty() {
            break;
        }
    }
    let emptied = hash.is_empty();
    if emptied {
        ctx.ks.remove(key);
    }
    if deleted > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::HASH, "hdel", key);
        if emptied {
            ctx.ks.notify(NotifyClass::GENERIC, "del", key);
        }
        ctx.ks.dirty += deleted as u64;
    }
    ctx.out.count(deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn deleting_the_last_field_deletes_the_key() {
        let mut c = Client::new();
        c.run("HSET h a 1 b 2 c 3");
        assert_eq!(c.run("HDEL h a none a"), ":1\r\n");
        assert_eq!(c.run("HDEL h none"), ":0\r\n");
        assert_eq!(c.engine().key_count(0), 1);
        assert_eq!(c.run("HDEL h b c x"), ":2\r\n");
        assert_eq!(c.engine().key_count(0), 0);
        assert_eq!(c.run("HDEL h b"), ":0\r\n");
        c.run("SADD s x");
        assert!(c.run("HDEL s x").starts_with("-WRONGTYPE "));
    }
}
