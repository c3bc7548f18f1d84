//! A snapshot is the data at one commit index, whatever is written meanwhile and by whom: it is
//! compared with an engine of its own that ran the log up to there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::tests::{Ending, NOW, contents, load, write};
use super::*;
use crate::log::LogSink;
use crate::testing::Client;

const DBS: usize = 3;

type Effect = (u64, usize, Vec<Vec<u8>>);

#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<Effect>>>);

impl LogSink for Recorded {
    fn effect(&self, index: u64, db: usize, args: &[&[u8]]) {
        let args = args.iter().map(|word| word.to_vec()).collect();
        let mut effects = self.0.lock().expect("no panic while recording");
        effects.push((index, db, args));
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn key(&mut self) -> String {
        let kind = ["s", "h", "z", "t", "l", "x", "long"][self.below(7) as usize];
        format!("{kind}{}", self.below(40))
    }
}

/// Big values: tables and trees of some pages, which are encoded page by page.
fn grow(random: &mut Random) -> String {
    let first = random.below(500);
    let words = |each: &dyn Fn(u64) -> String| (first..first + 150).map(each).collect::<String>();
    match random.below(5) {
        0 => format!("HSET big-h{}", words(&|i| format!(" field:{i} {i}"))),
        1 => format!("ZADD big-z{}", words(&|i| format!(" {i} member:{i}"))),
        2 => format!("SADD big-t{}", words(&|i| format!(" element:{i}"))),
        3 => format!(
            "RPUSH big-l{}",
            words(&|i| format!(" element-of-a-list:{i}"))
        ),
        _ => format!("XADD big-x *{}", words(&|i| format!(" field:{i} {i}"))),
    }
}

/// One command of any kind.
fn command(random: &mut Random) -> String {
    let (a, b) = (random.below(40), random.below(600));
    let some = random.key();
    match random.below(44) {
        0..5 => format!("SET s{a} {b}"),
        5 => format!("SET long{a} {}", "x".repeat(700 + b as usize)),
        6 => format!("SET s{a} {b} PX {}", 50 + b),
        7 => format!("PEXPIRE {some} {b}"),
        8 => format!("PERSIST {some}"),
        9 => format!("DEL {some} {}", random.key()),
        10 => format!("UNLINK {some}"),
        11 => format!("APPEND s{a} {b}"),
        12 => format!("INCRBY n{a} {b}"),
        13 => format!("HSET h{a} f{b} {a}"),
        14 => format!("HDEL h{a} f{b}"),
        15 => format!("HINCRBY h{a} n {b}"),
        16 => format!("ZADD z{a} {b} m{b}"),
        17 => format!("ZREM z{a} m{b}"),
        18 => format!("ZUNIONSTORE z{a} 2 z{} big-z", random.below(40)),
        19 => format!("SADD t{a} m{b} {b}"),
        20 => format!("SPOP t{a}"),
        21 => format!("SDIFFSTORE t{a} big-t t{}", random.below(40)),
        22 => format!("RPUSH l{a} {b}"),
        23 => format!("LPOP l{a}"),
        24 => format!("LMOVE l{a} l{} LEFT RIGHT", random.below(40)),
        25 => format!("XADD x{a} MAXLEN 30 * f {b}"),
        26 => format!("XTRIM x{a} MAXLEN {}", random.below(20)),
        27 => format!("XGROUP CREATE x{a} g{b} $ MKSTREAM"),
        28 => format!("RENAME {some} {}", random.key()),
        29 => format!("MOVE {some} {}", random.below(DBS as u64)),
        30 => format!("COPY {some} {} REPLACE", random.key()),
        31 => format!("COPY big-h h{a} REPLACE"),
        32..34 => format!("HSET big-h field:{b} {a}"),
        34 => format!("HDEL big-h field:{b}"),
        35..37 => format!("ZADD big-z {a} member:{b}"),
        37 => format!("ZREMRANGEBYRANK big-z {b} {b}"),
        38 => format!("SREM big-t element:{b}"),
        39 => format!("SADD big-t element:{b}"),
        40 => format!("LSET big-l {b} {a}"),
        41 => format!("XADD big-x * f {b}"),
        42 => grow(random),
        _ => match random.below(60) {
            0 => "FLUSHALL".to_owned(),
            1 | 2 => "FLUSHDB".to_owned(),
            3 => "RENAME big-h big-z".to_owned(),
            4 => "MOVE big-t 2".to_owned(),
            n if n < 20 => format!("SWAPDB {} {}", random.below(3), random.below(3)),
            _ => format!("GETDEL s{a}"),
        },
    }
}

fn write_something(client: &mut Client, random: &mut Random) {
    client.now_ms += random.below(3) as i64;
    client.session.db = if random.below(4) == 0 {
        random.below(DBS as u64) as usize
    } else {
        0
    };
    if random.below(12) > 0 {
        client.run(&command(random));
        return;
    }
    client.run("MULTI");
    for _ in 0..random.below(6) {
        client.run(&command(random));
    }
    client.run(if random.below(8) == 0 {
        "DISCARD"
    } else {
        "EXEC"
    });
}

fn all(client: &mut Client) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
    (0..DBS).map(|db| contents(client, db)).collect()
}

/// One run: writers, and several snapshots that overlap. True if all are exact.
fn is_exact(seed: u64) -> bool {
    let mut client = Client::new();
    let log = Recorded::default();
    client.engine().log.attach(Box::new(log.clone()));
    let mut random = Random(seed);
    for _ in 0..30 {
        client.run(&grow(&mut random));
    }
    for _ in 0..1500 {
        write_something(&mut client, &mut random);
    }
    // A small limit takes writers through every way of handing over.
    let limit = [64 << 20, 20_000, 500_000][seed as usize % 3];
    client.engine().snapshot_room.set_limit(limit);
    let (stop, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut files: Vec<(u64, Vec<u8>)> = std::thread::scope(|scope| {
        let ending = Ending(&stop);
        for number in 0..2 {
            let (mut writer, stop, writes) = (client.other(), &stop, &writes);
            writer.now_ms = client.now_ms;
            let mut random = Random(seed * 10 + number);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    write_something(&mut writer, &mut random);
                    writes.fetch_add(1, Relaxed);
                }
            });
        }
        let sinks: Vec<_> = (0..4)
            .map(|number| {
                let until = writes.load(Relaxed) + random.below(300);
                while writes.load(Relaxed) < until {
                    std::thread::yield_now();
                }
                let snapshot = client.engine().snapshot(NOW);
                let other = client.other();
                scope.spawn(move || {
                    let file = write(&other, &snapshot, 1 + number % 2);
                    (snapshot.log_index(), file)
                })
            })
            .collect();
        let done = sinks.into_iter().map(|sink| sink.join().expect("a file"));
        let files = done.collect();
        drop(ending);
        files
    });
    files.sort();
    let effects = std::mem::take(&mut *log.0.lock().expect("writers are gone"));
    let mut effects = effects.into_iter().peekable();
    let mut model = Client::new();
    model.now_ms = NOW;
    files.iter().all(|(index, file)| {
        while let Some((_, db, args)) = effects.next_if(|(at, ..)| at <= index) {
            model.session.db = db;
            let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            model.run_words(&words);
        }
        all(&mut load(file)) == all(&mut model)
    })
}

#[test]
fn equal_to_the_log_up_to_its_index_fifty_times() {
    let wrong: Vec<u64> = (0..50).filter(|seed| !is_exact(*seed)).collect();
    assert_eq!(wrong, [0; 0], "seeds whose snapshot was of no one moment");
}
