//! SSCAN.

use crate::command::collection::{ScanOptions, empty_scan, reply_scan, scan_cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "sscan",
    group: Group::Set,
    since: "2.8.0",
    summary: "Walks through the members of a set a few at a time, guided by a cursor.",
    complexity: "O(1) a call; O(N) for the whole walk, N being the number of members.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::SET,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("cursor", ArgType::Integer),
        ArgSpec {
            token: "MATCH",
            optional: true,
            ..ArgSpec::new("pattern", ArgType::Pattern)
        },
        ArgSpec {
            token: "COUNT",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
    ],
    tips: &["nondeterministic_output"],
    handler: sscan,
    ..CommandSpec::BLANK
}];

fn sscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = scan_cursor(args[2])?;
    let Some(set) = ctx.ks.set(args[1])? else {
        empty_scan(ctx.out);
        return Ok(());
    };
    let options = ScanOptions::parse(args, "")?;
    reply_scan(ctx.out, |out, count| {
        set.scan(cursor, options.count, &mut |member| {
            if options.matches(member) {
                out.bulk(member);
                *count += 1;
            }
        })
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn small_sets_come_at_once() {
        let mut c = Client::new();
        c.run("SADD i 12 5 7");
        c.run("SADD p b a 12");
        assert_eq!(
            c.run("SSCAN i 0 COUNT 1"),
            "*2\r\n$1\r\n0\r\n*3\r\n$1\r\n5\r\n$1\r\n7\r\n$2\r\n12\r\n"
        );
        let twelve = "*2\r\n$1\r\n0\r\n*1\r\n$2\r\n12\r\n";
        assert_eq!(c.run("SSCAN i 0 MATCH 1*"), twelve);
        assert_eq!(c.run("SSCAN p 0 MATCH 1*"), twelve);
        assert_eq!(c.run("SSCAN none 0 X"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(
            c.run("SSCAN i 0 NOVALUES"),
            "-ERR NOVALUES option can only be used in HSCAN\r\n"
        );
        assert_eq!(c.run("SSCAN i x"), "-ERR invalid cursor\r\n");
        c.run("HSET h a 1");
        assert!(c.run("SSCAN h 0 X").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn a_big_set_is_walked_in_steps() {
        let mut c = Client::new();
        for n in 0..1000 {
            c.run(&format!("SADD s member:{n}"));
        }
        let mut seen = std::collections::HashSet::new();
        let (mut cursor, mut steps) = ("0".to_string(), 0);
        loop {
            let reply = c.run(&format!("SSCAN s {cursor}"));
            let mut lines = reply.lines();
            cursor = lines.nth(2).unwrap_or_default().to_string();
            seen.extend(lines.filter(|l| l.starts_with("member:")).map(String::from));
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1000);
        assert!((70..=100).contains(&steps), "{steps}");
    }
}
