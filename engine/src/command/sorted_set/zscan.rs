//! ZSCAN.

use basalt_formats::num;

use crate::command::collection::{ScanOptions, empty_scan, reply_scan, scan_cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::value::Zset;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "zscan",
    group: Group::SortedSet,
    since: "2.8.0",
    summary: "Walks through the members of a sorted set a few at a time, guided by a cursor.",
    complexity: "O(1) a call; O(N) for the whole walk, N being the number of members.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::SORTEDSET,
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
        ArgSpec {
            token: "NOSCORES",
            optional: true,
            ..ArgSpec::new("noscores", ArgType::PureToken)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[("8.0.0", "New option `NOSCORES`.")],
    handler: zscan,
    ..CommandSpec::BLANK
}];

fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = scan_cursor(args[2])?;
    let Some(zset) = ctx.ks.zset(args[1])? else {
        empty_scan(ctx.out);
        return Ok(());
    };
    let options = ScanOptions::parse(args, "noscores")?;
    // Redis prints the score of a small set as stored and that of a big one
    // with all its digits.
    let format_score = match zset {
        Zset::Packed(_) => num::format_f64,
        Zset::Tree(_) => num::format_f64_g17,
    };
    let mut text = Vec::with_capacity(num::MAX_F64_CHARS);
    reply_scan(ctx.out, |out, count| {
        zset.scan(cursor, options.count, &mut |member, score| {
            if !options.matches(member) {
                return;
            }
            out.bulk(member);
            *count += 1;
            if !options.only_keys {
                text.clear();
                format_score(score, &mut text);
                out.bulk(&text);
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
    fn small_sets_are_shown_whole() {
        let mut c = Client::new();
        c.run("ZADD z 0.1 a 2 b");
        let all = "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$3\r\n0.1\r\n$1\r\nb\r\n$1\r\n2\r\n";
        assert_eq!(c.run("ZSCAN z 0"), all);
        c.session.resp = 3;
        assert_eq!(c.run("ZSCAN z 17 COUNT 1 MATCH *"), all);
        assert_eq!(
            c.run("ZSCAN z 0 match b* noscores"),
            "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n"
        );
        assert_eq!(c.run("ZSCAN none 0 foo"), "*2\r\n$1\r\n0\r\n*0\r\n");
    }

    #[test]
    fn big_sets_are_shown_in_steps_with_every_digit() {
        let mut c = Client::new();
        for i in 0..1000 {
            c.run(&format!("ZADD z 0.1 m{i}"));
        }
        let (mut cursor, mut seen) = (String::from("0"), Vec::new());
        loop {
            let reply = c.run(&format!("ZSCAN z {cursor} COUNT 50"));
            let mut lines = reply.split("\r\n").skip(2);
            cursor = lines.next().expect("cursor").to_owned();
            let shown: Vec<String> = lines
                .filter(|line| line.starts_with('m'))
                .map(str::to_owned)
                .collect();
            assert!(shown.len() < 100, "{}", shown.len());
            assert!(reply.contains("\r\n0.10000000000000001\r\n"));
            seen.extend(shown);
            if cursor == "0" {
                break;
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = Client::new();
        c.run("SET s x");
        c.run("ZADD z 1 a");
        assert_eq!(c.run("ZSCAN s x"), "-ERR invalid cursor\r\n");
        assert!(c.run("ZSCAN s 0 foo").starts_with("-WRONGTYPE"));
        assert_eq!(c.run("ZSCAN z 0 foo"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("ZSCAN z 0 NOVALUES"),
            "-ERR NOVALUES option can only be used in HSCAN\r\n"
        );
        assert_eq!(c.run("ZSCAN z 0 COUNT 0"), "-ERR syntax error\r\n");
        assert_eq!(c.run("ZSCAN z 0 COUNT"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("ZSCAN z 0 COUNT x"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }
}
