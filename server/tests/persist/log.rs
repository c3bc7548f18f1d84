//! The append-only file, written: what was answered is there after the process was killed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Client, Server, command, eventually};

/// Files of the log by the ends of their names.
fn files(dir: &Path, part: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("appendonlydir"))
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter(|name| name.contains(part))
        .collect();
    names.sort();
    names
}

/// Some data of every type, in two databases.
fn fill(client: &mut Client) {
    for line in [
        "SET s v",
        "SET t v PX 100000000",
        "RPUSH l a b c",
        "SADD u x y z",
        "SPOP u",
        "HSET h f 1 g 2",
        "HINCRBYFLOAT h f 0.5",
        "ZADD z 1.5 a 2 b",
        "XADD st * f v",
        "MULTI",
        "INCR n",
        "INCR n",
        "EXEC",
        "SELECT 3",
        "SETEX e 100 v",
        "RENAME e e2",
        "SELECT 0",
        "DEL t",
    ] {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    for policy in ["always", "everysec", "no"] {
        let dir = tempfile::tempdir().expect("a directory");
        let options = ["--appendonly", "yes", "--appendfsync", policy];
        let server = Server::start(dir.path(), &options);
        let mut client = server.client();
        fill(&mut client);
        let mut digest = client.ask("DEBUG DIGEST");
        server.kill();
        for round in 0..3 {
            let server = Server::start(dir.path(), &options);
            let mut client = server.client();
            assert_eq!(client.ask("DEBUG DIGEST"), digest, "{policy} {round}");
            assert!(!server.log().contains("Truncat"), "{}", server.log());
            client.ask(&format!("SET round {round}"));
            digest = client.ask("DEBUG DIGEST");
            server.kill();
        }
        assert_eq!(files(dir.path(), ".incr."), ["appendonly.aof.1.incr.aof"]);
        assert_eq!(files(dir.path(), ".base."), ["appendonly.aof.1.base.rdb"]);
    }
}

#[test]
fn a_rewrite_keeps_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    fill(&mut client);
    let started = "Background append only file rewriting started";
    assert_eq!(client.ask("BGREWRITEAOF"), started);
    client.ask("SET behind 1");
    eventually("it is rewritten", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    assert_eq!(client.info("aof_last_bgrewrite_status"), "ok");
    assert_eq!(
        files(dir.path(), "aof"),
        [
            "appendonly.aof.2.base.rdb",
            "appendonly.aof.2.incr.aof",
            "appendonly.aof.manifest"
        ]
    );
    client.ask("SET more 1");
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}
