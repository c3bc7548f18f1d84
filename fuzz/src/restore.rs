//! RESTORE of damaged payloads: a value is built and dumped, bytes of the dump are changed, the
//! checksum is made right again, and the result is restored. It is refused, or it is a value that
//! every reading and writing command can work with.

use basalt_engine::{Engine, Reply, Session};
use basalt_formats::crc64::crc64;
use basalt_formats::resp::reply::{self, Reply as Parsed};

use crate::Input;

/// Version and checksum at the end of a payload.
const FOOTER: usize = 10;
const NOW_MS: i64 = 1_700_000_000_000;

/// Runs one case.
pub fn restore(data: &[u8]) {
    thread_local! {
        static ENGINE: Engine = Engine::new(1);
    }
    ENGINE.with(|engine| run(engine, &mut Input::new(data)));
}

fn call(engine: &Engine, words: &[&[u8]]) -> Parsed {
    let mut out = Reply::new(2);
    engine.execute(&mut Session::new(1), words, &mut out, NOW_MS);
    match reply::parse(&out.buf) {
        Ok(Some((found, consumed))) if consumed == out.buf.len() => found,
        other => panic!("reply to {words:?}: {other:?}"),
    }
}

fn run(engine: &Engine, input: &mut Input<'_>) {
    call(engine, &[b"FLUSHALL"]);
    build(engine, input);
    let Parsed::Bulk(mut payload) = call(engine, &[b"DUMP", b"k"]) else {
        return;
    };
    let Some(end) = payload.len().checked_sub(FOOTER) else {
        panic!("a dump without a footer: {payload:?}");
    };
    for _ in 0..input.below(5) {
        let at = input.below(end.max(1));
        match input.below(3) {
            0 => payload[at] = input.byte(),
            1 => payload[at] ^= 1 << input.below(8),
            _ => payload[at] = payload[at].wrapping_add(1),
        }
    }
    if input.byte() % 8 == 0 {
        payload[0] = input.byte() % 32;
    }
    let sum = payload.len() - 8;
    let crc = crc64(0, &payload[..sum]);
    payload[sum..].copy_from_slice(&crc.to_le_bytes());
    if matches!(
        call(engine, &[b"RESTORE", b"r", b"0", &payload]),
        Parsed::Error(_)
    ) {
        return;
    }
    use_it(engine, input);
}

/// A value of some type and encoding under `k`.
fn build(engine: &Engine, input: &mut Input<'_>) {
    let commands: [(&[u8], usize); 5] = [
        (b"SET", 0),
        (b"RPUSH", 1),
        (b"SADD", 1),
        (b"HSET", 2),
        (b"ZADD", 2),
    ];
    let (name, width) = commands[input.below(5)];
    if width == 0 {
        call(engine, &[name, b"k", input.bytes(60)]);
        return;
    }
    let many = if input.byte() % 8 == 0 { 150 } else { 12 };
    for i in 0..=input.below(many) {
        let element = match input.below(4) {
            0 => (i as i64)
                .wrapping_mul(input.integer())
                .to_string()
                .into_bytes(),
            1 => i.to_string().into_bytes(),
            2 => vec![b'a' + (i % 26) as u8; input.below(100)],
            _ => input.bytes(16).to_vec(),
        };
        match (width, name) {
            (1, _) => call(engine, &[name, b"k", &element]),
            (_, b"ZADD") => call(
                engine,
                &[name, b"k", input.integer().to_string().as_bytes(), &element],
            ),
            _ => call(engine, &[name, b"k", &element, input.bytes(20)]),
        };
    }
}

/// Reads and changes the restored value in every way; wrong types are refused as usual.
fn use_it(engine: &Engine, input: &mut Input<'_>) {
    let lines = [
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
        "DUMP r",
        "COPY r r2 REPLACE",
    ];
    for _ in 0..lines.len() {
        let line = lines[input.below(lines.len())];
        call(
            engine,
            &line.split(' ').map(str::as_bytes).collect::<Vec<_>>(),
        );
    }
    for line in lines {
        call(
            engine,
            &line.split(' ').map(str::as_bytes).collect::<Vec<_>>(),
        );
    }
    call(engine, &[b"DEL", b"r"]);
}
