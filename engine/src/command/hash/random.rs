//! HRANDFIELD.

use crate::command::args;
use crate::command::collection::{bulk_element, check_sample, sample_count};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::env;
use crate::error::ReplyError;
use crate::reply::Reply;
use crate::value::Hash;
use crate::value::hash::Element;
use crate::value::set::distinct_ranks;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "hrandfield",
    group: Group::Hash,
    since: "6.2.0",
    summary: "Picks fields of a hash by chance.",
    complexity: "O(N) for N fields returned.",
    arity: -2,
    flags: Flags::READONLY,
    acl: Acl::HASH,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec::new("count", ArgType::Integer),
                ArgSpec {
                    token: "WITHVALUES",
                    optional: true,
                    ..ArgSpec::new("withvalues", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("options", ArgType::Block)
        },
    ],
    tips: &["nondeterministic_output"],
    handler: hrandfield,
    ..CommandSpec::BLANK
}];

fn hrandfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(count) = args.get(2) else {
        let picked = ctx.ks.hash(args[1])?;
        match picked.and_then(|hash| hash.random(env::random_u64())) {
            Some((field, _)) => bulk_element(ctx.out, field),
            None => ctx.out.null(),
        }
        return Ok(());
    };
    let (count, repeat) = sample_count(count)?;
    let with_values = match args.get(3..) {
        Some([]) | None => false,
        Some([word]) if args::is(word, "withvalues") => true,
        _ => return Err(ReplyError::SYNTAX),
    };
    if with_values && count > i64::MAX.unsigned_abs() / 2 {
        return Err(ReplyError::OUT_OF_RANGE);
    }
    let most = ctx.engine().settings.max_string();
    let Some(hash) = ctx.ks.hash(args[1])? else {
        ctx.out.array(0);
        return Ok(());
    };
    if repeat {
        let count = check_sample(most, count, || (hash.len(), hash.heap_bytes()))?;
        with_repetition(ctx.out, hash, count, with_values);
        return Ok(());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(hash.len());
    header(ctx.out, count, with_values);
    let ranks = distinct_ranks(hash.len(), count, &mut env::random_u64);
    hash.at_ranks(&ranks, &mut |field, value| {
        write_pair(ctx.out, field, value, with_values);
    });
    Ok(())
}

fn with_repetition(out: &mut Reply, hash: &Hash, count: usize, with_values: bool) {
    header(out, count, with_values);
    // Reaching a pair of a listpack is a walk: one walk for all.
    let packed: Vec<_> = match hash.packed() {
        Some(_) if count > 1 => hash.iter().collect(),
        _ => Vec::new(),
    };
    for _ in 0..count {
        let picked = if packed.is_empty() {
            hash.random(env::random_u64())
        } else {
            packed.get(env::random_below(packed.len())).copied()
        };
        if let Some((field, value)) = picked {
            write_pair(out, field, value, with_values);
        }
    }
}

/// RESP3 nests each pair, RESP2 has one flat array.
fn header(out: &mut Reply, count: usize, with_values: bool) {
    let flat = with_values && !out.is_resp3();
    out.array(if flat { count.saturating_mul(2) } else { count });
}

fn write_pair(out: &mut Reply, field: Element<'_>, value: Element<'_>, with_values: bool) {
    if with_values && out.is_resp3() {
        out.array(2);
    }
    bulk_element(out, field);
    if with_values {
        bulk_element(out, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn one_field_or_none() {
        let mut c = Client::new();
        assert_eq!(c.run("HRANDFIELD none"), "$-1\r\n");
        c.run("HSET h a 1");
        assert_eq!(c.run("HRANDFIELD h"), "$1\r\na\r\n");
        assert_eq!(c.run("HRANDFIELD none 5"), "*0\r\n");
        assert_eq!(c.run("HRANDFIELD h 0"), "*0\r\n");
        assert_eq!(c.run("HRANDFIELD h 1"), "*1\r\n$1\r\na\r\n");
        assert_eq!(c.run("HRANDFIELD h -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
    }

    #[test]
    fn values_are_nested_in_resp3_only() {
        let mut c = Client::new();
        c.run("HSET h a 1");
        assert_eq!(
            c.run("HRANDFIELD h 5 WITHVALUES"),
            "*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(
            c.run("HRANDFIELD h -1 withvalues"),
            "*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        c.session.resp = 3;
        assert_eq!(
            c.run("HRANDFIELD h 5 WITHVALUES"),
            "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
        assert_eq!(
            c.run("HRANDFIELD h -1 WITHVALUES"),
            "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"
        );
    }

    #[test]
    fn distinct_fields_of_both_encodings() {
        let mut c = Client::new();
        for total in [50, 900] {
            for n in 0..total {
                c.run(&format!("HSET h{total} f{n} {n}"));
            }
            for count in [1, 10, 45, 600, 2000] {
                let reply = c.run(&format!("HRANDFIELD h{total} {count}"));
                let fields: std::collections::HashSet<&str> =
                    reply.lines().filter(|line| line.starts_with('f')).collect();
                assert_eq!(fields.len(), count.min(total));
            }
            let reply = c.run(&format!("HRANDFIELD h{total} -2000 WITHVALUES"));
            assert!(reply.starts_with("*4000\r\n"));
            assert_eq!(reply.matches("\r\nf").count(), 2000);
        }
    }

    #[test]
    fn counts_and_options_are_checked_before_the_key() {
        let mut c = Client::new();
        c.run("SADD s x");
        let out_of_range = "-ERR value is out of range\r\n";
        for (line, error) in [
            (
                "HRANDFIELD s x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "HRANDFIELD s -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
            ),
            ("HRANDFIELD s 1 values", "-ERR syntax error\r\n"),
            ("HRANDFIELD s 1 withvalues x", "-ERR syntax error\r\n"),
            ("HRANDFIELD s 9223372036854775807 withvalues", out_of_range),
            ("HRANDFIELD s -9223372036854775807 withvalues", out_of_range),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
        assert!(c.run("HRANDFIELD s").starts_with("-WRONGTYPE "));
        assert!(c.run("HRANDFIELD s 1").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn a_short_request_cannot_ask_for_all_memory() {
        let mut c = Client::new();
        c.run("HSET h a 1");
        for count in ["-2147483648", "-9223372036854775807"] {
            let reply = c.run(&format!("HRANDFIELD h {count}"));
            assert_eq!(reply, "-ERR value is out of range\r\n");
        }
        let all = "*1\r\n$1\r\na\r\n";
        assert_eq!(c.run("HRANDFIELD h 9223372036854775807"), all);
    }
}
