//! SADD.

use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::notify::NotifyClass;
use crate::value::Set;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "sadd",
    group: Group::Set,
    summary: "Puts members into a set, creating it if needed.",
    complexity: "O(N) for N members given.",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    acl: Acl::SET,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::INSERT))],
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
    handler: sadd,
    ..CommandSpec::BLANK
}];

fn sadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, members) = (args[1], &args[2..]);
    let limits = ctx.engine().settings.set_limits();
    let set = ctx.ks.set_or_create(key)?;
    if set.is_empty() {
        *set = Set::create(members[0], members.len(), &limits);
    } else {
        set.prepare(members.len(), &limits);
    }
    let mut added = 0;
    for member in members {
        added += usize::from(set.add(member, &limits));
    }
    if added > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::SET, "sadd", key);
    }
    ctx.ks.dirty += added as u64;
    ctx.out.count(added);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn counts_what_is_new() {
        let mut c = Client::new();
        assert_eq!(c.run("SADD s 3 1 2 1"), ":3\r\n");
        assert_eq!(c.run("SADD s 1"), ":0\r\n");
        assert_eq!(c.run("SADD s x 1"), ":1\r\n");
        assert_eq!(
            c.run("SMEMBERS s"),
            "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\nx\r\n"
        );
        c.run("HSET h a 1");
        assert!(c.run("SADD h x").starts_with("-WRONGTYPE "));
    }
}
