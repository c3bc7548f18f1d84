//! MONITOR.

use std::net::TcpStream;

use crate::harness::{Client, Server, text_of};

/// The next line without its time, checked to have one.
fn next(monitor: &mut Client<TcpStream>) -> String {
    let line = text_of(&monitor.read());
    let (time, rest) = line.split_once(' ').expect("a time and a rest");
    let (seconds, micros) = time.split_once('.').expect("seconds and microseconds");
    assert!(
        seconds.parse::<u64>().is_ok() && micros.len() == 6,
        "{line}"
    );
    rest.to_string()
}

#[test]
fn every_command_shows_as_it_was_sent() {
    let server = Server::start(&[]);
    let (mut monitor, mut c) = (server.connect(), server.connect());
    monitor.ask("MONITOR", "+OK\r\n");
    let from = c.stream.local_addr().expect("an address");
    c.ask("SELECT 3", "+OK\r\n");
    c.send("*3\r\n$3\r\nset\r\n$2\r\nk\"\r\n$3\r\n\x01\n\\\r\n");
    c.expect("+OK\r\n");
    c.ask("CLIENT LIST ID 99", "$0\r\n\r\n");
    c.ask(
        "nosuch",
        "-ERR unknown command 'nosuch', with args beginning with: \r\n",
    );
    c.ask("CLIENT ID", ":2\r\n");
    for wanted in [
        r#""SELECT" "3""#,
        r#""set" "k\"" "\x01\n\\""#,
        r#""CLIENT" "ID""#,
    ] {
        let shown = next(&mut monitor);
        assert_eq!(shown, format!("[3 {from}] {wanted}"));
    }
}

#[test]
fn transactions_show_in_the_order_in_which_they_ran() {
    let server = Server::start(&[]);
    let (mut monitor, mut c) = (server.connect(), server.connect());
    monitor.ask("MONITOR", "+OK\r\n");
    let mut shown = |c: &mut Client<TcpStream>, lines: &[&str], count: usize| -> Vec<String> {
        for line in lines {
            c.call(line);
        }
        (0..count)
            .map(|_| {
                next(&mut monitor)
                    .split_once("] ")
                    .map(|(_, words)| words.to_string())
            })
            .map(|words| words.expect("words"))
            .collect()
    };
    assert_eq!(
        shown(&mut c, &["multi", "set a b", "exec"], 3),
        ["\"multi\"", "\"set\" \"a\" \"b\"", "\"exec\""]
    );
    assert_eq!(
        shown(&mut c, &["multi", "nosuch", "exec"], 2),
        ["\"multi\"", "\"exec\""]
    );
}

#[test]
fn secrets_do_not_show() {
    let server = Server::start(&[]);
    let (mut monitor, mut c) = (server.connect(), server.connect());
    monitor.ask("MONITOR", "+OK\r\n");
    for line in [
        "AUTH pw",
        "AUTH user pw",
        "HELLO 2 AUTH user pw SETNAME n",
        "HELLO 2 SETNAME n",
    ] {
        c.call(line);
    }
    for wanted in [
        r#""AUTH" "(redacted)""#,
        r#""AUTH" "(redacted)" "(redacted)""#,
        r#""HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "n""#,
        r#""HELLO" "2" "SETNAME" "n""#,
    ] {
        let shown = next(&mut monitor);
        assert!(shown.ends_with(&format!("] {wanted}")), "{shown}");
    }
}

#[test]
fn a_monitor_may_not_touch_data() {
    let server = Server::start(&[]);
    let mut monitor = server.connect();
    monitor.ask("MONITOR", "+OK\r\n");
    monitor.ask("GET k", "-ERR Replica can't interact with the keyspace\r\n");
    assert!(monitor.text("CLIENT INFO").contains(" flags=O "));
    // A command that was refused does not show.
    assert!(next(&mut monitor).ends_with(r#""CLIENT" "INFO""#));
    monitor.ask("RESET", "+RESET\r\n");
    server.connect().ask("SET k v", "+OK\r\n");
    monitor.ask("GET k", "$1\r\nv\r\n");
}
