use super::{Field, Overflow, bitfield_get_keys};
use crate::command::spec::KeyFlags;
use crate::testing::Client;

/// Runs BITFIELD on `k`; integers of the reply, `None` for null.
fn run(c: &mut Client, ops: &str) -> Vec<Option<i64>> {
    let reply = c.run(&format!("BITFIELD k {ops}"));
    let (head, items) = reply.split_once("\r\n").expect("a line");
    let items: Vec<_> = items
        .split_terminator("\r\n")
        .map(|item| match item.strip_prefix(':') {
            Some(n) => Some(n.parse().expect("an integer")),
            None => {
                assert_eq!(item, "$-1", "{ops}");
                None
            }
        })
        .collect();
    assert_eq!(head, format!("*{}", items.len()), "{ops}");
    items
}

#[test]
fn sets_reads_and_adds() {
    let mut c = Client::with_events();
    let log = c.record_log();
    assert_eq!(run(&mut c, "SET i8 0 -100 SET i8 #1 101"), [Some(0); 2]);
    assert_eq!(run(&mut c, "GET i8 0 GET i8 8"), [Some(-100), Some(101)]);
    assert_eq!(run(&mut c, "SET u8 0 255 GET i8 0"), [Some(156), Some(-1)]);
    assert_eq!(run(&mut c, "INCRBY u4 #1 1 GET u8 0"), [Some(0), Some(240)]);
    assert_eq!(
        run(&mut c, "GET u8 100000 GET i64 4294967295"),
        [Some(0); 2]
    );
    assert_eq!(c.run("STRLEN k"), ":2\r\n");
    assert_eq!(c.events(), ["new k", "setbit k", "setbit k", "setbit k"]);
    assert_eq!(
        log.take(),
        [
            "BITFIELD k SET i8 0 -100 SET i8 #1 101",
            "BITFIELD k SET u8 0 255 GET i8 0",
            "BITFIELD k INCRBY u4 #1 1 GET u8 0"
        ]
    );
}

#[test]
fn values_that_do_not_fit() {
    let mut c = Client::new();
    run(&mut c, "SET u8 0 250 SET i8 8 120");
    assert_eq!(
        run(
            &mut c,
            "OVERFLOW FAIL INCRBY u8 0 10 INCRBY i8 8 10 GET u8 0"
        ),
        [None, None, Some(250)]
    );
    assert_eq!(
        run(
            &mut c,
            "OVERFLOW sat INCRBY u8 0 10 INCRBY i8 8 10 INCRBY u8 0 -999 INCRBY i8 8 -999"
        ),
        [Some(255), Some(127), Some(0), Some(-128)]
    );
    assert_eq!(
        run(&mut c, "INCRBY u8 0 -1 OVERFLOW WRAP INCRBY i8 8 -1"),
        [Some(255), Some(127)]
    );
    assert_eq!(
        run(
            &mut c,
            "SET u8 0 -1 OVERFLOW SAT SET u63 64 -1 SET i8 0 -999 GET u8 0 GET u63 64"
        ),
        [Some(255), Some(0), Some(-1), Some(128), Some(i64::MAX)]
    );
    let min = i64::MIN;
    assert_eq!(
        run(
            &mut c,
            &format!(
                "SET i64 0 {min} INCRBY i64 0 -1 OVERFLOW SAT INCRBY i64 0 1 INCRBY i64 0 {min}"
            )
        )[1..],
        [Some(i64::MAX), Some(i64::MAX), Some(-1)]
    );
}

#[test]
fn fitting_is_exact_at_the_bounds() {
    for width in 1..=64 {
        for signed in [true, false] {
            if !signed && width == 64 {
                continue;
            }
            let field = Field { signed, width };
            let (min, max) = field.bounds();
            for overflow in [Overflow::Wrap, Overflow::Saturate, Overflow::Fail] {
                assert_eq!(field.fit(min, overflow).map(i128::from), Some(min));
                assert_eq!(field.fit(max, overflow).map(i128::from), Some(max));
            }
            for (outside, wrapped, nearest) in [(min - 1, max, min), (max + 1, min, max)] {
                let fit = |overflow| field.fit(outside, overflow).map(i128::from);
                assert_eq!(fit(Overflow::Wrap), Some(wrapped));
                assert_eq!(fit(Overflow::Saturate), Some(nearest));
                assert_eq!(fit(Overflow::Fail), None);
            }
        }
    }
}

#[test]
fn set_saturates_as_redis_does() {
    let mut c = Client::new();
    let min = i64::MIN;
    run(
        &mut c,
        &format!(
            "OVERFLOW SAT SET i8 0 {min} SET i8 8 {} SET i63 64 {}",
            min + 128,
            min / 2 - 1
        ),
    );
    assert_eq!(
        run(&mut c, "GET i8 0 GET i8 8 GET i63 64"),
        [Some(127), Some(-128), Some(i64::MAX / 2)]
    );
}

#[test]
fn a_failed_write_still_makes_the_string() {
    let mut c = Client::with_events();
    let log = c.record_log();
    assert_eq!(run(&mut c, "OVERFLOW FAIL SET u1 9 2"), [None]);
    assert_eq!(c.run("STRLEN k"), ":2\r\n");
    assert_eq!(c.events(), ["new k"]);
    assert_eq!(log.take(), ["BITFIELD k OVERFLOW FAIL SET u1 9 2"]);
    assert_eq!(run(&mut c, "OVERFLOW FAIL SET u1 9 2"), [None]);
    assert_eq!(run(&mut c, "SET u1 9 0"), [Some(0)]);
    assert!(log.take().is_empty());
    assert_eq!(run(&mut c, "SET u1 30 0"), [Some(0)]);
    assert_eq!(c.events(), ["setbit k"]);
}

#[test]
fn words_are_checked() {
    let mut c = Client::new();
    assert_eq!(c.run("BITFIELD k"), "*0\r\n");
    let kind = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                supported but i64 is.\r\n";
    for word in ["u64", "i65", "i0", "8", "x8", "\"\"", "i", "i+8", "u-1"] {
        assert_eq!(c.run(&format!("BITFIELD k GET {word} 0")), kind);
    }
    assert_eq!(
        c.run_words(&[b"BITFIELD", b"k", b"GET", b"i2\0x", b"0"]),
        b"*1\r\n:0\r\n"
    );
    for offset in ["-1", "x", "#-1", "#", "4294967296", "#536870912"] {
        assert_eq!(
            c.run(&format!("BITFIELD k GET u8 {offset}")),
            "-ERR bit offset is not an integer or out of range\r\n"
        );
    }
    for syntax in ["GET u8", "SET u8 0", "INCRBY u8 0", "OVERFLOW", "what u8 0"] {
        assert_eq!(
            c.run(&format!("BITFIELD k {syntax}")),
            "-ERR syntax error\r\n"
        );
    }
    assert_eq!(
        c.run("BITFIELD k OVERFLOW what"),
        "-ERR Invalid OVERFLOW type specified\r\n"
    );
    assert_eq!(
        c.run("BITFIELD k SET u8 0 x"),
        "-ERR value is not an integer or out of range\r\n"
    );
    assert_eq!(
        c.run("BITFIELD_RO k SET u8 0 1"),
        "-ERR BITFIELD_RO only supports the GET subcommand\r\n"
    );
    assert_eq!(c.run("EXISTS k"), ":0\r\n");
    c.run("SET k 1");
    assert_eq!(
        c.run("BITFIELD_RO k OVERFLOW FAIL GET u8 0"),
        "*1\r\n:49\r\n"
    );
    assert_eq!(c.run("OBJECT ENCODING k"), "$3\r\nint\r\n");
    c.put_zset("z", &[("m", 1.0)]);
    assert!(c.run("BITFIELD z").starts_with("-WRONGTYPE "));
    assert!(c.run("BITFIELD z SET u1 0 1").starts_with("-WRONGTYPE "));
}

#[test]
fn keys_are_read_only_where_nothing_writes() {
    let access = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let keys = bitfield_get_keys(&words).expect("known");
        assert_eq!(keys[0].0, 1);
        keys[0].1.has(KeyFlags::RO)
    };
    assert!(access("bitfield k"));
    assert!(access("bitfield k get u8 0 OVERFLOW fail GET u8 1"));
    assert!(!access("bitfield k get u8 0 set u8 0 1"));
    assert!(!access("bitfield k get u8"));
    assert!(!access("bitfield k incrby u8 0 1"));
}
