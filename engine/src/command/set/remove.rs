//! SREM and SMOVE.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::Look;
use crate::keyspace::notify::NotifyClass;
use crate::value::{Set, Value};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "srem",
        group: Group::Set,
        summary: "Takes members out of a set.",
        complexity: "O(N) for N members given.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::SET,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
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
        history: &[("2.4.0", "More than one `member` may be given.")],
        handler: srem,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "smove",
        group: Group::Set,
        summary: "Takes a member out of one set and puts it into another.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::SET,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
        ],
        handler: smove,
        ..CommandSpec::BLANK
    },
];

fn srem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let Some(set) = ctx.ks.set_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let mut removed = 0;
    for member in &args[2..] {
        removed += usize::from(set.remove(member));
        if set.is_empty() {
            break;
        }
    }
    let emptied = set.is_empty();
    if emptied {
        ctx.ks.remove(key);
    }
    if removed > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::SET, "srem", key);
        if emptied {
            ctx.ks.notify(NotifyClass::GENERIC, "del", key);
        }
        ctx.ks.dirty += removed as u64;
    }
    ctx.out.count(removed);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (source, destination, member) = (args[1], args[2], args[3]);
    let limits = ctx.engine().settings.set_limits();
    // Both keys are looked up before either type is judged.
    let from = ctx.ks.look(source, Look::WRITE).map(is_set);
    let to = ctx.ks.look(destination, Look::WRITE).map(is_set);
    match (from, to) {
        (None, _) => {
            ctx.out.int(0);
            return Ok(());
        }
        (Some(true), None | Some(true)) => {}
        _ => return Err(ReplyError::WRONG_TYPE),
    }
    let Some(set) = ctx.ks.set_mut(source)? else {
        ctx.out.int(0);
        return Ok(());
    };
    if source == destination {
        let there = set.contains(member);
        ctx.out.int(i64::from(there));
        return Ok(());
    }
    if !set.remove(member) {
        ctx.out.int(0);
        return Ok(());
    }
    let emptied = set.is_empty();
    ctx.ks.notify(NotifyClass::SET, "srem", source);
    if emptied {
        ctx.ks.remove(source);
        ctx.ks.notify(NotifyClass::GENERIC, "del", source);
    }
    let target = ctx.ks.set_or_create(destination)?;
    if target.is_empty() {
        *target = Set::create(member, 1, &limits);
    }
    let added = target.add(member, &limits);
    ctx.ks.modified(source);
    ctx.ks.dirty += 1;
    if added {
        ctx.ks.dirty += 1;
        ctx.ks.modified(destination);
        ctx.ks.notify(NotifyClass::SET, "sadd", destination);
    }
    ctx.out.int(1);
    Ok(())
}

fn is_set(found: crate::keyspace::Found<'_>) -> bool {
    matches!(found.value, Some(Value::Set(_)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn removing_the_last_member_deletes_the_key() {
        let mut c = Client::new();
        c.run("SADD s a b c");
        assert_eq!(c.run("SREM s a x a"), ":1\r\n");
        assert_eq!(c.run("SREM s x"), ":0\r\n");
        assert_eq!(c.run("SREM s b c d"), ":2\r\n");
        assert_eq!(c.engine().key_count(0), 0);
        assert_eq!(c.run("SREM s b"), ":0\r\n");
        c.run("HSET h a 1");
        assert!(c.run("SREM h a").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn smove_moves_and_cleans_up() {
        let mut c = Client::new();
        c.run("SADD a 1 x");
        c.run("SADD b x");
        assert_eq!(c.run("SMOVE a b 1"), ":1\r\n");
        assert_eq!(c.run("SMOVE a b 1"), ":0\r\n");
        assert_eq!(c.run("SMOVE a a x"), ":1\r\n");
        assert_eq!(c.run("SMOVE a a y"), ":0\r\n");
        assert_eq!(c.run("SMOVE a b x"), ":1\r\n");
        assert_eq!(c.run("SCARD b"), ":2\r\n");
        assert_eq!(c.engine().key_count(0), 1);
        assert_eq!(c.run("SMOVE b c x"), ":1\r\n");
        assert_eq!(c.run("SMEMBERS c"), "*1\r\n$1\r\nx\r\n");
    }

    #[test]
    fn smove_judges_types_only_if_there_is_a_source() {
        let mut c = Client::new();
        c.run("HSET h a 1");
        c.run("SADD s x");
        assert_eq!(c.run("SMOVE none h x"), ":0\r\n");
        assert!(c.run("SMOVE h s x").starts_with("-WRONGTYPE "));
        assert!(c.run("SMOVE s h x").starts_with("-WRONGTYPE "));
        assert!(c.run("SMOVE h none x").starts_with("-WRONGTYPE "));
        assert!(c.run("SMOVE s h none").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("SCARD s"), ":1\r\n");
    }
}
