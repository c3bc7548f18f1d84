//! HSCAN.

use crate::command::collection::{ScanOptions, empty_scan, reply_scan, scan_cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "hscan",
    group: Group::Hash,
    since: "2.8.0",
    summary: "Walks through the fields of a hash a few at a time, guided by a cursor.",
    complexity: "O(1) a call; O(N) for the whole walk, N being the number of fields.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::HASH,
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
            token: "NOVALUES",
            optional: true,
            ..ArgSpec::new("novalues", ArgType::PureToken)
        },
    ],
    tips: &["nondeterministic_output"],
    handler: hscan,
    ..CommandSpec::BLANK
}];

fn hscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = scan_cursor(args[2])?;
    let Some(hash) = ctx.ks.hash(args[1])? else {
        empty_scan(ctx.out);
        return Ok(());
    };
    let options = ScanOptions::parse(args, "novalues")?;
    reply_scan(ctx.out, |out, count| {
        hash.scan(cursor, options.count, &mut |field, value| {
            if options.matches(field) {
                out.bulk(field);
                *count += 1;
                if !options.only_keys {
                    out.bulk(value);
                    *count += 1;
                }
            }
        })
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn a_small_hash_comes_at_once() {
        let mut c = Client::new();
        c.run("HSET h a 1 bb 2 ac 3");
        let all = "*2\r\n$1\r\n0\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nbb\r\n$1\r\n2\r\n$2\r\nac\r\n$1\r\n3\r\n";
        assert_eq!(c.run("HSCAN h 0"), all);
        assert_eq!(c.run("HSCAN h 12345 COUNT 1 MATCH *"), all);
        assert_eq!(
            c.run("HSCAN h 0 match a* novalues"),
            "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$2\r\nac\r\n"
        );
        let none = "*2\r\n$1\r\n0\r\n*0\r\n";
        assert_eq!(c.run("HSCAN h 0 MATCH z*"), none);
        // The options of a scan over nothing are not looked at.
        assert_eq!(c.run("HSCAN none 0 COUNT x"), none);
    }

    #[test]
    fn errors_and_their_order() {
        let mut c = Client::new();
        c.run("HSET h a 1");
        c.run("SADD s x");
        for (line, error) in [
            ("HSCAN s x", "-ERR invalid cursor\r\n"),
            (
                "HSCAN h 0 COUNT x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("HSCAN h 0 COUNT 0", "-ERR syntax error\r\n"),
            ("HSCAN h 0 COUNT", "-ERR syntax error\r\n"),
            ("HSCAN h 0 MATCH", "-ERR syntax error\r\n"),
            ("HSCAN h 0 TYPE hash", "-ERR syntax error\r\n"),
            (
                "HSCAN h 0 NOSCORES",
                "-ERR NOSCORES option can only be used in ZSCAN\r\n",
            ),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
        assert!(c.run("HSCAN s 0 COUNT x").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn a_big_hash_is_walked_in_steps() {
        let mut c = Client::new();
        for n in 0..1000 {
            c.run(&format!("HSET h field:{n} {n}"));
        }
        let mut seen = std::collections::HashSet::new();
        let (mut cursor, mut steps) = ("0".to_string(), 0);
        loop {
            let reply = c.run(&format!("HSCAN h {cursor} COUNT 20 NOVALUES"));
            let mut lines = reply.lines();
            cursor = lines.nth(2).unwrap_or_default().to_string();
            seen.extend(lines.filter(|l| l.starts_with("field:")).map(String::from));
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1000);
        assert!((30..=50).contains(&steps), "{steps}");
    }
}
