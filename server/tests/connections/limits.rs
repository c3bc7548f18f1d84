//! Clients that are too many, too slow, too idle, or take too much.

use std::net::{TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Client, PATIENCE, Server, eventually, field, request};

#[test]
fn clients_beyond_maxclients_are_told_and_closed() {
    let server = Server::start(&["--maxclients", "5"]);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for c in &mut clients {
        c.ask("PING", "+PONG\r\n");
    }
    let mut extra = server.connect();
    extra.expect("-ERR max number of clients reached\r\n");
    extra.expect_end();
    clients.pop();
    eventually("a place is free", || {
        let mut c = server.connect();
        c.send("PING\r\n");
        c.rest_of_line() == "+PONG"
    });
}

impl Client<TcpStream> {
    /// One line, or nothing if the connection ended first.
    fn rest_of_line(&mut self) -> String {
        use std::io::Read;
        let mut line = String::new();
        let mut byte = [0];
        while let Ok(1) = self.stream.read(&mut byte) {
            if byte[0] == b'\r' {
                break;
            }
            line.push(char::from(byte[0]));
        }
        line
    }
}

#[test]
fn idle_clients_are_closed_unless_they_wait_for_something() {
    let server = Server::start(&["--timeout", "1"]);
    let mut idle = server.connect();
    idle.ask("PING", "+PONG\r\n");
    let mut subscriber = server.connect();
    subscriber.ask("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let mut blocked = server.connect();
    blocked.send("BLPOP k 0\r\n");
    let start = Instant::now();
    idle.expect_end();
    assert!(start.elapsed() > Duration::from_secs(1));
    sleep(Duration::from_millis(500));
    subscriber.ask("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    let mut c = server.connect();
    c.ask("RPUSH k v", ":1\r\n");
    blocked.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
}

/// A queue worker that had waited longer than `timeout` lost its connection right after it was
/// served: only what it sent counted as activity, not what it was sent.
#[test]
fn a_client_that_was_just_served_is_not_idle() {
    let server = Server::start(&["--timeout", "1"]);
    let mut blocked = server.connect();
    blocked.send("BLPOP k 0\r\n");
    sleep(Duration::from_millis(2500));
    server.connect().ask("RPUSH k v", ":1\r\n");
    blocked.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    sleep(Duration::from_millis(500));
    blocked.ask("PING", "+PONG\r\n");
}

/// A client that went away while it was blocked was kept alive, words and all, by the circle
/// from its handle to its waiter to its waker.
#[test]
fn blocked_clients_that_leave_give_their_memory_back() {
    let server = Server::start(&[]);
    let key = vec![b'k'; 4 << 20];
    let words: [&[u8]; 3] = [b"BLPOP", &key, b"0"];
    let mut c = server.connect();
    let blocked = |c: &mut Client<TcpStream>, count: u32| {
        let wanted = format!("blocked_clients:{count}\r");
        eventually("the count of blocked clients", || {
            c.text("INFO clients").contains(&wanted)
        });
    };
    let used = |c: &mut Client<TcpStream>| {
        let text = c.text("INFO memory");
        let line = text.lines().find(|line| line.starts_with("used_memory:"));
        let digits = line.and_then(|line| line.split(':').nth(1));
        digits
            .and_then(|digits| digits.trim().parse::<u64>().ok())
            .expect("a number")
    };
    let before = used(&mut c);
    for _ in 0..10 {
        let mut leaving = server.connect();
        leaving.send(request(&words));
        blocked(&mut c, 1);
        drop(leaving);
        blocked(&mut c, 0);
    }
    eventually("the memory is back", || used(&mut c) < before + (8 << 20));
}

#[test]
fn a_query_buffer_beyond_its_limit_closes_the_client() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut c = server.connect();
    c.ask("PING", "+PONG\r\n");
    c.send("*2\r\n$4\r\nECHO\r\n$3000000\r\n");
    // The server may close before all is sent.
    let sent = std::io::Write::write_all(&mut c.stream, &vec![b'x'; 2_000_000]);
    if sent.is_ok() {
        c.expect_end();
    }
    eventually("the log tells", || {
        server
            .log()
            .contains("Closing client that reached max query buffer length: id=1 addr=")
    });
}

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let mut slow = server.connect();
    slow.ask("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let mut c = server.connect();
    let publish = request(&[b"PUBLISH", b"c", &vec![b'm'; 100_000]]);
    let start = Instant::now();
    loop {
        c.send(&publish);
        if c.read() == basalt_formats::resp::reply::Reply::Integer(0) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "never closed");
    }
    eventually("the log tells", || {
        server
            .log()
            .contains("scheduled to be closed ASAP for overcoming of output buffer limits.")
    });
    c.ask("PUBSUB NUMSUB c", "*2\r\n$1\r\nc\r\n:0\r\n");
}

#[test]
fn a_soft_limit_counts_seconds() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 0 100kb 1"]);
    let mut slow = server.connect();
    slow.ask("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let mut c = server.connect();
    // More than the socket takes.
    let publish = request(&[b"PUBLISH", b"c", &vec![b'm'; 10_000_000]]);
    c.send(&publish);
    c.expect(":1\r\n");
    let start = Instant::now();
    sleep(Duration::from_millis(500));
    c.ask("PUBSUB NUMSUB c", "*2\r\n$1\r\nc\r\n:1\r\n");
    eventually("closed after its seconds", || {
        c.send("PUBSUB NUMSUB c\r\n");
        crate::harness::text_of(&c.read()).contains("Integer(0)")
    });
    assert!(start.elapsed() > Duration::from_millis(1000));
}

#[test]
fn a_reply_beyond_the_hard_limit_is_not_sent_at_all() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut c = server.connect();
    c.send(request(&[b"SET", b"big", &vec![b'x'; 150_000]]));
    c.expect("+OK\r\n");
    c.send("GET big\r\n");
    c.expect_end();
    let mut c = server.connect();
    c.ask("STRLEN big", ":150000\r\n");
}

#[test]
fn before_auth_requests_are_small() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut c = server.connect();
    c.send("*100\r\n");
    c.expect("-ERR Protocol error: unauthenticated multibulk length\r\n");
    c.expect_end();
    let mut c = server.connect();
    c.send("*1\r\n$100000\r\n");
    c.expect("-ERR Protocol error: unauthenticated bulk length\r\n");
    c.expect_end();
    let mut c = server.connect();
    c.ask("AUTH secret", "+OK\r\n");
    c.send(request(&[b"ECHO", &vec![b'x'; 100_000]]));
    c.expect(b"$100000\r\n");
}

#[test]
fn before_auth_nothing_piles_up() {
    let server = Server::start(&["--requirepass", "secret"]);
    server
        .connect()
        .ask("PING", "-NOAUTH Authentication required.\r\n");
    let before = server.resident();
    let flood = "GET k\r\n".repeat(10_000);
    for _ in 0..20 {
        let mut c = server.connect();
        c.stream
            .set_write_timeout(Some(Duration::from_millis(500)))
            .expect("a time-out");
        // Until the server closes, or takes no more.
        let start = Instant::now();
        while std::io::Write::write_all(&mut c.stream, flood.as_bytes()).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the server reads on and on");
        }
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 20 << 20, "{grown} bytes");
}

#[test]
fn protected_mode_lets_only_this_machine_in() {
    // The address of this machine towards others, if it has one.
    let outside = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("192.0.2.1:9").map(|()| socket))
        .and_then(|socket| socket.local_addr());
    let Ok(outside) = outside else {
        eprintln!("no address besides loopback: nothing to test");
        return;
    };
    let server = Server::start(&["--bind", "0.0.0.0"]);
    server.connect().ask("PING", "+PONG\r\n");
    let stream = TcpStream::connect((outside.ip(), server.port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut c = Client::new(stream);
    let text = String::from_utf8(c.rest()).expect("text");
    assert!(text.starts_with("-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user."), "{text}");
    assert!(text.ends_with("\r\n"));
}

#[test]
fn idle_clients_hold_no_buffers() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("CLIENT SETNAME idle", "+OK\r\n");
    c.send("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\n");
    let mut other = server.connect();
    let mut line_of_idle = || {
        let list = other.text("CLIENT LIST");
        list.lines()
            .find(|line| line.contains("name=idle"))
            .expect("listed")
            .to_string()
    };
    let buffer = |line: &str| {
        let part = |name| field(line, name).parse::<usize>().expect("a number");
        part("qbuf") + part("qbuf-free")
    };
    eventually("room was made for the value", || {
        buffer(&line_of_idle()) >= 1_000_000
    });
    eventually("the room was given back", || {
        buffer(&line_of_idle()) < 1_000
    });
    c.send(vec![b'x'; 1_000_000]);
    c.send("\r\n");
    c.expect("+OK\r\n");
}

/// EXEC used to run whatever was queued, because only commands outside transactions were
/// held against `maxmemory`; and queues could grow without end.
#[test]
fn transactions_respect_maxmemory() {
    const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.\r\n";
    let server = Server::start(&[]);
    let mut admin = server.connect();
    let mut writer = server.connect();
    let mut reader = server.connect();
    let mut other = server.connect();
    for c in [&mut writer, &mut reader, &mut other] {
        c.ask("MULTI", "+OK\r\n");
        c.ask("GET k", "+QUEUED\r\n");
    }
    writer.ask("SET k v", "+QUEUED\r\n");
    admin.ask("CONFIG SET maxmemory 1", "+OK\r\n");
    writer.ask(
        "EXEC",
        format!("-EXECABORT Transaction discarded because of: {OOM}"),
    );
    writer.ask("EXEC", "-ERR EXEC without MULTI\r\n");
    reader.ask("EXEC", "*1\r\n$-1\r\n");
    other.ask("GET k", format!("-{OOM}"));
    other.ask(
        "EXEC",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    other.ask("GET k", "$-1\r\n");
    other.ask("SET k v", format!("-{OOM}"));
    admin.ask("CONFIG SET maxmemory 0", "+OK\r\n");
    writer.ask("SET k v", "+OK\r\n");
}

#[test]
fn writes_that_need_replicas_are_refused_while_there_are_none() {
    let server = Server::start(&["--min-replicas-to-write", "1"]);
    let mut c = server.connect();
    let refused = "-NOREPLICAS Not enough good replicas to write.\r\n";
    c.ask("SET k 1", refused);
    c.ask("GET k", "$-1\r\n");
    c.ask("EVAL \"return redis.call('get', KEYS[1])\" 1 k", "$-1\r\n");
    let answer = c.text("EVAL \"return redis.call('set', KEYS[1], 1)\" 1 k");
    assert!(
        answer.contains("NOREPLICAS Not enough good replicas"),
        "{answer}"
    );
    c.send("EVAL \"#!lua\\nreturn 1\" 0\r\n");
    c.expect(refused);
    c.ask("MULTI", "+OK\r\n");
    c.ask("SET k 1", refused);
    c.ask(
        "EXEC",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    c.ask("CONFIG SET min-replicas-max-lag 0", "+OK\r\n");
    c.ask("SET k 1", "+OK\r\n");
}
