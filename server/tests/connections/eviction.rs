//! `maxmemory` with the policies that let keys go.

use std::net::TcpStream;

use crate::harness::{Client, Server, eventually, request, text_of};

fn info(c: &mut Client<TcpStream>, field: &str) -> u64 {
    let all = c.text("INFO everything");
    let start = format!("{field}:");
    let line = all.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{field} in INFO"))
}

/// SETs of values of 100 bytes, `more` appended; the replies.
fn fill(c: &mut Client<TcpStream>, keys: std::ops::Range<usize>, more: &[&[u8]]) -> Vec<String> {
    let value = [b'v'; 100];
    let mut replies = Vec::new();
    for key in keys {
        let name = format!("key:{key}");
        let mut words: Vec<&[u8]> = vec![b"SET", name.as_bytes(), &value];
        words.extend(more);
        c.send(request(&words));
        replies.push(text_of(&c.read()));
    }
    replies
}

fn limit(c: &mut Client<TcpStream>, policy: &str, spare: u64) -> u64 {
    c.ask(&format!("CONFIG SET maxmemory-policy {policy}"), "+OK\r\n");
    let limit = info(c, "used_memory") + spare;
    c.ask(&format!("CONFIG SET maxmemory {limit}"), "+OK\r\n");
    limit
}

#[test]
fn keys_go_so_that_writes_go_on() {
    let fitting = {
        let server = Server::start(&[]);
        let mut c = server.connect();
        limit(&mut c, "noeviction", 2_000_000);
        let replies = fill(&mut c, 0..16_000, &[]);
        replies.iter().filter(|reply| *reply == "OK").count() as u64
    };
    assert!((8_000..15_000).contains(&fitting), "{fitting}");
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let server = Server::start(&[]);
        let mut c = server.connect();
        let limit = limit(&mut c, policy, 2_000_000);
        let replies = fill(&mut c, 0..16_000, &[]);
        assert!(replies.iter().all(|reply| reply == "OK"), "{policy}");
        let used = info(&mut c, "used_memory");
        c.ask("CONFIG SET maxmemory 0", "+OK\r\n");
        let gone = info(&mut c, "evicted_keys");
        let left: u64 = c.text("DBSIZE").parse().expect("a number");
        assert_eq!(gone + left, 16_000, "{policy}");
        // About as many stay as there is room for.
        assert!(used < limit + 300_000, "{policy}: {used} of {limit}");
        let least = fitting * 8 / 10;
        assert!(left > least, "{policy}: {left} of {fitting}");
    }
}

#[test]
fn keys_without_an_expiry_stay_under_the_volatile_policies() {
    for policy in [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = Server::start(&[]);
        let mut c = server.connect();
        fill(&mut c, 0..2_000, &[]);
        limit(&mut c, policy, 500_000);
        let replies = fill(&mut c, 2_000..10_000, &[b"PX", b"1000000"]);
        assert!(replies.iter().all(|reply| reply == "OK"), "{policy}");
        assert!(info(&mut c, "evicted_keys") > 2_000, "{policy}");
        for key in 0..2_000 {
            c.ask(&format!("EXISTS key:{key}"), ":1\r\n");
        }
        // Nothing may go any more once all are without: then writes are refused, reads not.
        let replies = fill(&mut c, 20_000..30_000, &[]);
        let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(replies.last().map(String::as_str), Some(oom), "{policy}");
        assert_eq!(info(&mut c, "expired_keys"), 0);
        c.ask("EXISTS key:1", ":1\r\n");
        c.ask("DEL key:1", ":1\r\n");
    }
}

#[test]
fn lowering_the_limit_evicts_at_once() {
    let server = Server::start(&[
        "--appendonly",
        "yes",
        "--notify-keyspace-events",
        "Ee",
        "--enable-debug-command",
        "yes",
    ]);
    let (mut c, mut watcher) = (server.connect(), server.connect());
    fill(&mut c, 0..20_000, &[]);
    watcher.call("PSUBSCRIBE *evicted");
    let used = info(&mut c, "used_memory");
    c.ask("CONFIG SET maxmemory-policy allkeys-lru", "+OK\r\n");
    c.ask(
        &format!("CONFIG SET maxmemory {}", used - 1_000_000),
        "+OK\r\n",
    );
    eventually("memory is below the limit", || {
        info(&mut c, "used_memory") <= used - 1_000_000
    });
    let event = watcher.read();
    assert!(format!("{event:?}").len() > 20);
    c.ask("CONFIG SET maxmemory 0", "+OK\r\n");
    let left = c.text("DBSIZE");
    // What went is gone after a restart as well.
    c.ask("DEBUG LOADAOF", "+OK\r\n");
    assert_eq!(c.text("DBSIZE"), left);
}

#[test]
fn big_values_go_one_at_a_time() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for list in 0..20 {
        for _ in 0..10 {
            let mut words: Vec<&[u8]> = vec![b"RPUSH"];
            let name = format!("list:{list}");
            words.push(name.as_bytes());
            let element = [b'e'; 100];
            words.extend(std::iter::repeat_n(&element[..], 100));
            c.send(request(&words));
            c.read();
        }
    }
    // 100 KB each: three have to go, not all.
    c.ask("CONFIG SET maxmemory-policy allkeys-lru", "+OK\r\n");
    let limit = info(&mut c, "used_memory") - 250_000;
    c.ask(&format!("CONFIG SET maxmemory {limit}"), "+OK\r\n");
    eventually("memory is below the limit", || {
        c.ask("PING", "+PONG\r\n");
        info(&mut c, "used_memory") <= limit
    });
    let left: u64 = c.text("DBSIZE").parse().expect("a number");
    // A few more, as what was freed may rest with the allocator for a while.
    assert!((9..=18).contains(&left), "{left}");
}
