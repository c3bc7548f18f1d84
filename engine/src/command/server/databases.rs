//! DBSIZE, FLUSHDB, FLUSHALL and SWAPDB: whole databases at once.

use std::sync::atomic::Ordering::Relaxed;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, Locking,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "dbsize",
        group: Group::Server,
        summary: "Counts the keys of the database.",
        complexity: "O(1)",
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        locking: Locking::None,
        handler: dbsize,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "flushdb",
        group: Group::Server,
        summary: "Empties the current database.",
        complexity: "O(N) for N keys in the database.",
        arity: -1,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        args: &[ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "ASYNC",
                    since: "4.0.0",
                    ..ArgSpec::new("async", ArgType::PureToken)
                },
                ArgSpec {
                    token: "SYNC",
                    since: "6.2.0",
                    ..ArgSpec::new("sync", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("flush-type", ArgType::OneOf)
        }],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        history: &[
            ("4.0.0", "New option `ASYNC`."),
            ("6.2.0", "New option `SYNC`."),
        ],
        locking: Locking::All,
        handler: flushdb,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "flushall",
        group: Group::Server,
        summary: "Empties all databases.",
        complexity: "O(N) for N keys in all databases.",
        arity: -1,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        args: &[ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "ASYNC",
                    since: "4.0.0",
                    ..ArgSpec::new("async", ArgType::PureToken)
                },
                ArgSpec {
                    token: "SYNC",
                    since: "6.2.0",
                    ..ArgSpec::new("sync", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("flush-type", ArgType::OneOf)
        }],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        history: &[
            ("4.0.0", "New option `ASYNC`."),
            ("6.2.0", "New option `SYNC`."),
        ],
        locking: Locking::All,
        handler: flushall,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "swapdb",
        group: Group::Server,
        since: "4.0.0",
        summary: "Exchanges the contents of two databases.",
        complexity: "O(N), N being the clients that watch or wait for keys in either.",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        args: &[
            ArgSpec::new("index1", ArgType::Integer),
            ArgSpec::new("index2", ArgType::Integer),
        ],
        locking: Locking::All,
        handler: swapdb,
        ..CommandSpec::BLANK
    },
];

fn dbsize(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let count = ctx.engine().key_count(ctx.ks.db);
    ctx.out.count(count);
    Ok(())
}

/// Accepts `SYNC` or `ASYNC`; databases are freed in the background either way.
fn check_mode(args: Args<'_>) -> Result<(), ReplyError> {
    match args {
        [_] => Ok(()),
        [_, mode] if args::is(mode, "SYNC") || args::is(mode, "ASYNC") => Ok(()),
        _ => Err(ReplyError::SYNTAX),
    }
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_mode(args)?;
    let removed = ctx.ks.flush(ctx.ks.db);
    flushed(ctx, args, removed);
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_mode(args)?;
    let removed = (0..ctx.engine().databases())
        .map(|db| ctx.ks.flush(db))
        .sum();
    flushed(ctx, args, removed);
    Ok(())
}

/// Logged even if there was nothing to remove here: a replica may hold more.
fn flushed(ctx: &mut Ctx<'_>, args: Args<'_>, removed: usize) {
    ctx.propagate_anyway(args);
    ctx.ks.dirty += removed as u64;
    let engine = ctx.engine();
    if engine.settings.tracking.load(Relaxed) {
        engine.events.invalidate_all();
    }
    ctx.out.ok();
}

fn swapdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let first = args::int32(args[1], "invalid first DB index")?;
    let second = args::int32(args[2], "invalid second DB index")?;
    let databases = ctx.engine().databases();
    let known = |db: i64| usize::try_from(db).ok().filter(|db| *db < databases);
    let (Some(first), Some(second)) = (known(first), known(second)) else {
        return Err(ReplyError::DB_OUT_OF_RANGE);
    };
    if first != second {
        ctx.ks.swap_dbs(first, second);
    }
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn flush_one_or_all() {
        let mut c = Client::new();
        let log = c.record_log();
        c.run("MSET a 1 b 2");
        c.run("EXPIRE a 10");
        c.session.db = 3;
        c.run("SET c 3");
        assert_eq!(c.run("DBSIZE"), ":1\r\n");
        log.take();
        assert_eq!(c.run("FLUSHDB ASYNC"), "+OK\r\n");
        assert_eq!(c.run("FLUSHDB"), "+OK\r\n");
        assert_eq!(c.engine().key_count(0), 2);
        assert_eq!(c.run("FLUSHALL sync"), "+OK\r\n");
        assert_eq!(c.engine().key_count(0), 0);
        assert_eq!(c.engine().volatile_count(0), 0);
        assert_eq!(
            log.take(),
            ["3:FLUSHDB ASYNC", "3:FLUSHDB", "3:FLUSHALL sync"]
        );
        assert_eq!(c.run("FLUSHALL now"), "-ERR syntax error\r\n");
        assert_eq!(c.run("FLUSHDB SYNC ASYNC"), "-ERR syntax error\r\n");
    }

    #[test]
    fn swap() {
        let mut c = Client::new();
        c.run("MSET a 1 b 2");
        assert_eq!(c.run("SWAPDB 0 5"), "+OK\r\n");
        assert_eq!(c.run("DBSIZE"), ":0\r\n");
        c.session.db = 5;
        assert_eq!(c.run("GET a"), "$1\r\n1\r\n");
        assert_eq!(c.run("SWAPDB 5 5"), "+OK\r\n");
        assert_eq!(c.run("SWAPDB x 0"), "-ERR invalid first DB index\r\n");
        assert_eq!(
            c.run("SWAPDB 0 99999999999"),
            "-ERR invalid second DB index\r\n"
        );
        assert_eq!(c.run("SWAPDB 0 16"), "-ERR DB index is out of range\r\n");
    }

    /// Whether a transaction watching `k` runs after `setup` (in database 2 where it says so)
    /// and `change` by another client.
    fn runs(setup: &str, change: &str) -> bool {
        let mut c = Client::new();
        let mut other = c.other();
        match setup.strip_prefix("2:") {
            Some(setup) => {
                other.session.db = 2;
                other.run(setup);
                other.session.db = 0;
            }
            None => drop(c.run(setup)),
        }
        c.now_ms += 1000;
        other.now_ms = c.now_ms;
        c.run("WATCH k");
        other.run(change);
        c.run("MULTI");
        c.run("EXISTS k");
        c.run("EXEC") != "*-1\r\n"
    }

    #[test]
    fn a_watch_fails_if_the_key_was_there_or_is_now() {
        assert!(runs("DEL k", "FLUSHALL"));
        assert!(!runs("SET k v", "FLUSHALL"));
        assert!(!runs("SET k v", "FLUSHDB"));
        assert!(runs("2:SET k v", "FLUSHDB"));
        assert!(runs("DEL k", "SWAPDB 0 2"));
        assert!(!runs("SET k v", "SWAPDB 2 0"));
        assert!(!runs("2:SET k v", "SWAPDB 0 2"));
        assert!(runs("2:SET k v", "SWAPDB 0 1"));
    }

    #[test]
    fn a_watched_key_that_was_expired_already_may_go() {
        for change in ["FLUSHDB", "DEL k", "GET k", "SWAPDB 0 2"] {
            assert!(runs("SET k v PX 1", change), "{change}");
        }
        assert!(!runs("SET k v PX 1", "SET k w"));
        assert!(runs("2:SET k v PX 1", "SWAPDB 0 2"));
    }
}
