//! CLIENT subcommands.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Server, eventually, field, flags};

#[test]
fn the_line_of_a_client_has_the_fields_of_redis_in_their_order() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("*2\r\n$6\r\nclient\r\n$4\r\ninfo\r\n");
    let line = crate::harness::text_of(&c.read());
    let names: Vec<&str> = line
        .trim_end()
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names.join(" "),
        "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver"
    );
    let own = c.stream.local_addr().expect("an address").to_string();
    for (name, value) in [
        ("id", "1"),
        ("addr", own.as_str()),
        ("flags", "N"),
        ("multi", "-1"),
        ("qbuf", "26"),
        ("argv-mem", "10"),
        ("obl", "0"),
        ("omem", "0"),
        ("events", "r"),
        ("cmd", "client|info"),
        ("user", "default"),
        ("redir", "-1"),
        ("resp", "2"),
    ] {
        assert_eq!(field(&line, name), value, "{name} in {line}");
    }
    assert!(line.ends_with('\n'));
}

#[test]
fn others_see_what_a_client_does() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let mut other = server.connect();
    let mut list = |filter: &str| other.text(&format!("CLIENT LIST {filter}"));
    c.ask("SELECT 5", "+OK\r\n");
    c.ask("CLIENT SETNAME worker", "+OK\r\n");
    c.ask("MULTI", "+OK\r\n");
    c.ask("SET k v", "+QUEUED\r\n");
    let line = list("ID 1");
    for (name, value) in [
        ("name", "worker"),
        ("db", "5"),
        ("flags", "x"),
        ("multi", "1"),
        ("cmd", "set"),
    ] {
        assert_eq!(field(&line, name), value, "{name} in {line}");
    }
    assert_ne!(field(&line, "multi-mem"), "0");
    c.ask("DISCARD", "+OK\r\n");
    c.send("BLPOP nothing 0\r\n");
    eventually("it blocks", || field(&list("ID 1"), "flags") == "b");
    assert_eq!(list("ID 77"), "");
    assert_eq!(
        list("ID 2 1")
            .lines()
            .map(|line| field(line, "id"))
            .collect::<Vec<_>>(),
        ["2", "1"]
    );
    assert_eq!(list("TYPE normal SKIPME yes").lines().count(), 1);
    assert_eq!(list("TYPE pubsub"), "");
    assert_eq!(list("TYPE master"), "");
    assert_eq!(list("USER default MAXAGE 1000"), "");
    assert_eq!(list("TYPE nope"), "-ERR Unknown client type 'nope'");
    assert_eq!(list("ID x"), "-ERR Invalid client ID");
    assert_eq!(list("ID"), "-ERR syntax error");
    assert_eq!(list("USER nobody"), "-ERR No such user 'nobody'");
}

#[test]
fn filters_of_valkey_9() {
    let server = Server::start(&[]);
    let (mut one, mut two, mut asker) = (server.connect(), server.connect(), server.connect());
    for line in [
        "CLIENT SETNAME worker",
        "CLIENT SETINFO lib-name lib",
        "CLIENT SETINFO lib-ver 1.2",
        "CLIENT NO-EVICT on",
        "CLIENT CAPA other REDIRECT",
        "SELECT 5",
    ] {
        one.ask(line, "+OK\r\n");
    }
    two.ask("CLIENT SETNAME other", "+OK\r\n");
    let mut ids = |filter: &str| {
        let lines = asker.text(&format!("CLIENT LIST {filter}"));
        if lines.starts_with('-') {
            return lines;
        }
        let ids: Vec<&str> = lines.lines().map(|line| field(line, "id")).collect();
        ids.join(" ")
    };
    for (filter, wanted) in [
        ("NAME worker", "1"),
        ("NAME \"\"", ""),
        ("LIB-NAME lib LIB-VER 1.2", "1"),
        ("LIB-NAME lib LIB-VER 1.3", ""),
        ("FLAGS e", "1"),
        ("FLAGS ex", ""),
        ("FLAGS N", "2 3"),
        ("DB 5", "1"),
        ("CAPA r", "1"),
        ("IP 127.0.0.1", "1 2 3"),
        ("IP 127.0.0.10", ""),
        ("IDLE 1000", ""),
        ("NOT-NAME worker", "2 3"),
        ("NOT-LIB-NAME lib", "2 3"),
        ("NOT-LIB-VER 1.2", "2 3"),
        ("NOT-FLAGS e NOT-NAME other", "3"),
        ("NOT-DB 0", "1"),
        ("NOT-CAPA r", "2 3"),
        ("NOT-IP 127.0.0.1", ""),
        ("NOT-ID 1 3", "2"),
        ("ID 3 2 1 not-name other", "3 1"),
        ("NOT-TYPE normal", ""),
        ("NOT-TYPE pubsub", "1 2 3"),
        ("NOT-USER default", ""),
        ("NAME worker NAME other", "2"),
        ("NAME", "-ERR syntax error"),
        (
            "FLAGS eX",
            "-ERR Unknown flags found in the provided filter: eX",
        ),
        (
            "NOT-CAPA x",
            "-ERR Unknown capa found in the provided filter: x",
        ),
        ("DB x", "-ERR DB is not an integer or out of range"),
        ("DB 16", "-ERR DB number should be between 0 and 15"),
        ("IDLE 0", "-ERR idle should be greater than 0"),
        ("NOT-MAXAGE 5", "-ERR syntax error"),
        ("NOT-USER nobody", "-ERR No such user 'nobody'"),
        ("NOT-ID 0", "-ERR client-id should be greater than 0"),
    ] {
        assert_eq!(ids(filter), wanted, "{filter}");
    }
    let addr = one.stream.local_addr().expect("an address").to_string();
    assert_eq!(ids(&format!("NOT-ADDR {addr}")), "2 3");
    assert_eq!(ids(&format!("NOT-LADDR 127.0.0.1:{}", server.port)), "");
    // Filters of CLIENT KILL are the same.
    asker.ask("CLIENT KILL NOT-NAME worker NOT-FLAGS x", ":1\r\n");
    two.expect_end();
    asker.ask("CLIENT KILL NAME worker SKIPME no", ":1\r\n");
}

#[test]
fn a_changed_watched_key_shows() {
    let server = Server::start(&[]);
    let (mut c, mut other) = (server.connect(), server.connect());
    c.ask("WATCH k", "+OK\r\n");
    other.ask("SET k 1", "+OK\r\n");
    assert_eq!(field(&other.text("CLIENT LIST ID 1"), "flags"), "d");
    c.ask("UNWATCH", "+OK\r\n");
    assert_eq!(field(&other.text("CLIENT LIST ID 1"), "flags"), "N");
}

#[test]
fn kill_by_filter() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("PING", "+PONG\r\n");
    for (words, error) in [
        ("", "wrong number of arguments for 'client|kill' command"),
        ("id 10 wrong_arg", "syntax error"),
        ("id str", "client-id should be greater than 0"),
        ("id 0", "client-id should be greater than 0"),
        ("type wrong", "Unknown client type 'wrong'"),
        ("user wrong", "No such user 'wrong'"),
        ("skipme maybe", "syntax error"),
        ("maxage x", "maxage is not an integer or out of range"),
        ("maxage 0", "maxage should be greater than 0"),
        ("1.2.3.4:5", "No such client"),
    ] {
        let line = format!("CLIENT KILL {words}");
        c.ask(line.trim_end(), format!("-ERR {error}\r\n"));
    }
    let mut victims: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for victim in &mut victims {
        victim.ask("PING", "+PONG\r\n");
    }
    c.ask("CLIENT KILL ID 2 3", ":2\r\n");
    victims[0].expect_end();
    victims[1].expect_end();
    assert_eq!(c.text("CLIENT LIST").lines().count(), 3);
    let address = victims[2].stream.local_addr().expect("an address");
    c.ask(&format!("CLIENT KILL {address}"), "+OK\r\n");
    victims[2].expect_end();
    c.ask("CLIENT KILL MAXAGE 1000", ":0\r\n");
    c.ask("CLIENT KILL TYPE normal", ":1\r\n");
    victims[3].expect_end();
    c.ask("CLIENT KILL SKIPME no", ":1\r\n");
    c.expect_end();
}

#[test]
fn a_killed_client_takes_no_element() {
    let server = Server::start(&[]);
    let (mut c, mut blocked) = (server.connect(), server.connect());
    blocked.send("BLPOP k 0\r\n");
    eventually("it blocks", || flags(&mut c, 2) == "b");
    c.send("CLIENT KILL ID 2\r\nRPUSH k v\r\nLLEN k\r\n");
    c.expect(":1\r\n:1\r\n:1\r\n");
}

#[test]
fn an_empty_request_is_what_a_skip_leaves_out() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("CLIENT REPLY SKIP\r\n\r\nPING a\r\nCLIENT REPLY SKIP\r\n");
    c.send("\r\n");
    c.send("PING b\r\n");
    c.expect("$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn replies_can_be_turned_off() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.send("CLIENT REPLY OFF\r\nPING\r\nnosuch\r\nCLIENT REPLY ON\r\nECHO a\r\n");
    c.expect("+OK\r\n$1\r\na\r\n");
    // SUBSCRIBE is answered in spite of SKIP, but uses it up.
    let mut subscriber = server.connect();
    subscriber.send("CLIENT REPLY SKIP\r\nSUBSCRIBE a\r\nPING\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    c.send("CLIENT REPLY SKIP\r\nPING\r\nECHO b\r\n");
    c.expect("$1\r\nb\r\n");
    c.send("CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\n");
    c.expect("+OK\r\n");
    c.send("CLIENT REPLY SKIP\r\nBLPOP k 0.01\r\nECHO c\r\n");
    c.expect("$1\r\nc\r\n");
    c.ask("CLIENT REPLY maybe", "-ERR syntax error\r\n");
    c.send("CLIENT REPLY OFF\r\nSUBSCRIBE c\r\n");
    c.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    server.connect().ask("PUBLISH c m", ":1\r\n");
    c.expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
}

#[test]
fn names_and_labels() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("CLIENT GETNAME", "$-1\r\n");
    c.ask(
        "CLIENT SETNAME \"a b\"",
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    c.ask("CLIENT SETNAME a", "+OK\r\n");
    c.ask("CLIENT SETNAME \"\"", "+OK\r\n");
    c.ask("CLIENT GETNAME", "$-1\r\n");
    c.ask(
        "CLIENT SETINFO lib-ver \"a\\n\"",
        "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
    );
    c.ask(
        "CLIENT SETINFO Other x",
        "-ERR Unrecognized option 'Other'\r\n",
    );
    c.ask("CLIENT SETINFO lib-ver 1.2", "+OK\r\n");
    assert!(c.text("CLIENT INFO").ends_with(" lib-name= lib-ver=1.2\n"));
    c.ask(
        "CLIENT NOSUCH",
        "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n",
    );
    c.ask(
        "CLIENT",
        "-ERR wrong number of arguments for 'client' command\r\n",
    );
}

#[test]
fn pause_holds_writes_or_all() {
    let server = Server::start(&[]);
    let (mut c, mut writer) = (server.connect(), server.connect());
    c.ask(
        "CLIENT PAUSE x",
        "-ERR timeout is not an integer or out of range\r\n",
    );
    c.ask("CLIENT PAUSE -1", "-ERR timeout is negative\r\n");
    c.ask(
        "CLIENT PAUSE 10 some",
        "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n",
    );
    c.ask("CLIENT PAUSE 100000 WRITE", "+OK\r\n");
    writer.send("SET k v\r\nGET k\r\n");
    writer.expect_nothing();
    assert_eq!(flags(&mut c, 2), "b");
    c.ask("GET k", "$-1\r\n");
    c.ask("CLIENT UNPAUSE", "+OK\r\n");
    writer.expect("+OK\r\n$1\r\nv\r\n");
    let start = Instant::now();
    c.ask("CLIENT PAUSE 300", "+OK\r\n");
    writer.ask("GET k", "$1\r\nv\r\n");
    assert!(
        start.elapsed() >= Duration::from_millis(290),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn unblock_ends_a_wait() {
    let server = Server::start(&[]);
    let (mut c, mut blocked) = (server.connect(), server.connect());
    blocked.send("BLPOP k 0\r\n");
    eventually("it blocks", || flags(&mut c, 2) == "b");
    c.ask(
        "CLIENT UNBLOCK 2 now",
        "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n",
    );
    c.ask(
        "CLIENT UNBLOCK x",
        "-ERR value is not an integer or out of range\r\n",
    );
    c.ask("CLIENT UNBLOCK 2", ":1\r\n");
    blocked.expect("*-1\r\n");
    c.ask("CLIENT UNBLOCK 2", ":0\r\n");
    blocked.send("BLPOP k 0\r\n");
    eventually("it blocks", || flags(&mut c, 2) == "b");
    c.ask("CLIENT UNBLOCK 2 ERROR", ":1\r\n");
    blocked.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    c.ask("CLIENT UNBLOCK 99", ":0\r\n");
    sleep(Duration::from_millis(10));
    blocked.ask("PING", "+PONG\r\n");
}

#[test]
fn keys_migrate_to_another_server() {
    let (here, there) = (
        Server::start(&[]),
        Server::start(&["--requirepass", "secret"]),
    );
    let (mut a, mut b) = (here.connect(), there.connect());
    b.ask("AUTH secret", "+OK\r\n");
    let to = |rest: &str| format!("MIGRATE 127.0.0.1 {} {rest}", there.port);
    a.ask(&to("k 0 1000"), "+NOKEY\r\n");
    a.ask("MSET k v n 12", "+OK\r\n");
    a.ask("RPUSH l a b", ":2\r\n");
    a.ask("PEXPIREAT n 4102444800000", ":1\r\n");
    a.ask(
        &to("k 0 1000"),
        "-ERR Target instance replied with error: NOAUTH Authentication required.\r\n",
    );
    a.ask("EXISTS k", ":1\r\n");
    a.ask(&to("k 0 1000 COPY AUTH secret"), "+OK\r\n");
    a.ask("EXISTS k", ":1\r\n");
    a.ask(
        &to("k 0 1000 AUTH secret"),
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n",
    );
    a.ask(
        &to("\"\" 3 1000 REPLACE AUTH2 default secret KEYS k n l none"),
        "+OK\r\n",
    );
    a.ask("DBSIZE", ":0\r\n");
    // The connection is kept, and one that is broken is replaced.
    assert!(
        a.text("INFO stats")
            .contains("migrate_cached_sockets:1\r\n")
    );
    a.ask("SET other v", "+OK\r\n");
    assert_eq!(b.text("CLIENT KILL TYPE normal"), "1");
    a.ask(&to("other 5 1000 AUTH secret"), "+OK\r\n");
    assert!(
        a.text("INFO stats")
            .contains("migrate_cached_sockets:1\r\n")
    );
    b.ask("SELECT 3", "+OK\r\n");
    b.ask("GET k", "$1\r\nv\r\n");
    b.ask("LRANGE l 0 -1", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    b.ask("DBSIZE", ":3\r\n");
    let left = b.text("PTTL n").trim_start_matches(':').parse::<i64>();
    assert!(left.is_ok_and(|left| left > 1_000_000_000));
    a.ask("SET k v", "+OK\r\n");
    for port in ["1", "0", "nowhere", "65536"] {
        a.ask(
            &format!("MIGRATE 127.0.0.1 {port} k 0 200"),
            "-IOERR error or timeout writing to target instance\r\n",
        );
    }
    for place in ["\"\\xff\" 1", "127.0.0.1 -1"] {
        a.ask(
            &format!("MIGRATE {place} k 0 200"),
            "-IOERR error or timeout connecting to the client\r\n",
        );
    }
    a.ask("EXISTS k", ":1\r\n");
    a.ask(
        &to("k 0 1000 KEYS a"),
        "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string\r\n",
    );
    a.ask(&to("k 0 1000 AUTH"), "-ERR syntax error\r\n");
    a.ask(
        &to("k x 1000"),
        "-ERR value is not an integer or out of range\r\n",
    );
}
