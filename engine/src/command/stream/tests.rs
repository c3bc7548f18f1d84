//! What the commands without groups do, beyond what a comparison with Redis shows.

use std::sync::atomic::Ordering::Relaxed;

use crate::testing::Client;

/// The entries 1-0 to `n`-0 of the stream `s`, in nodes of three.
fn counting(n: u64) -> Client {
    let mut c = Client::with_events();
    c.engine()
        .settings
        .stream_node_max_entries
        .store(3, Relaxed);
    for ms in 1..=n {
        c.run(&format!("XADD s {ms} f {ms}"));
    }
    c.events();
    c
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn entry(id: &str, value: &str) -> String {
    format!("*2\r\n{}*2\r\n$1\r\nf\r\n{}", bulk(id), bulk(value))
}

fn read(key: &str, entries: &[String]) -> String {
    let n = entries.len();
    format!("*1\r\n*2\r\n{}*{n}\r\n{}", bulk(key), entries.concat())
}

#[test]
fn ids_the_server_chooses() {
    let mut c = Client::new();
    c.now_ms = 5000;
    assert_eq!(c.run("XADD s * f v"), bulk("5000-0"));
    assert_eq!(c.run("XADD s * f v"), bulk("5000-1"));
    c.now_ms = 4000;
    assert_eq!(c.run("XADD s * f v"), bulk("5000-2"));
    assert_eq!(c.run("XADD s 5000-* f v"), bulk("5000-3"));
    assert_eq!(c.run("XADD s 6000-* f v"), bulk("6000-0"));
    assert_eq!(c.run("XADD n 0-* f v"), bulk("0-1"));
    assert_eq!(
        c.run("XADD n 0-18446744073709551615 f v"),
        bulk("0-18446744073709551615")
    );
    let smaller =
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n";
    assert_eq!(c.run("XADD n 0-* f v"), smaller);
    assert_eq!(c.run("XADD s 5000-* f v"), smaller);
    assert_eq!(
        c.run("XADD n 18446744073709551615-18446744073709551615 f v"),
        bulk("18446744073709551615-18446744073709551615")
    );
    let exhausted =
        "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n";
    assert_eq!(c.run("XADD n * f v"), exhausted);
    assert_eq!(c.run("XADD n 1-1 f v"), exhausted);
}

#[test]
fn what_is_logged_leaves_nothing_to_chance() {
    let mut c = counting(10);
    let log = c.record_log();
    let mut logged = |line: &str| {
        c.run(line);
        log.take()
    };
    assert_eq!(logged("XADD s 11 f v"), ["XADD s 11 f v"]);
    assert_eq!(logged("XADD s * f v"), ["XADD s 1700000000000-0 f v"]);
    assert_eq!(
        logged("xadd s 1700000000000-* f v"),
        ["xadd s 1700000000000-1 f v"]
    );
    // Thirteen entries, of which only whole nodes of three go.
    assert_eq!(
        logged("XADD s NOMKSTREAM MAXLEN ~ 8 LIMIT 100 1700000000001-* f v"),
        ["XADD s NOMKSTREAM MAXLEN = 8 LIMIT 100 1700000000001-0 f v"]
    );
    assert_eq!(
        logged("XTRIM s MAXLEN ~ 7"),
        Vec::<String>::new(),
        "nothing was trimmed"
    );
    assert_eq!(logged("XTRIM s MAXLEN ~ 5"), ["XTRIM s MAXLEN = 5"]);
    assert_eq!(
        logged("XADD s MINID ~ 1700000000000-1 1700000000002 f v"),
        ["XADD s MINID = 1700000000000-1 1700000000002 f v"]
    );
    assert_eq!(logged("XTRIM s MAXLEN 2"), ["XTRIM s MAXLEN 2"]);
    assert_eq!(
        logged("XDEL s 1 1700000000002 2"),
        ["XDEL s 1 1700000000002 2"]
    );
    assert_eq!(logged("XDEL s 1"), Vec::<String>::new());
    assert_eq!(logged("XSETID s 1700000000003"), ["XSETID s 1700000000003"]);
    assert_eq!(logged("XADD none NOMKSTREAM * f v"), Vec::<String>::new());
    assert_eq!(logged("XREAD STREAMS s 0"), Vec::<String>::new());
}

/// Redis logs `MAXLEN = n LIMIT m`, which it takes from no client.
#[test]
fn what_was_logged_is_taken_back() {
    let mut c = counting(9);
    let line = "XADD s MAXLEN = 2 LIMIT 1 20-0 f v";
    let refused = "-ERR syntax error, LIMIT cannot be used without the special ~ option\r\n";
    assert_eq!(c.run(line), refused);
    c.session.replaying = true;
    assert_eq!(c.run(line), bulk("20-0"));
    assert_eq!(c.run("XLEN s"), ":2\r\n");
}

#[test]
fn approximate_trims_have_a_limit() {
    let mut c = counting(9);
    assert_eq!(c.run("XTRIM s MAXLEN ~ 0 LIMIT 2"), ":0\r\n");
    assert_eq!(c.run("XTRIM s MAXLEN ~ 0 LIMIT 6"), ":6\r\n");
    let mut c = Client::new();
    c.engine()
        .settings
        .stream_node_max_entries
        .store(1, Relaxed);
    for ms in 1..=120 {
        c.run(&format!("XADD s {ms} f v"));
    }
    assert_eq!(c.run("XTRIM s MINID ~ 200"), ":100\r\n");
    assert_eq!(c.run("XTRIM s MINID 200"), ":20\r\n");
}

#[test]
fn events_and_changes() {
    let mut c = counting(6);
    let mut events = |line: &str| {
        c.run(line);
        c.events()
    };
    assert_eq!(events("XADD new 1 f v"), ["new new", "xadd new"]);
    assert_eq!(events("XADD s MAXLEN 2 7 f v"), ["xadd s", "xtrim s"]);
    assert_eq!(events("XADD s MAXLEN 5 8 f v"), ["xadd s"]);
    assert_eq!(events("XTRIM s MAXLEN 2"), ["xtrim s"]);
    assert_eq!(events("XTRIM s MAXLEN 2"), Vec::<String>::new());
    assert_eq!(events("XDEL s 7 9"), ["xdel s"]);
    assert_eq!(events("XSETID s 9"), ["xsetid s"]);
    // An empty stream stays.
    assert_eq!(events("XDEL s 8"), ["xdel s"]);
    assert_eq!(c.run("EXISTS s"), ":1\r\n");
    assert_eq!(c.run("TYPE s"), "+stream\r\n");
    assert_eq!(c.run("OBJECT ENCODING s"), bulk("stream"));
    assert_eq!(c.run("XLEN s"), ":0\r\n");
}

#[test]
fn transactions_see_changes() {
    for (line, fails) in [
        ("XADD s 9 f v", true),
        ("XDEL s 1", true),
        ("XDEL s 9", false),
        ("XTRIM s MAXLEN 1", true),
        ("XTRIM s MAXLEN 5", false),
        // As in Redis.
        ("XSETID s 9", false),
        ("XREAD STREAMS s 0", false),
    ] {
        let mut c = counting(3);
        c.run("WATCH s");
        c.other().run(line);
        c.run("MULTI");
        let wanted = if fails { "*-1\r\n" } else { "*0\r\n" };
        assert_eq!(c.run("EXEC"), wanted, "{line}");
    }
}

#[test]
fn copies_go_their_own_way() {
    let mut c = counting(7);
    assert_eq!(c.run("COPY s t"), ":1\r\n");
    c.run("XTRIM s MAXLEN 1");
    c.run("XADD t 9 f v");
    assert_eq!(c.run("XLEN t"), ":8\r\n");
    assert_eq!(c.run("XLEN s"), ":1\r\n");
    assert_eq!(
        c.run("XRANGE t - + COUNT 2"),
        format!("*2\r\n{}{}", entry("1-0", "1"), entry("2-0", "2"))
    );
    assert_eq!(
        c.run("XREVRANGE t (7-0 (4-0"),
        format!("*2\r\n{}{}", entry("6-0", "6"), entry("5-0", "5"))
    );
}

#[test]
fn the_last_entry() {
    let mut c = counting(4);
    let last = read("s", &[entry("4-0", "4")]);
    assert_eq!(c.run("XREAD STREAMS s +"), last);
    c.run("XDEL s 4");
    assert_eq!(c.run("XREAD STREAMS s +"), read("s", &[entry("3-0", "3")]));
    assert_eq!(c.run("XREAD STREAMS none +"), "*-1\r\n");
    assert_eq!(c.run("XREAD STREAMS s $"), "*-1\r\n");
}

#[test]
fn both_protocols() {
    let mut c = counting(1);
    c.session.resp = 3;
    assert_eq!(
        c.run("XREAD STREAMS s none 0 0"),
        format!("%1\r\n{}*1\r\n{}", bulk("s"), entry("1-0", "1"))
    );
    assert_eq!(c.run("XREAD STREAMS s 1"), "_\r\n");
    assert_eq!(c.run("XRANGE s - + COUNT 0"), "_\r\n");
    assert_eq!(c.run("XRANGE none - + COUNT 0"), "*0\r\n");
}

/// A client and `N` others of the same engine.
fn clients<const N: usize>() -> (Client, [Client; N]) {
    let c = counting(2);
    let mut id = 100;
    let others = std::array::from_fn(|_| {
        let mut other = c.other();
        id += 1;
        other.session.id = id;
        other
    });
    (c, others)
}

#[test]
fn waiting_for_entries() {
    let (mut c, [mut one, mut two, mut three]) = clients();
    let served = one.begin("XREAD BLOCK 0 STREAMS s 1").err();
    assert_eq!(served, Some(read("s", &[entry("2-0", "2")])));
    let (one, two, three) = (
        one.block("XREAD BLOCK 0 STREAMS s $"),
        two.block("XREAD BLOCK 500 COUNT 1 STREAMS other s $ 2"),
        three.block("XREAD BLOCK 0 STREAMS s 3-0"),
    );
    assert_eq!(two.deadline_ms(), Some(c.now_ms + 500));
    assert_eq!(c.run("XADD s 3 f 3"), bulk("3-0"));
    let wanted = read("s", &[entry("3-0", "3")]);
    assert_eq!(one.reply().as_deref(), Some(&*wanted));
    assert_eq!(two.reply().as_deref(), Some(&*wanted));
    // What it waits for did not come.
    assert_eq!(three.reply(), None);
    assert_eq!(c.engine().blocked.client_count(), 1);
    c.run("XADD s 4 f 4");
    assert_eq!(three.reply(), Some(read("s", &[entry("4-0", "4")])));
}

/// `$` is the end at the time of the call, however often the command is tried again.
#[test]
fn a_dollar_keeps_its_place() {
    let (mut c, [mut one]) = clients();
    let waiting = one.block("XREAD BLOCK 0 STREAMS s new $ $");
    c.run("XSETID s 5");
    c.run("MULTI");
    c.run("XADD s 6 f 6");
    c.run("XDEL s 6");
    c.run("EXEC");
    assert_eq!(waiting.reply(), None);
    c.run("MULTI");
    c.run("XADD s 7 f 7");
    c.run("XADD s 8 f 8");
    c.run("XADD new 1 f 1");
    c.run("EXEC");
    let wanted = format!(
        "*2\r\n*2\r\n{}*2\r\n{}{}*2\r\n{}*1\r\n{}",
        bulk("s"),
        entry("7-0", "7"),
        entry("8-0", "8"),
        bulk("new"),
        entry("1-0", "1")
    );
    assert_eq!(waiting.reply(), Some(wanted));
}

#[test]
fn streams_that_go_and_come() {
    let (mut c, [mut one, mut two]) = clients();
    let one = one.block("XREAD BLOCK 0 STREAMS s 5");
    c.run("DEL s");
    c.run("RPUSH s element");
    assert_eq!(one.reply(), None);
    c.run("DEL s");
    c.run("XADD t 9 f 9");
    c.run("RENAME t s");
    assert_eq!(one.reply(), Some(read("s", &[entry("9-0", "9")])));
    let two = two.block("XREAD BLOCK 0 STREAMS s 9");
    assert_eq!(two.time_out(&c).as_deref(), Some("*-1\r\n"));
}

#[test]
fn nobody_waits_in_a_transaction() {
    let (_, [mut one]) = clients();
    one.run("MULTI");
    one.run("XREAD BLOCK 0 STREAMS s $");
    assert_eq!(one.run("EXEC"), "*1\r\n*-1\r\n");
    assert_eq!(
        one.run("XREAD BLOCK -1 STREAMS s $"),
        "-ERR timeout is negative\r\n"
    );
    assert_eq!(
        one.run("XREAD BLOCK x STREAMS s $"),
        "-ERR timeout is not an integer or out of range\r\n"
    );
}

#[test]
fn what_is_read_of_all_streams_together_can_be_bounded() {
    let mut c = Client::new();
    for key in ["a", "b", "c"] {
        for n in 1..=2 {
            c.run(&format!("XADD {key} {n}-0 f v"));
        }
        c.run(&format!("XGROUP CREATE {key} g 0"));
    }
    let one = |n| format!("*2\r\n$3\r\n{n}-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    let (two, first) = (one(1) + &one(2), one(1));
    let three = format!("*2\r\n*2\r\n$1\r\na\r\n*2\r\n{two}*2\r\n$1\r\nb\r\n*1\r\n{first}");
    let streams = "STREAMS a b c 0 0 0";
    assert_eq!(c.run(&format!("XREAD COUNT 2 MAXCOUNT 3 {streams}")), three);
    let all = c.run(&format!("XREAD {streams}"));
    assert_eq!(c.run(&format!("XREAD MAXCOUNT 6 {streams}")), all);
    // The size of the reply so far, its header not among it, decides on the next entry; the first
    // always comes.
    for (size, wanted) in [
        (1, format!("*1\r\n*2\r\n$1\r\na\r\n*1\r\n{first}")),
        (three.len() - 8, three.clone()),
        (100_000, all),
    ] {
        assert_eq!(c.run(&format!("XREAD MAXSIZE {size} {streams}")), wanted);
    }
    let group = "XREADGROUP GROUP g me";
    let streams = "STREAMS a b c > > >";
    assert_eq!(c.run(&format!("{group} MAXCOUNT 3 {streams}")), three);
    let rest = c.run(&format!("{group} {streams}"));
    assert_eq!(
        rest,
        format!(
            "*2\r\n*2\r\n$1\r\nb\r\n*1\r\n{}*2\r\n$1\r\nc\r\n*2\r\n{two}",
            one(2)
        )
    );
    // What is pending again, and claimed.
    assert_eq!(
        c.run(&format!("{group} MAXCOUNT 3 STREAMS a b c 0 0 0")),
        three
    );
    let claimed = c.run(&format!("{group} CLAIM 0 MAXCOUNT 1 {streams}"));
    assert_eq!(claimed.matches("-0\r\n").count(), 1, "{claimed}");
    for (options, error) in [
        ("MAXCOUNT 0", "MAXCOUNT must be a positive integer"),
        ("MAXSIZE -1", "MAXSIZE must be a positive integer"),
        ("MAXSIZE x", "value is not an integer or out of range"),
        (
            "MAXCOUNT 1 COUNT 2",
            "MAXCOUNT must be greater than or equal to COUNT",
        ),
    ] {
        for command in ["XREAD", "XREADGROUP GROUP g me"] {
            assert_eq!(
                c.run(&format!("{command} {options} STREAMS a 1")),
                format!("-ERR {error}\r\n")
            );
        }
    }
}
