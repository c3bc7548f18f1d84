//! Replies, events and what is logged, as Redis 7.2.4 gives them.

use crate::testing::Client;

const NO_HLL: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";
const DAMAGED: &str = "-INVALIDOBJ Corrupted HLL object detected\r\n";

fn set(c: &mut Client, key: &str, bytes: &[u8]) {
    assert_eq!(c.run_words(&[b"SET", key.as_bytes(), bytes]), b"+OK\r\n");
}

#[test]
fn pfadd_says_whether_something_changed() {
    let mut c = Client::with_events();
    let log = c.record_log();
    assert_eq!(c.run("PFADD h"), ":1\r\n");
    assert_eq!(c.run("OBJECT ENCODING h"), "$3\r\nraw\r\n");
    assert_eq!(c.run("PFADD h"), ":0\r\n");
    assert_eq!(c.run("PFADD h a b c"), ":1\r\n");
    assert_eq!(c.run("PFADD h a b c"), ":0\r\n");
    assert_eq!(c.run("PFADD h \"\""), ":1\r\n");
    assert_eq!(c.events(), ["new h", "pfadd h", "pfadd h", "pfadd h"]);
    assert_eq!(log.take(), ["PFADD h", "PFADD h a b c", "PFADD h "]);
    assert_eq!(c.run("PFCOUNT h"), ":4\r\n");
    c.run("EXPIRE h 100");
    assert_eq!(c.run("PFADD h d"), ":1\r\n");
    assert_eq!(c.run("TTL h"), ":100\r\n");
}

#[test]
fn a_new_key_with_elements_is_out_of_date() {
    let mut c = Client::new();
    c.run("PFADD h a");
    let bytes = c.run_words(&[b"GET", b"h"]);
    assert!(bytes.starts_with(b"$21\r\nHYLL\x01\0\0\0\0\0\0\0\0\0\0\x80"));
}

#[test]
fn pfcount_keeps_its_result_and_logs_that() {
    let mut c = Client::with_events();
    c.run("PFADD h a b c");
    c.events();
    let log = c.record_log();
    assert_eq!(c.run("PFCOUNT h"), ":3\r\n");
    assert_eq!(c.run("PFCOUNT h"), ":3\r\n");
    assert_eq!(c.run("PFCOUNT none"), ":0\r\n");
    assert_eq!(log.take(), ["PFCOUNT h"]);
    assert_eq!(c.events(), ["keymiss none"]);
    let bytes = c.run_words(&[b"GETRANGE", b"h", b"8", b"15"]);
    assert_eq!(bytes, b"$8\r\n\x03\0\0\0\0\0\0\0\r\n");
    // What is kept is believed.
    c.run_words(&[b"SETRANGE", b"h", b"8", b"\x07\x01"]);
    assert_eq!(c.run("PFCOUNT h"), ":263\r\n");
    assert_eq!(c.run("PFCOUNT h h"), ":3\r\n");
    c.run("PFADD g c d");
    assert_eq!(c.run("PFCOUNT h none g"), ":4\r\n");
    assert_eq!(log.take(), ["SETRANGE h 8 \u{7}\u{1}", "PFADD g c d"]);
}

#[test]
fn pfmerge_counts_its_target_too() {
    let mut c = Client::with_events();
    let log = c.record_log();
    c.run("PFADD a 1 2");
    c.run("PFADD b 2 3");
    c.events();
    assert_eq!(c.run("PFMERGE d a b none"), "+OK\r\n");
    assert_eq!(c.run("PFCOUNT d"), ":3\r\n");
    c.run("PFADD e 4");
    assert_eq!(c.run("PFMERGE d e"), "+OK\r\n");
    assert_eq!(c.run("PFCOUNT d"), ":4\r\n");
    assert_eq!(c.run("PFDEBUG ENCODING d"), "+sparse\r\n");
    assert_eq!(c.run("PFDEBUG TODENSE e"), ":1\r\n");
    assert_eq!(c.run("PFDEBUG TODENSE e"), ":0\r\n");
    assert_eq!(c.run("PFMERGE d e"), "+OK\r\n");
    assert_eq!(c.run("PFDEBUG ENCODING d"), "+dense\r\n");
    assert_eq!(c.run("PFCOUNT d"), ":4\r\n");
    assert_eq!(c.run("PFMERGE new"), "+OK\r\n");
    assert_eq!(c.run("STRLEN new"), ":18\r\n");
    let events = c.events();
    assert_eq!(events[..2], ["keymiss d", "keymiss none"]);
    assert_eq!(events[2..4], ["new d", "pfadd d"]);
    assert_eq!(log.take().len(), 11);
}

#[test]
fn pfdebug_looks_inside() {
    let mut c = Client::with_events();
    c.run("PFADD h a b c");
    let runs = "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603";
    assert_eq!(c.run("PFDEBUG decode h"), format!("$44\r\n{runs}\r\n"));
    c.events();
    let log = c.record_log();
    let registers = c.run("PFDEBUG GETREG h");
    assert!(registers.starts_with("*16384\r\n:0\r\n"));
    let set: Vec<usize> = registers
        .lines()
        .skip(1)
        .enumerate()
        .filter_map(|(at, line)| (line != ":0").then_some(at))
        .collect();
    assert_eq!(set, [8436, 12_711, 15_780]);
    assert_eq!(log.take(), ["PFDEBUG GETREG h"]);
    assert!(c.events().is_empty());
    let not_sparse = "-ERR HLL encoding is not sparse\r\n";
    assert_eq!(c.run("PFDEBUG DECODE h"), not_sparse);
    assert_eq!(
        c.run("PFDEBUG foo h"),
        "-ERR Unknown PFDEBUG subcommand 'foo'\r\n"
    );
    assert_eq!(
        c.run("PFDEBUG foo none"),
        "-ERR The specified key does not exist\r\n"
    );
    assert!(c.run("PFDEBUG foo h x").starts_with("-ERR wrong number of"));
}

#[test]
fn other_values_are_refused() {
    let mut c = Client::new();
    c.run("SET int 12345678901234567");
    c.run("SET text hello");
    c.run("RPUSH l x");
    for line in [
        "PFADD {} x",
        "PFCOUNT {}",
        "PFCOUNT none {}",
        "PFMERGE {}",
        "PFMERGE d {}",
        "PFDEBUG X {}",
    ] {
        assert_eq!(c.run(&line.replace("{}", "text")), NO_HLL);
        assert_eq!(c.run(&line.replace("{}", "int")), NO_HLL);
        let wrong = c.run(&line.replace("{}", "l"));
        assert!(wrong.starts_with("-WRONGTYPE Operation against"));
    }
    assert_eq!(c.run("EXISTS d"), ":0\r\n");
    assert_eq!(c.run("GET text"), "$5\r\nhello\r\n");
}

#[test]
fn damaged_values_are_refused() {
    let mut c = Client::new();
    let head = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
    let wrapping = b"\x7f\xff".repeat(4096 * 16);
    for runs in [&b"\x7f"[..], b"", b"\x7f\xff\x00", &wrapping] {
        set(&mut c, "h", &[head, runs].concat());
        for line in [
            "PFCOUNT h",
            "PFCOUNT h none",
            "PFMERGE d h",
            "PFDEBUG TODENSE h",
            "PFDEBUG GETREG h",
        ] {
            assert_eq!(c.run(line), DAMAGED, "{line}");
        }
        c.run("PFADD h a b c");
    }
    set(&mut c, "h", &[head, &b"\x00"[..]].concat());
    assert_eq!(c.run("PFADD h a b c"), DAMAGED);
    // A plain string from now on, damaged as it was.
    assert_eq!(c.run("OBJECT ENCODING h"), "$3\r\nraw\r\n");
    assert_eq!(c.run("PFDEBUG DECODE h"), "$3\r\nz:1\r\n");
    assert_eq!(c.run("EXISTS d"), ":0\r\n");
}

#[test]
fn the_limit_of_the_sparse_encoding_is_a_setting() {
    use std::sync::atomic::Ordering::Relaxed;
    let mut c = Client::new();
    c.engine().settings.hll_sparse_max_bytes.store(30, Relaxed);
    c.run("PFADD h a b c");
    assert_eq!(c.run("PFDEBUG ENCODING h"), "+sparse\r\n");
    c.run("PFADD h d e");
    assert_eq!(c.run("PFDEBUG ENCODING h"), "+dense\r\n");
    assert_eq!(c.run("PFCOUNT h"), ":5\r\n");
}
