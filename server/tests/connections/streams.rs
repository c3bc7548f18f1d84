//! Streams over sockets: readers that wait, and the directives of nodes.

use crate::harness::{Server, eventually, flags};

fn entry(id: &str, value: &str) -> String {
    format!(
        "*2\r\n${}\r\n{id}\r\n*2\r\n$1\r\nf\r\n${}\r\n{value}\r\n",
        id.len(),
        value.len()
    )
}

#[test]
fn readers_that_wait() {
    let server = Server::start(&[]);
    let (mut one, mut two, mut other) = (server.connect(), server.connect(), server.connect());
    other.ask("XADD s 1-1 f old", "$3\r\n1-1\r\n");
    one.send("XREAD BLOCK 0 STREAMS s none $ $\r\nPING\r\n");
    eventually("it waits", || flags(&mut other, 1) == "b");
    two.call("HELLO 3");
    two.send("XREAD COUNT 1 BLOCK 60000 STREAMS s 1-1\r\n");
    eventually("it waits", || flags(&mut other, 2) == "b");
    other.send("MULTI\r\nXADD s 2 f new\r\nXADD s 3 f newer\r\nEXEC\r\n");
    other.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n2-0\r\n$3\r\n3-0\r\n");
    one.expect(format!(
        "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n{}{}+PONG\r\n",
        entry("2-0", "new"),
        entry("3-0", "newer")
    ));
    two.expect(format!("%1\r\n$1\r\ns\r\n*1\r\n{}", entry("2-0", "new")));
}

#[test]
fn waits_that_end_without_entries() {
    let server = Server::start(&[]);
    let (mut reader, mut other) = (server.connect(), server.connect());
    reader.ask("XREAD BLOCK 20 STREAMS s $", "*-1\r\n");
    reader.send("XREAD BLOCK 0 STREAMS s $\r\n");
    eventually("it waits", || flags(&mut other, 1) == "b");
    other.ask("RPUSH s x", ":1\r\n");
    other.ask("DEL s", ":1\r\n");
    other.ask("CLIENT UNBLOCK 1", ":1\r\n");
    reader.expect("*-1\r\n");
    reader.send("XREAD BLOCK 0 STREAMS s $\r\n");
    eventually("it waits", || flags(&mut other, 1) == "b");
    other.ask("CLIENT UNBLOCK 1 ERROR", ":1\r\n");
    reader.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    reader.ask(
        "XREAD STREAMS s 0 FOO",
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
         specified.\r\n",
    );
}

/// Only whole nodes go when a trim is approximate: that shows their size.
#[test]
fn directives_of_nodes() {
    let server = Server::start(&["--stream-node-max-entries", "2"]);
    let mut c = server.connect();
    let mut trimmed = |name: &str, wanted: u64| {
        for id in 1..=9 {
            c.ask(
                &format!("XADD {name} {id}-0 f v"),
                "$3\r\n".to_owned() + &format!("{id}-0\r\n"),
            );
        }
        c.ask(
            &format!("XTRIM {name} MAXLEN ~ 4"),
            format!(":{wanted}\r\n"),
        );
    };
    trimmed("two", 4);
    let mut set = server.connect();
    set.ask("CONFIG SET stream-node-max-entries 5", "+OK\r\n");
    trimmed("five", 5);
    set.ask("CONFIG SET stream-node-max-entries 0", "+OK\r\n");
    trimmed("all", 0);
    set.ask("CONFIG SET stream-node-max-bytes 40", "+OK\r\n");
    trimmed("small", 4);
    set.ask(
        "SCAN 0 TYPE stream COUNT 1000 MATCH f*",
        "*2\r\n$1\r\n0\r\n*1\r\n$4\r\nfive\r\n",
    );
}
