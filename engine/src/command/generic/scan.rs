//! KEYS, RANDOMKEY and SCAN: finding keys by looking around.

use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::glob::glob_match;

use crate::command::args::{self, Cursor};
use crate::command::collection::scan_cursor;
use crate::command::ctx::Ctx;
use crate::command::spec::{Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Locking};
use crate::error::ReplyError;
use crate::keyspace::Kind;
use crate::reply::{Aggregate, Reply};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "keys",
        summary: "Lists every key of the database whose name fits a glob pattern.",
        complexity: "O(N) for N keys in the database, for names and patterns of bounded length.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        args: &[ArgSpec::new("pattern", ArgType::Pattern)],
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        locking: Locking::All,
        handler: keys,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "randomkey",
        summary: "Picks a key of the database by chance.",
        complexity: "O(1)",
        flags: Flags::READONLY.or(Flags::TOUCHES_ARBITRARY_KEYS),
        acl: Acl::KEYSPACE,
        tips: &[
            "request_policy:all_shards",
            "response_policy:special",
            "nondeterministic_output",
        ],
        locking: Locking::All,
        handler: randomkey,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "scan",
        since: "2.8.0",
        summary: "Walks through the keys of the database a few at a time, guided by a cursor.",
        complexity: "O(1) a call; O(N) for the whole walk, N being the number of keys.",
        arity: -2,
        flags: Flags::READONLY.or(Flags::TOUCHES_ARBITRARY_KEYS),
        acl: Acl::KEYSPACE,
        args: &[
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
                token: "TYPE",
                since: "6.0.0",
                optional: true,
                ..ArgSpec::new("type", ArgType::String)
            },
        ],
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        history: &[("6.0.0", "New option `TYPE`.")],
        locking: Locking::All,
        handler: scan,
        ..CommandSpec::BLANK
    },
];

/// Expired keys are left out but not removed: KEYS is a read of everything.
fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pattern = args[1];
    let now_ms = ctx.ks.now_ms;
    let mut count = 0;
    let head = ctx.out.deferred();
    ctx.ks.for_each_key(&mut |key, header| {
        if !header.is_expired(now_ms) && (pattern == b"*" || glob_match(pattern, key, false)) {
            ctx.out.bulk(key);
            count += 1;
        }
    });
    ctx.out.close(head, Aggregate::Array, count);
    Ok(())
}

/// Draws of RANDOMKEY while expired keys stay, as in Redis on a replica.
const MAX_TRIES: usize = 100;

fn randomkey(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    // During CLIENT PAUSE expired keys stay: then one of them is shown rather than none for ever.
    let keeps_expired = ctx.engine().settings.keep_expired.load(Relaxed);
    let mut tries = 0;
    while let Some(key) = ctx.ks.random_key() {
        tries += 1;
        if !ctx.ks.expire_if_due(&key) || keeps_expired && tries >= MAX_TRIES {
            ctx.out.bulk(&key);
            return Ok(());
        }
    }
    ctx.out.null();
    Ok(())
}

/// What SCAN looks for.
struct Wanted<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn parse(args: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
        let mut wanted = Wanted {
            count: 10,
            pattern: None,
            type_name: None,
        };
        let mut words = Cursor::new(args, 2);
        while let Some(option) = words.next() {
            let value = words.required()?;
            if args::is(option, "COUNT") {
                let count = args::int(value)?;
                if count < 1 {
                    return Err(ReplyError::SYNTAX);
                }
                wanted.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if args::is(option, "MATCH") {
                wanted.pattern = (value != b"*").then_some(value);
            } else if args::is(option, "TYPE") {
                wanted.type_name = Some(value);
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(wanted)
    }

    fn fits(&self, key: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob_match(pattern, key, false))
    }

    fn fits_type(&self, kind: Kind) -> bool {
        self.type_name
            .is_none_or(|name| args::is(name, kind.type_name()))
    }
}

/// A key of another type than asked for is left out; with a type that does not exist that is
/// every key.
fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = scan_cursor(args[1])?;
    let wanted = Wanted::parse(args)?;
    let now_ms = ctx.ks.now_ms;
    let mut found = Reply::default();
    let mut shown = 0;
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let next = ctx.ks.scan(cursor, wanted.count, &mut |key, header| {
        if !wanted.fits(key) {
            return;
        }
        if header.is_expired(now_ms) {
            expired.push(key.to_vec());
        } else if wanted.fits_type(header.kind) {
            found.bulk(key);
            shown += 1;
        }
    });
    for key in expired {
        ctx.ks.expire_if_due(&key);
    }
    ctx.out.array(2);
    ctx.out.bulk(next.to_string().as_bytes());
    ctx.out.array(shown);
    ctx.out.buf.extend_from_slice(&found.buf);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// All keys that a whole walk returns, and the number of calls.
    fn walk(c: &mut Client, options: &str) -> (Vec<String>, usize) {
        let (mut keys, mut calls, mut cursor) = (Vec::new(), 0, "0".to_owned());
        loop {
            let reply = c.run(&format!("SCAN {cursor}{options}"));
            let lines: Vec<&str> = reply.split("\r\n").collect();
            cursor = lines[2].to_owned();
            keys.extend(lines[5..].iter().step_by(2).map(|key| (*key).to_owned()));
            keys.retain(|key| !key.is_empty());
            calls += 1;
            if cursor == "0" {
                keys.sort();
                return (keys, calls);
            }
        }
    }

    /// RANDOMKEY drew for ever when all keys were past their time and CLIENT PAUSE kept them.
    #[test]
    fn randomkey_ends_while_expired_keys_stay() {
        let mut c = Client::new();
        c.run("SET k v PX 1");
        c.now_ms += 5;
        let keep = |c: &Client, on| {
            let settings = &c.engine().settings;
            settings
                .keep_expired
                .store(on, std::sync::atomic::Ordering::Relaxed);
        };
        keep(&c, true);
        assert_eq!(c.run("RANDOMKEY"), "$1\r\nk\r\n");
        // OBJECT hides such a key and leaves it there.
        assert_eq!(c.run("OBJECT ENCODING k"), "$-1\r\n");
        assert_eq!(c.run("DBSIZE"), ":1\r\n");
        keep(&c, false);
        assert_eq!(c.run("RANDOMKEY"), "$-1\r\n");
    }

    #[test]
    fn a_walk_returns_every_key() {
        let mut c = Client::new();
        for i in 0..500 {
            c.run(&format!("SET key:{i} v"));
        }
        c.put_zset("z", &[("m", 1.0)]);
        let (keys, calls) = walk(&mut c, "");
        assert_eq!(keys.len(), 501);
        assert!(calls > 10 && calls <= 51, "{calls}");
        assert_eq!(walk(&mut c, " COUNT 1000").1, 1);
        assert_eq!(walk(&mut c, " MATCH key:1?").0.len(), 10);
        assert_eq!(walk(&mut c, " TYPE ZSET").0, ["z"]);
        assert_eq!(walk(&mut c, " TYPE string count 100 match *9").0.len(), 50);
        assert!(walk(&mut c, " TYPE unheard-of").0.is_empty());
    }

    #[test]
    fn scan_errors() {
        let mut c = Client::new();
        assert_eq!(c.run("SCAN x COUNT"), "-ERR invalid cursor\r\n");
        for bad in ["COUNT", "COUNT 0", "FOO 1", "MATCH a TYPE"] {
            assert_eq!(c.run(&format!("SCAN 0 {bad}")), "-ERR syntax error\r\n");
        }
        assert_eq!(
            c.run("SCAN 0 COUNT a FOO"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }

    #[test]
    fn expired_keys() {
        let mut c = Client::with_events();
        c.run("SET a v PX 10");
        c.run("SET b v");
        c.now_ms += 11;
        c.events();
        assert_eq!(c.run("KEYS *"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(c.run("DBSIZE"), ":2\r\n");
        assert_eq!(walk(&mut c, "").0, ["b"]);
        assert_eq!(c.run("DBSIZE"), ":1\r\n");
        assert_eq!(c.events(), ["expired a"]);
        c.run("SET a v PX 10");
        c.now_ms += 11;
        for _ in 0..20 {
            assert_eq!(c.run("RANDOMKEY"), "$1\r\nb\r\n");
        }
        c.run("DEL b");
        assert_eq!(c.run("RANDOMKEY"), "$-1\r\n");
    }

    #[test]
    fn keys_matches_patterns() {
        let mut c = Client::new();
        c.run("MSET one 1 two 2 three 3");
        assert_eq!(c.run("KEYS o*"), "*1\r\n$3\r\none\r\n");
        assert_eq!(c.run("KEYS *[we]*"), c.run("KEYS *"));
        assert_eq!(c.run("KEYS x*"), "*0\r\n");
    }
}
