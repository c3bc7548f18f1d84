//! What a reply promises under each policy, who waits for it, and in which order things leave.

use std::time::{Duration, Instant};

use crate::harness::{Client, Server, eventually};

/// A sync takes this long here; what is below half of it did not wait for one.
const SYNC: Duration = Duration::from_millis(400);
const SLOW: &str = "aof.sync=pause(400)@1+";

fn start(dir: &tempfile::TempDir, policy: &str, failpoints: &str) -> Server {
    let options = ["--appendonly", "yes", "--appendfsync", policy];
    Server::start_armed(dir.path(), &options, failpoints)
}

/// Waits until that client is blocked.
fn blocked(client: &mut Client, count: &str) {
    eventually("it is blocked", || client.info("blocked_clients") == count);
}

#[test]
fn a_client_served_by_another_waits_for_the_sync_of_its_pop() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "always", SLOW);
    let (mut waiting, mut reader, mut pusher) = (server.client(), server.client(), server.client());
    waiting.send("BLPOP list 0");
    blocked(&mut reader, "1");
    let began = Instant::now();
    pusher.send("RPUSH list x");
    eventually("it is served", || reader.info("blocked_clients") == "0");
    // The pop is done and seen by all, and nobody else is held up.
    assert_eq!(reader.ask("EXISTS list"), "0");
    assert!(began.elapsed() < SYNC / 2, "a reader waited");
    assert_eq!(waiting.receive().as_deref(), Some("list x"));
    assert!(began.elapsed() >= SYNC, "answered before the sync");
    assert_eq!(pusher.receive().as_deref(), Some("1"));
    server.kill();
    let server = start(&dir, "always", "");
    assert_eq!(server.client().ask("EXISTS list"), "0");
}

#[test]
fn replies_of_a_connection_keep_their_order_behind_one_that_is_held() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "always", SLOW);
    let (mut client, mut other) = (server.client(), server.client());
    let began = Instant::now();
    for line in [
        "GET k",
        "SET k v",
        "GET k",
        "PUBLISH ch m",
        "INCR n",
        "GET n",
    ] {
        client.send(line);
    }
    // Others see what is not promised yet, and messages are not promises.
    assert_eq!(other.ask("SUBSCRIBE ch"), "subscribe ch 1");
    assert!(began.elapsed() < SYNC / 2, "a subscriber waited");
    let replies: Vec<_> = (0..6).map(|_| client.receive().expect("a reply")).collect();
    assert_eq!(replies, ["nil", "OK", "v", replies[3].as_str(), "1", "1"]);
    assert!(began.elapsed() >= SYNC, "answered before the sync");
    // A transaction and CLIENT REPLY SKIP: what is left out is not waited for later either.
    for line in [
        "CLIENT REPLY SKIP",
        "SET k w",
        "MULTI",
        "INCR n",
        "EXEC",
        "ECHO end",
    ] {
        client.send(line);
    }
    let replies: Vec<_> = (0..4).map(|_| client.receive().expect("a reply")).collect();
    assert_eq!(replies, ["OK", "QUEUED", "2", "end"]);
}

#[test]
fn messages_reach_a_client_whose_reply_is_held_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "always", SLOW);
    let (mut client, mut publisher) = (server.client(), server.client());
    client.ask("SUBSCRIBE ch");
    let began = Instant::now();
    publisher.send("SET k v");
    publisher.send("PUBLISH ch one");
    publisher.send("PUBLISH ch two");
    assert_eq!(client.receive().as_deref(), Some("message ch one"));
    assert_eq!(client.receive().as_deref(), Some("message ch two"));
    assert!(began.elapsed() < SYNC / 2, "a subscriber waited");
    let replies: Vec<_> = (0..3).map(|_| publisher.receive()).collect();
    assert_eq!(replies, ["OK", "1", "1"].map(|one| Some(one.to_owned())));
    assert!(began.elapsed() >= SYNC, "answered before the sync");
}

#[test]
fn nobody_waits_for_a_sync_under_everysec() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "everysec", "aof.sync=pause(3000)@1+");
    let mut client = server.client();
    let (began, mut longest, mut count) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < Duration::from_millis(3500) {
        let asked = Instant::now();
        assert_eq!(client.ask("INCR n"), (count + 1).to_string());
        count += 1;
        longest = longest.max(asked.elapsed());
    }
    assert!(longest < Duration::from_millis(2000), "{longest:?}");
    eventually("the sync is late", || {
        client.info("aof_delayed_fsync") != "0"
    });
    eventually("a sync is under way", || {
        client.info("aof_pending_bio_fsync") == "1"
    });
    server.kill();
    let server = start(&dir, "everysec", "");
    assert_eq!(server.client().ask("GET n"), count.to_string());
}

#[test]
fn a_rewrite_holds_nobody_up_for_the_sync_of_the_old_file() {
    let dir = tempfile::tempdir().expect("a directory");
    // The first sync is the one ahead of the cut.
    let server = start(&dir, "everysec", "aof.sync=pause(1500)@1");
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET k v");
    assert_eq!(
        other.ask("BGREWRITEAOF"),
        "Background append only file rewriting started"
    );
    let began = Instant::now();
    let (mut longest, mut count) = (Duration::ZERO, 0);
    while other.info("aof_rewrite_in_progress") == "1" {
        let asked = Instant::now();
        client.ask("INCR n");
        count += 1;
        longest = longest.max(asked.elapsed());
    }
    assert!(
        began.elapsed() > Duration::from_millis(1400),
        "no sync ahead"
    );
    assert!(longest < Duration::from_millis(700), "{longest:?}");
    assert_eq!(other.info("aof_last_bgrewrite_status"), "ok");
    server.kill();
    let server = start(&dir, "everysec", "");
    assert_eq!(server.client().ask("GET n"), count.to_string());
}

#[test]
fn no_appendfsync_on_rewrite_rests_syncs_while_a_base_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "always", SLOW);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 100");
    client.ask("CONFIG SET no-appendfsync-on-rewrite yes");
    client.ask("CONFIG SET rdb-key-save-delay 20000");
    client.ask("BGREWRITEAOF");
    eventually("the new file is there", || {
        server.log().contains("Creating AOF incr file")
    });
    let asked = Instant::now();
    client.ask("SET k v");
    assert!(asked.elapsed() < SYNC / 2, "it waited for a sync");
    client.ask("CONFIG SET no-appendfsync-on-rewrite no");
    let asked = Instant::now();
    client.ask("SET k w");
    assert!(asked.elapsed() >= SYNC, "it did not wait for a sync");
    client.ask("CONFIG SET rdb-key-save-delay 0");
    eventually("it is rewritten", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
}

#[test]
fn appendfsync_changes_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir, "no", SLOW);
    let mut client = server.client();
    for (policy, waits) in [
        ("no", false),
        ("always", true),
        ("everysec", false),
        ("always", true),
    ] {
        client.ask(&format!("CONFIG SET appendfsync {policy}"));
        let asked = Instant::now();
        client.ask("INCR n");
        assert_eq!(asked.elapsed() >= SYNC, waits, "{policy}");
    }
}

#[test]
fn aof_flush_sleep_comes_before_the_write() {
    let dir = tempfile::tempdir().expect("a directory");
    for policy in ["always", "everysec"] {
        let server = start(&dir, policy, "");
        let mut client = server.client();
        client.ask("DEBUG AOF-FLUSH-SLEEP 200000");
        let asked = Instant::now();
        client.ask("INCR n");
        assert!(asked.elapsed() >= Duration::from_millis(200), "{policy}");
    }
}
