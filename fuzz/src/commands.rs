//! Random command sequences on an engine: nothing panics, every request gets exactly one
//! well-formed reply, and the number of keys agrees with what can be listed.

use basalt_engine::command::Command;
use basalt_engine::{Engine, Reply, Session};
use basalt_formats::resp::reply::{self, Reply as Parsed};

use crate::Input;

/// Words that mean something to some command.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "10",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "abc",
    "",
    "*",
    "[",
    "\\",
    "NX",
    "XX",
    "GT",
    "LT",
    "CH",
    "INCR",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "GET",
    "LIMIT",
    "COUNT",
    "MATCH",
    "TYPE",
    "STORE",
    "BY",
    "ALPHA",
    "ASC",
    "DESC",
    "nosort",
    "#",
    "WITHSCORES",
    "WITHSCORE",
    "WITHVALUES",
    "WEIGHTS",
    "AGGREGATE",
    "SUM",
    "MIN",
    "MAX",
    "BYSCORE",
    "BYLEX",
    "REV",
    "LEFT",
    "RIGHT",
    "BEFORE",
    "AFTER",
    "RANK",
    "MAXLEN",
    "REPLACE",
    "DB",
    "LEN",
    "IDX",
    "MINMATCHLEN",
    "WITHMATCHLEN",
    "(1",
    "[a",
    "(a",
    "+",
    "-",
    "ENCODING",
    "REFCOUNT",
    "h*->f",
    "k*",
    "a",
    "b",
    "c",
    "f",
    "k0",
    "k1",
    "k2",
    "k3",
    "k4",
    "k5",
    "k6",
    "k7",
];

/// Commands that would fill the memory of the machine or wait, whatever the words; and `PFSELFTEST`, which takes no words
/// and a third of a second, as long as some thousand other commands.
const LEFT_OUT: &[&str] = &[
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "monitor",
    "shutdown",
    "debug",
    "pfselftest",
];

/// The commands of the registry that take part, in a fixed order.
pub fn shapes(engine: &Engine) -> Vec<&'static Command> {
    let mut all: Vec<_> = engine.registry.commands().collect();
    all.retain(|c| !LEFT_OUT.contains(&c.spec.name));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Whether a word is a count so far from 0 that a reply of that many random members would follow.
fn far_below(word: &[u8]) -> bool {
    std::str::from_utf8(word)
        .ok()
        .and_then(|w| w.parse::<i64>().ok())
        .is_some_and(|n| n < -1000)
}

/// Runs the sequence that the bytes describe on a new engine.
pub fn commands(data: &[u8]) {
    thread_local! {
        static ENGINE: (Engine, Vec<&'static Command>) = {
            let engine = Engine::new(4);
            let shapes = shapes(&engine);
            (engine, shapes)
        };
    }
    ENGINE.with(|(engine, shapes)| run(engine, shapes, data));
}

fn run(engine: &Engine, shapes: &[&'static Command], data: &[u8]) {
    let mut input = Input::new(data);
    let mut sessions = [Session::new(1), Session::new(2)];
    sessions[1].resp = 3;
    let mut now_ms = 1_700_000_000_000;
    exec(engine, &mut sessions[0], &[b"FLUSHALL".to_vec()], now_ms);
    while !input.is_empty() {
        let command = shapes[input.below(shapes.len())];
        let mut words: Vec<Vec<u8>> = command
            .name
            .split('|')
            .map(|w| w.as_bytes().to_vec())
            .collect();
        let least = usize::try_from(command.spec.arity.unsigned_abs()).unwrap_or(1);
        let more = if command.spec.arity < 0 {
            input.below(7)
        } else {
            usize::from(input.byte() % 16 == 0)
        };
        let random_count =
            command.name.ends_with("randmember") || command.name.ends_with("randfield");
        while words.len() < least + more {
            let key = command.spec.keys.iter().any(|_| words.len() == 1) || input.byte() % 8 == 0;
            let word = match input.below(10) {
                _ if key => format!("k{}", input.below(8)).into_bytes(),
                0..=5 => WORDS[input.below(WORDS.len())].as_bytes().to_vec(),
                6 => input.integer().to_string().into_bytes(),
                7 => vec![b'v'; input.below(300)],
                _ => input.bytes(12).to_vec(),
            };
            if words.len() > 1 && random_count && far_below(&word) {
                continue;
            }
            words.push(word);
        }
        if huge_string(&words) {
            continue;
        }
        let session = &mut sessions[usize::from(input.byte() & 1)];
        exec(engine, session, &words, now_ms);
        if input.byte() % 16 == 0 {
            now_ms += input.integer() % 100_000;
        }
    }
    for (db, session) in [(0, 0), (1, 1)] {
        let session = &mut sessions[session];
        session.txn = None;
        session.db = db;
        let keys = exec(engine, session, &[b"KEYS".to_vec(), b"*".to_vec()], now_ms);
        if let Some(Parsed::Array(keys)) = keys {
            assert!(keys.len() <= engine.key_count(db));
        }
    }
}

/// SETRANGE, SETBIT and the like with an offset that makes a string of many megabytes.
fn huge_string(words: &[Vec<u8>]) -> bool {
    let name = words[0].to_ascii_lowercase();
    matches!(&name[..], b"setrange" | b"setbit" | b"bitfield")
        && words.iter().skip(2).any(|w| {
            let text = String::from_utf8_lossy(w);
            text.trim_start_matches('#')
                .parse::<u64>()
                .is_ok_and(|n| n > 1 << 20 && n < 1 << 33)
        })
}

/// Runs one request and checks its reply; `None` when the caller would have to wait.
fn exec(engine: &Engine, session: &mut Session, words: &[Vec<u8>], now_ms: i64) -> Option<Parsed> {
    let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let mut out = Reply::new(session.resp);
    engine.execute(session, &args, &mut out, now_ms);
    let parsed = reply::parse(&out.buf);
    match parsed {
        Ok(Some((found, consumed))) => {
            assert_eq!(
                consumed,
                out.buf.len(),
                "more than one reply to {:?}",
                show(words)
            );
            Some(found)
        }
        _ => panic!(
            "no well-formed reply to {:?}: {:?}",
            show(words),
            String::from_utf8_lossy(&out.buf)
        ),
    }
}

fn show(words: &[Vec<u8>]) -> Vec<String> {
    words
        .iter()
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect()
}
