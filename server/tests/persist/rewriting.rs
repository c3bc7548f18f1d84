//! When the log is rewritten, beside what, and what becomes of the old files.

use crate::harness::{Client, Server, eventually};

fn idle(client: &mut Client) {
    eventually("it is rewritten", || {
        client.info("aof_rewrite_in_progress") == "0" && client.info("aof_rewrite_scheduled") == "0"
    });
}

fn number(client: &mut Client, field: &str) -> u64 {
    client.info(field).parse().expect("a number")
}

#[test]
fn a_log_that_has_grown_is_rewritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes", "--auto-aof-rewrite-min-size", "64kb"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    let value = "x".repeat(1000);
    let started = number(&mut client, "aof_rewrites");
    for _ in 0..50 {
        client.ask(&format!("SET k {value}"));
    }
    assert_eq!(number(&mut client, "aof_rewrites"), started, "it is small");
    for _ in 0..50 {
        client.ask(&format!("SET k {value}"));
    }
    eventually("it is rewritten", || {
        number(&mut client, "aof_rewrites") > started
    });
    idle(&mut client);
    assert!(
        number(&mut client, "aof_base_size") < 4000,
        "{}",
        server.log()
    );
    assert!(
        server
            .log()
            .contains("Starting automatic rewriting of AOF on")
    );
    // 0 switches it off.
    client.ask("CONFIG SET auto-aof-rewrite-percentage 0");
    let before = number(&mut client, "aof_rewrites");
    for _ in 0..100 {
        client.ask(&format!("SET k {value}"));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(number(&mut client, "aof_rewrites"), before);
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

#[test]
fn saves_and_rewrites_take_turns() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 100");
    client.ask("CONFIG SET rdb-key-save-delay 20000");
    let rewrites = number(&mut client, "aof_rewrites");
    let saves = number(&mut client, "rdb_saves");
    assert_eq!(client.ask("BGSAVE"), "Background saving started");
    assert_eq!(
        client.ask("BGREWRITEAOF"),
        "Background append only file rewriting scheduled"
    );
    assert_eq!(client.info("aof_rewrite_scheduled"), "1");
    assert_eq!(number(&mut client, "aof_rewrites"), rewrites);
    assert_eq!(client.ask("BGSAVE CANCEL"), "Background saving cancelled");
    eventually("the rewrite begins", || {
        client.info("aof_rewrite_in_progress") == "1"
    });
    assert_eq!(
        client.ask("BGREWRITEAOF"),
        "-ERR Background append only file rewriting already in progress"
    );
    let refusal = client.ask("BGSAVE");
    assert!(
        refusal.starts_with("-ERR Another child process is active (AOF?): can't BGSAVE right now."),
        "{refusal}"
    );
    assert_eq!(client.ask("BGSAVE SCHEDULE"), "Background saving scheduled");
    assert_eq!(
        client.ask("BGSAVE CANCEL"),
        "Scheduled background saving cancelled"
    );
    assert_eq!(client.ask("BGSAVE SCHEDULE"), "Background saving scheduled");
    assert_eq!(number(&mut client, "rdb_saves"), saves + 1);
    client.ask("CONFIG SET rdb-key-save-delay 0");
    eventually("the save that was put off", || {
        number(&mut client, "rdb_saves") == saves + 2
    });
    idle(&mut client);
}

#[test]
fn history_stays_while_aof_disable_auto_gc_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    let folder = dir.path().join("appendonlydir");
    let there = |name: &str| folder.join(name).exists();
    let manifest =
        || std::fs::read_to_string(folder.join("appendonly.aof.manifest")).expect("the manifest");
    client.ask("CONFIG SET aof-disable-auto-gc yes");
    client.ask("SET k v");
    client.ask("BGREWRITEAOF");
    idle(&mut client);
    assert!(there("appendonly.aof.1.base.rdb") && there("appendonly.aof.1.incr.aof"));
    assert!(there("appendonly.aof.2.base.rdb") && there("appendonly.aof.2.incr.aof"));
    let history = "file appendonly.aof.1.incr.aof seq 1 type h";
    assert!(manifest().contains(history), "{}", manifest());
    client.ask("CONFIG SET aof-disable-auto-gc no");
    eventually("it is removed", || {
        !there("appendonly.aof.1.base.rdb") && !there("appendonly.aof.1.incr.aof")
    });
    eventually("the manifest follows", || !manifest().contains("type h"));
    client.ask("SET k w");
    server.kill();
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    assert_eq!(server.client().ask("GET k"), "w");
}

#[test]
fn time_stamps_stand_in_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    let read = || {
        let path = dir.path().join("appendonlydir/appendonly.aof.1.incr.aof");
        std::fs::read_to_string(path).expect("the file")
    };
    client.ask("SET a 1");
    assert!(!read().contains("#TS:"));
    client.ask("CONFIG SET aof-timestamp-enabled yes");
    client.ask("SET b 1");
    assert_eq!(read().matches("#TS:").count(), 1);
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("DBSIZE"), "2");
}

/// A rewrite is given up with the log, and is in nobody's way: with each key put off for a second it
/// would take minutes to end by itself.
#[test]
fn a_rewrite_is_given_up_with_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 1000");
    client.ask("CONFIG SET rdb-key-save-delay 20000");
    client.ask("BGREWRITEAOF");
    assert_eq!(client.info("aof_rewrite_in_progress"), "1");
    assert_eq!(client.ask("CONFIG SET appendonly no"), "OK");
    assert_eq!(client.info("aof_rewrite_in_progress"), "0");
    client.ask("SET k between");
    client.ask("CONFIG SET rdb-key-save-delay 0");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), "OK");
    client.ask("SET k v");
    idle(&mut client);
    assert_eq!(client.info("aof_last_bgrewrite_status"), "ok");
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

#[test]
fn the_directory_stays_while_the_log_is_on() {
    let (dir, other) = (tempfile::tempdir(), tempfile::tempdir());
    let (dir, other) = (dir.expect("a directory"), other.expect("a directory"));
    let options = ["--appendonly", "yes", "--enable-protected-configs", "yes"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    client.ask("SET k v");
    let there = format!("CONFIG SET dir {}", other.path().display());
    let refused = client.ask(&there);
    assert!(
        refused.starts_with("-ERR CONFIG SET failed (possibly related to argument 'dir')"),
        "{refused}"
    );
    let here = format!("CONFIG SET dir {}", dir.path().display());
    assert_eq!(client.ask(&here), "OK");
    client.ask("CONFIG SET appendonly no");
    assert_eq!(client.ask(&there), "OK");
    client.ask("CONFIG SET appendonly yes");
    idle(&mut client);
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(other.path(), &options);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}
