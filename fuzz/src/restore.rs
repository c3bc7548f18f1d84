//! RESTORE of arbitrary payloads under a right checksum: refused, or a value that every reading
//! and writing command can work with, and whose dump is restored to the same.

use basalt_engine::{Engine, Reply, Session};
use basalt_formats::rdb::seal_payload;
use basalt_formats::resp::reply::{self, Reply as Parsed};

use crate::Input;
use crate::alloc::bounded;

const NOW_MS: i64 = 1_700_000_000_000;
/// Types of Redis 7.4 and Valkey 9 whose fields expire.
const EXPIRING_HASHES: std::ops::RangeInclusive<u8> = 22..=25;
/// Above this, what compressed strings expand to may pass the allowance truthfully.
const BOUNDED: usize = 4096;

/// Runs one case: type and body of a payload.
pub fn restore(data: &[u8]) {
    thread_local! {
        static ENGINE: Engine = Engine::new(1);
    }
    ENGINE.with(|engine| run(engine, data));
}

fn run(engine: &Engine, data: &[u8]) {
    call(engine, &[b"FLUSHALL"]);
    let payload = seal_payload(data.to_vec());
    let restore = || call(engine, &[b"RESTORE", b"r", b"0", &payload]);
    let reply = if data.len() <= BOUNDED {
        bounded(payload.len(), restore)
    } else {
        restore()
    };
    if matches!(reply, Parsed::Error(_)) {
        return;
    }
    let Parsed::Bulk(dump) = call(engine, &[b"DUMP", b"r"]) else {
        // A hash of which all fields expired long ago, which ends with the first look at it.
        let kind = data.first().copied().unwrap_or_default();
        assert!(
            EXPIRING_HASHES.contains(&kind),
            "no dump of what was restored"
        );
        assert_eq!(call(engine, &[b"DBSIZE"]), Parsed::Integer(0));
        return;
    };
    let again = call(engine, &[b"RESTORE", b"again", b"0", &dump]);
    assert!(!matches!(again, Parsed::Error(_)), "{again:?}");
    assert_eq!(content(engine, b"r"), content(engine, b"again"));
    use_it(engine, &mut Input::new(data));
}

/// Runs one command; its reply is one and well-formed.
pub fn call(engine: &Engine, words: &[&[u8]]) -> Parsed {
    let mut out = Reply::new(2);
    engine.execute(&mut Session::new(1), words, &mut out, NOW_MS);
    match reply::parse(&out.buf) {
        Ok(Some((found, consumed))) if consumed == out.buf.len() => found,
        other => panic!("reply to {words:?}: {other:?}"),
    }
}

/// All that a value holds, as commands tell it; what has no order is sorted.
fn content(engine: &Engine, key: &[u8]) -> String {
    let Parsed::Simple(kind) = call(engine, &[b"TYPE", key]) else {
        panic!("no type");
    };
    let ask = |words: &[&[u8]]| call(engine, words);
    let all = |reply| match reply {
        Parsed::Array(items) => items,
        other => panic!("{other:?} is no array"),
    };
    let text = match &kind[..] {
        b"string" => format!("{:?}", ask(&[b"GET", key])),
        b"list" => format!("{:?}", ask(&[b"LRANGE", key, b"0", b"-1"])),
        b"set" => {
            let mut items: Vec<_> = all(ask(&[b"SMEMBERS", key]))
                .iter()
                .map(|item| format!("{item:?}"))
                .collect();
            items.sort();
            items.join(" ")
        }
        b"hash" => {
            let items = all(ask(&[b"HGETALL", key]));
            let mut items: Vec<_> = items.chunks(2).map(|pair| format!("{pair:?}")).collect();
            items.sort();
            items.join(" ")
        }
        b"zset" => format!("{:?}", ask(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])),
        b"stream" => format!(
            "{:?} {:?}",
            ask(&[b"XRANGE", key, b"-", b"+"]),
            ask(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"])
        ),
        other => panic!("type {}", other.escape_ascii()),
    };
    format!("{} {text}", kind.escape_ascii())
}

const LINES: &[&str] = &[
    "TYPE r",
    "OBJECT ENCODING r",
    "GET r",
    "STRLEN r",
    "GETRANGE r 0 -1",
    "APPEND r x",
    "LLEN r",
    "LRANGE r 0 -1",
    "LINDEX r -1",
    "LPOS r 1",
    "LINSERT r BEFORE 1 y",
    "LSET r 0 z",
    "RPUSH r 1",
    "LPUSH r abc",
    "LREM r 1 1",
    "LPOP r",
    "RPOP r",
    "LTRIM r 1 -2",
    "SCARD r",
    "SMEMBERS r",
    "SISMEMBER r 1",
    "SRANDMEMBER r 3",
    "SADD r 1 q",
    "SREM r 1",
    "SPOP r",
    "HLEN r",
    "HGETALL r",
    "HGET r 1",
    "HSET r 1 2",
    "HDEL r 1",
    "HRANDFIELD r 2",
    "HSCAN r 0",
    "SSCAN r 0",
    "ZSCAN r 0",
    "ZCARD r",
    "ZRANGE r 0 -1 WITHSCORES",
    "ZRANGEBYSCORE r -inf +inf",
    "ZRANK r 1",
    "ZADD r 5 q",
    "ZREM r 1",
    "ZPOPMIN r",
    "ZPOPMAX r",
    "SORT r ALPHA",
    "XLEN r",
    "XRANGE r - +",
    "XREVRANGE r + - COUNT 2",
    "XADD r * a 1 b 2",
    "XADD r NOMKSTREAM MAXLEN = 3 * c 3",
    "XDEL r 1-1 2-1 1526919030474-55",
    "XTRIM r MAXLEN 2",
    "XTRIM r MINID = 5",
    "XINFO STREAM r FULL",
    "XINFO GROUPS r",
    "XGROUP CREATE r g 0",
    "XREADGROUP GROUP g c COUNT 2 STREAMS r >",
    "XREADGROUP GROUP g c STREAMS r 0",
    "XPENDING r g - + 10",
    "XAUTOCLAIM r g d 0 0",
    "XACK r g 1-1",
    "XGROUP DELCONSUMER r g c",
    "XSETID r 18446744073709551615-18446744073709551614",
    "DUMP r",
    "COPY r r2 REPLACE",
];

/// Reads and changes the restored value in every way; wrong types are refused as usual.
pub fn use_it(engine: &Engine, input: &mut Input<'_>) {
    let run = |line: &str| {
        call(
            engine,
            &line.split(' ').map(str::as_bytes).collect::<Vec<_>>(),
        );
    };
    for _ in 0..LINES.len() {
        run(LINES[input.below(LINES.len())]);
    }
    LINES.iter().for_each(|line| run(line));
    call(engine, &[b"DEL", b"r"]);
}
