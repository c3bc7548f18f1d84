use crate::testing::Client;

/// A client whose stream `s` has entries 1-0 to 5-0 and a group `g` that read nothing.
fn client() -> Client {
    let mut c = Client::with_events();
    for n in 1..=5 {
        c.run(&format!("XADD s {n}-0 f v{n}"));
    }
    assert_eq!(c.run("XGROUP CREATE s g 0"), "+OK\r\n");
    c.events();
    c
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The reply for entries of `s`.
fn entries(ids: &[u64]) -> String {
    let mut reply = format!("*{}\r\n", ids.len());
    for n in ids {
        let (id, value) = (bulk(&format!("{n}-0")), bulk(&format!("v{n}")));
        reply += &format!("*2\r\n{id}*2\r\n{}{value}", bulk("f"));
    }
    reply
}

/// The reply of XREADGROUP with entries of `s` alone.
fn read(ids: &[u64]) -> String {
    format!("*1\r\n*2\r\n{}{}", bulk("s"), entries(ids))
}

const NO_GROUP: &str = "-NOGROUP No such key 's' or consumer group 'g'\r\n";
const NO_GROUP_TO_READ: &str =
    "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";

#[test]
fn reading_makes_entries_pending_until_they_are_acknowledged() {
    let mut c = client();
    assert_eq!(
        c.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >"),
        read(&[1, 2])
    );
    assert_eq!(
        c.run("XREADGROUP GROUP g b COUNT 1 STREAMS s >"),
        read(&[3])
    );
    assert_eq!(c.run("XREADGROUP GROUP g a STREAMS s 0"), read(&[1, 2]));
    assert_eq!(c.run("XREADGROUP GROUP g a STREAMS s 1"), read(&[2]));
    c.now_ms += 7;
    assert_eq!(
        c.run("XPENDING s g - + 10 a"),
        format!(
            "*2\r\n*4\r\n{}{}:7\r\n:2\r\n*4\r\n{}{}:7\r\n:3\r\n",
            bulk("1-0"),
            bulk("a"),
            bulk("2-0"),
            bulk("a")
        )
    );
    assert_eq!(c.run("XACK s g 1-0 2-0 2-0 9-0"), ":2\r\n");
    assert_eq!(c.run("XREADGROUP GROUP g a STREAMS s 0"), read(&[]));
    assert_eq!(
        c.run("XPENDING s g"),
        format!(
            "*4\r\n:1\r\n{}{}*1\r\n*2\r\n{}{}",
            bulk("3-0"),
            bulk("3-0"),
            bulk("b"),
            bulk("1")
        )
    );
    assert_eq!(c.events(), ["xgroup-createconsumer s"; 2]);
}

#[test]
fn resp3_answers_a_map() {
    let mut c = client();
    c.session.resp = 3;
    assert_eq!(
        c.run("XREADGROUP GROUP g a COUNT 1 STREAMS s >"),
        format!("%1\r\n{}{}", bulk("s"), entries(&[1]))
    );
    assert_eq!(
        c.run("XREADGROUP GROUP g b STREAMS s 0"),
        format!("%1\r\n{}*0\r\n", bulk("s"))
    );
}

#[test]
fn a_deleted_entry_stays_pending_without_its_content() {
    let mut c = client();
    c.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
    c.run("XDEL s 1-0");
    let expected = format!(
        "*1\r\n*2\r\n{}*2\r\n*2\r\n{}*-1\r\n{}",
        bulk("s"),
        bulk("1-0"),
        entries(&[2]).trim_start_matches("*1\r\n")
    );
    assert_eq!(c.run("XREADGROUP GROUP g a STREAMS s 0"), expected);
    // Claiming finds that out and drops it.
    assert_eq!(
        c.run("XCLAIM s g b 0 1-0 2-0 JUSTID"),
        format!("*1\r\n{}", bulk("2-0"))
    );
    assert_eq!(c.run("XPENDING s g - + 9 a"), "*0\r\n");
    c.run("XDEL s 2-0");
    assert_eq!(
        c.run("XAUTOCLAIM s g a 0 0"),
        format!("*3\r\n{}*0\r\n*1\r\n{}", bulk("0-0"), bulk("2-0"))
    );
}

#[test]
fn the_log_tells_what_was_handed_out() {
    let mut c = client();
    let log = c.record_log();
    c.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
    assert_eq!(
        log.take(),
        [
            "MULTI",
            "XCLAIM s g a 0 1-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
            "XCLAIM s g a 0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0",
            "XGROUP SETID s g 2-0 ENTRIESREAD 2",
            "EXEC"
        ]
    );
    c.run("XREADGROUP GROUP g b COUNT 1 NOACK STREAMS s >");
    assert_eq!(
        log.take(),
        [
            "MULTI",
            "XGROUP CREATECONSUMER s g b",
            "XGROUP SETID s g 3-0 ENTRIESREAD 3",
            "EXEC"
        ]
    );
    // Nothing of what is already pending changes owner.
    c.run("XREADGROUP GROUP g a STREAMS s 0");
    assert!(log.take().is_empty());
    c.run("XACK s g 9-9");
    assert!(log.take().is_empty());
    c.run("XACK s g 1-0 9-9");
    assert_eq!(log.take(), ["XACK s g 1-0 9-9"]);
    c.now_ms += 100;
    c.run("XCLAIM s g b 50 2 IDLE 30");
    assert_eq!(
        log.take(),
        ["XCLAIM s g b 0 2 TIME 1700000000070 RETRYCOUNT 3 FORCE JUSTID LASTID 3-0"]
    );
    c.run("XCLAIM s g b 50 2-0 LASTID 4-0");
    assert_eq!(log.take(), ["XGROUP SETID s g 4-0 ENTRIESREAD 3"]);
    c.run("XAUTOCLAIM s g a 0 - JUSTID");
    assert_eq!(
        log.take(),
        ["XCLAIM s g a 0 2-0 TIME 1700000000100 RETRYCOUNT 3 FORCE JUSTID LASTID 4-0"]
    );
    c.run("XDEL s 2-0");
    log.take();
    c.run("XAUTOCLAIM s g b 0 -");
    assert_eq!(
        log.take(),
        ["XCLAIM s g a 0 2-0 TIME 1700000000100 RETRYCOUNT 3 FORCE JUSTID LASTID 4-0"]
    );
}

#[test]
fn replaying_the_log_gives_the_same_groups() {
    let mut c = client();
    let log = c.record_log();
    for line in [
        "XREADGROUP GROUP g a COUNT 3 STREAMS s >",
        "XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s >",
        "XGROUP CREATECONSUMER s g idle",
        "XDEL s 2-0",
        "XCLAIM s g b 0 1-0 2-0 3-0",
        "XACK s g 1-0",
        "XADD s 6-0 f v6",
        "XGROUP CREATE s h 3-0 ENTRIESREAD 3",
        "XREADGROUP GROUP h x COUNT 2 STREAMS s >",
        "XGROUP SETID s h $",
        "XAUTOCLAIM s h y 0 0 COUNT 1",
        "XGROUP DELCONSUMER s h x",
        "XGROUP CREATE s gone 0",
        "XGROUP DESTROY s gone",
    ] {
        assert!(!c.run(line).starts_with('-'), "{line}");
        c.now_ms += 10;
    }
    let mut replica = client();
    replica.now_ms = c.now_ms + 5;
    for line in log.take() {
        if line != "MULTI" && line != "EXEC" {
            let reply = replica.run(&line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
    }
    replica.now_ms = c.now_ms;
    for question in [
        "XINFO GROUPS s",
        "XPENDING s g - + 10",
        "XPENDING s h - + 10",
        "XPENDING s g",
    ] {
        assert_eq!(c.run(question), replica.run(question), "{question}");
    }
}

#[test]
fn claiming_asks_for_idle_entries() {
    let mut c = client();
    c.run("XREADGROUP GROUP g a COUNT 3 STREAMS s >");
    c.now_ms += 1000;
    c.run("XCLAIM s g b 0 2-0 IDLE 10 JUSTID");
    assert_eq!(c.run("XCLAIM s g c 500 1-0 2-0 3-0"), entries(&[1, 3]));
    assert_eq!(c.run("XCLAIM s g c 500 4-0"), "*0\r\n", "not pending");
    assert_eq!(c.run("XCLAIM s g c 500 4-0 FORCE"), entries(&[4]));
    let row = |id: &str, name: &str, idle: u32, count: u32| {
        format!("*4\r\n{}{}:{idle}\r\n:{count}\r\n", bulk(id), bulk(name))
    };
    assert_eq!(
        c.run("XPENDING s g - + 10"),
        format!(
            "*4\r\n{}{}{}{}",
            row("1-0", "c", 0, 2),
            row("2-0", "b", 10, 1),
            row("3-0", "c", 0, 2),
            row("4-0", "c", 0, 2)
        )
    );
    assert_eq!(
        c.run("XPENDING s g IDLE 5 - + 10"),
        format!("*1\r\n{}", row("2-0", "b", 10, 1))
    );
    assert_eq!(c.run("XPENDING s g (1-0 (2-0 10"), "*0\r\n");
    assert_eq!(
        c.run("XPENDING s g (18446744073709551615-18446744073709551615 + 10"),
        "-ERR invalid start ID for the interval\r\n"
    );
    c.run("XCLAIM s g d 0 1-0 TIME 1700000000900 RETRYCOUNT 7 JUSTID");
    assert_eq!(
        c.run("XPENDING s g - + 10 d"),
        format!("*1\r\n{}", row("1-0", "d", 100, 7))
    );
}

#[test]
fn autoclaim_goes_on_where_it_stopped() {
    let mut c = client();
    c.run("XREADGROUP GROUP g a STREAMS s >");
    c.now_ms += 100;
    c.run("XDEL s 2-0");
    assert_eq!(
        c.run("XAUTOCLAIM s g b 50 - COUNT 2"),
        format!(
            "*3\r\n{}{}*1\r\n{}",
            bulk("3-0"),
            entries(&[1]),
            bulk("2-0")
        )
    );
    assert_eq!(
        c.run("XAUTOCLAIM s g b 50 3-0 COUNT 9 JUSTID"),
        format!(
            "*3\r\n{}*3\r\n{}{}{}*0\r\n",
            bulk("0-0"),
            bulk("3-0"),
            bulk("4-0"),
            bulk("5-0")
        )
    );
    assert_eq!(
        c.run("XAUTOCLAIM s g b 50 -"),
        format!("*3\r\n{}*0\r\n*0\r\n", bulk("0-0")),
        "nothing is idle for so long"
    );
    for (words, error) in [
        ("0 - COUNT 0", "-ERR COUNT must be > 0\r\n"),
        (
            "0 - COUNT 9223372036854775807",
            "-ERR COUNT must be > 0\r\n",
        ),
        (
            "x -",
            "-ERR Invalid min-idle-time argument for XAUTOCLAIM\r\n",
        ),
        ("0 - FOO", "-ERR syntax error\r\n"),
    ] {
        assert_eq!(c.run(&format!("XAUTOCLAIM s g b {words}")), error);
    }
}

#[test]
fn attempts_are_bounded() {
    let mut c = client();
    for n in 6..=40 {
        c.run(&format!("XADD s {n}-0 f v{n}"));
    }
    c.run("XREADGROUP GROUP g a STREAMS s >");
    c.now_ms += 100;
    // Only the last is idle, but COUNT 1 looks at ten.
    c.run("XCLAIM s g a 0 40-0 IDLE 90 JUSTID");
    for n in 1..40 {
        c.run(&format!("XCLAIM s g a 0 {n}-0 JUSTID"));
    }
    assert_eq!(
        c.run("XAUTOCLAIM s g b 50 - COUNT 1"),
        format!("*3\r\n{}*0\r\n*0\r\n", bulk("11-0"))
    );
}

#[test]
fn groups_are_made_moved_and_removed() {
    let mut c = client();
    let log = c.record_log();
    assert_eq!(
        c.run("XGROUP CREATE s g 0"),
        "-BUSYGROUP Consumer Group name already exists\r\n"
    );
    assert!(
        c.run("XGROUP CREATE t g 0")
            .starts_with("-ERR The XGROUP subcommand requires")
    );
    assert_eq!(
        c.run("XGROUP CREATE t g $ MKSTREAM ENTRIESREAD 5"),
        "+OK\r\n"
    );
    assert_eq!(c.run("XLEN t"), ":0\r\n");
    assert_eq!(c.events(), ["new t", "xgroup-create t"]);
    assert_eq!(c.run("XGROUP SETID s g 3 ENTRIESREAD 3"), "+OK\r\n");
    assert_eq!(c.run("XREADGROUP GROUP g a STREAMS s >"), read(&[4, 5]));
    assert_eq!(c.run("XGROUP CREATECONSUMER s g b"), ":1\r\n");
    assert_eq!(c.run("XGROUP CREATECONSUMER s g b"), ":0\r\n");
    assert_eq!(c.run("XGROUP DELCONSUMER s g a"), ":2\r\n");
    assert_eq!(c.run("XGROUP DELCONSUMER s g a"), ":0\r\n");
    assert_eq!(c.run("XGROUP DESTROY s g"), ":1\r\n");
    assert_eq!(c.run("XGROUP DESTROY s g"), ":0\r\n");
    assert_eq!(
        c.events(),
        [
            "xgroup-setid s",
            "xgroup-createconsumer s",
            "xgroup-createconsumer s",
            "xgroup-delconsumer s",
            "xgroup-destroy s"
        ]
    );
    let logged = log.take();
    assert_eq!(logged[0], "XGROUP CREATE t g $ MKSTREAM ENTRIESREAD 5");
    assert_eq!(logged[logged.len() - 1], "XGROUP DESTROY s g");
    for (line, error) in [
        (
            "XGROUP SETID s g 0",
            "-NOGROUP No such consumer group 'g' for key name 's'\r\n",
        ),
        (
            "XGROUP CREATE s g 0 ENTRIESREAD -2",
            "-ERR value for ENTRIESREAD must be positive or -1\r\n",
        ),
        (
            "XGROUP CREATE s g 0 FOO",
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.\r\n",
        ),
        (
            "XGROUP CREATE s g -",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("XPENDING s g", NO_GROUP),
        ("XCLAIM s g c 0 1-0", NO_GROUP),
        ("XAUTOCLAIM s g c 0 1-0", NO_GROUP),
        ("XREADGROUP GROUP g a STREAMS s >", NO_GROUP_TO_READ),
        ("XACK s g 1-0", ":0\r\n"),
    ] {
        assert_eq!(c.run(line), error, "{line}");
    }
}

#[test]
fn wrong_words_are_refused() {
    let mut c = client();
    for (line, error) in [
        (
            "XREADGROUP GROUP g a COUNT 1 STREAMS s",
            "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
        ),
        (
            "XREADGROUP GROUP g STREAMS s >",
            "wrong number of arguments for 'xreadgroup' command",
        ),
        (
            "XREADGROUP COUNT 1 NOACK NOACK STREAMS s >",
            "Missing GROUP option for XREADGROUP",
        ),
        (
            "XREADGROUP GROUP g a BLOCK -1 STREAMS s >",
            "timeout is negative",
        ),
        (
            "XREADGROUP GROUP g a BLOCK x STREAMS s >",
            "timeout is not an integer or out of range",
        ),
        (
            "XREADGROUP GROUP g a BLOCK 9223372036854775807 STREAMS s >",
            "timeout is out of range",
        ),
        ("XREADGROUP GROUP g a FOO 1 STREAMS s >", "syntax error"),
        (
            "XCLAIM s g a x 1-0",
            "Invalid min-idle-time argument for XCLAIM",
        ),
        (
            "XCLAIM s g a 0 1-0 IDLE x",
            "Invalid IDLE option argument for XCLAIM",
        ),
        ("XCLAIM s g a 0 1-0 FOO", "Unrecognized XCLAIM option 'FOO'"),
        (
            "XCLAIM s g a 0 1-0 IDLE",
            "Unrecognized XCLAIM option 'IDLE'",
        ),
        (
            "XACK s g 1-0 x",
            "Invalid stream ID specified as stream command argument",
        ),
        ("XPENDING s g IDLE 1 - +", "syntax error"),
        ("XPENDING s g - +", "syntax error"),
        (
            "XINFO STREAM s FULL COUNT",
            "unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
        ),
        ("XINFO STREAM nokey", "no such key"),
    ] {
        assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    c.run("SET str x");
    for line in [
        "XREADGROUP GROUP g a STREAMS str >",
        "XACK str g 1",
        "XCLAIM str g a 0 1",
        "XAUTOCLAIM str g a 0 1",
        "XPENDING str g",
        "XGROUP CREATE str g 0 MKSTREAM",
        "XINFO STREAM str",
    ] {
        assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
    }
}

#[test]
fn a_snapshot_keeps_its_groups() {
    let mut c = client();
    c.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
    c.run("COPY s t");
    c.run("XREADGROUP GROUP g a STREAMS s >");
    c.run("XACK s g 1-0 2-0");
    c.run("XGROUP DELCONSUMER s g a");
    assert_eq!(
        c.run("XREADGROUP GROUP g a STREAMS t 0"),
        read(&[1, 2]).replace("$1\r\ns\r\n", "$1\r\nt\r\n")
    );
}
