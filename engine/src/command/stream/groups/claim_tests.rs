//! XREADGROUP CLAIM.

use crate::testing::Client;

/// A stream `s` with entries `1-0` to `n-0` of which a group `g` has given all to `a`, at the
/// time of the client.
fn pending(n: u32) -> Client {
    let mut c = Client::with_events();
    for i in 1..=n {
        c.run(&format!("XADD s {i}-0 f v"));
    }
    c.run("XGROUP CREATE s g 0");
    c.run("XREADGROUP GROUP g a STREAMS s >");
    c
}

/// A reply with these entries of `s`: number, idle time, deliveries before.
fn read(entries: &[(u32, i64, u64)]) -> String {
    let entry = |(n, idle, count): &(u32, i64, u64)| {
        format!("*4\r\n$3\r\n{n}-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n:{idle}\r\n:{count}\r\n")
    };
    let all: String = entries.iter().map(entry).collect();
    format!("*1\r\n*2\r\n$1\r\ns\r\n*{}\r\n{all}", entries.len())
}

#[test]
fn what_is_idle_comes_before_what_is_new() {
    let mut c = pending(2);
    c.run("XADD s 3-0 f v");
    c.now_ms += 50;
    assert_eq!(
        c.run("XREADGROUP GROUP g b CLAIM 51 COUNT 0 STREAMS s >"),
        read(&[(3, 0, 0)])
    );
    let log = c.record_log();
    assert_eq!(
        c.run("XREADGROUP GROUP g b CLAIM 50 STREAMS s >"),
        read(&[(1, 50, 1), (2, 50, 1)])
    );
    let now = c.now_ms;
    let logged = log.take();
    assert_eq!(
        logged[1..3],
        [1, 2].map(|n| format!(
            "XCLAIM s g b 0 {n}-0 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 3-0"
        ))
    );
    assert_eq!(c.run("XREADGROUP GROUP g b CLAIM 1 STREAMS s >"), "*-1\r\n");
    c.now_ms += 1;
    assert_eq!(
        c.run("XREADGROUP GROUP g a CLAIM 0 STREAMS s >"),
        read(&[(1, 1, 2), (2, 1, 2), (3, 1, 1)])
    );
}

#[test]
fn the_longest_idle_are_first_and_count_covers_both_kinds() {
    let mut c = pending(3);
    let now = c.now_ms;
    for (n, ago) in [(1, 10), (2, 30), (3, 20)] {
        c.run(&format!("XCLAIM s g a 0 {n}-0 TIME {} JUSTID", now - ago));
    }
    c.run("XADD s 4-0 f v");
    assert_eq!(
        c.run("XREADGROUP GROUP g b COUNT 2 CLAIM 10 STREAMS s >"),
        read(&[(2, 30, 1), (3, 20, 1)])
    );
    assert_eq!(
        c.run("XREADGROUP GROUP g b CLAIM 10 COUNT 2 NOACK STREAMS s >"),
        read(&[(1, 10, 1), (4, 0, 0)])
    );
    // NOACK concerns what is new.
    assert!(c.run("XPENDING s g").starts_with("*4\r\n:3\r\n"));
}

#[test]
fn words() {
    let mut c = pending(1);
    for (words, error) in [
        ("CLAIM x", "min-idle-time is not an integer or out of range"),
        (
            "CLAIM -0",
            "min-idle-time is not an integer or out of range",
        ),
        ("CLAIM", "min-idle-time is not an integer or out of range"),
        ("CLAIM -1", "min-idle-time must be a positive integer"),
    ] {
        let reply = c.run(&format!("XREADGROUP GROUP g a {words} STREAMS s >"));
        assert_eq!(reply, format!("-ERR {error}\r\n"), "{words}");
    }
    assert_eq!(
        c.run("XREAD CLAIM 1 STREAMS s 0"),
        "-ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.\r\n"
    );
    // What is pending for the consumer is told as always.
    assert!(
        c.run("XREADGROUP CLAIM 0 GROUP g a STREAMS s 0")
            .contains("\r\n*2\r\n$3\r\n1-0\r\n")
    );
    assert_eq!(
        c.run("XREADGROUP GROUP g a CLAIM 9223372036854775807 STREAMS s >"),
        "*-1\r\n"
    );
}

#[test]
fn what_was_deleted_is_not_claimed() {
    let mut c = pending(2);
    c.run("XDEL s 1-0");
    assert_eq!(
        c.run("XREADGROUP GROUP g b CLAIM 0 STREAMS s >"),
        read(&[(2, 0, 1)])
    );
    c.run("XDEL s 2-0");
    let mut other = c.other();
    let waiting = other.block("XREADGROUP GROUP g b BLOCK 0 CLAIM 0 STREAMS s >");
    assert_eq!(waiting.timer_ms(), None);
    assert_eq!(waiting.time_out(&c).as_deref(), Some("*-1\r\n"));
}

#[test]
fn a_waiter_is_served_when_an_entry_has_been_idle_for_long_enough() {
    let mut c = pending(1);
    let start = c.now_ms;
    let mut other = c.other();
    other.now_ms = start;
    let waiting = other.block("XREADGROUP GROUP g b BLOCK 5000 CLAIM 1000 STREAMS s >");
    assert_eq!(waiting.timer_ms(), Some(start + 1000));
    // Too early: nothing happens, and the time stays.
    assert!(waiting.retry(&c, start + 999));
    assert_eq!(waiting.timer_ms(), Some(start + 1000));
    // The entry is delivered again: the time is put off when it comes.
    c.now_ms += 500;
    c.run("XREADGROUP GROUP g a STREAMS s 0");
    assert!(waiting.retry(&c, start + 1000));
    assert_eq!(waiting.timer_ms(), Some(start + 1500));
    assert!(waiting.retry(&c, start + 1500));
    assert_eq!(waiting.reply(), Some(read(&[(1, 1000, 2)])));
    assert!(!c.engine().blocked.any());
}

#[test]
fn xclaim_may_bring_the_time_forward() {
    let mut c = pending(1);
    let now = c.now_ms;
    let mut other = c.other();
    other.now_ms = now;
    let waiting = other.block("XREADGROUP GROUP g b BLOCK 0 CLAIM 1000 STREAMS s >");
    c.run(&format!("XCLAIM s g a 0 1-0 TIME {} JUSTID", now - 400));
    assert_eq!(waiting.timer_ms(), Some(now + 600));
    assert_eq!(waiting.woken(), 1, "its timer is to be set anew");
    c.run(&format!("XCLAIM s g a 0 1-0 TIME {} JUSTID", now - 1000));
    assert_eq!(waiting.woken(), 2);
    assert_eq!(waiting.outcome(), Some(read(&[(1, 1000, 1)])));
}
