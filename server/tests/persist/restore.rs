//! Where backups can be restored to, and which of their keys.

use std::fs;

use crate::backup::{Place, back_up, bad, fill, good};
use crate::harness::{Server, eventually};

/// A batch of keys that belonged to two chunks used to be counted to one of them: backups of several ranges made while
/// clients wrote had chunks with more keys than their manifest said, and could not be restored.
#[test]
fn what_writers_hand_over_early_is_counted_where_it_is() {
    let place = Place::new();
    let server = place.start(&["--rdb-key-save-delay", "10"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 70000 key 20");
    let digest = client.ask("DEBUG DIGEST");
    client.ask("BACKUP NOW");
    eventually("the cut is made", || {
        client.info("backup_current_keys_total") != "0"
    });
    let mut changes = 0_u64;
    while client.info("backup_in_progress") == "1" {
        for _ in 0..50 {
            client.ask(&format!("SET key:{} changed", changes * 7919 % 70000));
            changes += 1;
        }
    }
    assert!(changes > 100, "{changes} changes");
    assert_eq!(client.info("backup_last_status"), "ok");
    // The next one goes on from it.
    let changed = client.ask("DEBUG DIGEST");
    let first = client.info("backup_last_success_id");
    let second = back_up(&mut client);
    drop(server);
    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    good(&["verify", &repository, "-i", &identity, "--drill"]);
    for (id, digest) in [(first, digest), (second, changed)] {
        let to = place.text(&id);
        good(&[
            "restore",
            &repository,
            "-i",
            &identity,
            "--to",
            &to,
            "--backup",
            &id,
        ]);
        let server = Server::start(&place.path(&id), &[]);
        assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
    }
}

#[test]
fn some_keys_into_a_running_server() {
    let place = Place::new();
    let server = place.start(&[]);
    let mut client = server.client();
    fill(&mut client, 1);
    client.ask(
        "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 1 end)\"",
    );
    let digest = client.ask("DEBUG DIGEST");
    back_up(&mut client);
    drop(server);
    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    fs::create_dir(place.path("other")).expect("a directory");
    let other = Server::start(&place.path("other"), &[]);
    let mut client = other.client();
    let socket = place.text("other/socket");
    let into = |more: &[&str]| {
        let mut args = vec!["restore", &repository, "-i", &identity, "--into", &socket];
        args.extend(more);
        args.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let run = |more: &[&str]| good(&into(more).iter().map(String::as_str).collect::<Vec<_>>());
    let refused = |more: &[&str]| bad(&into(more).iter().map(String::as_str).collect::<Vec<_>>());
    run(&["--key", "hash", "--key", "stream", "--dry-run"]);
    assert_eq!(client.ask("DBSIZE"), "0");
    run(&["--key", "hash", "--key", "stream"]);
    assert_eq!(
        (client.ask("DBSIZE"), client.ask("HLEN hash")),
        ("2".into(), "300".into())
    );
    // A key is in the way: nothing is changed.
    let error = refused(&["--prefix", "h"]);
    assert!(error.contains("--replace"), "{error}");
    client.ask("HSET hash new 1");
    run(&["--prefix", "planted-key-12", "--db", "0"]);
    assert_eq!(client.ask("DBSIZE"), "113");
    run(&["--db", "9"]);
    assert!(client.ask("INFO keyspace").contains("db9:keys=2"));
    run(&["--replace"]);
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    assert_eq!(client.ask("FCALL f 0"), "1");
    // Some of it as a file.
    let some = place.text("some");
    good(&[
        "restore",
        &repository,
        "-i",
        &identity,
        "--to",
        &some,
        "--key",
        "tiny",
    ]);
    let server = Server::start(&place.path("some"), &[]);
    let mut client = server.client();
    assert_eq!(
        (client.ask("DBSIZE"), client.ask("ZCARD tiny")),
        ("1".into(), "2".into())
    );
}

#[test]
fn a_server_begins_with_a_backup() {
    let place = Place::new();
    let options = ["--backup-archive", "yes", "--backup-archive-interval", "1"];
    let server = place.start(&options);
    let mut client = server.client();
    client.ask("SET a 1");
    back_up(&mut client);
    eventually("the archive is there", || {
        client.info("backup_archive_active") == "1"
    });
    client.ask("SET b 2");
    eventually("all is shipped", || {
        client.info("backup_archive_segments") != "0" && client.info("backup_rpo_sec") == "0"
    });
    server.kill();
    fs::remove_dir_all(place.path("data")).expect("removed");
    fs::create_dir(place.path("data")).expect("a directory");
    let identity = place.text("identity.txt");
    let begin = [
        "--restore-on-start",
        "latest",
        "--restore-identity",
        &identity,
    ];
    // The log can only be replayed into a log; and a server that cannot begin so does not begin empty.
    let mut refused = vec!["--backup-url".to_owned(), place.text("repository")];
    refused.extend(begin.iter().map(ToString::to_string));
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    let mut child = Server::launch(&place.path("data"), &refused);
    assert!(!child.end().success());
    assert!(
        child.log().contains("set appendonly yes"),
        "{}",
        child.log()
    );
    let mut all = begin.to_vec();
    all.extend(["--appendonly", "yes"]);
    let server = place.start(&all);
    let mut client = server.client();
    assert_eq!(
        (client.ask("GET a"), client.ask("GET b")),
        ("1".into(), "2".into())
    );
    client.ask("SET c 3");
    server.kill();
    // There is data now.
    let server = place.start(&all);
    let mut client = server.client();
    assert_eq!(client.ask("GET c"), "3");
}
