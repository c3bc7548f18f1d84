//! Users: what they may do, who is closed when that changes, the log of refusals, and the file.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use basalt_formats::resp::reply::Reply;

use crate::harness::{Client, Server, eventually, field, flags, free_port, text_of};

const NO_KEY: &str = "-NOPERM No permissions to access a key\r\n";
const NO_CHANNEL: &str = "-NOPERM No permissions to access a channel\r\n";

/// A connection logged in as a user without a password who has these rules.
fn user(server: &Server, name: &str, rules: &str) -> Client<TcpStream> {
    set(server, name, &format!("on nopass {rules}"));
    let mut c = server.connect();
    c.ask(&format!("AUTH {name} x"), "+OK\r\n");
    c
}

fn set(server: &Server, name: &str, rules: &str) {
    let mut admin = server.connect();
    admin.ask(&format!("ACL SETUSER {name} {rules}"), "+OK\r\n");
}

/// The value of a field of INFO.
fn info(c: &mut Client<TcpStream>, name: &str) -> String {
    let all = c.text("INFO");
    let line = all.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name}"))
        .to_owned()
}

/// The fields of the entries of ACL LOG, without those of time and client.
fn log(c: &mut Client<TcpStream>) -> Vec<String> {
    let Reply::Array(entries) = c.call("ACL LOG") else {
        panic!("no log");
    };
    let show = |entry: &Reply| match entry {
        Reply::Array(fields) => {
            let all: Vec<String> = fields.iter().map(text_of).collect();
            let of = |name: &str| {
                let at = all.iter().position(|one| one == name).expect("a field");
                all[at + 1].clone()
            };
            let names = ["count", "reason", "context", "object", "username"];
            names.map(of).join(" ")
        }
        other => panic!("{other:?}"),
    };
    entries.iter().map(show).collect()
}

#[test]
fn a_user_is_kept_to_its_commands_keys_and_channels() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all -flushall ~a:* %R~r:* &news:*");
    c.ask("SET a:1 v", "+OK\r\n");
    c.ask("SET b:1 v", NO_KEY);
    c.ask("GET r:1", "$-1\r\n");
    c.ask("SET r:1 v", NO_KEY);
    c.ask(
        "FLUSHALL",
        "-NOPERM User u has no permissions to run the 'flushall' command\r\n",
    );
    c.ask("PUBLISH news:1 m", ":0\r\n");
    c.ask("PUBLISH other m", NO_CHANNEL);
    c.ask("PSUBSCRIBE news:1*", NO_CHANNEL);
    c.ask("ACL WHOAMI", "$1\r\nu\r\n");
    let line = c.text("CLIENT INFO");
    assert_eq!(field(&line, "user"), "u");
    c.ask("CLIENT KILL USER nosuch", "-ERR No such user 'nosuch'\r\n");
    let mut admin = server.connect();
    let listed = admin.text("CLIENT LIST USER u");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    admin.ask("CLIENT KILL USER u", ":1\r\n");
    c.expect_end();
    for (name, count) in [("cmd", "1"), ("key", "2"), ("channel", "2"), ("auth", "0")] {
        let name = format!("acl_access_denied_{name}");
        assert_eq!(info(&mut admin, &name), count, "{name}");
    }
    let words = admin.text("INFO commandstats");
    assert!(words.contains("cmdstat_flushall:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1"));
}

#[test]
fn transactions_are_checked_twice() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all ~a:* allchannels");
    c.ask("MULTI", "+OK\r\n");
    c.ask("GET b:1", NO_KEY);
    c.ask(
        "EXEC",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    c.ask("MULTI", "+OK\r\n");
    c.ask("GET a:1", "+QUEUED\r\n");
    c.ask("DEL a:1", "+QUEUED\r\n");
    c.ask("PUBLISH c m", "+QUEUED\r\n");
    set(&server, "u", "-del resetkeys ~c:* resetchannels");
    let why = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to";
    c.send("EXEC\r\n");
    c.expect(format!(
        "*3\r\n{why} touch the specified keys\r\n{why} execute the command or subcommand\r\n{why} access one of the channels used as arguments\r\n"
    ));
    c.ask("MULTI", "+OK\r\n");
    set(&server, "u", "-exec");
    c.ask("EXEC", "-EXECABORT Transaction discarded because of: NOPERM User u has no permissions to run the 'exec' command\r\n");
    let mut admin = server.connect();
    assert_eq!(
        log(&mut admin),
        [
            "1 command multi exec u",
            "1 channel multi c u",
            "1 command multi del u",
            "1 key multi a:1 u",
            "1 key multi b:1 u",
        ]
    );
}

#[test]
fn scripts_may_do_no_more_than_their_caller() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all -incr ~a:*");
    for (call, wanted) in [
        (
            "redis.call('get','b:1')",
            "-ERR ACL failure in script: No permissions to access a key",
        ),
        (
            "redis.call('incr','a:1')",
            "-ERR ACL failure in script: User u has no permissions to run the 'incr' command",
        ),
    ] {
        let reply = c.text(&format!("EVAL \"return {call}\" 0"));
        assert!(reply.starts_with(wanted), "{reply}");
    }
    c.ask(
        "EVAL \"return redis.acl_check_cmd('get','b:1')\" 0",
        "$-1\r\n",
    );
    c.ask(
        "EVAL \"return redis.acl_check_cmd('get','a:1')\" 0",
        ":1\r\n",
    );
    c.ask("EVAL \"return 1\" 1 b:1", NO_KEY);
    let entries = log(&mut server.connect());
    assert_eq!(entries[1], "1 command lua incr u");
    assert_eq!(entries[2], "1 key lua b:1 u");
}

#[test]
fn who_waits_is_refused_when_rules_change() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all ~*");
    let id: u64 = c.text("CLIENT ID").parse().expect("a number");
    c.send("BLPOP l 0\r\n");
    let mut admin = server.connect();
    eventually("it waits", || flags(&mut admin, id) == "b");
    set(&server, "u", "resetkeys ~other");
    admin.ask("RPUSH l v", ":1\r\n");
    c.expect(NO_KEY);
    c.ask("PING", "+PONG\r\n");
    admin.ask("LLEN l", ":1\r\n");
    let stats = admin.text("INFO commandstats");
    assert!(
        stats.contains(
            "cmdstat_blpop:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"
        ),
        "{stats}"
    );
}

#[test]
fn deleted_users_are_closed_and_lost_channels_close_who_listens() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all &a &b*");
    let mut kept = user(&server, "v", "+@all &a");
    c.send("SUBSCRIBE a\r\n");
    c.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    set(&server, "u", "&c");
    set(&server, "u", "resetchannels &c &a &b*");
    c.ask("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    set(&server, "u", "resetchannels &b*");
    c.expect_end();
    let mut c = user(&server, "u", "+@all resetchannels &b*");
    c.send("PSUBSCRIBE b*\r\n");
    c.expect("*3\r\n$10\r\npsubscribe\r\n$2\r\nb*\r\n:1\r\n");
    set(&server, "u", "resetchannels &b");
    c.expect_end();
    let mut admin = server.connect();
    admin.ask(
        "ACL DELUSER default",
        "-ERR The 'default' user cannot be removed\r\n",
    );
    let mut other = user(&server, "w", "+@all");
    other.send("ACL DELUSER w nosuch v\r\nPING\r\n");
    other.expect(":2\r\n");
    other.expect_end();
    kept.expect_end();
    admin.ask("ACL USERS", "*2\r\n$7\r\ndefault\r\n$1\r\nu\r\n");
}

#[test]
fn who_deletes_itself_may_do_nothing_more() {
    // The default user, whose password is not known, may do everything.
    let server = Server::start(&["--requirepass", "p"]);
    let mut admin = server.connect();
    admin.ask("AUTH p", "+OK\r\n");
    admin.ask("SET secret s", "+OK\r\n");
    let rules = "on nopass -@all +multi +exec +set +eval +acl|deluser ~low:*";
    admin.ask(&format!("ACL SETUSER low {rules}"), "+OK\r\n");
    let mut low = server.connect();
    low.ask("AUTH low x", "+OK\r\n");
    low.ask("MULTI", "+OK\r\n");
    low.ask("ACL DELUSER low", "+QUEUED\r\n");
    low.ask("SET low:1 x", "+QUEUED\r\n");
    low.ask(
        "EVAL \"return redis.call('get','secret')\" 0",
        "+QUEUED\r\n",
    );
    low.send("EXEC\r\n");
    low.expect("*3\r\n:1\r\n");
    let refused = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand\r\n";
    low.expect(refused);
    low.expect(refused);
    low.expect_end();
    admin.ask("EXISTS low:1", ":0\r\n");
}

#[test]
fn the_default_users_listeners_lose_channels_too() {
    let server = Server::start(&[]);
    let mut fresh = server.connect();
    let mut reset = user(&server, "u", "+@all &*");
    reset.ask("RESET", "+RESET\r\n");
    for c in [&mut fresh, &mut reset] {
        c.send("SUBSCRIBE a\r\n");
        c.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    }
    set(&server, "default", "resetchannels &b");
    fresh.expect_end();
    reset.expect_end();
}

#[test]
fn who_is_logged_in_as_whom() {
    let server = Server::start(&[]);
    let mut c = user(&server, "u", "+@all ~*");
    set(&server, "u", ">secret");
    c.ask("RESET", "+RESET\r\n");
    c.ask("ACL WHOAMI", "$7\r\ndefault\r\n");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    c.ask("AUTH u x", wrong);
    c.ask("AUTH nobody x", wrong);
    c.ask("HELLO 2 AUTH u x", wrong);
    c.ask("AUTH u secret", "+OK\r\n");
    set(&server, "u", "off");
    // Who is in stays in.
    c.ask("ACL WHOAMI", "$1\r\nu\r\n");
    c.ask("AUTH u secret", wrong);
    assert_eq!(
        log(&mut server.connect()),
        [
            "2 auth toplevel AUTH u",
            "1 auth toplevel HELLO u",
            "1 auth toplevel AUTH nobody",
        ]
    );
    // A default user that is off, or has a password, is not there for new connections.
    set(&server, "default", "off");
    let mut new = server.connect();
    new.ask("PING", "-NOAUTH Authentication required.\r\n");
    c.ask("ACL SETUSER default on", "+OK\r\n");
    new.ask("PING", "+PONG\r\n");
    c.ask("CONFIG SET requirepass p", "+OK\r\n");
    server
        .connect()
        .ask("PING", "-NOAUTH Authentication required.\r\n");
    c.ask("ACL SETUSER default nopass", "+OK\r\n");
    server.connect().ask("PING", "+PONG\r\n");
}

#[test]
fn the_file_is_saved_and_loaded_as_a_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("users.acl");
    let write = |text: &str| fs::write(&path, text).expect("written");
    write("user default on nopass ~* &* +@all\r\n\nuser alice on >p  ~a* ( +get  ~r ) +set\n");
    let name = path.display().to_string();
    let server = Server::start(&["--aclfile", &name]);
    let mut admin = server.connect();
    let alice = "user alice on sanitize-payload #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 ~a* resetchannels -@all +set (~r resetchannels -@all +get)";
    let default = "user default on nopass sanitize-payload ~* &* +@all";
    let lines = |c: &mut Client<TcpStream>| match c.call("ACL LIST") {
        Reply::Array(lines) => lines.iter().map(text_of).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(lines(&mut admin), [alice, default]);
    let mut c = server.connect();
    c.ask("AUTH alice p", "+OK\r\n");
    // Nothing changes, and nobody is closed, for a file with a mistake.
    write("user default on nopass ~* &* +@all\nuser bob +nosuch\n");
    admin.ask("ACL LOAD", format!("-ERR {name}:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. WARNING: ACL errors detected, no change to the previously active ACL rules was performed\r\n"));
    c.ask("SET a v", "+OK\r\n");
    admin.ask("ACL SETUSER bob", "+OK\r\n");
    admin.ask("ACL SAVE", "+OK\r\n");
    let saved = fs::read_to_string(&path).expect("it is there");
    assert_eq!(
        saved,
        format!("{alice}\nuser bob off sanitize-payload resetchannels -@all\n{default}\n")
    );
    let names: Vec<_> = fs::read_dir(dir.path()).expect("a directory").collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");
    // Those of the default user stay, whatever becomes of it; others go, even if they come again.
    write(&saved.replace("+@all\n", "+@all -debug\n"));
    admin.ask("ACL LOAD", "+OK\r\n");
    c.expect_end();
    assert_eq!(lines(&mut admin)[2], format!("{default} -debug"));
    // Without a default user in the file there is one who may do everything.
    write("");
    admin.ask("ACL LOAD", "+OK\r\n");
    assert_eq!(lines(&mut admin), [default]);
}

#[test]
fn users_are_written_to_the_configuration_and_read_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("basalt.conf");
    fs::write(&path, "# mine\nuser alice on +get\n").expect("written");
    let start = || {
        Server::start_by(
            |program, arguments| {
                let mut command = Command::new(program);
                command.arg(&path).args(arguments);
                command
            },
            &[],
        )
    };
    let server = start();
    let mut admin = server.connect();
    admin.ask("ACL LOAD", "-ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.\r\n");
    admin.ask("ACL SETUSER alice ~x (+set ~y)", "+OK\r\n");
    admin.ask("CONFIG REWRITE", "+OK\r\n");
    let text = fs::read_to_string(&path).expect("it is there");
    let alice =
        "user alice on sanitize-payload ~x resetchannels -@all +get (~y resetchannels -@all +set)";
    assert!(text.starts_with(&format!("# mine\n{alice}\n")), "{text}");
    assert!(text.contains("\nuser default on nopass sanitize-payload ~* &* +@all\n"));
    drop(server);
    // Its directory is gone with it.
    let kept = text.lines().filter(|line| !line.starts_with("dir "));
    fs::write(&path, kept.collect::<Vec<_>>().join("\n")).expect("written");
    let server = start();
    match server.connect().call("ACL LIST") {
        Reply::Array(lines) => assert_eq!(text_of(&lines[0]), alice),
        other => panic!("{other:?}"),
    }
}

/// Starts a server that must not come up; what it says.
fn refused(options: &[&str], files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let done = Command::new(env!("CARGO_BIN_EXE_basalt-server"))
        .args(["--port", &free_port().to_string(), "--dir"])
        .arg(dir.path())
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(!done.status.success());
    let text = [done.stdout, done.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_start_with_bad_users_is_refused_in_redis_words() {
    for (options, file, wanted) in [
        (
            &["--user", "alice", "on", "bogus"][..],
            "",
            "Error in user declaration 'alice': Syntax error",
        ),
        (
            &["--user", "alice", "on", "--user", "alice", "off"][..],
            "",
            "Error in user declaration 'alice': Duplicate user found. A user can only be defined once in config files",
        ),
        (
            &["--user", "alice", "on", "+nosuch"][..],
            "",
            "Error loading ACL rule '+nosuch' for the user named 'alice': Unknown command or category name in ACL",
        ),
        (
            &["--user", "alice", "on", "--aclfile", "users.acl"][..],
            "user default on nopass ~* &* +@all\n",
            "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid.",
        ),
        (
            &["--aclfile", "none.acl"][..],
            "",
            "Error loading ACLs, opening file 'none.acl': No such file or directory",
        ),
        (
            &["--aclfile", "users.acl"][..],
            "user a on +nosuch %~x bad\n\nusers b\nuser a\nuser c (+get\n",
            "users.acl:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. users.acl:1: Syntax error. users.acl:3 should start with user keyword followed by the username. WARNING: Duplicate user 'a' found on line 4. users.acl:5: Unmatched parenthesis in selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        ),
    ] {
        let said = refused(options, &[("users.acl", file)]);
        assert!(said.contains(wanted), "{options:?}: {said}");
    }
}
