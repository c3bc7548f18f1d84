//! Channels, patterns, shard channels.

use crate::harness::Server;

#[test]
fn subscriptions_are_confirmed_one_by_one() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.ask("SUBSCRIBE a b a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
    c.ask(
        "PSUBSCRIBE a*",
        "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n",
    );
    c.ask(
        "SSUBSCRIBE s",
        "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n",
    );
    other.ask("PUBLISH a 1", ":2\r\n");
    c.expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$1\r\n1\r\n");
    other.ask("SPUBLISH s 2", ":1\r\n");
    c.expect("*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\n2\r\n");
    other.ask("PUBLISH s 2", ":0\r\n");
    c.ask("GET k", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n");
    c.ask("PING x", "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
    c.ask("UNSUBSCRIBE a none", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$4\r\nnone\r\n:2\r\n");
    c.ask(
        "UNSUBSCRIBE",
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n",
    );
    c.ask("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n");
    c.ask(
        "PUNSUBSCRIBE",
        "*3\r\n$12\r\npunsubscribe\r\n$2\r\na*\r\n:0\r\n",
    );
    c.ask("PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n");
    c.ask(
        "SUNSUBSCRIBE",
        "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n",
    );
    c.ask("SUNSUBSCRIBE", "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n");
    c.ask("PING", "+PONG\r\n");
}

#[test]
fn resp3_has_pushes_and_no_limits_on_commands() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.call("HELLO 3");
    c.ask("SUBSCRIBE a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    c.ask("PING", "+PONG\r\n");
    c.ask(
        "PUBLISH a own",
        ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\nown\r\n",
    );
    c.ask(
        "UNSUBSCRIBE b",
        ">3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n",
    );
    c.ask("PUNSUBSCRIBE", ">3\r\n$12\r\npunsubscribe\r\n_\r\n:1\r\n");
}

#[test]
fn within_a_transaction() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("MULTI", "+OK\r\n");
    c.ask("SUBSCRIBE a", "+QUEUED\r\n");
    c.ask("PUBLISH a x", "+QUEUED\r\n");
    c.ask("PING", "+QUEUED\r\n");
    // Its own message comes after the reply, not in it.
    c.ask("EXEC", "*3\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    let mut c = server.connect();
    c.ask("MULTI", "+OK\r\n");
    c.ask("SSUBSCRIBE a", "+QUEUED\r\n");
    c.ask(
        "EXEC",
        "*1\r\n-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n",
    );
}

#[test]
fn looking_at_channels() {
    let server = Server::start(&[]);
    let (mut a, mut b, mut c) = (server.connect(), server.connect(), server.connect());
    a.call("SUBSCRIBE news");
    a.call("PSUBSCRIBE n*");
    b.call("SUBSCRIBE news");
    b.call("PSUBSCRIBE n*");
    b.call("SSUBSCRIBE shard");
    c.ask("PUBSUB CHANNELS", "*1\r\n$4\r\nnews\r\n");
    c.ask("PUBSUB CHANNELS x*", "*0\r\n");
    c.ask("PUBSUB NUMPAT", ":1\r\n");
    c.ask(
        "PUBSUB NUMSUB news none",
        "*4\r\n$4\r\nnews\r\n:2\r\n$4\r\nnone\r\n:0\r\n",
    );
    c.ask("PUBSUB NUMSUB", "*0\r\n");
    c.ask("PUBSUB SHARDCHANNELS", "*1\r\n$5\r\nshard\r\n");
    c.ask("PUBSUB SHARDNUMSUB shard", "*2\r\n$5\r\nshard\r\n:1\r\n");
    c.ask("PUBLISH news m", ":4\r\n");
    drop(a);
    crate::harness::eventually("it is forgotten", || c.text("PUBLISH news m") == "2");
    c.ask(
        "PUBSUB CHANNELS a b",
        "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.\r\n",
    );
}

#[test]
fn messages_of_one_publisher_keep_their_order() {
    let server = Server::start(&["--io-threads", "3"]);
    let (mut listener, mut publisher) = (server.connect(), server.connect());
    listener.call("SUBSCRIBE c");
    let mut sent = String::new();
    let mut wanted = String::new();
    for i in 0..5000 {
        sent.push_str(&format!("PUBLISH c {i:04}\r\n"));
        wanted.push_str(&format!(
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n{i:04}\r\n"
        ));
    }
    publisher.send(sent);
    listener.expect(wanted);
}
