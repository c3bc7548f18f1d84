//! AUTH, HELLO, RESET, SELECT.

use crate::harness::{Server, field};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

#[test]
fn without_a_password_everybody_is_in() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n");
    c.ask("AUTH default x", "+OK\r\n");
    c.ask("AUTH other x", WRONG);
    c.ask("AUTH a b c", "-ERR syntax error\r\n");
    c.ask(
        "AUTH",
        "-ERR wrong number of arguments for 'auth' command\r\n",
    );
}

#[test]
fn a_password_keeps_others_out() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut c = server.connect();
    c.ask("GET k", "-NOAUTH Authentication required.\r\n");
    c.ask("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n");
    c.ask("AUTH wrong", WRONG);
    c.ask("AUTH secreT", WRONG);
    c.ask("AUTH nobody secret", WRONG);
    c.ask("HELLO 2 AUTH default wrong", WRONG);
    c.ask("GET k", "-NOAUTH Authentication required.\r\n");
    c.ask("AUTH secret", "+OK\r\n");
    c.ask("GET k", "$-1\r\n");
    c.ask("RESET", "+RESET\r\n");
    c.ask("GET k", "-NOAUTH Authentication required.\r\n");
    c.ask("AUTH default secret", "+OK\r\n");
    c.ask("GET k", "$-1\r\n");
    let mut other = server.connect();
    other.send("HELLO 3 AUTH default secret SETNAME me\r\n");
    other.expect("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    other.ask("CLIENT GETNAME", "$2\r\nme\r\n");
}

#[test]
fn hello_checks_what_it_is_given() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("HELLO 1", "-NOPROTO unsupported protocol version\r\n");
    c.ask("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    c.ask(
        "HELLO x",
        "-ERR Protocol version is not an integer or out of range\r\n",
    );
    c.ask(
        "HELLO 3 AUTH a",
        "-ERR Syntax error in HELLO option 'AUTH'\r\n",
    );
    c.ask(
        "HELLO 3 SETNAME",
        "-ERR Syntax error in HELLO option 'SETNAME'\r\n",
    );
    c.ask(
        "HELLO 3 nope",
        "-ERR Syntax error in HELLO option 'nope'\r\n",
    );
    c.ask(
        "HELLO 3 SETNAME \"a b\"",
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    c.ask("GET k", "$-1\r\n");
    c.send("HELLO\r\n");
    c.expect("*14\r\n$6\r\nserver\r\n");
    let mut c = server.connect();
    c.call("HELLO 3");
    c.ask("GET k", "_\r\n");
    c.call("HELLO 2");
    c.ask("GET k", "$-1\r\n");
}

#[test]
fn reset_is_like_a_new_connection() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.call("HELLO 3 SETNAME me");
    c.ask("CLIENT SETINFO lib-name lib", "+OK\r\n");
    c.ask("SELECT 9", "+OK\r\n");
    c.ask("CLIENT NO-TOUCH on", "+OK\r\n");
    c.ask("WATCH k", "+OK\r\n");
    c.send("SUBSCRIBE c\r\n");
    c.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    c.ask("CLIENT TRACKING ON BCAST", "+OK\r\n");
    c.ask("MULTI", "+OK\r\n");
    c.ask("RESET", "+RESET\r\n");
    c.ask("EXEC", "-ERR EXEC without MULTI\r\n");
    c.ask("GET k", "$-1\r\n");
    let line = c.text("CLIENT INFO");
    for (name, value) in [
        ("name", ""),
        ("db", "0"),
        ("flags", "N"),
        ("sub", "0"),
        ("multi", "-1"),
        ("redir", "-1"),
        ("resp", "2"),
        ("lib-name", "lib"),
    ] {
        assert_eq!(field(&line, name), value, "{name} in {line}");
    }
    server.connect().ask("PUBLISH c m", ":0\r\n");
}

#[test]
fn select_takes_databases_that_are_there() {
    let server = Server::start(&["--databases", "4"]);
    let mut c = server.connect();
    c.ask("SELECT 3", "+OK\r\n");
    c.ask("SELECT 4", "-ERR DB index is out of range\r\n");
    c.ask("SELECT -1", "-ERR DB index is out of range\r\n");
    c.ask(
        "SELECT x",
        "-ERR value is not an integer or out of range\r\n",
    );
    c.ask(
        "SELECT 2147483648",
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n",
    );
    assert_eq!(field(&c.text("CLIENT INFO"), "db"), "3");
}

#[test]
fn a_password_set_later_keeps_those_who_are_in() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    c.ask("CONFIG SET requirepass secret", "+OK\r\n");
    c.ask("GET k", "$-1\r\n");
    let mut other = server.connect();
    other.ask("GET k", "-NOAUTH Authentication required.\r\n");
    c.ask("CONFIG SET requirepass \"\"", "+OK\r\n");
    other.ask("GET k", "$-1\r\n");
}
