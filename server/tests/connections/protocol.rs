//! Requests as bytes: well formed, malformed, split, many, and half of a connection.

use std::time::Duration;

use crate::harness::{Server, request};

#[test]
fn a_malformed_request_is_answered_then_the_connection_ends() {
    let server = Server::start(&[]);
    let long_line = "x".repeat(70_000);
    let long_header = format!("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n${}", "1".repeat(70_000));
    let cases: &[(&str, &str)] = &[
        (
            "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
            "expected '$', got 'f'",
        ),
        ("*1\r\n\n\r\n", "expected '$', got ' '"),
        ("*3000000000\r\n", "invalid multibulk length"),
        ("*x\r\n", "invalid multibulk length"),
        (
            "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
            "invalid bulk length",
        ),
        (
            "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
            "invalid bulk length",
        ),
        (
            "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
            "invalid bulk length",
        ),
        (
            "set \"\"\"test-key\"\"\" test-value\r\n",
            "unbalanced quotes in request",
        ),
        (&long_line, "too big inline request"),
        (&long_header, "too big bulk count string"),
    ];
    for (sent, text) in cases {
        let mut c = server.connect();
        c.send(format!("PING\r\n{sent}"));
        c.expect(format!("+PONG\r\n-ERR Protocol error: {text}\r\n"));
        c.expect_end();
    }
}

#[test]
fn the_unexpected_byte_is_sent_back_as_it_came() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send(b"*1\r\n\xff\r\n");
    let reply = c.rest();
    assert_eq!(reply, b"-ERR Protocol error: expected '$', got '\xff'\r\n");
}

#[test]
fn lines_are_requests_too() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("\r\n*0\r\n*-1\r\n   \r\nPING\n");
    c.expect("+PONG\r\n");
    c.ask("SET 'a b' \"1\\x41\\n\"", "+OK\r\n");
    c.ask("get \"a b\"", "$3\r\n1A\n\r\n");
    c.ask(
        "nosuch a b",
        "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' \r\n",
    );
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut bytes = request(&[b"SET", b"k", b"some value"]);
    bytes.extend(request(&[b"GET", b"k"]));
    for byte in bytes {
        c.send([byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    c.expect("+OK\r\n$10\r\nsome value\r\n");
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut sent = String::new();
    let mut wanted = String::new();
    for i in 0..20_000 {
        sent.push_str(&format!("*2\r\n$4\r\nECHO\r\n$5\r\n{i:05}\r\n"));
        wanted.push_str(&format!("$5\r\n{i:05}\r\n"));
    }
    c.send(sent);
    c.expect(wanted);
}

#[test]
fn what_a_request_changes_holds_for_the_next_of_its_pipeline() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut c = server.connect();
    // Before AUTH the second request would be too long.
    let long = vec![b'x'; 100_000];
    let mut sent = request(&[b"AUTH", b"secret"]);
    sent.extend(request(&[b"SET", b"k", &long]));
    sent.extend(request(&[b"SELECT", b"1"]));
    sent.extend(request(&[b"GET", b"k"]));
    sent.extend(request(&[b"SELECT", b"0"]));
    sent.extend(request(&[b"STRLEN", b"k"]));
    sent.extend(request(&[b"CONFIG", b"SET", b"proto-max-bulk-len", b"1mb"]));
    sent.extend(request(&[b"PING"]));
    sent.extend(b"*2\r\n$4\r\nECHO\r\n$2000000\r\n");
    c.send(sent);
    c.expect("+OK\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n:100000\r\n+OK\r\n+PONG\r\n");
    c.expect("-ERR Protocol error: invalid bulk length\r\n");
    c.expect_end();
}

#[test]
fn a_pipeline_goes_on_after_a_wait() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    let mut sent = request(&[b"SET", b"a", b"1"]);
    sent.extend(request(&[b"BLPOP", b"list", b"0"]));
    for _ in 0..40 {
        sent.extend(request(&[b"INCR", b"a"]));
    }
    // The last request is cut.
    sent.extend(b"*2\r\n$3\r\nGET\r\n$1\r\n");
    c.send(sent);
    c.expect("+OK\r\n");
    std::thread::sleep(Duration::from_millis(20));
    other.ask("GET a", "$1\r\n1\r\n");
    other.ask("RPUSH list x", ":1\r\n");
    c.expect("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    (2..42).for_each(|i| c.expect(format!(":{i}\r\n")));
    c.send("a\r\n");
    c.expect("$2\r\n41\r\n");
}

#[test]
fn requests_may_be_sent_without_reading_any_reply() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let word = "w".repeat(1000);
    let one = request(&[b"ECHO", word.as_bytes()]);
    let answer = format!("$1000\r\n{word}\r\n");
    // Far more than socket buffers hold, in both directions.
    let count = 40_000;
    (0..count).for_each(|_| c.send(&one));
    (0..count).for_each(|_| c.expect(&answer));
}

#[test]
fn a_reply_larger_than_any_buffer_arrives_whole() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let value: Vec<u8> = (0..30_000_000_u32).map(|i| (i % 251) as u8).collect();
    c.send(request(&[b"SET", b"big", &value]));
    c.expect("+OK\r\n");
    c.send("GET big\r\nPING\r\n");
    std::thread::sleep(Duration::from_millis(100));
    c.expect(b"$30000000\r\n");
    c.expect(&value);
    c.expect("\r\n+PONG\r\n");
}

#[test]
fn replies_still_come_when_the_client_sends_no_more() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let value = vec![b'v'; 8_000_000];
    c.send(request(&[b"SET", b"big", &value]));
    c.expect("+OK\r\n");
    (0..4).for_each(|_| c.send("GET big\r\n"));
    c.send("PING\r\nGET b");
    c.finish();
    for _ in 0..4 {
        c.expect(b"$8000000\r\n");
        c.expect(&value);
        c.expect("\r\n");
    }
    c.expect("+PONG\r\n");
    c.expect_end();
}

#[test]
fn a_browser_is_turned_away() {
    let server = Server::start(&[]);
    for first in ["POST / HTTP/1.1", "Host: localhost", "hOsT: x"] {
        let mut c = server.connect();
        c.send(format!("{first}\r\nSET attacked 1\r\n"));
        c.expect_end();
    }
    let mut c = server.connect();
    c.ask("GET attacked", "$-1\r\n");
    let log = server.log();
    assert_eq!(log.matches("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis.").count(), 1, "{log}");
}

#[test]
fn quit_answers_and_ends() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("QUIT\r\nPING\r\n");
    c.expect("+OK\r\n");
    c.expect_end();
}

#[test]
fn errors_repeat_a_word_up_to_its_first_nul() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask(
        "LATENCY GRAPH \"a\\x00b\"",
        "-ERR No samples available for event 'a'\r\n",
    );
}
