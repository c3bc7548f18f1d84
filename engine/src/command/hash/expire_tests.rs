use crate::testing::Client;

fn ints(replies: &[i64]) -> String {
    let body: String = replies.iter().map(|n| format!(":{n}\r\n")).collect();
    format!("*{}\r\n{body}", replies.len())
}

#[test]
fn units_bases_and_answers() {
    let mut c = Client::new();
    c.run("HSET h a 1 b 2 c 3");
    assert_eq!(c.run("HEXPIRE none 10 FIELDS 2 a b"), ints(&[-2, -2]));
    assert_eq!(c.run("HEXPIRE h 10 FIELDS 2 a none"), ints(&[1, -2]));
    assert_eq!(c.run("HPTTL h FIELDS 3 a b none"), ints(&[10_000, -1, -2]));
    assert_eq!(c.run("HPEXPIRE h 1600 fields 1 b"), ints(&[1]));
    assert_eq!(c.run("HTTL h FIELDS 2 a b"), ints(&[10, 2]));
    assert_eq!(c.run("HEXPIREAT h 1700000005 FIELDS 1 a"), ints(&[1]));
    assert_eq!(
        c.run("HPEXPIRETIME h FIELDS 1 a"),
        ints(&[1_700_000_005_000])
    );
    assert_eq!(c.run("HPEXPIREAT h 1700000005123 FIELDS 1 a"), ints(&[1]));
    assert_eq!(
        c.run("HEXPIRETIME h FIELDS 2 a c"),
        ints(&[1_700_000_005, -1])
    );
    assert_eq!(c.run("HPERSIST h FIELDS 3 a c none"), ints(&[1, -1, -2]));
    assert_eq!(c.run("HTTL h FIELDS 1 a"), ints(&[-1]));
    assert_eq!(c.run("HPERSIST none FIELDS 1 a"), ints(&[-2]));
    assert_eq!(c.run("HTTL none FIELDS 1 a"), ints(&[-2]));
}

#[test]
fn conditions() {
    let mut c = Client::new();
    c.run("HSET h a 1");
    for (line, reply) in [
        ("HEXPIRE h 100 XX FIELDS 1 a", 0),
        ("HEXPIRE h 100 GT FIELDS 1 a", 0),
        ("HEXPIRE h 100 lt FIELDS 1 a", 1),
        ("HEXPIRE h 100 LT FIELDS 1 a", 0),
        ("HEXPIRE h 101 GT XX FIELDS 1 a", 1),
        ("HEXPIRE h 90 NX FIELDS 1 a", 0),
        ("HEXPIRE h 90 XX FIELDS 1 a", 1),
        ("HEXPIRE h 0 GT FIELDS 1 a", 0),
        ("HEXPIRE h 0 LT FIELDS 1 a", 2),
    ] {
        assert_eq!(c.run(line), ints(&[reply]), "{line}");
    }
    assert_eq!(c.run("EXISTS h"), ":0\r\n");
}

#[test]
fn refused_requests() {
    let mut c = Client::new();
    c.run("HSET h a 1");
    c.run("SADD s x");
    let fields = "numfields should be greater than 0 and match the provided number of fields";
    let time = |name: &str| format!("invalid expire time in '{name}' command");
    let integer = "value is not an integer or out of range";
    for (line, error) in [
        ("HEXPIRE h 10 FIELDS 2 a", fields.to_string()),
        ("HEXPIRE h 10 FIELDS 0 a", fields.to_string()),
        ("HEXPIRE h 10 FIELDS -1 a", fields.to_string()),
        ("HEXPIRE h 10 FIELDS x a", integer.to_string()),
        ("HEXPIRE h 10 FELDS 1 a", fields.to_string()),
        ("HEXPIRE h x FIELDS 1 a", integer.to_string()),
        ("HEXPIRE h -1 FIELDS 1 a", time("hexpire")),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", time("hexpire")),
        (
            "HPEXPIRE h 9223372036854775807 FIELDS 1 a",
            time("hpexpire"),
        ),
        (
            "HPEXPIREAT h 281474976710656 FIELDS 1 a",
            time("hpexpireat"),
        ),
        (
            "HEXPIRE h 10 YY FIELDS 1 a",
            "Unsupported option YY".to_string(),
        ),
        (
            "HEXPIRE h 10 NX XX FIELDS 1 a",
            "NX and XX, GT or LT options at the same time are not compatible".to_string(),
        ),
        ("HTTL h FIELDS 2 a", fields.to_string()),
        ("HTTL h x FIELDS 1 a", "syntax error".to_string()),
        (
            "HPERSIST h FIELDS 9223372036854775807 a",
            fields.to_string(),
        ),
    ] {
        assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    for line in [
        "HEXPIRE s 1 FIELDS 1 a",
        "HTTL s FIELDS 1 a",
        "HPERSIST s FIELDS 1 a",
    ] {
        assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
    }
    assert_eq!(c.run("HPEXPIREAT h 281474976710655 FIELDS 1 a"), ints(&[1]));
}

/// Every command that may meet a field past its time, as if it were not there.
#[test]
fn no_command_meets_an_expired_field() {
    for (line, reply) in [
        ("HGET h a", "$-1\r\n"),
        ("HMGET h a b", "*2\r\n$-1\r\n$1\r\n2\r\n"),
        ("HEXISTS h a", ":0\r\n"),
        ("HSTRLEN h a", ":0\r\n"),
        ("HLEN h", ":1\r\n"),
        ("HKEYS h", "*1\r\n$1\r\nb\r\n"),
        ("HVALS h", "*1\r\n$1\r\n2\r\n"),
        ("HGETALL h", "*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("HSCAN h 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("HRANDFIELD h 5", "*1\r\n$1\r\nb\r\n"),
        ("HDEL h a", ":0\r\n"),
        ("HSETNX h a 5", ":1\r\n"),
        ("HSET h a 5", ":1\r\n"),
        ("HINCRBY h a 5", ":5\r\n"),
        ("HINCRBYFLOAT h a 5", "$1\r\n5\r\n"),
        ("HEXPIRE h 10 FIELDS 1 a", "*1\r\n:-2\r\n"),
        ("HPERSIST h FIELDS 1 a", "*1\r\n:-2\r\n"),
        ("HTTL h FIELDS 1 a", "*1\r\n:-2\r\n"),
        ("HGETEX h FIELDS 1 a", "*1\r\n$-1\r\n"),
        ("HGETDEL h FIELDS 1 a", "*1\r\n$-1\r\n"),
        ("HSETEX h FXX FIELDS 1 a 1", ":0\r\n"),
        ("SORT ids BY nosort GET h->a", "*1\r\n$-1\r\n"),
    ] {
        for size in [0, 600] {
            let mut c = Client::new();
            c.run("RPUSH ids 1");
            c.run("HSET h a 1 b 2");
            for n in 0..size {
                // A table, emptied again.
                c.run(&format!("HSET h x{n} v"));
                c.run(&format!("HDEL h x{n}"));
            }
            c.run("HPEXPIRE h 10 FIELDS 1 a");
            c.now_ms += 10;
            assert_eq!(
                c.run("HGET h a"),
                "$1\r\n1\r\n",
                "{line}: the time is not past yet"
            );
            c.now_ms += 1;
            assert_eq!(c.run(line), reply, "{line}");
        }
    }
}

#[test]
fn the_key_goes_with_its_last_field() {
    for line in [
        "EXISTS h",
        "TTL h",
        "HLEN h",
        "DUMP h",
        "COPY h h2",
        "SADD h x",
    ] {
        let mut c = Client::with_events();
        let log = c.record_log();
        c.run("HSET h a 1 b 2");
        c.run("HPEXPIRE h 10 FIELDS 2 a b");
        c.now_ms += 11;
        c.events();
        c.run(line);
        let events = c.events();
        assert_eq!(events[..2], ["hexpired h", "del h"], "{line}");
        let logged = log.take();
        assert!(
            logged.iter().any(|line| line.starts_with("HDEL h ")),
            "{line}: {logged:?}"
        );
        assert_eq!(c.run("EXISTS h2"), ":0\r\n", "{line}");
        assert_eq!(c.engine().lasting_count(0), 0, "{line}");
    }
}

#[test]
fn active_expiry_finds_fields_nobody_asks_for() {
    let mut c = Client::with_events();
    let log = c.record_log();
    for key in 0..300 {
        c.run(&format!("HSET h{key} a 1 b 2"));
        c.run(&format!("HPEXPIRE h{key} {} FIELDS 1 a", 10 + key));
    }
    c.run("HSET gone a 1");
    c.run("HPEXPIRE gone 5 FIELDS 1 a");
    c.run("EXPIRE h0 1000");
    assert_eq!(c.engine().lasting_count(0), 301);
    assert_eq!(c.engine().volatile_count(0), 1);
    assert_eq!(c.engine().expire_pass(c.now_ms), 0);
    log.take();
    c.events();
    assert_eq!(c.engine().expire_pass(c.now_ms + 6), 1);
    assert_eq!(log.take(), ["HDEL gone a"]);
    assert_eq!(c.events(), ["hexpired gone", "del gone"]);
    let mut removed = 0;
    loop {
        match c.engine().expire_pass(c.now_ms + 110) {
            0 => break,
            some => removed += some,
        }
    }
    assert_eq!(removed, 100);
    assert_eq!(c.engine().lasting_count(0), 200);
    assert_eq!(c.engine().key_count(0), 300);
    assert_eq!(c.engine().stats().expired_fields, 101);
    assert_eq!(c.run("TTL h0"), ":1000\r\n");
    // A field set anew does not expire: the hash is let go of when its time has come.
    c.run("HSET h200 a 1");
    while c.engine().expire_pass(c.now_ms + 400) > 0 {}
    assert_eq!(c.engine().lasting_count(0), 0);
    assert_eq!(c.run("HLEN h200"), ":2\r\n");
}

#[test]
fn a_big_hash_is_cleared_in_steps() {
    let mut c = Client::new();
    let fields: Vec<String> = (0..2500).map(|n| format!("f{n}")).collect();
    for field in &fields {
        c.run(&format!("HSET h {field} v"));
    }
    c.run("HSET h stays v");
    c.run(&format!("HPEXPIRE h 10 FIELDS 2500 {}", fields.join(" ")));
    let later = c.now_ms + 11;
    assert_eq!(c.engine().expire_pass(later), 1000);
    assert_eq!(c.engine().expire_pass(later), 1000);
    assert_eq!(c.engine().expire_pass(later), 500);
    assert_eq!(c.engine().expire_pass(later), 0);
    assert_eq!(c.run("HKEYS h"), "*1\r\n$5\r\nstays\r\n");
}

#[test]
fn times_follow_the_value() {
    let mut c = Client::new();
    c.run("HSET h a 1 b 2");
    c.run("HPEXPIRE h 10 FIELDS 1 a");
    c.run("HINCRBY h a 4");
    c.run("HINCRBYFLOAT h a 0.5");
    assert_eq!(
        c.run("HPTTL h FIELDS 1 a"),
        ints(&[10]),
        "counting keeps the time"
    );
    c.run("COPY h copy");
    c.run("RENAME h h2");
    let dump = c.run_words(&[b"DUMP", b"h2"]);
    let payload =
        &dump[dump.iter().position(|b| *b == b'\n').expect("a header") + 1..dump.len() - 2];
    assert_eq!(
        c.run_words(&[b"RESTORE", b"back", b"0", payload]),
        b"+OK\r\n"
    );
    c.run("EXPIRE h2 100");
    for key in ["copy", "h2", "back"] {
        assert_eq!(
            c.run(&format!("HPTTL {key} FIELDS 2 a b")),
            ints(&[10, -1]),
            "{key}"
        );
    }
    assert_eq!(c.engine().lasting_count(0), 3);
    c.now_ms += 11;
    while c.engine().expire_pass(c.now_ms) > 0 {}
    for key in ["copy", "h2", "back"] {
        assert_eq!(c.run(&format!("HKEYS {key}")), "*1\r\n$1\r\nb\r\n", "{key}");
    }
    assert_eq!(c.engine().lasting_count(0), 0);
    c.run("HEXPIRE copy 10 FIELDS 1 b");
    c.run("SELECT 1");
    c.run("SWAPDB 0 1");
    assert_eq!(c.engine().lasting_count(1), 1);
    c.run("FLUSHALL");
    assert_eq!(c.engine().lasting_count(1), 0);
}

#[test]
fn what_is_logged_makes_the_same_hash() {
    let mut c = Client::new();
    let log = c.record_log();
    for line in [
        "HSET h a 1 b 2 c 3 d 4",
        "HEXPIRE h 10 FIELDS 2 a none",
        "HEXPIRE h 5 GT FIELDS 1 a",
        "HEXPIRE h 0 FIELDS 1 d",
        "HPERSIST h FIELDS 1 b",
        "HINCRBYFLOAT h a 0.5",
        "HGETEX h EX 20 FIELDS 2 b none",
        "HGETEX h PERSIST FIELDS 1 b",
        "HGETEX h FIELDS 1 b",
        "HSETEX h FNX PX 7 FIELDS 1 e 5",
        "HSETEX h KEEPTTL FIELDS 2 e 6 c 7",
        "HSETEX h EXAT 1 FIELDS 1 c 9",
        "HGETDEL h FIELDS 2 b none",
    ] {
        c.run(line);
    }
    let logged = log.take();
    assert_eq!(
        logged,
        [
            "HSET h a 1 b 2 c 3 d 4",
            "HPEXPIREAT h 1700000010000 FIELDS 1 a",
            "HDEL h d",
            "MULTI",
            "HSET h a 1.5",
            "HPEXPIREAT h 1700000010000 FIELDS 1 a",
            "EXEC",
            "HPEXPIREAT h 1700000020000 FIELDS 1 b",
            "HPERSIST h FIELDS 1 b",
            "MULTI",
            "HSET h e 5",
            "HPEXPIREAT h 1700000000007 FIELDS 1 e",
            "EXEC",
            "MULTI",
            "HSET h e 6 c 7",
            "HPEXPIREAT h 1700000000007 FIELDS 1 e",
            "EXEC",
            "HDEL h c",
            "HDEL h b",
        ]
    );
    let mut copy = Client::new();
    for line in &logged {
        copy.run(line);
    }
    for client in [&mut c, &mut copy] {
        assert_eq!(
            client.run("HGETALL h"),
            "*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\ne\r\n$1\r\n6\r\n"
        );
        assert_eq!(client.run("HPTTL h FIELDS 2 a e"), ints(&[10_000, 7]));
    }
}
