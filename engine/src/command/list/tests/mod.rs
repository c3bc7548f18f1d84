//! The list commands through the command table: replies, events and what is logged. Every
//! expected byte is what Redis 7.2.4 answers.

mod blocking;
mod race;

use std::sync::atomic::Ordering::Relaxed;

use crate::testing::Client;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/// Runs pairs of request and reply.
fn check(c: &mut Client, steps: &[(&str, &str)]) {
    for (line, reply) in steps {
        assert_eq!(c.run(line), *reply, "{line}");
    }
}

/// The list as its elements joined by spaces.
fn list(c: &mut Client, key: &str) -> String {
    let reply = c.run(&format!("LRANGE {key} 0 -1"));
    let mut lines = reply.split("\r\n");
    assert!(lines.next().is_some_and(|head| head.starts_with('*')));
    let elements: Vec<_> = lines.skip(1).step_by(2).collect();
    elements.join(" ")
}

#[test]
fn pushes_at_either_end() {
    let mut c = Client::with_events();
    check(
        &mut c,
        &[
            ("LPUSH l a b", ":2\r\n"),
            ("RPUSH l c d", ":4\r\n"),
            ("LPUSHX l 1", ":5\r\n"),
            ("RPUSHX l 2 3", ":7\r\n"),
            ("LPUSHX none 1", ":0\r\n"),
            ("RPUSHX none 1", ":0\r\n"),
            ("LLEN l", ":7\r\n"),
            ("LLEN none", ":0\r\n"),
        ],
    );
    let events = ["new l", "lpush l", "rpush l", "lpush l", "rpush l"];
    let mut noted = c.events();
    noted.retain(|line| !line.starts_with("keymiss"));
    assert_eq!(noted, events);
    assert_eq!(list(&mut c, "l"), "1 b a c d 2 3");
}

#[test]
fn refuses_other_types_before_it_looks_at_indexes() {
    let mut c = Client::new();
    c.run("SET s v");
    for line in [
        "LPUSH s a",
        "RPUSHX s a",
        "LLEN s",
        "LINDEX s x",
        "LSET s x v",
        "LRANGE s 0 1",
        "LTRIM s 0 1",
        "LREM s 0 v",
        "LINSERT s BEFORE a b",
        "LPOS s a",
        "LPOP s",
        "RPOP s 0",
        "LMPOP 2 none s LEFT",
        "BLPOP none s 0",
        "LMOVE s l LEFT LEFT",
        "BLMOVE s l LEFT LEFT 0",
        "RPOPLPUSH s s",
    ] {
        assert_eq!(c.run(line), WRONG_TYPE, "{line}");
    }
    let number = "-ERR value is not an integer or out of range\r\n";
    check(
        &mut c,
        &[
            ("LRANGE s x 1", number),
            ("LTRIM s 0 x", number),
            ("LREM s x v", number),
            ("LINSERT s BESIDE a b", "-ERR syntax error\r\n"),
            ("LPOS s a RANK x", number),
            (
                "RPOP s -1",
                "-ERR value is out of range, must be positive\r\n",
            ),
            ("LMOVE s l LEFT UP", "-ERR syntax error\r\n"),
            (
                "BLPOP s x",
                "-ERR timeout is not a float or out of range\r\n",
            ),
            ("LINDEX none x", "$-1\r\n"),
            ("LSET none x v", "-ERR no such key\r\n"),
        ],
    );
}

#[test]
fn pops_one_or_many() {
    let mut c = Client::with_events();
    c.run("RPUSH l a b c d e");
    c.events();
    check(
        &mut c,
        &[
            ("LPOP l", "$1\r\na\r\n"),
            ("RPOP l", "$1\r\ne\r\n"),
            ("LPOP l 0", "*0\r\n"),
            ("RPOP l 2", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
            ("LPOP l 9", "*1\r\n$1\r\nb\r\n"),
            ("LPOP l", "$-1\r\n"),
            ("LPOP l 0", "*-1\r\n"),
            ("LPOP l 1", "*-1\r\n"),
            (
                "LPOP l x",
                "-ERR value is out of range, must be positive\r\n",
            ),
            (
                "LPOP l 1 2",
                "-ERR wrong number of arguments for 'lpop' command\r\n",
            ),
        ],
    );
    assert_eq!(
        c.events(),
        ["lpop l", "rpop l", "rpop l", "lpop l", "del l"]
    );
    c.session.resp = 3;
    assert_eq!(c.run("LPOP l 1"), "_\r\n");
}

#[test]
fn pops_from_the_first_list_of_several() {
    let mut c = Client::new();
    let log = c.record_log();
    c.run("RPUSH b 1 2 3");
    log.take();
    check(
        &mut c,
        &[
            ("LMPOP 2 a b LEFT", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n"),
            (
                "BLMPOP 0 2 a b right COUNT 9",
                "*2\r\n$1\r\nb\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n",
            ),
            ("LMPOP 2 a b LEFT", "*-1\r\n"),
            (
                "LMPOP 0 a LEFT",
                "-ERR numkeys should be greater than 0\r\n",
            ),
            (
                "LMPOP x a LEFT",
                "-ERR numkeys should be greater than 0\r\n",
            ),
            ("LMPOP 2 a LEFT", "-ERR syntax error\r\n"),
            ("LMPOP 9223372036854775807 a LEFT", "-ERR syntax error\r\n"),
            ("LMPOP 1 a UP", "-ERR syntax error\r\n"),
            (
                "LMPOP 1 a LEFT COUNT 0",
                "-ERR count should be greater than 0\r\n",
            ),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 2", "-ERR syntax error\r\n"),
            ("LMPOP 1 a LEFT COUNT", "-ERR syntax error\r\n"),
            ("BLMPOP x 1 a UP", "-ERR syntax error\r\n"),
            (
                "BLMPOP x 1 a LEFT",
                "-ERR timeout is not a float or out of range\r\n",
            ),
        ],
    );
    assert_eq!(log.take(), ["LPOP b 1", "RPOP b 2"]);
}

#[test]
fn changes_in_the_middle() {
    let mut c = Client::with_events();
    c.run("RPUSH l a b c b a");
    c.events();
    check(
        &mut c,
        &[
            ("LSET l -1 z", "+OK\r\n"),
            ("LSET l 5 z", "-ERR index out of range\r\n"),
            ("LINSERT l before b x", ":6\r\n"),
            ("LINSERT l AFTER none x", ":-1\r\n"),
            ("LINSERT none AFTER a x", ":0\r\n"),
            ("LREM l -1 b", ":1\r\n"),
            ("LREM l 0 none", ":0\r\n"),
            ("LREM none 0 a", ":0\r\n"),
            ("LTRIM l 0 -1", "+OK\r\n"),
            ("LTRIM l -2 -1", "+OK\r\n"),
            ("LTRIM none 0 0", "+OK\r\n"),
        ],
    );
    assert_eq!(
        c.events(),
        ["lset l", "linsert l", "lrem l", "ltrim l", "ltrim l"]
    );
    assert_eq!(list(&mut c, "l"), "c z");
    c.events();
    c.run("LTRIM l 1 0");
    c.run("RPUSH m a a");
    c.run("LREM m 0 a");
    assert_eq!(
        c.events(),
        ["ltrim l", "del l", "new m", "rpush m", "lrem m", "del m"]
    );
}

#[test]
fn logs_what_changed_something() {
    let mut c = Client::new();
    let log = c.record_log();
    for line in [
        "RPUSH l a b",
        "LTRIM l 0 -1",
        "LREM l 0 none",
        "LSET l 9 a",
        "LINSERT l AFTER none x",
        "LPOP none",
        "LMOVE none l LEFT LEFT",
        "LMOVE l l LEFT RIGHT",
    ] {
        c.run(line);
    }
    assert_eq!(log.take(), ["RPUSH l a b", "LMOVE l l LEFT RIGHT"]);
}

#[test]
fn finds_positions() {
    let mut c = Client::new();
    c.run("RPUSH l a b c 1 2 b 3 b");
    let not_zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                    second ... or use negative to start from the end of the list\r\n";
    let range = "-ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807\r\n";
    check(
        &mut c,
        &[
            ("LPOS l b", ":1\r\n"),
            ("LPOS l b RANK -1", ":7\r\n"),
            ("LPOS l b RANK 2 COUNT 0", "*2\r\n:5\r\n:7\r\n"),
            ("LPOS l b RANK -2 COUNT 0", "*2\r\n:5\r\n:1\r\n"),
            ("LPOS l b COUNT 1 MAXLEN 1", "*0\r\n"),
            ("LPOS l b MAXLEN 1", "$-1\r\n"),
            ("LPOS l 2", ":4\r\n"),
            ("LPOS none b COUNT 1", "*0\r\n"),
            ("LPOS none b", "$-1\r\n"),
            ("LPOS l b RANK 0", not_zero),
            ("LPOS l b RANK -9223372036854775808", range),
            ("LPOS l b COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS l b MAXLEN x", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS l b RANK", "-ERR syntax error\r\n"),
            ("LPOS l b UP 1", "-ERR syntax error\r\n"),
        ],
    );
}

#[test]
fn moves_between_and_within_lists() {
    let mut c = Client::with_events();
    c.run("RPUSH a 1 2 3");
    c.run("SET s v");
    c.events();
    check(
        &mut c,
        &[
            ("LMOVE a b LEFT RIGHT", "$1\r\n1\r\n"),
            ("RPOPLPUSH a b", "$1\r\n3\r\n"),
            ("LMOVE a s LEFT LEFT", WRONG_TYPE),
            ("BRPOPLPUSH a b 0", "$1\r\n2\r\n"),
            ("LMOVE a b LEFT LEFT", "$-1\r\n"),
            ("LMOVE none s LEFT LEFT", "$-1\r\n"),
            ("LMOVE b b LEFT RIGHT", "$1\r\n2\r\n"),
        ],
    );
    assert_eq!(
        c.events(),
        [
            "new b", "rpush b", "lpop a", "lpush b", "rpop a", "lpush b", "rpop a", "del a",
            "rpush b", "lpop b"
        ]
    );
    assert_eq!(list(&mut c, "b"), "3 1 2");
}

#[test]
fn lists_change_their_encoding_with_their_size() {
    let mut c = Client::new();
    c.engine().settings.list_max_listpack_size.store(4, Relaxed);
    let encoding = |c: &mut Client| {
        let mut held = crate::keyspace::Keyspace::new(
            c.engine(),
            crate::keyspace::held::Held::all(&c.engine().shards),
            0,
            c.now_ms,
        );
        held.list(b"l").ok().flatten().map(|list| list.encoding())
    };
    c.run("RPUSH l 1 2 3 4");
    assert_eq!(encoding(&mut c), Some("listpack"));
    c.run("LINSERT l AFTER none 5");
    assert_eq!(encoding(&mut c), Some("quicklist"));
    c.run("LPOP l");
    assert_eq!(encoding(&mut c), Some("quicklist"));
    c.run("LREM l 0 2");
    assert_eq!(encoding(&mut c), Some("listpack"));
    assert_eq!(list(&mut c, "l"), "3 4");
}
