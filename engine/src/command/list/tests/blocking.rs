//! Commands that wait, end to end inside the process.

use super::{WRONG_TYPE, list};
use crate::testing::Client;

/// A client and `N` others of the same engine.
fn clients<const N: usize>() -> (Client, [Client; N]) {
    let c = Client::with_events();
    let mut id = 100;
    let others = std::array::from_fn(|_| {
        let mut other = c.other();
        id += 1;
        other.session.id = id;
        other
    });
    (c, others)
}

fn popped(key: &str, value: &str) -> Option<String> {
    Some(format!(
        "*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
        key.len(),
        value.len()
    ))
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let (mut c, [mut one, mut two, mut three]) = clients();
    let (one, two, three) = (
        one.block("BLPOP l 0"),
        two.block("BRPOP x l 0"),
        three.block("BLMPOP 0 1 l LEFT COUNT 5"),
    );
    assert_eq!(c.engine().blocked.client_count(), 3);
    assert_eq!(c.engine().blocked.key_count(), 2);
    assert_eq!(c.run("RPUSH l a b c d"), ":4\r\n");
    assert_eq!(one.reply(), popped("l", "a"));
    assert_eq!(two.reply(), popped("l", "d"));
    assert_eq!(
        three.reply().as_deref(),
        Some("*2\r\n$1\r\nl\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n")
    );
    assert_eq!(c.run("LLEN l"), ":0\r\n");
    assert_eq!(c.engine().blocked.client_count(), 0);
    assert!(!c.engine().blocked.any());
}

#[test]
fn who_is_not_served_keeps_waiting_in_turn() {
    let (mut c, [mut one, mut two, mut three]) = clients();
    let (one, two, three) = (
        one.block("BLPOP l 0"),
        two.block("BLPOP l 0"),
        three.block("BLPOP l 0"),
    );
    c.run("RPUSH l a");
    assert_eq!(one.reply(), popped("l", "a"));
    assert_eq!((two.reply(), three.reply()), (None, None));
    assert_eq!(two.time_out(&c).as_deref(), Some("*-1\r\n"));
    c.run("RPUSH l b");
    assert_eq!(three.reply(), popped("l", "b"));
    assert_eq!(two.time_out(&c), None);
    assert_eq!(two.reply(), None);
}

#[test]
fn the_first_of_the_keys_named_serves() {
    let (mut c, [mut one, mut two]) = clients();
    let both = one.block("BLPOP a b a 0");
    assert_eq!(c.engine().blocked.key_count(), 2);
    c.run("MULTI");
    c.run("RPUSH b 1");
    c.run("RPUSH a 2");
    c.run("EXEC");
    assert_eq!(both.reply(), popped("a", "2"));
    assert_eq!(list(&mut c, "b"), "1");
    let both = two.block("BLPOP a c 0");
    c.run("SET a text");
    assert_eq!(both.reply(), None);
    c.run("RPUSH c 3");
    assert_eq!(both.reply().as_deref(), Some(WRONG_TYPE));
    assert_eq!(list(&mut c, "c"), "3");
}

#[test]
fn other_types_wake_nobody() {
    let (mut c, [mut one]) = clients();
    let one = one.block("BLPOP k 0");
    c.run("SADD k member");
    c.run("SET k text");
    assert_eq!(one.reply(), None);
    c.run("GETDEL k");
    c.run("RPUSH k a");
    assert_eq!(one.reply(), popped("k", "a"));
}

#[test]
fn a_transaction_serves_only_after_its_end() {
    let (mut c, [mut one, mut two]) = clients();
    let (one, two) = (one.block("BLPOP l 0"), two.block("BLPOP l 0"));
    c.run("MULTI");
    c.run("LPUSH l a");
    c.run("LPOP l");
    c.run("RPUSH l b c");
    c.run("LLEN l");
    assert_eq!(c.run("EXEC"), "*4\r\n:1\r\n$1\r\na\r\n:2\r\n:2\r\n");
    assert_eq!(one.reply(), popped("l", "b"));
    assert_eq!(two.reply(), popped("l", "c"));
}

#[test]
fn nothing_waits_inside_a_transaction() {
    let (mut c, [mut one]) = clients();
    c.run("MULTI");
    for line in [
        "BLPOP l 0",
        "BRPOP l 0",
        "BLMPOP 0 1 l LEFT",
        "BLMOVE l m LEFT LEFT 0",
        "BRPOPLPUSH l m 0",
    ] {
        assert_eq!(c.begin(line).err().as_deref(), Some("+QUEUED\r\n"));
    }
    let replies = "*5\r\n*-1\r\n*-1\r\n*-1\r\n$-1\r\n$-1\r\n";
    assert_eq!(c.begin("EXEC").err().as_deref(), Some(replies));
    assert_eq!(
        one.block("BLMOVE l m LEFT LEFT 1").time_out(&c).as_deref(),
        Some("*-1\r\n")
    );
    one.session.resp = 3;
    let wait = one.block("BLPOP l 1");
    assert_eq!(wait.time_out(&c).as_deref(), Some("_\r\n"));
}

#[test]
fn a_move_may_serve_the_next_in_a_chain() {
    // The keys of the first two steps share a shard, the last does not.
    let (mut c, [mut one, mut two, mut three]) = clients();
    let log = c.record_log();
    let (one, two, three) = (
        one.block("BRPOPLPUSH {x}a {x}b 0"),
        two.block("BLMOVE {x}b other Left RIGHT 0"),
        three.block("BLPOP other 0"),
    );
    assert_eq!(c.run("RPUSH {x}a v"), ":1\r\n");
    assert_eq!(one.reply().as_deref(), Some("$1\r\nv\r\n"));
    assert_eq!(two.reply().as_deref(), Some("$1\r\nv\r\n"));
    assert_eq!(three.reply(), popped("other", "v"));
    assert_eq!(
        log.take(),
        [
            "RPUSH {x}a v",
            "RPOPLPUSH {x}a {x}b",
            "LMOVE {x}b other Left RIGHT",
            "LPOP other"
        ]
    );
    let mut events = c.events();
    events.retain(|line| !line.starts_with("keymiss"));
    assert_eq!(
        events,
        [
            "new {x}a",
            "rpush {x}a",
            "new {x}b",
            "lpush {x}b",
            "rpop {x}a",
            "del {x}a",
            "new other",
            "rpush other",
            "lpop {x}b",
            "del {x}b",
            "lpop other",
            "del other"
        ]
    );
}

#[test]
fn a_move_that_cannot_be_made_leaves_the_element_to_the_next() {
    let (mut c, [mut one, mut two]) = clients();
    let (one, two) = (one.block("BLMOVE a s LEFT LEFT 0"), two.block("BLPOP a 0"));
    c.run("SET s text");
    c.run("LPUSH a v");
    assert_eq!(one.reply().as_deref(), Some(WRONG_TYPE));
    assert_eq!(two.reply(), popped("a", "v"));
}

#[test]
fn moves_in_a_circle_end() {
    let (mut c, [mut one, mut two, mut three]) = clients();
    let (one, two, three) = (
        one.block("BLMOVE a b LEFT LEFT 0"),
        two.block("BLMOVE b a LEFT LEFT 0"),
        three.block("BLMOVE a a LEFT LEFT 0"),
    );
    c.run("LPUSH a v");
    for waiting in [one, two, three] {
        assert_eq!(waiting.reply().as_deref(), Some("$1\r\nv\r\n"));
    }
    assert_eq!(list(&mut c, "a"), "v");
}

#[test]
fn replies_speak_the_protocol_of_the_waiter_in_its_database() {
    let (mut c, [mut one]) = clients();
    one.session.db = 5;
    one.session.resp = 3;
    let one = one.block("BLMPOP 0.5 1 l RIGHT");
    assert_eq!(one.deadline_ms(), Some(c.now_ms + 500));
    c.run("RPUSH l elsewhere");
    assert_eq!(one.reply(), None);
    c.session.db = 5;
    c.run("RPUSH l v");
    assert_eq!(
        one.reply().as_deref(),
        Some("*2\r\n$1\r\nl\r\n*1\r\n$1\r\nv\r\n")
    );
    assert_eq!((c.session.db, c.session.id), (5, 1));
}

/// A list that comes to be under another name, in another database or as the result of a
/// command serves like one that was pushed to. The waiter's second key is on another shard.
#[test]
fn every_way_to_make_a_list_serves() {
    for (db, line, value) in [
        (0, "RENAME s k", "b"),
        (0, "RENAMENX s k", "b"),
        (0, "COPY s k", "b"),
        (0, "SORT s ALPHA STORE k", "a"),
        (0, "LMOVE s k RIGHT LEFT", "a"),
        (1, "COPY s k DB 1", "b"),
        (1, "MOVE k 1", "z"),
        (1, "SWAPDB 0 1", "z"),
    ] {
        let (mut c, [mut one, mut two]) = clients();
        one.session.db = db;
        two.session.db = db;
        let one = one.block("BLMOVE k elsewhere LEFT LEFT 0");
        let two = two.block("BLPOP unused elsewhere 0");
        c.run("RPUSH s b a");
        if db == 1 {
            c.run("RPUSH k z");
        }
        c.run(line);
        let moved = format!("$1\r\n{value}\r\n");
        assert_eq!(one.reply(), Some(moved), "{line}");
        assert_eq!(two.reply(), popped("elsewhere", value), "{line}");
    }
}

#[test]
fn timeouts_are_read_as_long_doubles() {
    let mut c = Client::new();
    let not_float = "-ERR timeout is not a float or out of range\r\n";
    let out_of_range = "-ERR timeout is out of range\r\n";
    let negative = "-ERR timeout is negative\r\n";
    for (timeout, reply) in [
        ("x", not_float),
        ("", not_float),
        ("nan", not_float),
        ("1e5000", not_float),
        ("1 ", not_float),
        ("inf", out_of_range),
        ("1e400", out_of_range),
        ("9223372036854775", out_of_range),
        ("-1", negative),
        ("-inf", negative),
        ("-1e400", negative),
    ] {
        for line in [
            vec![&b"BLPOP"[..], b"l", timeout.as_bytes()],
            vec![b"BLMPOP", timeout.as_bytes(), b"1", b"l", b"LEFT"],
            vec![b"BLMOVE", b"l", b"m", b"LEFT", b"LEFT", timeout.as_bytes()],
            vec![b"BRPOPLPUSH", b"l", b"m", timeout.as_bytes()],
        ] {
            let reply_bytes = c.run_words(&line);
            assert_eq!(String::from_utf8_lossy(&reply_bytes), reply, "{timeout:?}");
        }
    }
    let now = c.now_ms;
    for (timeout, deadline) in [
        ("0", None),
        ("-0.0001", None),
        ("0x10", Some(now + 16_000)),
        ("0.0001", Some(now + 1)),
        ("1e-400", Some(now + 1)),
        ("1e15", Some(now + 1_000_000_000_000_000_000)),
    ] {
        let waiting = c.block(&format!("BLPOP l {timeout}"));
        assert_eq!(waiting.deadline_ms(), deadline, "{timeout}");
        waiting.time_out(&c).expect("nobody served it");
    }
}

#[test]
fn blmovem_waits_for_as_many_as_it_asks_for() {
    let (mut c, [mut exact, mut some, mut popper]) = clients();
    let exact = exact.block("BLMOVEM l d LEFT RIGHT 0 EXACTLY 3 BULK");
    c.run("RPUSH l a");
    c.run("RPUSH l b");
    assert_eq!(exact.reply(), None);
    c.run("LINSERT l AFTER a x");
    assert_eq!(
        exact.reply().as_deref(),
        Some("*3\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nb\r\n")
    );
    let some = some.block("BLMOVEM l d LEFT LEFT 0 COUNT 9 OBO");
    c.run("RPUSH l 1 2");
    assert_eq!(
        some.reply().as_deref(),
        Some("*2\r\n$1\r\n2\r\n$1\r\n1\r\n")
    );
    // Who waits for one element is not kept waiting by who waits for more.
    let mut more = c.other();
    more.session.id = 200;
    let more = more.block("BLMOVEM l d LEFT LEFT 0 EXACTLY 2 OBO");
    let popper = popper.block("BLPOP l 0");
    c.run("RPUSH l z");
    assert_eq!(popper.reply(), popped("l", "z"));
    assert_eq!(more.time_out(&c).as_deref(), Some("*-1\r\n"));
}
