//! Waiting, pushing and giving up on several threads at the same time: every element pushed
//! is in one reply or still in a list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::env;
use crate::testing::Client;

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
