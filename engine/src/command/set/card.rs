//! SUNIONCARD and SDIFFCARD (Redis 8.10): how many members a union or difference has.
//!
//! `APPROX` estimates with a HyperLogLog, in 12 KiB whatever the sets hold; the exact count of
//! a union keeps its members for the time of the call.

use std::collections::HashSet;

use crate::command::args::{self, Cursor};
use crate::command::counted::counted;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeyRef,
    KeySpec,
};
use crate::error::ReplyError;
use crate::structs::hyperloglog;
use crate::value::Set;

use super::algebra::sets;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sunioncard",
        group: Group::Set,
        since: "8.10.0",
        summary: "Counts what at least one of the sets has.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        get_keys: Some(get_keys),
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "APPROX",
                optional: true,
                ..ArgSpec::new("approx", ArgType::PureToken)
            },
            ArgSpec {
                token: "LIMIT",
                optional: true,
                ..ArgSpec::new("limit", ArgType::Integer)
            },
        ],
        handler: sunioncard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sdiffcard",
        group: Group::Set,
        since: "8.10.0",
        summary: "Counts what the first set has and none of the others.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        get_keys: Some(get_keys),
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "LIMIT",
                optional: true,
                ..ArgSpec::new("limit", ArgType::Integer)
            },
        ],
        handler: sdiffcard,
        ..CommandSpec::BLANK
    },
];

/// `numkeys key [key ...]` and what follows.
struct Request<'a> {
    keys: Args<'a>,
    limit: usize,
    approximate: bool,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, may_approximate: bool) -> Result<Self, ReplyError> {
        let numkeys = args::int_in(args[1], 1, i64::MAX, "numkeys should be greater than 0")?;
        let keys = usize::try_from(numkeys)
            .ok()
            .and_then(|numkeys| args[2..].get(..numkeys))
            .ok_or_else(|| {
                ReplyError::err("Number of keys can't be greater than number of args")
            })?;
        let mut request = Request {
            keys,
            limit: usize::MAX,
            approximate: false,
        };
        let mut words = Cursor::new(args, 2 + keys.len());
        while let Some(word) = words.next() {
            if may_approximate && args::is(word, "APPROX") {
                request.approximate = true;
            } else if args::is(word, "LIMIT") && words.remaining() > 0 {
                let limit =
                    args::int_in(words.required()?, 0, i64::MAX, "LIMIT can't be negative")?;
                request.limit = match usize::try_from(limit) {
                    Ok(0) | Err(_) => usize::MAX,
                    Ok(limit) => limit,
                };
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(request)
    }
}

/// The keys: as many as the first word says.
fn get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    counted(args, 1, KeyFlags::RO.or(KeyFlags::ACCESS))
}

fn sunioncard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, true)?;
    let found: Vec<&Set> = sets(ctx, request.keys)?.into_iter().flatten().collect();
    let count = match found[..] {
        [] => 0,
        [one] => one.len().min(request.limit),
        _ if request.approximate => estimate_union(&found).min(request.limit),
        _ => count_union(&found, request.limit),
    };
    ctx.out.count(count);
    Ok(())
}

fn count_union(sets: &[&Set], limit: usize) -> usize {
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    for set in sets {
        for member in set.iter() {
            member.with_bytes(|bytes| {
                if !seen.contains(bytes) {
                    seen.insert(bytes.to_vec());
                }
            });
            if seen.len() >= limit {
                return limit;
            }
        }
    }
    seen.len()
}

fn estimate_union(sets: &[&Set]) -> usize {
    let mut registers: hyperloglog::Registers = [0; hyperloglog::REGISTERS];
    for set in sets {
        set.for_each(|member| {
            let (index, count) = hyperloglog::place(member);
            if let Some(register) = registers.get_mut(index) {
                *register = (*register).max(count);
            }
        });
    }
    usize::try_from(hyperloglog::count_registers(&registers)).unwrap_or(usize::MAX)
}

fn sdiffcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, false)?;
    let found = sets(ctx, request.keys)?;
    let count = match found.split_first() {
        Some((Some(first), others)) => {
            let others: Vec<&Set> = others.iter().flatten().copied().collect();
            let alone = |member: &crate::value::set::Element<'_>| {
                !others.iter().any(|other| other.contains_element(*member))
            };
            first.iter().filter(alone).take(request.limit).count()
        }
        _ => 0,
    };
    ctx.out.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn client() -> Client {
        let mut c = Client::new();
        c.run("SADD a 1 2 3 x");
        c.run("SADD b 2 3 4 x");
        c.run("SADD c y");
        c.run("HSET h f v");
        c
    }

    #[test]
    fn counts_unions() {
        let mut c = client();
        assert_eq!(c.run("SUNIONCARD 3 a b c"), ":6\r\n");
        assert_eq!(c.run("SUNIONCARD 3 a none a"), ":4\r\n");
        assert_eq!(c.run("SUNIONCARD 2 a b LIMIT 3"), ":3\r\n");
        assert_eq!(c.run("SUNIONCARD 2 a b LIMIT 0"), ":5\r\n");
        assert_eq!(c.run("SUNIONCARD 1 a LIMIT 2"), ":2\r\n");
        assert_eq!(c.run("SUNIONCARD 2 a b approx LIMIT 9"), ":5\r\n");
        assert_eq!(c.run("SUNIONCARD 1 none"), ":0\r\n");
    }

    #[test]
    fn an_estimate_is_close() {
        let mut c = Client::new();
        for n in 0..20_000 {
            c.run(&format!("SADD s{} m{n}", n % 3));
        }
        let reply = c.run("SUNIONCARD 3 s0 s1 s2 APPROX");
        let count: f64 = reply[1..].trim().parse().expect("an integer");
        assert!((19_400.0..20_600.0).contains(&count), "{count}");
        assert_eq!(c.run("SUNIONCARD 3 s0 s1 s2"), ":20000\r\n");
    }

    #[test]
    fn counts_differences() {
        let mut c = client();
        assert_eq!(c.run("SDIFFCARD 2 a b"), ":1\r\n");
        assert_eq!(c.run("SDIFFCARD 2 a c"), ":4\r\n");
        assert_eq!(c.run("SDIFFCARD 2 a c LIMIT 2"), ":2\r\n");
        assert_eq!(c.run("SDIFFCARD 2 none a"), ":0\r\n");
        assert_eq!(c.run("SDIFFCARD 3 a none b"), ":1\r\n");
    }

    #[test]
    fn errors() {
        let mut c = client();
        for (line, error) in [
            ("SUNIONCARD 0 a", "-ERR numkeys should be greater than 0"),
            (
                "SDIFFCARD 3 a b",
                "-ERR Number of keys can't be greater than number of args",
            ),
            ("SUNIONCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
            ("SUNIONCARD 1 a LIMIT", "-ERR syntax error"),
            ("SDIFFCARD 1 a APPROX", "-ERR syntax error"),
            ("SUNIONCARD 2 none h", "-WRONGTYPE "),
            ("SDIFFCARD 2 none h", "-WRONGTYPE "),
        ] {
            assert!(c.run(line).starts_with(error), "{line}");
        }
    }
}
