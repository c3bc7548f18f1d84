//! `maxmemory-clients`: the largest clients go.

use std::net::TcpStream;

use crate::harness::{Client, Server, eventually, field, request, text_of};

/// A client with a name and a part of a request of this size; its id.
fn with_query(
    server: &Server,
    c: &mut Client<TcpStream>,
    bytes: usize,
) -> (Client<TcpStream>, u64) {
    let mut client = server.connect();
    let id = client.text("CLIENT ID").parse().expect("a number");
    client.send(format!("*2\r\n${bytes}\r\n"));
    client.send(vec![b'v'; bytes]);
    eventually("it is read", || {
        let line = c.text(&format!("CLIENT LIST ID {id}"));
        field(&line, "qbuf") == bytes.to_string()
    });
    (client, id)
}

fn is_there(c: &mut Client<TcpStream>, id: u64) -> bool {
    !c.text(&format!("CLIENT LIST ID {id}")).is_empty()
}

fn memory(c: &mut Client<TcpStream>, id: u64) -> u64 {
    let line = c.text(&format!("CLIENT LIST ID {id}"));
    field(&line, "tot-mem").parse().expect("a number")
}

#[test]
fn lowering_the_limit_closes_the_largest() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("CLIENT NO-EVICT ON", "+OK\r\n");
    let sizes = [100_000, 1_000_000, 300_000];
    let clients = sizes.map(|bytes| with_query(&server, &mut c, bytes));
    let [small, large, middle] = clients.each_ref().map(|(_, id)| *id);
    let limit = memory(&mut c, small) + memory(&mut c, middle) + 50_000;
    c.ask(&format!("CONFIG SET maxmemory-clients {limit}"), "+OK\r\n");
    assert!(!is_there(&mut c, large));
    assert!(is_there(&mut c, middle) && is_there(&mut c, small));
    c.ask("CONFIG SET maxmemory 10mb", "+OK\r\n");
    c.ask("CONFIG SET maxmemory-clients 2%", "+OK\r\n");
    assert!(!is_there(&mut c, middle));
    assert!(is_there(&mut c, small));
    assert!(c.text("INFO stats").contains("evicted_clients:2\r\n"));
    assert!(server.log().contains("Evicting client: id="));
}

#[test]
fn whoever_takes_too_much_is_closed_unless_he_may_not_be() {
    let server = Server::start(&["--maxmemory-clients", "1mb"]);
    let mut c = server.connect();
    c.ask("CLIENT NO-EVICT ON", "+OK\r\n");
    // Its own request, then what it queued, then what it does not read.
    let mut client = server.connect();
    client.send(b"*1\r\n$2000000\r\n");
    // It may be closed before all of it is sent.
    let _ = std::io::Write::write_all(&mut client.stream, &vec![b'v'; 1_500_000]);
    client.rest();
    let mut client = server.connect();
    client.ask("MULTI", "+OK\r\n");
    let value = vec![b'v'; 200_000];
    for _ in 0..10 {
        let set = request(&[b"SET", b"k", &value]);
        if std::io::Write::write_all(&mut client.stream, &set).is_err() {
            break;
        }
    }
    client.rest();
    client = server.connect();
    client.send(request(&[b"SET", b"k", &value]));
    client.expect("+OK\r\n");
    // More than the sockets take.
    for _ in 0..200 {
        if std::io::Write::write_all(&mut client.stream, b"GET k\r\n").is_err() {
            break;
        }
    }
    eventually("it is closed", || {
        c.text("INFO stats").contains("evicted_clients:3\r\n")
    });
    let mut spared = server.connect();
    spared.ask("CLIENT NO-EVICT ON", "+OK\r\n");
    for _ in 0..10 {
        spared.send(request(&[b"ECHO", &vec![b'v'; 900_000]]));
        assert_eq!(text_of(&spared.read()).len(), 900_000);
    }
    c.ask("PING", "+PONG\r\n");
}

#[test]
fn names_that_are_only_listened_to_count() {
    let server = Server::start(&["--maxmemory-clients", "200000"]);
    for command in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "WATCH"] {
        let mut client = server.connect();
        let mut requests = 0;
        loop {
            let names: String = (0..50).map(|n| format!(" {requests}-{n}")).collect();
            let sent = std::io::Write::write_all(
                &mut client.stream,
                format!("{command}{names}\r\n").as_bytes(),
            );
            requests += 1;
            if sent.is_err() {
                break;
            }
            assert!(requests < 100_000, "{command}");
        }
    }
}
