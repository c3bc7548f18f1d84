//! DUMP and RESTORE: one value as bytes that any Redis of the same or a later format reads.

use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::rdb::{ObjectType, Reader, open_payload};

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Kind, Look, NotifyClass};
use crate::value::serial::{self, Content};

const RESTORE_ARGS: &[ArgSpec] = &[
    ArgSpec {
        key_spec: 0,
        ..ArgSpec::new("key", ArgType::Key)
    },
    ArgSpec::new("ttl", ArgType::Integer),
    ArgSpec::new("serialized-value", ArgType::String),
    ArgSpec {
        token: "REPLACE",
        since: "3.0.0",
        optional: true,
        ..ArgSpec::new("replace", ArgType::PureToken)
    },
    ArgSpec {
        token: "ABSTTL",
        since: "5.0.0",
        optional: true,
        ..ArgSpec::new("absttl", ArgType::PureToken)
    },
    ArgSpec {
        token: "IDLETIME",
        since: "5.0.0",
        optional: true,
        ..ArgSpec::new("seconds", ArgType::Integer)
    },
    ArgSpec {
        token: "FREQ",
        since: "5.0.0",
        optional: true,
        ..ArgSpec::new("frequency", ArgType::Integer)
    },
];

const RESTORE_HISTORY: &[(&str, &str)] = &[
    ("3.0.0", "New option `REPLACE`."),
    ("5.0.0", "New option `ABSTTL`."),
    ("5.0.0", "New options `IDLETIME` and `FREQ`."),
];

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "dump",
        since: "2.6.0",
        summary: "Serializes the value of a key into an opaque binary payload.",
        complexity: "O(1) for the look-up and O(N*M) to serialize, for N elements of average size M.",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        tips: &["nondeterministic_output"],
        handler: dump,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "restore",
        since: "2.6.0",
        summary: "Rebuilds a key from a payload made by `DUMP`.",
        complexity: "O(1) to create the key and O(N*M) to decode it, for N elements of average size M; \
            O(N*M*log(N)) for sorted sets.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        keys: &[KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE))],
        args: RESTORE_ARGS,
        history: RESTORE_HISTORY,
        handler: restore,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "restore-asking",
        group: Group::Server,
        since: "3.0.0",
        summary: "`RESTORE` into a slot that is being imported, for the nodes of a cluster.",
        complexity: "O(1) to create the key and O(N*M) to decode it, for N elements of average size M; \
            O(N*M*log(N)) for sorted sets.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ASKING),
        acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
        keys: &[KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE))],
        args: RESTORE_ARGS,
        history: RESTORE_HISTORY,
        syscmd: true,
        handler: restore,
        ..CommandSpec::BLANK
    },
];

fn dump(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let compress = ctx.engine().settings.rdb_compression.load(Relaxed);
    match ctx.ks.look(args[1], Look::READ) {
        None => ctx.out.null(),
        Some(found) => {
            let payload = serial::dump(Content::from(&found), compress);
            ctx.out.bulk(&payload);
        }
    }
    Ok(())
}

/// What the words behind the payload ask for.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
}

fn options(args: Args<'_>) -> Result<Options, ReplyError> {
    let mut options = Options::default();
    let mut words = Cursor::new(args, 4);
    while let Some(word) = words.next() {
        let more = words.remaining() > 0;
        if args::is(word, "REPLACE") {
            options.replace = true;
        } else if args::is(word, "ABSTTL") {
            options.absolute = true;
        } else if args::is(word, "IDLETIME") && more && options.frequency.is_none() {
            let idle = args::int(words.required()?)?;
            let idle = u64::try_from(idle)
                .map_err(|_| ReplyError::err("Invalid IDLETIME value, must be >= 0"))?;
            options.idle_seconds = Some(idle);
        } else if args::is(word, "FREQ") && more && options.idle_seconds.is_none() {
            let frequency = args::int(words.required()?)?;
            let frequency = u8::try_from(frequency)
                .map_err(|_| ReplyError::err("Invalid FREQ value, must be >= 0 and <= 255"))?;
            options.frequency = Some(frequency);
        } else {
            return Err(ReplyError::SYNTAX);
        }
    }
    Ok(options)
}

fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = options(args)?;
    let (key, payload) = (args[1], args[3]);
    if !options.replace && ctx.ks.look(key, Look::WRITE).is_some() {
        return Err(ReplyError::BUSY_KEY);
    }
    let ttl = args::int(args[2])?;
    if ttl < 0 {
        return Err(ReplyError::err("Invalid TTL value, must be >= 0"));
    }
    let settings = &ctx.engine().settings;
    let bytes = open_payload(payload, !settings.skip_checksums.load(Relaxed))
        .map_err(|_| ReplyError::err("DUMP payload version or checksum are wrong"))?;
    let mut reader = Reader::new(bytes);
    let value = reader
        .byte()
        .and_then(ObjectType::from_byte)
        .map_err(serial::LoadError::from)
        .and_then(|kind| serial::load(kind, &mut reader, &settings.limits()))
        .map_err(|error| {
            tracing::warn!("RESTORE refused a payload: {error}");
            ReplyError::err("Bad data format")
        })?;

    let deleted = options.replace && ctx.ks.remove(key);
    let expire_ms = match ttl {
        0 => None,
        at if options.absolute => Some(at),
        after => Some(after.saturating_add(ctx.ks.now_ms)),
    };
    if expire_ms.is_some_and(|at| at <= ctx.ks.due_ms) {
        if deleted {
            let lazy = settings.lazyfree_lazy_server_del.load(Relaxed);
            ctx.propagate(&[if lazy { b"UNLINK" } else { b"DEL" }, key]);
            ctx.ks.modified(key);
            ctx.ks.notify(NotifyClass::GENERIC, "del", key);
            ctx.ks.dirty += 1;
        }
        ctx.out.ok();
        return Ok(());
    }
    // As an integer where it spells one: the payload does not tell how it was kept.
    ctx.ks.put_value(key, value, Kind::Int, expire_ms);
    if let Some(at) = expire_ms
        && !options.absolute
    {
        let at = at.to_string();
        let mut words = args.to_vec();
        words[2] = at.as_bytes();
        words.push(b"ABSTTL");
        ctx.propagate(&words);
    }
    set_access(ctx, key, &options);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::GENERIC, "restore", key);
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

/// Sets what the eviction policy in force keeps; the other option has no effect.
fn set_access(ctx: &mut Ctx<'_>, key: &[u8], options: &Options) {
    let clock = ctx.ks.clock();
    let lru = if clock.is_lfu() {
        options
            .frequency
            .map(|counter| clock.field_for_frequency(counter))
    } else {
        options.idle_seconds.map(|idle| clock.field_for_idle(idle))
    };
    if let Some(lru) = lru {
        ctx.ks.set_lru(key, lru);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::testing::Client;

    /// The payload of a key.
    fn dump(c: &mut Client, key: &str) -> Vec<u8> {
        let reply = c.run_words(&[b"DUMP", key.as_bytes()]);
        let start = reply
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a bulk")
            + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    fn restore(c: &mut Client, key: &str, ttl: &str, payload: &[u8], options: &[&str]) -> String {
        let mut words = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
        words.extend(options.iter().map(|word| word.as_bytes()));
        String::from_utf8_lossy(&c.run_words(&words)).into_owned()
    }

    #[test]
    fn payload_is_that_of_redis() {
        let mut c = Client::new();
        c.run("SET k hello");
        let mut expected = b"\0\x05hello\x0b\0".to_vec();
        let sum = basalt_formats::crc64::crc64(0, &expected);
        expected.extend_from_slice(&sum.to_le_bytes());
        assert_eq!(dump(&mut c, "k"), expected);
        assert_eq!(c.run("DUMP none"), "$-1\r\n");
    }

    #[test]
    fn every_type_comes_back() {
        let mut c = Client::new();
        c.run("SET int 12");
        c.run("SET text hello");
        c.run(&format!("SET long {}", "x".repeat(5000)));
        c.run("RPUSH list a 1 b");
        c.run("SADD ints 3 1 2");
        c.run("SADD set a b");
        c.run("HSET hash f v g w");
        c.run("ZADD zset 1 a 2.5 b");
        for (key, encoding) in [
            ("int", "int"),
            ("text", "embstr"),
            ("long", "raw"),
            ("list", "listpack"),
            ("ints", "intset"),
            ("set", "listpack"),
            ("hash", "listpack"),
            ("zset", "listpack"),
        ] {
            let payload = dump(&mut c, key);
            assert_eq!(
                restore(&mut c, "copy", "0", &payload, &["REPLACE"]),
                "+OK\r\n"
            );
            assert_eq!(dump(&mut c, "copy"), payload);
            let told = c.run("OBJECT ENCODING copy");
            assert_eq!(told, format!("${}\r\n{encoding}\r\n", encoding.len()));
        }
    }

    #[test]
    fn errors_in_order() {
        let mut c = Client::new();
        c.run("SET k v");
        let payload = dump(&mut c, "k");
        let mut run = |key: &str, ttl: &str, payload: &[u8], options: &[&str]| {
            restore(&mut c, key, ttl, payload, options)
        };
        let busy = "-BUSYKEY Target key name already exists.\r\n";
        assert_eq!(run("k", "x", b"", &["foo"]), "-ERR syntax error\r\n");
        assert_eq!(run("k", "x", b"", &[]), busy);
        assert_eq!(
            run("n", "x", b"", &[]),
            "-ERR value is not an integer or out of range\r\n"
        );
        assert_eq!(
            run("n", "-1", b"", &[]),
            "-ERR Invalid TTL value, must be >= 0\r\n"
        );
        let wrong = "-ERR DUMP payload version or checksum are wrong\r\n";
        assert_eq!(run("n", "0", b"short", &[]), wrong);
        let mut broken = payload.clone();
        broken[1] ^= 1;
        assert_eq!(run("n", "0", &broken, &[]), wrong);
        let bad = basalt_formats::rdb::seal_payload(vec![2, 0]);
        assert_eq!(run("n", "0", &bad, &[]), "-ERR Bad data format\r\n");
        let nothing = basalt_formats::rdb::seal_payload(Vec::new());
        assert_eq!(run("n", "0", &nothing, &[]), "-ERR Bad data format\r\n");
        for (options, text) in [
            (
                &["IDLETIME", "-1"][..],
                "Invalid IDLETIME value, must be >= 0",
            ),
            (
                &["FREQ", "256"],
                "Invalid FREQ value, must be >= 0 and <= 255",
            ),
            (&["FREQ"], "syntax error"),
            (&["FREQ", "1", "IDLETIME", "1"], "syntax error"),
            (
                &["IDLETIME", "x"],
                "value is not an integer or out of range",
            ),
        ] {
            assert_eq!(run("n", "0", &payload, options), format!("-ERR {text}\r\n"));
        }
    }

    #[test]
    fn expiry_events_and_log() {
        let mut c = Client::with_events();
        let log = c.record_log();
        c.run("SET k v");
        let payload = dump(&mut c, "k");
        c.events();
        log.take();
        assert_eq!(
            restore(&mut c, "n", "5000", &payload, &["idletime", "7"]),
            "+OK\r\n"
        );
        assert_eq!(c.events(), ["new n", "restore n"]);
        let logged = log.take();
        assert!(logged[0].starts_with("RESTORE n 1700000005000 "));
        assert!(logged[0].ends_with(" idletime 7 ABSTTL"));
        assert_eq!(c.run("PTTL n"), ":5000\r\n");
        assert_eq!(c.run("OBJECT IDLETIME n"), ":7\r\n");
        let at = "1700000009000";
        assert_eq!(
            restore(&mut c, "n", at, &payload, &["ABSTTL", "REPLACE"]),
            "+OK\r\n"
        );
        assert_eq!(c.run("PTTL n"), ":9000\r\n");
        assert!(log.take()[0].ends_with(" ABSTTL REPLACE"));
        c.events();
        // Times that are over remove what is there and create nothing.
        assert_eq!(
            restore(&mut c, "n", "1", &payload, &["ABSTTL", "REPLACE"]),
            "+OK\r\n"
        );
        assert_eq!(c.events(), ["del n"]);
        assert_eq!(log.take(), ["DEL n"]);
        assert_eq!(restore(&mut c, "n", "1", &payload, &["ABSTTL"]), "+OK\r\n");
        assert!(log.take().is_empty() && c.events().is_empty());
        assert_eq!(c.run("EXISTS n"), ":0\r\n");
    }

    #[test]
    fn frequency_counts_under_lfu() {
        let mut c = Client::new();
        c.engine().settings.lfu.store(true, Relaxed);
        c.run("SET k v");
        let payload = dump(&mut c, "k");
        assert_eq!(
            restore(&mut c, "n", "0", &payload, &["FREQ", "77"]),
            "+OK\r\n"
        );
        assert_eq!(c.run("OBJECT FREQ n"), ":77\r\n");
    }

    #[test]
    fn checksums_may_be_skipped() {
        let mut c = Client::new();
        c.run("SET k v");
        let mut payload = dump(&mut c, "k");
        let last = payload.len() - 1;
        payload[last] ^= 1;
        c.engine().settings.skip_checksums.store(true, Relaxed);
        assert_eq!(restore(&mut c, "n", "0", &payload, &[]), "+OK\r\n");
    }
}
