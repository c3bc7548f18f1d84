//! SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE, SDIFF and SDIFFSTORE.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::command::args;
use crate::command::collection::bulk_element;
use crate::command::counted::counted;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeyRef,
    KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::notify::NotifyClass;
use crate::keyspace::{Found, Look};
use crate::reply::Reply;
use crate::value::set::{difference, intersect, intersect_each, union};
use crate::value::{Set, Value};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sinter",
        group: Group::Set,
        summary: "Lists the members that all the sets share.",
        complexity: "O(N*M) at worst, N being the size of the smallest set and M the number of sets.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: sinter,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sintercard",
        group: Group::Set,
        since: "7.0.0",
        summary: "Counts the members that all the sets share.",
        complexity: "O(N*M) at worst, N being the size of the smallest set and M the number of sets.",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        get_keys: Some(sintercard_get_keys),
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
        handler: sintercard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sinterstore",
        group: Group::Set,
        summary: "Stores the members that all the sets share.",
        complexity: "O(N*M) at worst, N being the size of the smallest set and M the number of sets.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SET,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::index(
                2,
                FindKeys::Range(-1, 1, 0),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            ),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
        ],
        handler: sinterstore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sunion",
        group: Group::Set,
        summary: "Lists what at least one of the sets has.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: sunion,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sunionstore",
        group: Group::Set,
        summary: "Stores what at least one of the sets has.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SET,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::index(
                2,
                FindKeys::Range(-1, 1, 0),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            ),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
        ],
        handler: sunionstore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sdiff",
        group: Group::Set,
        summary: "Lists what the first set has and none of the others.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::SET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output_order"],
        handler: sdiff,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sdiffstore",
        group: Group::Set,
        summary: "Stores what the first set has and none of the others.",
        complexity: "O(N), N being the members of all the sets together.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SET,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::index(
                2,
                FindKeys::Range(-1, 1, 0),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            ),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
        ],
        handler: sdiffstore,
        ..CommandSpec::BLANK
    },
];

/// The sets of these keys, missing ones as `None`. All are looked up first, so that those
/// past their time are gone, then taken together.
///
/// # Errors
/// `WRONGTYPE` when a key holds another type.
pub(super) fn sets<'a>(
    ctx: &'a mut Ctx<'_>,
    keys: Args<'_>,
) -> Result<Vec<Option<&'a Set>>, ReplyError> {
    for key in keys {
        if let Some(found) = ctx.ks.look(key, Look::READ)
            && as_set(found).is_none()
        {
            return Err(ReplyError::WRONG_TYPE);
        }
    }
    let ks = &ctx.ks;
    Ok(keys
        .iter()
        .map(|key| ks.glance(key).and_then(as_set))
        .collect())
}

fn as_set(found: Found<'_>) -> Option<&Set> {
    match found.value {
        Some(Value::Set(set)) => Some(set),
        _ => None,
    }
}

/// The sets, or `None` if one is missing: then nothing is common to all.
fn all_sets<'a>(ctx: &'a mut Ctx<'_>, keys: Args<'_>) -> Result<Option<Vec<&'a Set>>, ReplyError> {
    Ok(sets(ctx, keys)?.into_iter().collect())
}

/// The sets that are there, after the first key's.
fn first_and_others<'a>(found: &[Option<&'a Set>]) -> Option<(&'a Set, Vec<&'a Set>)> {
    let (first, others) = found.split_first()?;
    Some(((*first)?, others.iter().flatten().copied().collect()))
}

fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut members = Reply {
        buf: Vec::new(),
        protocol: ctx.out.protocol,
    };
    let mut count = 0;
    if let Some(sets) = all_sets(ctx, &args[1..])? {
        intersect_each(&sets, &mut |member| {
            bulk_element(&mut members, member);
            count += 1;
            ControlFlow::Continue(())
        });
    }
    ctx.out.set(count);
    ctx.out.buf.extend_from_slice(&members.buf);
    Ok(())
}

fn sintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let numkeys = args::int_in(args[1], 1, i64::MAX, "numkeys should be greater than 0")?;
    let keys = usize::try_from(numkeys)
        .ok()
        .and_then(|numkeys| args[2..].get(..numkeys))
        .ok_or_else(|| ReplyError::err("Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    let mut words = args::Cursor::new(args, 2 + keys.len());
    while let Some(word) = words.next() {
        if !args::is(word, "limit") || words.remaining() == 0 {
            return Err(ReplyError::SYNTAX);
        }
        limit = args::int_in(words.required()?, 0, i64::MAX, "LIMIT can't be negative")?;
    }
    let mut count = 0i64;
    if let Some(sets) = all_sets(ctx, keys)? {
        intersect_each(&sets, &mut |_| {
            count += 1;
            if count == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
    ctx.out.int(count);
    Ok(())
}

/// The keys of SINTERCARD: as many as the first word says.
fn sintercard_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    counted(args, 1, KeyFlags::RO.or(KeyFlags::ACCESS))
}

fn sinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.engine().settings.set_limits();
    let result = all_sets(ctx, &args[2..])?.map(|sets| intersect(&sets, &limits));
    store(ctx, args[1], result, "sinterstore")
}

fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let result = union_of(ctx, &args[1..])?;
    reply(ctx, &result);
    Ok(())
}

fn sunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let result = union_of(ctx, &args[2..])?;
    store(ctx, args[1], Some(result), "sunionstore")
}

fn union_of(ctx: &mut Ctx<'_>, keys: Args<'_>) -> Result<Set, ReplyError> {
    let limits = ctx.engine().settings.set_limits();
    let found: Vec<&Set> = sets(ctx, keys)?.into_iter().flatten().collect();
    Ok(union(&found, &limits))
}

fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let result = difference_of(ctx, &args[1..])?;
    reply(ctx, &result);
    Ok(())
}

fn sdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let result = difference_of(ctx, &args[2..])?;
    store(ctx, args[1], Some(result), "sdiffstore")
}

fn difference_of(ctx: &mut Ctx<'_>, keys: Args<'_>) -> Result<Set, ReplyError> {
    let limits = ctx.engine().settings.set_limits();
    let found = sets(ctx, keys)?;
    Ok(match first_and_others(&found) {
        Some((first, others)) => difference(first, &others, &limits),
        None => Set::default(),
    })
}

fn reply(ctx: &mut Ctx<'_>, result: &Set) {
    ctx.out.set(result.len());
    for member in result.iter() {
        bulk_element(ctx.out, member);
    }
}

/// Puts a result under the destination, or deletes that key if the result is empty.
fn store(
    ctx: &mut Ctx<'_>,
    destination: &[u8],
    result: Option<Set>,
    event: &'static str,
) -> CmdResult {
    match result.filter(|set| !set.is_empty()) {
        Some(set) => {
            let len = set.len();
            ctx.ks.exists(destination);
            ctx.ks.insert(destination, Value::Set(Arc::new(set)), None);
            ctx.ks.modified(destination);
            ctx.out.count(len);
            ctx.ks.notify(NotifyClass::SET, event, destination);
            ctx.ks.dirty += 1;
        }
        None => {
            ctx.out.int(0);
            if ctx.ks.remove(destination) {
                ctx.ks.modified(destination);
                ctx.ks.notify(NotifyClass::GENERIC, "del", destination);
                ctx.ks.dirty += 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn client() -> Client {
        let mut c = Client::new();
        c.run("SADD a 1 2 3 x");
        c.run("SADD b 2 3 4 x");
        c.run("SADD c 3 x y");
        c.run("HSET h f v");
        c
    }

    #[test]
    fn the_three_operations_reply_with_sets() {
        let mut c = client();
        // The smallest set gives the order of an intersection.
        let inter = "2\r\n$1\r\n3\r\n$1\r\nx\r\n";
        assert_eq!(c.run("SINTER a b c"), format!("*{inter}"));
        assert_eq!(c.run("SINTER a none c"), "*0\r\n");
        assert_eq!(c.run("SDIFF a b"), "*1\r\n$1\r\n1\r\n");
        assert_eq!(c.run("SDIFF a none a"), "*0\r\n");
        assert_eq!(c.run("SDIFF none a"), "*0\r\n");
        assert!(c.run("SUNION a b c none").starts_with("*6\r\n"));
        assert_eq!(c.run("SUNION none"), "*0\r\n");
        c.session.resp = 3;
        assert_eq!(c.run("SINTER a b c"), format!("~{inter}"));
        assert_eq!(c.run("SDIFF a b"), "~1\r\n$1\r\n1\r\n");
        assert_eq!(c.run("SUNION none"), "~0\r\n");
        assert_eq!(c.run("SINTER none"), "~0\r\n");
    }

    #[test]
    fn a_wrong_type_counts_even_behind_a_missing_key() {
        let mut c = client();
        for line in [
            "SINTER none h",
            "SINTERCARD 2 none h",
            "SINTERSTORE d none h",
            "SUNION a h",
            "SUNIONSTORE d h",
            "SDIFF none h",
            "SDIFFSTORE d a h",
        ] {
            assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
        }
        // The destination may hold anything.
        assert_eq!(c.run("SUNIONSTORE h a"), ":4\r\n");
        assert_eq!(c.run("SCARD h"), ":4\r\n");
    }

    #[test]
    fn storing_counts_replaces_and_deletes() {
        let mut c = client();
        assert_eq!(c.run("SINTERSTORE d a b"), ":3\r\n");
        assert_eq!(c.run("SUNIONSTORE d a b c"), ":6\r\n");
        assert_eq!(c.run("SDIFFSTORE d a b"), ":1\r\n");
        assert_eq!(c.run("SMEMBERS d"), "*1\r\n$1\r\n1\r\n");
        assert_eq!(c.run("SDIFFSTORE d a a"), ":0\r\n");
        assert_eq!(c.run("SCARD d"), ":0\r\n");
        assert_eq!(c.engine().key_count(0), 4);
        // A source may be the destination.
        assert_eq!(c.run("SDIFFSTORE a a c"), ":2\r\n");
        assert_eq!(c.run("SINTERSTORE a a none"), ":0\r\n");
        assert_eq!(c.run("SCARD a"), ":0\r\n");
    }

    #[test]
    fn sintercard_counts_up_to_a_limit() {
        let mut c = client();
        assert_eq!(c.run("SINTERCARD 2 a b"), ":3\r\n");
        assert_eq!(c.run("SINTERCARD 2 a b LIMIT 0"), ":3\r\n");
        assert_eq!(c.run("SINTERCARD 2 a b limit 2"), ":2\r\n");
        assert_eq!(c.run("SINTERCARD 2 a b LIMIT 1 LIMIT 9"), ":3\r\n");
        assert_eq!(c.run("SINTERCARD 1 none"), ":0\r\n");
        let numkeys = "-ERR numkeys should be greater than 0\r\n";
        let too_many = "-ERR Number of keys can't be greater than number of args\r\n";
        for (line, error) in [
            ("SINTERCARD 0 a", numkeys),
            ("SINTERCARD -1 a", numkeys),
            ("SINTERCARD x a", numkeys),
            ("SINTERCARD 3 a b", too_many),
            ("SINTERCARD 9223372036854775807 a b", too_many),
            ("SINTERCARD 1 a b", "-ERR syntax error\r\n"),
            ("SINTERCARD 1 a LIMIT", "-ERR syntax error\r\n"),
            (
                "SINTERCARD 1 a LIMIT -1",
                "-ERR LIMIT can't be negative\r\n",
            ),
            ("SINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative\r\n"),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
    }
}
