//! SPOP.

use crate::command::args;
use crate::command::collection::bulk_element;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::env;
use crate::error::ReplyError;
use crate::keyspace::notify::NotifyClass;

/// How many members one logged SREM names at most.
const LOGGED_AT_ONCE: usize = 1024;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "spop",
    group: Group::Set,
    summary: "Takes members picked by chance out of a set.",
    complexity: "O(1) without `count`, else O(N), N being that count.",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::SET,
    keys: &[KeySpec::one(
        1,
        KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
    )],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            since: "3.2.0",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[("3.2.0", "New argument `count`.")],
    handler: spop,
    ..CommandSpec::BLANK
}];

fn spop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        2 => pop_one(ctx, args[1]),
        3 => pop_count(ctx, args[1], args::positive(args[2])?),
        _ => Err(ReplyError::SYNTAX),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: &[u8]) -> CmdResult {
    let Some(set) = ctx.ks.set_mut(key)? else {
        ctx.out.null();
        return Ok(());
    };
    let Some(member) = set.pop_random(env::random_u64()) else {
        ctx.out.null();
        return Ok(());
    };
    let emptied = set.is_empty();
    ctx.ks.notify(NotifyClass::SET, "spop", key);
    ctx.propagate(&[b"SREM", key, &member]);
    ctx.out.bulk(&member);
    if emptied {
        ctx.ks.remove(key);
        ctx.ks.notify(NotifyClass::GENERIC, "del", key);
    }
    ctx.ks.modified(key);
    ctx.ks.dirty += 1;
    Ok(())
}

fn pop_count(ctx: &mut Ctx<'_>, key: &[u8], count: usize) -> CmdResult {
    let len = match ctx.ks.set_mut(key)? {
        Some(set) if count > 0 => set.len(),
        _ => {
            ctx.out.set(0);
            return Ok(());
        }
    };
    ctx.ks.notify(NotifyClass::SET, "spop", key);
    if count >= len {
        return pop_all(ctx, key);
    }
    let limits = ctx.engine().settings.set_limits();
    let logging = ctx.engine().log.is_active();
    let mut popped: Vec<Vec<u8>> = Vec::new();
    ctx.out.set(count);
    if let Some(set) = ctx.ks.set_mut(key)? {
        set.pop_many(count, &limits, &mut env::random_u64, &mut |member| {
            bulk_element(ctx.out, member);
            if logging {
                popped.push(member.to_vec());
            }
        });
    }
    for batch in popped.chunks(LOGGED_AT_ONCE) {
        let mut words: Vec<&[u8]> = vec![b"SREM", key];
        words.extend(batch.iter().map(Vec::as_slice));
        ctx.propagate(&words);
    }
    ctx.ks.dirty += count as u64;
    ctx.ks.modified(key);
    Ok(())
}

/// Replies with all members and removes the key.
fn pop_all(ctx: &mut Ctx<'_>, key: &[u8]) -> CmdResult {
    if let Some(set) = ctx.ks.set_mut(key)? {
        ctx.out.set(set.len());
        for member in set.iter() {
            bulk_element(ctx.out, member);
        }
        ctx.ks.dirty += set.len() as u64;
    }
    ctx.ks.remove(key);
    ctx.ks.notify(NotifyClass::GENERIC, "del", key);
    ctx.propagate(&[b"DEL", key]);
    ctx.ks.modified(key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};

    use crate::log::LogSink;
    use crate::testing::Client;

    #[test]
    fn pops_each_member_once() {
        for members in ["1 2 3 4 5", "a b c d e", "1 2 a b c"] {
            let mut c = Client::new();
            c.run(&format!("SADD s {members}"));
            let popped: HashSet<String> = (0..5).map(|_| c.run("SPOP s")).collect();
            assert_eq!(popped.len(), 5);
            assert_eq!(c.engine().key_count(0), 0);
            assert_eq!(c.run("SPOP s"), "$-1\r\n");
        }
    }

    #[test]
    fn counts() {
        let mut c = Client::new();
        assert_eq!(c.run("SPOP none 3"), "*0\r\n");
        c.run("SADD s 1 2 3");
        assert_eq!(c.run("SPOP s 0"), "*0\r\n");
        assert_eq!(
            c.run("SPOP s -1"),
            "-ERR value is out of range, must be positive\r\n"
        );
        assert_eq!(
            c.run("SPOP s x"),
            "-ERR value is out of range, must be positive\r\n"
        );
        assert_eq!(c.run("SPOP s 1 2"), "-ERR syntax error\r\n");
        assert!(c.run("SPOP s 2").starts_with("*2\r\n"));
        assert_eq!(c.run("SCARD s"), ":1\r\n");
        c.session.resp = 3;
        assert!(c.run("SPOP s 9").starts_with("~1\r\n"));
        assert_eq!(c.run("SPOP s 9"), "~0\r\n");
        assert_eq!(c.run("SPOP s"), "_\r\n");
        c.run("HSET h a 1");
        assert!(c.run("SPOP h").starts_with("-WRONGTYPE "));
        assert!(c.run("SPOP h 0").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn big_sets_give_distinct_members() {
        let mut c = Client::new();
        for count in [10, 600, 990, 999] {
            c.run("SPOP s 100000");
            for n in 0..1000 {
                c.run(&format!("SADD s member:{n}"));
            }
            let reply = c.run(&format!("SPOP s {count}"));
            let popped: HashSet<&str> =
                reply.lines().filter(|l| l.starts_with("member:")).collect();
            assert_eq!(popped.len(), count);
            assert_eq!(c.run("SCARD s"), format!(":{}\r\n", 1000 - count));
            for member in popped {
                assert_eq!(c.run(&format!("SISMEMBER s {member}")), ":0\r\n");
            }
        }
    }

    type Lines = Arc<Mutex<Vec<Vec<String>>>>;

    struct Recorder(Lines);

    impl LogSink for Recorder {
        fn effect(&self, _index: u64, _db: usize, args: &[&[u8]]) {
            let words = args
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned());
            self.0.lock().unwrap().push(words.collect());
        }
    }

    #[test]
    fn what_is_logged_does_not_depend_on_chance() {
        let mut c = Client::new();
        let log = Lines::default();
        c.engine().log.attach(Box::new(Recorder(log.clone())));
        let logged = |c: &mut Client, line: &str| -> Vec<Vec<String>> {
            log.lock().unwrap().clear();
            c.run(line);
            log.lock().unwrap().clone()
        };
        c.run("SADD s 1 2 3 4");
        let one = logged(&mut c, "SPOP s");
        assert_eq!((one.len(), one[0].len(), &*one[0][0]), (1, 3, "SREM"));
        let two = logged(&mut c, "SPOP s 2");
        assert_eq!((two.len(), two[0].len(), &*two[0][0]), (1, 4, "SREM"));
        assert!(!two[0].contains(&one[0][2]));
        assert_eq!(logged(&mut c, "SPOP s 2"), [["DEL", "s"]]);
        assert!(logged(&mut c, "SPOP s 2").is_empty());
        let members: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
        c.run(&format!("SADD s {}", members.join(" ")));
        let many = logged(&mut c, "SPOP s 2000");
        let lens: Vec<usize> = many.iter().map(Vec::len).collect();
        assert_eq!(lens, [1, 1026, 978, 1], "MULTI, two batches, EXEC");
    }
}
