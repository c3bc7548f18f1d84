//! What the commands do besides replying: events, the log, and the waking of
//! blocked clients.

use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::command::{DATA_GROUPS, Registry};
use crate::keyspace::blocked::{Served, Waiter, Wake};
use crate::keyspace::held::Held;
use crate::keyspace::notify::EventSink;
use crate::keyspace::{Keyspace, Look, NotifyClass};
use crate::log::LogSink;
use crate::{Engine, Flow, Host, Reply, Session};

type Lines = Arc<Mutex<Vec<String>>>;

struct Events(Lines);

impl EventSink for Events {
    fn keyspace_event(&self, _: usize, _: NotifyClass, event: &str, key: &[u8]) {
        let line = format!("{event} {}", String::from_utf8_lossy(key));
        self.0.lock().expect("no panic").push(line);
    }
    fn invalidate(&self, _: usize, _: &[u8]) {}
}

struct Effects(Lines);

impl LogSink for Effects {
    fn effect(&self, _: u64, _: usize, args: &[&[u8]]) {
        let words: Vec<_> = args.iter().map(|w| String::from_utf8_lossy(w)).collect();
        self.0.lock().expect("no panic").push(words.join(" "));
    }
}

struct Bell;

impl Wake for Bell {
    fn wake(&self) {}
}

/// A caller that can wait.
struct Patient;

impl Host for Patient {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
    fn waker(&self) -> Option<Arc<dyn Wake>> {
        Some(Arc::new(Bell))
    }
}

struct Bench {
    engine: Engine,
    events: Lines,
    effects: Lines,
}

impl Bench {
    fn new() -> Bench {
        let (events, effects) = (Lines::default(), Lines::default());
        let registry = Registry::build(DATA_GROUPS, &[]);
        let engine = Engine::with(16, registry, Box::new(Events(events.clone())));
        let classes = NotifyClass::ALL.0 | NotifyClass::KEYEVENT.0;
        engine.settings.notify_flags.store(classes, Relaxed);
        engine.log.attach(Box::new(Effects(effects.clone())));
        Bench {
            engine,
            events,
            effects,
        }
    }

    /// Runs a line for client `id`; a waiter if it blocks.
    fn call(&self, id: u64, line: &str) -> Result<String, Arc<Waiter>> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let command = self.engine.resolve(&words).expect("a command");
        let mut out = Reply::new(2);
        let mut session = Session::new(id);
        let flow = self.engine.call(
            command,
            &mut session,
            &mut Patient,
            &words,
            &mut out,
            1_700_000_000_000,
        );
        match flow {
            Flow::Blocked(waiter) => Err(waiter),
            _ => Ok(String::from_utf8_lossy(&out.buf).into_owned()),
        }
    }

    fn encoding(&self, key: &str) -> &'static str {
        let held = Held::all(&self.engine.shards);
        let mut ks = Keyspace::new(&self.engine, held, 0, 1_700_000_000_000);
        let found = ks.look(key.as_bytes(), Look::SILENT).expect("a key");
        found.value.expect("an object").encoding()
    }

    /// Runs a line and gives the events and effects of it.
    fn traces(&self, line: &str) -> (String, String) {
        self.call(1, line).ok().expect("does not block");
        let take = |lines: &Lines| std::mem::take(&mut *lines.lock().expect("no panic")).join(", ");
        (take(&self.events), take(&self.effects))
    }
}

#[test]
fn events_and_effects_are_those_of_redis() {
    let bench = Bench::new();
    for (line, events, effects) in [
        ("ZADD z 1 a 2 b 3 c 4 d", "zadd z", "ZADD z 1 a 2 b 3 c 4 d"),
        ("ZADD z 1 a", "", ""),
        ("ZADD z XX 1 x", "", ""),
        ("ZADD z INCR 1 a", "zincr z", "ZADD z INCR 1 a"),
        ("ZINCRBY z -1 a", "zincr z", "ZINCRBY z -1 a"),
        ("ZINCRBY z 0 a", "", ""),
        ("ZREM z x", "", ""),
        ("ZREM z d x", "zrem z", "ZREM z d x"),
        ("ZUNIONSTORE u 1 z", "zunionstore u", "ZUNIONSTORE u 1 z"),
        (
            "ZINTERSTORE u 2 z u",
            "zinterstore u",
            "ZINTERSTORE u 2 z u",
        ),
        (
            "ZDIFFSTORE u 2 z none",
            "zdiffstore u",
            "ZDIFFSTORE u 2 z none",
        ),
        ("ZDIFFSTORE u 2 z z", "del u", "ZDIFFSTORE u 2 z z"),
        ("ZDIFFSTORE u 2 z z", "", ""),
        (
            "ZRANGESTORE u z 0 -1",
            "zrangestore u",
            "ZRANGESTORE u z 0 -1",
        ),
        ("ZPOPMIN u", "zpopmin u", "ZPOPMIN u"),
        ("ZPOPMAX u 0", "", ""),
        ("ZPOPMAX u 9", "zpopmax u, del u", "ZPOPMAX u 9"),
        ("ZPOPMAX u", "", ""),
        ("ZRANGESTORE u none 0 -1", "", ""),
        ("ZMPOP 2 u z MIN", "zpopmin z", "ZPOPMIN z 1"),
        ("BZPOPMAX u z 0", "zpopmax z", "ZPOPMAX z"),
        (
            "BZMPOP 0 1 z MAX COUNT 7",
            "zpopmax z, del z",
            "ZPOPMAX z 1",
        ),
        ("ZMPOP 1 z MIN", "", ""),
        ("ZADD z 1 a 2 b 3 c", "zadd z", "ZADD z 1 a 2 b 3 c"),
        (
            "ZREMRANGEBYRANK z 0 0",
            "zremrangebyrank z",
            "ZREMRANGEBYRANK z 0 0",
        ),
        (
            "ZREMRANGEBYSCORE z 2 2",
            "zremrangebyscore z",
            "ZREMRANGEBYSCORE z 2 2",
        ),
        ("ZREMRANGEBYSCORE z 2 2", "", ""),
        (
            "ZREMRANGEBYLEX z - +",
            "zremrangebylex z, del z",
            "ZREMRANGEBYLEX z - +",
        ),
    ] {
        let traces = bench.traces(line);
        assert_eq!(traces, (events.into(), effects.into()), "{line}");
    }
}

#[test]
fn blocked_clients_are_served_in_turn() {
    let bench = Bench::new();
    let served = |waiter: &Waiter| match waiter.take_outcome() {
        Some(Served::Reply(reply)) => String::from_utf8_lossy(&reply).into_owned(),
        other => format!("{other:?}"),
    };
    let first = bench.call(2, "BZPOPMIN y z 0").expect_err("blocks");
    let second = bench
        .call(3, "BZMPOP 0 2 z y MAX COUNT 5")
        .expect_err("blocks");
    let third = bench.call(4, "BZPOPMAX z 0").expect_err("blocks");
    assert_eq!(bench.call(1, "SADD z x").ok(), Some(":1\r\n".into()));
    assert!(first.take_outcome().is_none());
    assert_eq!(bench.call(1, "SREM z x").ok(), Some(":1\r\n".into()));
    bench.effects.lock().expect("no panic").clear();

    let reply = bench.call(1, "ZADD z 1 a 2 b 3 c");
    assert_eq!(reply.ok(), Some(":3\r\n".into()));
    assert_eq!(served(&first), "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_eq!(
        served(&second),
        "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
    );
    assert!(third.take_outcome().is_none());
    assert_eq!(
        bench.effects.lock().expect("no panic").as_slice(),
        ["ZADD z 1 a 2 b 3 c", "ZPOPMIN z", "ZPOPMAX z 2"]
    );
    assert_eq!(bench.engine.key_count(0), 0);

    assert_eq!(bench.call(1, "SADD s m").ok(), Some(":1\r\n".into()));
    let reply = bench.call(1, "ZUNIONSTORE z 1 s");
    assert_eq!(reply.ok(), Some(":1\r\n".into()));
    assert_eq!(served(&third), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$1\r\n1\r\n");
    assert_eq!(bench.engine.blocked.client_count(), 0);
}

#[test]
fn sets_are_inputs_too() {
    let bench = Bench::new();
    bench.call(1, "SADD ints 1 2 3").ok();
    bench.call(1, "ZADD z 5 2 6 x").ok();
    let run = |line: &str| bench.call(1, line).ok().unwrap_or_default();
    assert_eq!(
        run("ZINTER 2 ints z WITHSCORES"),
        "*2\r\n$1\r\n2\r\n$1\r\n6\r\n"
    );
    assert_eq!(run("ZDIFF 2 z ints"), "*1\r\n$1\r\nx\r\n");
    assert_eq!(run("ZUNIONSTORE d 2 z ints WEIGHTS 1 2"), ":4\r\n");
    assert_eq!(
        run("ZRANGE d 0 -1 WITHSCORES"),
        "*8\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n2\r\n\
         $1\r\nx\r\n$1\r\n6\r\n$1\r\n2\r\n$1\r\n7\r\n"
    );
    assert_eq!(run("ZINTERCARD 2 ints d"), ":3\r\n");
}

#[test]
fn encodings_begin_as_in_redis() {
    let bench = Bench::new();
    let run = |line: &str| bench.call(1, line).ok().unwrap_or_default();
    // The number of pairs given counts, not that of distinct members.
    let pairs = |n: usize| " 1 m".repeat(n);
    run(&format!("ZADD small{}", pairs(128)));
    run(&format!("ZADD big{}", pairs(129)));
    run("ZADD grown 1 m");
    assert_eq!(bench.encoding("grown"), "listpack");
    run(&format!("ZADD grown{}", pairs(129)));
    run(&format!("ZADD long 1 {}", "x".repeat(65)));
    assert_eq!(bench.encoding("small"), "listpack");
    assert_eq!(bench.encoding("big"), "skiplist");
    assert_eq!(bench.encoding("grown"), "skiplist");
    assert_eq!(bench.encoding("long"), "skiplist");

    run("ZUNIONSTORE d 1 big");
    assert_eq!(bench.encoding("d"), "listpack");
    run("ZUNIONSTORE d 1 long");
    assert_eq!(bench.encoding("d"), "skiplist");
    run("ZRANGESTORE d big 0 -1");
    assert_eq!(bench.encoding("d"), "listpack");
    run("ZRANGESTORE d small 0 9 BYSCORE");
    assert_eq!(bench.encoding("d"), "skiplist");
}
