//! XREADGROUP that waits, over sockets.

use std::net::TcpStream;

use crate::harness::{Client, Server, eventually, flags};

const NO_GROUP: &str =
    "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
const READ: &str = "XREADGROUP GROUP g a BLOCK 0 STREAMS s >\r\n";

/// A server with a stream `s` and its group `g`, a client that waits to read, and one that acts.
fn waiting() -> (Server, Client<TcpStream>, Client<TcpStream>) {
    let server = Server::start(&[]);
    let (mut reader, mut other) = (server.connect(), server.connect());
    other.ask("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n");
    reader.send(READ);
    eventually("it waits", || flags(&mut other, 1) == "b");
    assert!(
        other
            .text("INFO clients")
            .contains("total_blocking_keys_on_nokey:1\r\n")
    );
    (server, reader, other)
}

#[test]
fn an_entry_goes_to_who_waits() {
    let (_server, mut reader, mut other) = waiting();
    other.ask("XADD s 1-0 f v", "$3\r\n1-0\r\n");
    reader.expect("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    reader.call("HELLO 3");
    reader.send(READ);
    eventually("it waits", || flags(&mut other, 1) == "b");
    other.ask("XADD s 2-0 f v", "$3\r\n2-0\r\n");
    reader.expect("%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    other.ask(
        "XPENDING s g",
        "*4\r\n:2\r\n$3\r\n1-0\r\n$3\r\n2-0\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n2\r\n",
    );
    assert!(
        other
            .text("INFO clients")
            .contains("total_blocking_keys_on_nokey:0\r\n")
    );
}

#[test]
fn the_end_of_the_stream_ends_the_wait() {
    let (_server, mut reader, mut other) = waiting();
    other.ask("DEL s", ":1\r\n");
    reader.expect(NO_GROUP);
    reader.ask("PING", "+PONG\r\n");
    // Nobody touches the key when its time comes.
    other.ask("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n");
    reader.send(READ);
    eventually("it waits", || flags(&mut other, 1) == "b");
    other.ask("PEXPIRE s 30", ":1\r\n");
    reader.expect(NO_GROUP);
}

#[test]
fn time_and_client_unblock_end_the_wait() {
    let (_server, mut reader, mut other) = waiting();
    other.ask("CLIENT UNBLOCK 1", ":1\r\n");
    reader.expect("*-1\r\n");
    reader.ask("XREADGROUP GROUP g a BLOCK 20 STREAMS s >", "*-1\r\n");
    reader.ask("XREADGROUP GROUP g a STREAMS s >", "*-1\r\n");
}
