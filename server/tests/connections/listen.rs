//! Sockets that are listened on.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Client, PATIENCE, Server, eventually, field, text_of};

#[test]
fn a_busy_port_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_basalt-server"))
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!(
            "Warning: Could not create server TCP listening socket 127.0.0.1:{port}: "
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!("Failed listening on port {port}")),
        "{text}"
    );
}

#[test]
fn a_unix_socket_has_the_permissions_asked_for() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("sock");
    let name = path.display().to_string();
    let server = Server::start(&["--unixsocket", &name, "--unixsocketperm", "700"]);
    let mode = fs::metadata(&path)
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let stream = UnixStream::connect(&path).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut c = Client::new(stream);
    let line = text_of(&c.call("CLIENT INFO"));
    assert_eq!(field(&line, "addr"), format!("{name}:0"));
    assert_eq!(field(&line, "flags"), "U");
    server.connect().ask("PING", "+PONG\r\n");
}

#[test]
fn several_addresses_of_both_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here: nothing to test");
        return;
    }
    let server = Server::start(&["--bind", "127.0.0.1 ::1 -192.0.2.77"]);
    for host in ["127.0.0.1", "::1"] {
        let stream = TcpStream::connect((host, server.port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let line = text_of(&Client::new(stream).call("CLIENT INFO"));
        let shown = if host == "::1" { "[::1]" } else { host };
        assert_eq!(field(&line, "laddr"), format!("{shown}:{}", server.port));
    }
}

/// Limits the server's open files from outside.
fn limit_files(server: &Server, soft: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).expect("a pid"));
    let limit = rustix::process::Rlimit {
        current: Some(soft),
        maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
    };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).expect("a limit");
}

#[test]
fn a_lack_of_descriptors_passes() {
    let server = Server::start(&["--maxclients", "1000"]);
    let mut first = server.connect();
    first.ask("PING", "+PONG\r\n");
    limit_files(&server, 40);
    let many: Vec<_> = (0..100).map(|_| server.connect()).collect();
    eventually("accepting fails", || {
        server.log().contains("Accepting client connection")
    });
    first.ask("PING", "+PONG\r\n");
    drop(many);
    limit_files(&server, 1000);
    let mut late = server.connect();
    late.stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a time-out");
    late.ask("PING", "+PONG\r\n");
}

#[test]
fn maxclients_follows_the_limit_on_open_files() {
    let server = Server::start_by(
        |program, arguments| {
            let mut command = Command::new("sh");
            command.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\"", program]);
            command.args(arguments);
            command
        },
        &["--maxclients", "1000"],
    );
    let mut c = server.connect();
    c.ask(
        "CONFIG GET maxclients",
        "*2\r\n$10\r\nmaxclients\r\n$2\r\n68\r\n",
    );
    c.ask("CONFIG SET maxclients 60", "+OK\r\n");
    c.ask("CONFIG SET maxclients 200", "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the specified number of clients, try with 68\r\n");
}

#[test]
fn the_port_can_change_while_running() {
    let mut server = Server::start(&["--bind", "127.0.0.1"]);
    let mut c = server.connect();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = taken.local_addr().expect("its address").port();
    c.ask(&format!("CONFIG SET port {busy}"), "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.\r\n");
    server.connect().ask("PING", "+PONG\r\n");
    let old = server.port;
    server.port = crate::harness::free_port();
    c.ask(&format!("CONFIG SET port {}", server.port), "+OK\r\n");
    eventually("the new port answers", || {
        TcpStream::connect(("127.0.0.1", server.port)).is_ok()
    });
    eventually("the old port is closed", || {
        TcpStream::connect(("127.0.0.1", old)).is_err()
    });
    server.connect().ask("PING", "+PONG\r\n");
    c.ask("CONFIG SET bind \"127.0.0.1 127.0.0.2\"", "+OK\r\n");
    eventually("the new address answers", || {
        TcpStream::connect(("127.0.0.2", server.port)).is_ok()
    });
    c.ask("CONFIG SET bind 192.0.2.99", "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.\r\n");
    server.connect().ask("PING", "+PONG\r\n");
}

#[test]
fn without_an_address_there_is_no_tcp_socket() {
    let server = Server::start(&["--bind", "127.0.0.1"]);
    let mut c = server.connect();
    c.ask("CONFIG SET bind \"\"", "+OK\r\n");
    c.ask("CONFIG GET bind", "*2\r\n$4\r\nbind\r\n$0\r\n\r\n");
    eventually("nobody listens", || {
        TcpStream::connect(("127.0.0.1", server.port)).is_err()
    });
    c.ask("CONFIG SET bind 127.0.0.1", "+OK\r\n");
    eventually("somebody does", || {
        TcpStream::connect(("127.0.0.1", server.port)).is_ok()
    });
}

#[test]
fn the_kernels_score_follows_the_directive() {
    let server = Server::start(&[]);
    let mut c = server.connect();
    let path = format!("/proc/{}/oom_score_adj", server.pid());
    let score = || -> i32 {
        let text = fs::read_to_string(&path).expect("the score");
        text.trim().parse().expect("a number")
    };
    let base = score();
    c.ask(
        "CONFIG SET oom-score-adj-values \"7 200 800\" oom-score-adj yes",
        "+OK\r\n",
    );
    assert_eq!(score(), (base + 7).min(1000));
    c.ask("CONFIG SET oom-score-adj-values \"9 200 800\"", "+OK\r\n");
    assert_eq!(score(), (base + 9).min(1000));
    c.ask("CONFIG SET oom-score-adj no", "+OK\r\n");
    assert_eq!(score(), base);
}

#[test]
fn who_sees_the_end_of_a_connection_cannot_connect_again() {
    for _ in 0..5 {
        let server = Server::start(&[]);
        let mut c = server.connect();
        c.send("SHUTDOWN NOSAVE\r\n");
        c.expect_end();
        let again = TcpStream::connect(("127.0.0.1", server.port));
        assert_eq!(
            again.map(drop).map_err(|error| error.kind()),
            Err(std::io::ErrorKind::ConnectionRefused)
        );
    }
}
