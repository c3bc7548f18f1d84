//! SRANDMEMBER.

use crate::command::collection::{bulk_element, check_sample, sample_count};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::env;
use crate::error::ReplyError;
use crate::reply::Reply;
use crate::value::Set;
use crate::value::set::distinct_ranks;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "srandmember",
    group: Group::Set,
    summary: "Picks members of a set by chance and leaves them there.",
    complexity: "O(1) without `count`, else O(N), N being its absolute value.",
    arity: -2,
    flags: Flags::READONLY,
    acl: Acl::SET,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            since: "2.6.0",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[("2.6.0", "New optional argument `count`.")],
    handler: srandmember,
    ..CommandSpec::BLANK
}];

fn srandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let count = match args {
        [_, key] => {
            let set = ctx.ks.set(key)?;
            match set.and_then(|set| set.random(env::random_u64())) {
                Some(member) => bulk_element(ctx.out, member),
                None => ctx.out.null(),
            }
            return Ok(());
        }
        [_, _, count] => count,
        _ => return Err(ReplyError::SYNTAX),
    };
    let (count, repeat) = sample_count(count)?;
    let most = ctx.engine().settings.max_string();
    let Some(set) = ctx.ks.set(args[1])? else {
        ctx.out.array(0);
        return Ok(());
    };
    if repeat {
        let count = check_sample(most, count, || (set.len(), set.heap_bytes()))?;
        with_repetition(ctx.out, set, count);
        return Ok(());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
    ctx.out.array(count);
    let ranks = distinct_ranks(set.len(), count, &mut env::random_u64);
    set.at_ranks(&ranks, &mut |member| bulk_element(ctx.out, member));
    Ok(())
}

fn with_repetition(out: &mut Reply, set: &Set, count: usize) {
    out.array(count);
    // Reaching a member of a listpack is a walk: one walk for all.
    let packed: Vec<_> = match set {
        Set::Packed(_) if count > 1 => set.iter().collect(),
        _ => Vec::new(),
    };
    for _ in 0..count {
        let picked = if packed.is_empty() {
            set.random(env::random_u64())
        } else {
            packed.get(env::random_below(packed.len())).copied()
        };
        if let Some(member) = picked {
            bulk_element(out, member);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::testing::Client;

    #[test]
    fn one_some_and_repeated_members() {
        let mut c = Client::new();
        assert_eq!(c.run("SRANDMEMBER none"), "$-1\r\n");
        assert_eq!(c.run("SRANDMEMBER none 2"), "*0\r\n");
        c.run("SADD s x");
        assert_eq!(c.run("SRANDMEMBER s"), "$1\r\nx\r\n");
        assert_eq!(c.run("SRANDMEMBER s 0"), "*0\r\n");
        let once = "*1\r\n$1\r\nx\r\n";
        assert_eq!(c.run("SRANDMEMBER s 9223372036854775807"), once);
        assert_eq!(c.run("SRANDMEMBER s -2"), "*2\r\n$1\r\nx\r\n$1\r\nx\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("SRANDMEMBER s 2"), once, "an array, not a set");
    }

    #[test]
    fn distinct_members_of_all_encodings() {
        let mut c = Client::new();
        for (key, prefix, total) in [("i", "1", 300), ("p", "m", 100), ("t", "m", 900)] {
            for n in 1000..1000 + total {
                c.run(&format!("SADD {key} {prefix}{n}"));
            }
            for count in [1, 10, 90, 600, 2000] {
                let reply = c.run(&format!("SRANDMEMBER {key} {count}"));
                let members: HashSet<&str> = reply.lines().filter(|l| l.len() == 5).collect();
                assert_eq!(members.len(), count.min(total), "{key} {count}");
            }
            let reply = c.run(&format!("SRANDMEMBER {key} -2000"));
            let members: HashSet<&str> = reply.lines().filter(|l| l.len() == 5).collect();
            assert!(reply.starts_with("*2000\r\n") && members.len() > total / 2);
            assert_eq!(c.run(&format!("SCARD {key}")), format!(":{total}\r\n"));
        }
    }

    #[test]
    fn counts_are_checked_before_the_key() {
        let mut c = Client::new();
        c.run("HSET h a 1");
        c.run("SADD s x");
        for (line, error) in [
            (
                "SRANDMEMBER h x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "SRANDMEMBER h -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
            ),
            ("SRANDMEMBER h 1 2", "-ERR syntax error\r\n"),
            (
                "SRANDMEMBER s -2147483648",
                "-ERR value is out of range\r\n",
            ),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
        assert!(c.run("SRANDMEMBER h").starts_with("-WRONGTYPE "));
        assert!(c.run("SRANDMEMBER h 1").starts_with("-WRONGTYPE "));
    }
}
