//! Loading a snapshot at start, and refusing what is none.

use std::fs;
use std::path::Path;

use crate::harness::{Server, corpus, eventually};

/// Writes a snapshot with `count` keys into the directory.
fn fill(dir: &Path, count: u32) -> String {
    let server = Server::start(dir, &[]);
    let mut client = server.client();
    assert_eq!(client.ask(&format!("DEBUG POPULATE {count} key 20")), "OK");
    client.ask("SELECT 3");
    client.ask("RPUSH list a b c");
    client.ask("PEXPIREAT list 4102444800000");
    assert_eq!(client.ask("SAVE"), "OK");
    client.ask("DEBUG DIGEST")
}

#[test]
fn what_was_saved_is_there_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let digest = fill(dir.path(), 5000);
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    assert_eq!(client.ask("DBSIZE"), "5000");
    client.ask("SELECT 3");
    assert_eq!(client.ask("PEXPIRETIME list"), "4102444800000");
    assert_eq!(client.info("rdb_last_load_keys_loaded"), "5001");
    assert_eq!(client.info("rdb_changes_since_last_save"), "0");
    assert_eq!(client.info("loading"), "0");
    let log = server.log();
    assert!(log.contains("DB loaded from disk: "), "{log}");
    assert!(log.contains("keys loaded: 5001, keys expired: 0"), "{log}");
    let ready = log.find("Ready to accept").expect("ready");
    assert!(log.find("DB loaded").expect("loaded") < ready, "{log}");
}

#[test]
fn without_a_file_the_start_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().ask("DBSIZE"), "0");
    assert!(!server.log().contains("loaded"));
}

#[test]
fn keys_past_their_time_are_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    client.ask("SET stays 1");
    client.ask("SET goes 1 PX 1");
    eventually("its time is over", || client.ask("EXISTS goes") == "0");
    client.ask("SET gone 1 PX 200");
    assert_eq!(client.ask("SAVE"), "OK");
    drop(server);
    std::thread::sleep(std::time::Duration::from_millis(250));
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    assert_eq!(client.ask("KEYS *"), "stays");
    assert_eq!(client.info("rdb_last_load_keys_expired"), "1");
}

/// Clients that come while the data is loaded are told so, and may only do what needs no data.
#[test]
fn clients_are_told_to_wait() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), 2000);
    let server = Server::launch(dir.path(), &["--key-load-delay", "100000"]);
    let mut client = server.client();
    let loading = "-LOADING Redis is loading the dataset in memory";
    for line in ["GET key:1", "PING", "DBSIZE", "SAVE", "BGSAVE", "FLUSHALL"] {
        assert_eq!(client.ask(line), loading, "{line}");
    }
    assert_eq!(client.info("loading"), "1");
    assert_eq!(client.info("async_loading"), "0");
    let size = fs::metadata(dir.path().join("dump.rdb"))
        .expect("there")
        .len();
    assert_eq!(client.info("loading_total_bytes"), size.to_string());
    for field in [
        "loading_start_time",
        "loading_eta_seconds",
        "loading_loaded_bytes",
    ] {
        assert!(client.info(field).parse::<u64>().is_ok(), "{field}");
    }
    assert!(client.info("loading_loaded_perc").parse::<f64>().is_ok());
    // A transaction is judged by what is in it.
    assert_eq!(client.ask("MULTI"), "OK");
    assert_eq!(client.ask("GET key:1"), loading);
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.ask("MULTI"), "OK");
    assert_eq!(client.ask("LASTSAVE"), "QUEUED");
    assert!(client.ask("EXEC").parse::<u64>().is_ok());
    assert_eq!(client.ask("CONFIG SET appendonly yes"), loading);
    assert!(!server.log().contains("Ready to accept"));
    assert_eq!(client.ask("CONFIG SET key-load-delay 0"), "OK");
    eventually("it is loaded", || client.info("loading") == "0");
    assert_eq!(client.ask("DBSIZE"), "2000");
    eventually("it says so", || server.log().contains("Ready to accept"));
}

/// Going down while loading must leave the file as it is.
#[test]
fn shutdown_while_loading_saves_nothing() {
    for by_signal in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        fill(dir.path(), 2000);
        let before = fs::read(dir.path().join("dump.rdb")).expect("there");
        let options = ["--key-load-delay", "100000", "--save", "1 1"];
        let mut server = Server::launch(dir.path(), &options);
        let mut client = server.client();
        assert_eq!(client.info("loading"), "1");
        if by_signal {
            server.signal("TERM");
        } else {
            client.send("SHUTDOWN SAVE");
        }
        assert_eq!(server.end().code(), Some(0));
        let log = server.log();
        assert!(!log.contains("DB saved"), "{log}");
        assert!(log.contains("ready to exit, bye bye"), "{log}");
        assert_eq!(
            fs::read(dir.path().join("dump.rdb")).expect("there"),
            before
        );
    }
}

/// Every damage ends the start with the file and the place; nothing is served.
#[test]
fn a_broken_file_ends_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), 1000);
    let path = dir.path().join("dump.rdb");
    let good = fs::read(&path).expect("there");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let cut = good[..good.len() / 2].to_vec();
    for (broken, reason) in [
        (flipped, "CRC error"),
        (cut, "at offset"),
        (b"garbage, no snapshot".to_vec(), "Wrong signature"),
        (b"REDIS9999xxxxxxxxxxxxx".to_vec(), "RDB format version"),
        (Vec::new(), "dump.rdb"),
    ] {
        fs::write(&path, &broken).expect("written");
        // A record of what should be there would speak first.
        let _ = fs::remove_file(dir.path().join("basalt.lineage"));
        let mut server = Server::launch(dir.path(), &["--save", "1 1"]);
        assert_eq!(server.end().code(), Some(1), "{reason}");
        let log = server.log();
        assert!(log.contains(reason), "{reason}: {log}");
        assert!(
            log.contains("Terminating server after rdb file reading failure."),
            "{log}"
        );
        assert!(log.contains("Fatal error loading the DB"), "{log}");
        assert!(!log.contains("Ready to accept"), "{log}");
        // Not a byte was changed.
        assert_eq!(fs::read(&path).expect("there"), broken);
    }
}

#[test]
fn what_cannot_be_opened_is_no_empty_start() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("dump.rdb")).expect("a directory in its place");
    let mut server = Server::launch(dir.path(), &[]);
    assert_eq!(server.end().code(), Some(1));
    let log = server.log();
    assert!(log.contains("dump.rdb: Is a directory"), "{log}");
    assert!(log.contains("Fatal error loading the DB"), "{log}");
}

/// Files of real servers: loaded, saved, loaded again, and still the same.
#[test]
fn files_of_other_servers_survive_a_save() {
    for name in [
        "r72-hash-default.rdb",
        "r72-set-default.rdb",
        "r72-zset-large.rdb",
        "r72-multidb.rdb",
        "v81-list-plain-nodes.rdb",
        "v81-zset-default.rdb",
        "v81-nochecksum.rdb",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        fs::copy(corpus("rdb").join(name), dir.path().join("dump.rdb")).expect("copied");
        let server = Server::start(dir.path(), &[]);
        let mut client = server.client();
        let digest = client.ask("DEBUG DIGEST");
        assert_ne!(digest, "0".repeat(40), "{name}");
        assert_eq!(client.ask("SAVE"), "OK");
        let written = fs::read(dir.path().join("dump.rdb")).expect("there");
        assert_eq!(client.ask("DEBUG RELOAD"), "OK");
        assert_eq!(client.ask("DEBUG DIGEST"), digest, "{name}");
        server.kill();
        let server = Server::start(dir.path(), &[]);
        let mut client = server.client();
        assert_eq!(client.ask("DEBUG DIGEST"), digest, "{name}");
        assert!(written.starts_with(b"REDIS0011"));
    }
}

#[test]
fn libraries_are_kept_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = corpus("rdb").join("r72-functions.rdb");
    fs::copy(file, dir.path().join("dump.rdb")).expect("copied");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    let listed = client.ask("FUNCTION LIST WITHCODE");
    assert!(listed.contains("library_code #!lua name="), "{listed}");
    assert_eq!(client.ask("SAVE"), "OK");
    client.send("FUNCTION DUMP");
    let payload = client.receive_bytes().expect("a payload");
    assert_eq!(client.ask("DEBUG RELOAD"), "OK");
    assert_eq!(client.ask("FUNCTION LIST WITHCODE"), listed);
    server.kill();

    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    assert_eq!(client.ask("FUNCTION LIST WITHCODE"), listed);
    client.send_words(&[b"FUNCTION", b"RESTORE", &payload]);
    let reply = client.receive().expect("a reply");
    assert!(
        reply.starts_with("-ERR Library ") && reply.ends_with(" already exists"),
        "{reply}"
    );
    assert_eq!(client.ask("FUNCTION FLUSH"), "OK");
    assert_eq!(client.ask("FUNCTION LIST"), "");
    assert_ne!(client.info("rdb_changes_since_last_save"), "0");
    for policy in [&b"APPEND"[..], b"REPLACE", b"FLUSH"] {
        client.send_words(&[b"FUNCTION", b"RESTORE", &payload, policy]);
        assert_eq!(client.receive().expect("a reply"), "OK");
        assert_eq!(client.ask("FUNCTION LIST WITHCODE"), listed);
    }
    let only = client.ask("FUNCTION LIST LIBRARYNAME no*such");
    assert_eq!(only, "");
    assert_eq!(
        client.ask("FUNCTION DELETE nosuch"),
        "-ERR Library not found"
    );
}
