//! WAIT, WAITAOF and the replication commands of a lone primary.

use std::time::{Duration, Instant};

use crate::harness::{Server, eventually, flags};

#[test]
fn wait_ends_with_its_time() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.ask("WAIT 0 0", ":0\r\n");
    c.ask(
        "WAIT x 0",
        "-ERR value is not an integer or out of range\r\n",
    );
    c.ask(
        "WAIT 1 x",
        "-ERR timeout is not an integer or out of range\r\n",
    );
    c.ask("WAIT 1 -1", "-ERR timeout is negative\r\n");
    let start = Instant::now();
    c.send("WAIT 1 200\r\nPING\r\n");
    c.expect(":0\r\n");
    assert!(start.elapsed() >= Duration::from_millis(195));
    c.expect("+PONG\r\n");
    c.ask("MULTI", "+OK\r\n");
    c.ask("WAIT 1 0", "+QUEUED\r\n");
    c.ask("EXEC", "*1\r\n:0\r\n");
    c.send("WAIT 1 0\r\n");
    eventually("it waits", || flags(&mut other, 1) == "b");
    other.ask("CLIENT UNBLOCK 1 ERROR", ":1\r\n");
    c.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
}

#[test]
fn waitaof_without_a_file() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("WAITAOF 0 0 0", "*2\r\n:0\r\n:0\r\n");
    c.ask(
        "WAITAOF 1 0 0",
        "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n",
    );
    c.ask(
        "WAITAOF 2 0 0",
        "-ERR value is out of range, value must between 0 and 1\r\n",
    );
    c.ask(
        "WAITAOF 0 -1 0",
        "-ERR value is out of range, must be positive\r\n",
    );
    c.ask("WAITAOF 0 1 20", "*2\r\n:0\r\n:0\r\n");
}

#[test]
fn a_lone_primary() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    c.ask("REPLICAOF NO ONE", "+OK\r\n");
    c.ask("SLAVEOF no one", "+OK\r\n");
    c.ask("REPLICAOF host x", "-ERR Invalid master port\r\n");
    for command in ["ASKING", "READONLY", "READWRITE"] {
        c.ask(
            command,
            "-ERR This instance has cluster support disabled\r\n",
        );
    }
}
