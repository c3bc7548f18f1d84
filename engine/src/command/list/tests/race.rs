//! Waiting, pushing and giving up at the same time: every element pushed is in one reply or
//! still in a list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::command::spec::{Args, CmdResult, CommandSpec, Flags, KeyFlags, KeySpec};
use crate::command::{Ctx, args};
use crate::env;
use crate::keyspace::Kind;
use crate::keyspace::blocked::OnTimeout;
use crate::testing::Client;
use crate::value::list::Side;

const KEYS: [&str; 5] = ["a", "{a}b", "c", "d", "{d}e"];

fn key() -> &'static str {
    KEYS[env::random_below(KEYS.len())]
}

/// Waits now and then with little patience, and counts the elements got.
fn consume(mut c: Client, done: &AtomicBool) -> usize {
    let mut got = 0;
    while !done.load(Relaxed) {
        let line = match env::random_below(4) {
            0 => format!("BLMOVE {} {} LEFT RIGHT 0", key(), key()),
            1 => format!("BLMPOP 0 2 {} {} RIGHT COUNT 3", key(), key()),
            2 => format!("BRPOP {} {} {} 0", key(), key(), key()),
            _ => format!("BLPOP {} 0", key()),
        };
        let reply = match c.begin(&line) {
            Err(reply) => reply,
            Ok(waiting) => {
                for _ in 0..env::random_below(200) {
                    std::hint::spin_loop();
                }
                match waiting.time_out(&c) {
                    Some(_) => continue,
                    None => waiting.wait(),
                }
            }
        };
        got += match line.as_bytes() {
            [_, b'L', b'M', b'O', ..] => 0,
            [_, b'L', b'M', b'P', ..] => reply.matches("\r\nv").count(),
            _ => 1,
        };
    }
    got
}

#[test]
fn no_element_is_lost_or_doubled() {
    let c = Client::new();
    let done = Arc::new(AtomicBool::new(false));
    let pushed = AtomicUsize::new(0);
    let got: usize = thread::scope(|scope| {
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let (other, done) = (c.other(), done.clone());
                scope.spawn(move || consume(other, &done))
            })
            .collect();
        let producers: Vec<_> = (0..2)
            .map(|at| {
                let (mut other, pushed) = (c.other(), &pushed);
                scope.spawn(move || {
                    for turn in 0..4000 {
                        if turn % 3 == at {
                            other.run("MULTI");
                            other.run(&format!("RPUSH {} v", key()));
                            other.run(&format!("LPUSH {} v", key()));
                            other.run("EXEC");
                            pushed.fetch_add(2, Relaxed);
                        } else {
                            other.run(&format!("RPUSH {} v", key()));
                            pushed.fetch_add(1, Relaxed);
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().expect("no panic while pushing");
        }
        done.store(true, Relaxed);
        consumers
            .into_iter()
            .map(|consumer| consumer.join().expect("no panic while waiting"))
            .sum()
    });
    let mut c = c;
    let left: usize = KEYS
        .iter()
        .map(|key| {
            let reply = c.run(&format!("LLEN {key}"));
            reply[1..].trim().parse::<usize>().expect("a length")
        })
        .sum();
    assert_eq!(got + left, pushed.load(Relaxed));
    assert_eq!(c.engine().blocked.client_count(), 0);
    assert!(!c.engine().blocked.any());
}

static SERVING: AtomicBool = AtomicBool::new(false);

/// A BLPOP of one key that takes its time when there is something to pop.
const SLOW_POP: &[CommandSpec] = &[CommandSpec {
    name: "slowpop",
    arity: 2,
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::one(1, KeyFlags::RW)],
    handler: slow_pop,
    ..CommandSpec::BLANK
}];

fn slow_pop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let limits = ctx.ks.engine.settings.list_limits();
    let deadline = args::timeout_deadline(b"0", ctx.ks.now_ms)?;
    match ctx.ks.list_mut(args[1])? {
        None => ctx.block_on(&args[1..2], Kind::List, deadline, OnTimeout::NullArray),
        Some(list) => {
            SERVING.store(true, Relaxed);
            thread::sleep(Duration::from_millis(50));
            let popped = list.pop(&limits, Side::Left);
            let empty = list.is_empty();
            ctx.out.bulk_opt(popped.map(|e| e.into_bytes()).as_deref());
            if empty {
                ctx.ks.remove(args[1]);
            }
        }
    }
    Ok(())
}

/// A caller that gave up between the moment its command was chosen to run and its end got
/// no reply, and the element was gone.
#[test]
fn nobody_gives_up_while_being_served() {
    let mut c = Client::with_commands(SLOW_POP);
    let waiting = c.block("SLOWPOP l");
    let mut other = c.other();
    thread::scope(|scope| {
        scope.spawn(move || other.run("RPUSH l v"));
        while !SERVING.load(Relaxed) {
            thread::yield_now();
        }
        assert_eq!(waiting.time_out(&c), None);
        assert_eq!(waiting.reply().as_deref(), Some("$1\r\nv\r\n"));
    });
    assert_eq!(c.run("LLEN l"), ":0\r\n");
    assert!(!c.engine().blocked.any());
}
