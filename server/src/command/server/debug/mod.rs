//! DEBUG: looking into the server and making it misbehave, for tests.
//!
//! Every shard is locked while it runs, since a subcommand may look at any key.

mod crash;
mod digest;
mod object;
mod populate;
mod protocol;
mod reload;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, Flags, Group, Locking};
use basalt_engine::command::{Ctx, args};
use basalt_formats::num;

use crate::client::Conn;
use crate::config::Missing;
use crate::config::text::parse_memory;

/// The command's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "debug",
    group: Group::Server,
    summary: "Groups commands for testing the server itself.",
    complexity: "That of the subcommand.",
    arity: -2,
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::PROTECTED),
    syscmd: true,
    locking: Locking::All,
    handler: debug,
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "ASSERT",
    "    Crash by assertion failed.",
    "CHANGE-REPL-ID",
    "    Change the replication IDs of the instance.",
    "    Dangerous: should be used only for testing the replication subsystem.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE but writes all configuration options, also those that are at",
    "    their default.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "LOADAOF",
    "    Empty the data set and load the append-only file.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "HTSTATS <dbid> [full]",
    "    Return hash table statistics of the specified Redis database.",
    "AOF-FLUSH-SLEEP <microsec>",
    "    Server will sleep before flushing the AOF, this is used for testing.",
    "HTSTATS-KEY <key> [full]",
    "    Like HTSTATS but for the hash table stored at <key>'s value.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "OOM",
    "    Crash the server simulating an out-of-memory error.",
    "PANIC",
    "    Crash the server simulating a panic.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>. If <prefix> is specified then",
    "    it is used instead of the 'key' prefix. These are not propagated to",
    "    replicas. Cluster slots are not respected so keys not belonging to the",
    "    current node can be created in cluster mode.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Save the snapshot file, empty the data set, and load the file. NOSAVE loads the",
    "    file that is there, NOFLUSH keeps the data, MERGE lets keys of the file replace",
    "    those that are there; without it, a key that is there already is an error.",
    "SEGFAULT",
    "    Crash the server with sigsegv.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>",
    "    The idle time in milliseconds after which a client's reply buffer is given back.",
    "REPLYBUFFER RESIZING <0|1>",
    "    With 0, reply buffers are never given back.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
    "    default.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Sets the threshold for elements to be inserted as plain vs packed nodes",
    "    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    With 1, scripts may run commands that are not allowed in them.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    With 1, RESTORE does not look at the checksum of its payload.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "STRINGMATCH-TEST",
    "    Run a fuzz tester against the stringmatchlen() function.",
    "STRUCTSIZE",
    "    Return the size of different Redis core C structures.",
    "LISTPACK <key>",
    "    Show low level info about the listpack encoding of <key>.",
    "QUICKLIST <key> [<0|1>]",
    "    Show low level info about the quicklist encoding of <key>.",
    "    The optional argument (0 by default) sets the level of detail",
    "PAUSE-CRON <0|1>",
    "    Stop periodic cron job processing.",
];

fn debug(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let name = words[1].to_ascii_lowercase();
    match (name.as_slice(), &words[2..]) {
        (b"help", []) => {
            ctx.out.help("debug", HELP);
            Ok(())
        }
        (b"segfault", _) => crash::segfault(),
        (b"panic", _) => crash::panic(),
        (b"oom", _) => crash::out_of_memory(),
        (b"assert", _) => crash::assertion(),
        (b"log", [message]) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(message));
            done(ctx)
        }
        (b"sleep", [seconds]) => {
            let seconds = num::parse_f64(seconds).unwrap_or(0.0);
            std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            done(ctx)
        }
        (b"set-active-expire", [on]) => {
            let on = is_on(on);
            ctx.engine().settings.active_expire.store(on, Relaxed);
            done(ctx)
        }
        (b"set-disable-deny-scripts", [on]) => {
            let on = is_on(on);
            ctx.engine().scripts.any_command.store(on, Relaxed);
            done(ctx)
        }
        (b"aof-flush-sleep", [us]) => {
            let us = num::parse_i64(us).ok_or(ReplyError::NOT_INTEGER)?;
            let facts = &Conn::of(ctx).server.persist.aof.facts;
            facts
                .flush_sleep_us
                .store(u64::try_from(us).unwrap_or(0), Relaxed);
            done(ctx)
        }
        (b"pause-cron", [on]) => {
            let on = is_on(on);
            Conn::of(ctx).server.hot.cron_paused.store(on, Relaxed);
            done(ctx)
        }
        (b"replybuffer", [what, value]) => reply_buffer(ctx, what, value),
        (b"quicklist-packed-threshold", [size]) => packed_threshold(ctx, size),
        (b"config-rewrite-force-all", []) => super::config::rewrite(ctx, Missing::All),
        (b"change-repl-id", []) => {
            let id = crate::app::random_id().map_err(ReplyError::err)?;
            tracing::info!("Changing replication IDs after receiving DEBUG change-repl-id");
            *Conn::of(ctx).server.replication_id.lock() = id;
            done(ctx)
        }
        (b"error", [text]) => {
            ctx.out.buf.push(b'-');
            let text = text.iter().map(|byte| match byte {
                b'\r' | b'\n' => b' ',
                other => *other,
            });
            ctx.out.buf.extend(text);
            ctx.out.buf.extend_from_slice(b"\r\n");
            Ok(())
        }
        (b"protocol", [kind]) => protocol::reply(ctx, kind),
        (b"populate", [_] | [_, _] | [_, _, _]) => populate::populate(ctx, &words[2..]),
        (b"reload", options) => reload::reload(ctx, options),
        (b"loadaof", []) => reload::load_aof(ctx),
        (b"set-skip-checksum-validation", [on]) => {
            let on = is_on(on);
            ctx.engine().settings.skip_checksums.store(on, Relaxed);
            done(ctx)
        }
        (b"digest", []) => digest::all(ctx),
        (b"digest-value", keys) => digest::values(ctx, keys),
        (b"object", [key]) => object::describe(ctx, key),
        (b"htstats", [db, ..]) => object::table_of_db(ctx, db),
        (b"htstats-key", [key, ..]) => object::table_of_key(ctx, key),
        (b"listpack", [key]) => object::print(ctx, key, "listpack"),
        (b"quicklist", [key] | [key, _]) => object::print(ctx, key, "quicklist"),
        (b"structsize", []) => object::sizes(ctx),
        (b"stringmatch-test", []) => {
            match_anything();
            ctx.out
                .simple("Apparently Redis did not crash: test passed");
            Ok(())
        }
        _ => Err(super::subcommand_syntax(words)),
    }
}

/// When clients' reply buffers are given back.
fn reply_buffer(ctx: &mut Ctx<'_>, what: &[u8], value: &[u8]) -> CmdResult {
    let hot = &Conn::of(ctx).server.hot;
    if args::is(what, "peak-reset-time") {
        let ms = if args::is(value, "never") {
            i64::MAX
        } else if args::is(value, "reset") {
            0
        } else {
            args::int(value)?.max(1)
        };
        hot.replies_kept_ms.store(ms, Relaxed);
    } else if args::is(what, "resizing") {
        hot.keeps_replies.store(!is_on(value), Relaxed);
    } else {
        return Err(ReplyError::SYNTAX);
    }
    done(ctx)
}

fn done(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.out.ok();
    Ok(())
}

/// A switch as C's `atoi` reads it.
fn is_on(word: &[u8]) -> bool {
    basalt_formats::num::atoi(word) != 0
}

/// The largest size for which a node of its own still has a listpack's limits.
const MAX_PACKED_THRESHOLD: u64 = (1 << 32) - (1 << 20);
const DEFAULT_PACKED_THRESHOLD: u64 = 1 << 30;

fn packed_threshold(ctx: &mut Ctx<'_>, word: &[u8]) -> CmdResult {
    let size = parse_memory(word)
        .filter(|size| *size <= MAX_PACKED_THRESHOLD)
        .ok_or_else(|| {
            ReplyError::err("argument must be a memory value bigger than 1 and smaller than 4gb")
        })?;
    let size = if size == 0 {
        DEFAULT_PACKED_THRESHOLD
    } else {
        size
    };
    let settings = &ctx.engine().settings;
    settings.quicklist_packed_threshold.store(size, Relaxed);
    done(ctx)
}

/// Matches random patterns against random words; that it ends is the test.
fn match_anything() {
    let word = |alphabet: &[u8]| -> Vec<u8> {
        let len = basalt_engine::env::random_below(20);
        let letter = |_| alphabet[basalt_engine::env::random_below(alphabet.len())];
        (0..len).map(letter).collect()
    };
    for _ in 0..100_000 {
        std::hint::black_box(basalt_formats::glob::glob_match(
            &word(b"ab*?[]^-\\"),
            &word(b"ab-]"),
            false,
        ));
    }
}
