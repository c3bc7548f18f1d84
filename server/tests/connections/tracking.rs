//! Client-side caching.

use crate::harness::{Server, eventually};

#[test]
fn a_key_that_was_read_is_reported_once() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    c.ask("GET a", "_\r\n");
    other.ask("SET a 1", "+OK\r\n");
    other.ask("SET a 2", "+OK\r\n");
    c.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
    c.ask("GET a", "$1\r\n2\r\n");
    // Its own change is reported too, after the reply.
    c.ask(
        "SET a 3",
        "+OK\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
    );
    c.ask("CLIENT TRACKING ON NOLOOP", "+OK\r\n");
    c.ask("GET a", "$1\r\n3\r\n");
    c.ask("SET a 4", "+OK\r\n");
    c.ask("GET a", "$1\r\n4\r\n");
    c.ask("CLIENT TRACKING OFF", "+OK\r\n");
    other.ask("SET a 5", "+OK\r\n");
    c.ask("PING", "+PONG\r\n");
    c.expect_nothing();
}

#[test]
fn of_a_script_what_it_reads_counts_not_what_it_was_given() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    for name in ["EVAL", "EVAL_RO"] {
        c.ask(
            &format!("{name} \"return redis.call('ping')\" 1 a"),
            "+PONG\r\n",
        );
        c.ask(
            &format!("{name} \"return redis.call('get', 'b')\" 2 a b"),
            "_\r\n",
        );
        other.ask("SET a 1", "+OK\r\n");
        other.ask("SET b 1", "+OK\r\n");
        other.ask("DEL b", ":1\r\n");
        c.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nb\r\n");
        c.ask("PING", "+PONG\r\n");
    }
}

#[test]
fn what_was_read_is_forgotten_with_the_last_client_that_tracks() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    c.ask("GET a", "_\r\n");
    c.ask("CLIENT TRACKING OFF", "+OK\r\n");
    other.ask("FLUSHALL", "+OK\r\n");
    let info = other.text("INFO stats");
    assert!(info.contains("\r\ntracking_total_items:0\r\n"), "{info}");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    other.ask("SET a 1", "+OK\r\n");
    c.ask("PING", "+PONG\r\n");
    c.expect_nothing();
}

#[test]
fn reads_in_a_transaction_count() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON OPTIN", "+OK\r\n");
    c.ask("GET b", "_\r\n");
    c.ask("CLIENT CACHING YES", "+OK\r\n");
    c.ask("MULTI", "+OK\r\n");
    c.ask("GET a", "+QUEUED\r\n");
    c.ask("EXEC", "*1\r\n_\r\n");
    other.ask("SET b 1", "+OK\r\n");
    other.ask("SET a 1", "+OK\r\n");
    c.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
    c.expect_nothing();
}

#[test]
fn broadcast_by_prefix() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON BCAST PREFIX x: PREFIX y:", "+OK\r\n");
    other.ask("MSET x:2 1 x:1 1 z:1 1", "+OK\r\n");
    c.expect(">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\nx:1\r\n$3\r\nx:2\r\n");
    c.ask("CLIENT TRACKING ON BCAST PREFIX x:1", "-ERR Prefix 'x:1' overlaps with an existing prefix 'x:'. Prefixes for a single client must not overlap.\r\n");
    c.ask("CLIENT TRACKING ON", "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.\r\n");
    c.ask("CLIENT TRACKINGINFO", "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*2\r\n$2\r\nx:\r\n$2\r\ny:\r\n");
}

#[test]
fn redirected_to_a_subscriber_of_resp2() {
    let server = Server::start(&[]);
    let (mut c, mut listener, mut other) = (server.connect(), server.connect(), server.connect());
    c.ask(
        "CLIENT TRACKING ON REDIRECT 99",
        "-ERR The client ID you want redirect to does not exist\r\n",
    );
    c.ask("CLIENT GETREDIR", ":-1\r\n");
    listener.ask("PING", "+PONG\r\n");
    c.ask("CLIENT TRACKING ON REDIRECT 2", "+OK\r\n");
    c.ask("CLIENT GETREDIR", ":2\r\n");
    listener.call("SUBSCRIBE __redis__:invalidate");
    c.ask("GET a", "$-1\r\n");
    other.ask("SET a 1", "+OK\r\n");
    listener.expect("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n");
    c.call("HELLO 3");
    c.ask("GET a", "$1\r\n1\r\n");
    other.ask("CLIENT KILL ID 2", ":1\r\n");
    other.ask("SET a 2", "+OK\r\n");
    c.expect(">2\r\n$21\r\ntracking-redir-broken\r\n:2\r\n");
    assert!(c.text("CLIENT INFO").contains(" flags=tR "));
}

#[test]
fn options_that_do_not_fit() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    for (options, error) in [
        (
            "PREFIX a",
            "PREFIX option requires BCAST mode to be enabled",
        ),
        (
            "BCAST OPTIN",
            "OPTIN and OPTOUT are not compatible with BCAST",
        ),
        (
            "OPTIN OPTOUT",
            "You can't specify both OPTIN mode and OPTOUT mode",
        ),
        (
            "BCAST PREFIX ab PREFIX a",
            "Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
        ),
        ("WHAT", "syntax error"),
    ] {
        c.ask(
            &format!("CLIENT TRACKING ON {options}"),
            format!("-ERR {error}\r\n"),
        );
    }
    c.ask("CLIENT CACHING YES", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n");
    c.ask("CLIENT TRACKING ON OPTOUT", "+OK\r\n");
    c.ask(
        "CLIENT CACHING YES",
        "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.\r\n",
    );
    c.ask("CLIENT TRACKING ON OPTIN", "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.\r\n");
    c.ask("CLIENT CACHING NO", "+OK\r\n");
    c.ask("CLIENT TRACKINGINFO", "*6\r\n$5\r\nflags\r\n*3\r\n$2\r\non\r\n$6\r\noptout\r\n$10\r\ncaching-no\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n");
}

#[test]
fn flushing_invalidates_everything() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    other.ask("FLUSHALL", "+OK\r\n");
    c.expect(">2\r\n$10\r\ninvalidate\r\n_\r\n");
    c.ask("FLUSHDB", "+OK\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n");
}

#[test]
fn the_table_has_a_largest_size() {
    let server = Server::start(&["--tracking-table-max-keys", "2"]);
    let mut c = server.connect();
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON", "+OK\r\n");
    c.ask("MSET a 1 b 1 c 1", "+OK\r\n");
    c.send("MGET a b c\r\n");
    c.expect("*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\n");
    c.send("INFO stats\r\n");
    // What is left of the message: the key, which may be any of the three.
    c.skip(3);
    let info = crate::harness::text_of(&c.read());
    assert!(
        info.contains("tracking_total_keys:2\r\ntracking_total_items:2\r\n"),
        "{info}"
    );
}

#[test]
fn what_ends_a_wait_comes_before_what_it_changed() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    let told = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nto\r\n";
    c.call("HELLO 3");
    for mode in ["ON", "ON NOLOOP"] {
        c.ask("CLIENT TRACKING OFF", "+OK\r\n");
        c.ask(&format!("CLIENT TRACKING {mode}"), "+OK\r\n");
        other.ask("DEL to", ":0\r\n");
        c.ask("LLEN to", ":0\r\n");
        c.send("BLMOVE from to LEFT LEFT 0\r\n");
        eventually("it waits", || {
            other.text("INFO clients").contains("blocked_clients:1\r\n")
        });
        other.ask("RPUSH from a", ":1\r\n");
        c.expect("$1\r\na\r\n");
        if mode != "ON NOLOOP" {
            c.expect(told);
        }
        // It is forgotten with the change, whoever made it.
        other.ask("DEL to", ":1\r\n");
        c.ask("PING", "+PONG\r\n");
    }
}

#[test]
fn what_ends_a_wait_comes_before_what_is_broadcast_and_published() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.call("HELLO 3");
    c.ask("CLIENT TRACKING ON BCAST", "+OK\r\n");
    c.ask(
        "SUBSCRIBE news",
        ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    for _ in 0..20 {
        c.send("BLMOVE from to LEFT LEFT 0\r\n");
        eventually("it waits", || {
            other.text("INFO clients").contains("blocked_clients:1\r\n")
        });
        // One request, so that the one who is served has no turn in between.
        other.send("MULTI\r\nRPUSH from a\r\nEXEC\r\nPUBLISH news x\r\nDEL to\r\n");
        other.expect("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n:1\r\n:1\r\n");
        c.expect("$1\r\na\r\n");
        c.expect(">2\r\n$10\r\ninvalidate\r\n*2\r\n$4\r\nfrom\r\n$2\r\nto\r\n");
        c.expect(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
        c.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nto\r\n");
    }
}
