//! Scripts beside commands and scripts of other threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::command::spec::CommandSpec;
use crate::command::{DATA_GROUPS, Registry};
use crate::testing::{Client, Lines};
use crate::{Engine, Reply, Session};

/// Numbers in a reply.
fn numbers(reply: &str) -> Vec<i64> {
    let lines = reply.split("\r\n");
    lines.filter_map(|line| line.parse().ok()).collect()
}

/// Scripts move amounts between keys that they do not name, in orders that differ, while others
/// look: none sees half of it, nobody waits for ever.
#[test]
fn nobody_sees_half_of_a_script() {
    const KEYS: usize = 8;
    const ROUNDS: usize = 400;
    let mut first = Client::new();
    for key in 0..KEYS {
        first.run(&format!("SET k{key} 100"));
    }
    let all: Vec<String> = (0..KEYS).map(|key| format!("k{key}")).collect();
    let look = format!("MGET {}", all.join(" "));
    let moved = "redis.call('DECRBY', 'k' .. ARGV[1], 1) redis.call('INCRBY', 'k' .. ARGV[2], 1)";
    let summed = "local n = 0 for i = 7, 0, -1 do n = n + redis.call('GET', 'k' .. i) end return n";
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mut client, look) = (first.other(), &look);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if thread < 2 {
                        let (from, to) = (round % KEYS, (round * 3 + thread) % KEYS);
                        let (from, to) = (from.to_string(), to.to_string());
                        let words = ["EVAL", moved, "0", &from, &to].map(str::as_bytes);
                        assert_eq!(client.run_words(&words), b"$-1\r\n");
                    } else if thread == 2 {
                        let sum: i64 = numbers(&client.run(look)).iter().sum();
                        assert_eq!(sum, 100 * KEYS as i64);
                    } else {
                        let words = ["EVAL", summed, "0"].map(str::as_bytes);
                        assert_eq!(client.run_words(&words), b":800\r\n");
                        assert_eq!(
                            client.run_words(&[b"EVAL", b"return redis.call('DBSIZE')", b"0"]),
                            b":8\r\n"
                        );
                    }
                }
            });
        }
    });
}

/// A defect in a command ends its script, whatever that catches, and passes on to the caller; the
/// next script finds all as it was.
#[test]
fn a_panic_passes_through_a_script() {
    const BROKEN: &[CommandSpec] = &[CommandSpec {
        name: "broken",
        handler: |_, _| panic!("a command fails"),
        ..CommandSpec::BLANK
    }];
    let groups: Vec<_> = DATA_GROUPS.iter().copied().chain([BROKEN]).collect();
    let engine = Engine::with(
        16,
        Registry::build(&groups, &[]),
        Box::new(Lines::default()),
    );
    let eval = |script: &str| {
        let (mut session, mut out) = (Session::new(1), Reply::new(2));
        let words = [&b"EVAL"[..], script.as_bytes(), b"0"];
        catch_unwind(AssertUnwindSafe(|| {
            engine.execute(&mut session, &words, &mut out, 1)
        }))
        .map(|()| String::from_utf8_lossy(&out.buf).into_owned())
        .map_err(|panic| panic.downcast_ref::<&str>().copied())
    };
    for script in [
        "return redis.call('broken')",
        "redis.call('get', 'k') while true do pcall(redis.pcall, 'broken') end",
    ] {
        assert_eq!(eval(script), Err(Some("a command fails")));
        assert!(!engine.scripts.running.is_running());
        assert_eq!(
            eval("return redis.call('incr', 'k')").map(|reply| reply.len()),
            Ok(4)
        );
    }
}
