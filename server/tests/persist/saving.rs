//! SAVE, BGSAVE, save points, and what follows when they fail.

use std::fs;
use std::path::Path;

use crate::harness::{Client, Server, eventually};

const MISCONF: &str = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

fn idle(client: &mut Client) {
    eventually("no save", || client.info("rdb_bgsave_in_progress") == "0");
}

/// Names in a directory that begin with `temp-`.
fn leftovers(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().into_owned()
    });
    names.filter(|name| name.starts_with("temp-")).collect()
}

#[test]
fn a_background_save_holds_the_moment_of_the_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--rdb-key-save-delay", "100"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 3000");
    let digest = client.ask("DEBUG DIGEST");
    let before = client.ask("LASTSAVE");
    assert_eq!(client.ask("BGSAVE"), "Background saving started");
    assert_eq!(client.info("rdb_bgsave_in_progress"), "1");
    assert_eq!(client.info("current_save_keys_total"), "3000");
    // What comes after is not in it, and is still counted.
    client.ask("SET after 1");
    client.ask("DEL key:1");
    for line in ["BGSAVE", "SAVE", "BGSAVE SCHEDULE"] {
        assert_eq!(client.ask(line), "-ERR Background save already in progress");
    }
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), "OK");
    idle(&mut client);
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
    assert_eq!(client.info("rdb_saves"), "1");
    assert_eq!(client.info("rdb_changes_since_last_save"), "2");
    assert_ne!(client.info("rdb_last_bgsave_time_sec"), "-1");
    assert!(client.ask("LASTSAVE") >= before);
    assert!(
        server
            .log()
            .contains("Background saving terminated with success")
    );
    assert_eq!(leftovers(dir.path()), [""; 0]);
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

#[test]
fn a_background_save_can_be_cancelled() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--rdb-key-save-delay", "10000"]);
    let mut client = server.client();
    assert_eq!(
        client.ask("BGSAVE CANCEL"),
        "-ERR Background saving is currently not in progress or scheduled"
    );
    client.ask("DEBUG POPULATE 1000");
    client.ask("SET k v");
    client.ask("BGSAVE");
    assert_eq!(client.ask("BGSAVE CANCEL"), "Background saving cancelled");
    idle(&mut client);
    // That it did not end is no failure.
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
    assert_eq!(client.info("rdb_changes_since_last_save"), "1");
    assert!(!dir.path().join("dump.rdb").exists());
    assert_eq!(leftovers(dir.path()), [""; 0]);
    assert_eq!(client.ask("BGSAVE NOW"), "-ERR syntax error");
}

#[test]
fn beside_a_rewrite_of_the_log_a_save_is_refused_or_scheduled() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 2000");
    eventually("the log has its base", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    client.ask("CONFIG SET rdb-key-save-delay 10000");
    assert_eq!(
        client.ask("BGREWRITEAOF"),
        "Background append only file rewriting started"
    );
    assert_eq!(
        client.ask("BGSAVE"),
        "-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."
    );
    assert_eq!(client.ask("BGSAVE SCHEDULE"), "Background saving scheduled");
    assert_eq!(
        client.ask("BGSAVE CANCEL"),
        "Scheduled background saving cancelled"
    );
    assert!(client.ask("BGSAVE CANCEL").starts_with("-ERR"));
    assert_eq!(client.ask("BGSAVE SCHEDULE"), "Background saving scheduled");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.info("rdb_saves"), "0");
    assert_eq!(client.info("aof_rewrite_in_progress"), "1");
    client.ask("CONFIG SET rdb-key-save-delay 0");
    eventually("it is saved", || client.info("rdb_saves") == "1");
    idle(&mut client);
    assert_eq!(client.info("aof_rewrite_in_progress"), "0");
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
}

#[test]
fn inside_a_transaction_a_save_is_scheduled() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    client.ask("MULTI");
    client.ask("SET k v");
    client.ask("BGSAVE");
    assert_eq!(
        client.ask("SAVE"),
        "-ERR Command not allowed inside a transaction"
    );
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    client.ask("MULTI");
    client.ask("SET k v");
    client.ask("BGSAVE");
    assert_eq!(client.ask("EXEC"), "OK Background saving scheduled");
    eventually("it is saved", || {
        client.info("rdb_changes_since_last_save") == "0"
    });
    assert!(dir.path().join("dump.rdb").exists());
}

#[test]
fn save_points_are_reached() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--save", "1 3"]);
    let mut client = server.client();
    client.ask("SET a 1");
    client.ask("SET b 1");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(client.info("rdb_saves"), "0");
    client.ask("SET c 1");
    eventually("it is saved", || {
        client.info("rdb_changes_since_last_save") == "0"
    });
    assert!(server.log().contains("3 changes in 1 seconds. Saving..."));
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().ask("DBSIZE"), "3");
}

#[test]
fn flushall_reaches_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--save", "3600 1"]);
    let mut client = server.client();
    client.ask("SET k v");
    assert_eq!(client.ask("SAVE"), "OK");
    client.ask("DEBUG POPULATE 1000");
    client.ask("CONFIG SET rdb-key-save-delay 10000");
    client.ask("BGSAVE");
    assert_eq!(client.ask("FLUSHALL"), "OK");
    eventually("it is saved", || client.info("rdb_saves") == "3");
    idle(&mut client);
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().ask("DBSIZE"), "0");
}

/// The directory is gone from under the server: no permission keeps root from writing.
#[test]
fn writes_stop_while_snapshots_fail() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server_dir, data) = (dir.path().join("server"), dir.path().join("data"));
    fs::create_dir(&server_dir).expect("a directory");
    fs::create_dir(&data).expect("a directory");
    let server = Server::start(&server_dir, &["--save", "3600 1"]);
    let mut client = server.client();
    assert_eq!(
        client.ask(&format!("CONFIG SET dir {}", data.display())),
        "OK"
    );
    client.ask("SET k v");
    assert_eq!(client.ask("SAVE"), "OK");
    fs::remove_dir_all(&data).expect("removed");
    client.ask("SET k w");
    // SAVE tells its caller; only background saves stop others.
    assert_eq!(client.ask("SAVE"), "-ERR");
    assert_eq!(client.ask("SET k x"), "OK");
    assert_eq!(client.ask("BGSAVE"), "Background saving started");
    eventually("it failed", || {
        client.info("rdb_last_bgsave_status") == "err"
    });
    idle(&mut client);
    assert_eq!(client.ask("SET k y"), MISCONF);
    assert_eq!(client.ask("PING"), MISCONF);
    assert_eq!(client.ask("GET k"), "x");
    assert_eq!(client.ask("MULTI"), "OK");
    assert_eq!(client.ask("SET k y"), MISCONF);
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    assert!(server.log().contains("Background saving error"));
    assert!(
        server
            .log()
            .contains("Failed opening the temp RDB file temp-")
    );
    // Without the directive, or without save points, nobody minds.
    client.ask("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(client.ask("SET k y"), "OK");
    client.ask("CONFIG SET stop-writes-on-bgsave-error yes");
    assert_eq!(client.ask("SET k z"), MISCONF);
    client.ask("CONFIG SET save \"\"");
    assert_eq!(client.ask("SET k z"), "OK");
    // A good save ends it.
    client.ask("CONFIG SET save \"3600 1\"");
    assert_eq!(client.ask("SET k z"), MISCONF);
    fs::create_dir(&data).expect("a directory");
    assert_eq!(
        client.ask(&format!("CONFIG SET dir {}", data.display())),
        "OK"
    );
    assert_eq!(client.ask("SAVE"), "OK");
    assert_eq!(client.ask("SET k z"), "OK");
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    client.ask("SET k v");
    assert_eq!(client.ask("SAVE"), "OK");
    client.ask("SET k w");
    // The new one cannot take its place.
    let name = dir.path().join("other.rdb");
    fs::create_dir_all(name.join("full")).expect("a directory in its place");
    assert_eq!(client.ask("CONFIG SET dbfilename other.rdb"), "OK");
    assert_eq!(client.ask("SAVE"), "-ERR");
    assert!(server.log().contains("Error moving temp DB file"));
    assert_eq!(client.info("rdb_changes_since_last_save"), "1");
    assert_eq!(leftovers(dir.path()), [""; 0]);
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().ask("GET k"), "v");
}

#[test]
fn reload_options() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    for line in ["SET a 1", "SET b 1", "SAVE", "SET b 2", "SET c 2"] {
        assert_eq!(client.ask(line), "OK");
    }
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), "OK");
    assert_eq!(client.ask("MGET a b c"), "1 1 2");
    let failed = "-ERR Error trying to load the RDB dump, check server logs.";
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE NOFLUSH"), failed);
    assert_eq!(client.ask("DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(client.ask("MGET a b c"), "1 1 nil");
    assert_eq!(client.ask("DEBUG RELOAD"), "OK");
    assert_eq!(client.ask("MGET a b c"), "1 1 nil");
    assert!(
        client
            .ask("DEBUG RELOAD SOON")
            .starts_with("-ERR DEBUG RELOAD only")
    );
    client.ask("MULTI");
    client.ask("SET d 4");
    client.ask("DEBUG RELOAD");
    client.ask("GET d");
    assert_eq!(client.ask("EXEC"), "OK OK 4");
}

/// The directive is applied to what is under way, and INFO says what it costs.
#[test]
fn what_a_snapshot_costs_is_bounded_and_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--rdb-key-save-delay", "100000"]);
    let mut client = server.client();
    assert_eq!(
        client.ask("CONFIG GET snapshot-max-extra-memory"),
        "snapshot-max-extra-memory 0"
    );
    // An eighth of the limit is when writes begin to wait.
    assert_eq!(client.info("snapshot_extra_memory_limit"), "67108864");
    client.ask("DEBUG POPULATE 20000 key 1000");
    for field in ["current_cow_size", "current_cow_peak", "rdb_last_cow_size"] {
        assert_eq!(client.info(field), "0", "{field}");
    }
    assert_eq!(client.ask("BGSAVE"), "Background saving started");
    let number =
        |client: &mut Client, field: &str| client.info(field).parse::<u64>().expect("a number");
    // Those that come before the walk stands still are written at once, and cost nothing by now.
    let (mut size, mut keys) = (0, 0..15_000);
    while size <= 20_000 {
        for _ in 0..200 {
            let key = keys.next().expect("a key that has not been written");
            client.ask(&format!("SET key:{key} x"));
        }
        size = number(&mut client, "current_cow_size");
    }
    assert!(number(&mut client, "current_cow_peak") >= size);
    assert_eq!(client.info("current_cow_size_age"), "0");
    assert_eq!(client.info("current_save_keys_total"), "20000");
    assert!(number(&mut client, "current_save_keys_processed") < 20_000);
    assert!(number(&mut client, "snapshot_slots_captured_by_writers") > 100);
    assert_eq!(client.info("snapshot_writes_delayed"), "0");
    // Less is allowed now: writes wait, but never long, and reads do not wait at all.
    assert_eq!(
        client.ask("CONFIG SET snapshot-max-extra-memory 20kb"),
        "OK"
    );
    assert_eq!(client.info("snapshot_extra_memory_limit"), "20480");
    let began = std::time::Instant::now();
    for i in 15_000..15_050 {
        client.ask(&format!("SET key:{i} x"));
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(3));
    assert!(number(&mut client, "snapshot_writes_delayed") > 10);
    assert!(number(&mut client, "snapshot_longest_stall_us") < 1_000_000);
    assert!(
        client
            .ask("CONFIG SET snapshot-max-extra-memory x")
            .contains("argument must be a memory value")
    );
    client.ask("CONFIG SET rdb-key-save-delay 0");
    idle(&mut client);
    assert_eq!(client.info("current_cow_size"), "0");
    assert_eq!(client.info("current_cow_peak"), "0");
    assert_eq!(client.info("snapshot_extra_memory"), "0");
    assert_eq!(client.info("current_save_keys_total"), "0");
    assert!(number(&mut client, "rdb_last_cow_size") >= size);
    let delayed = client.info("snapshot_writes_delayed");
    client.ask("SET key:1 y");
    assert_eq!(client.info("snapshot_writes_delayed"), delayed);
}

/// Whatever is written while it is saved, again and again: the memory comes back.
#[test]
fn a_hundred_snapshots_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--rdbcompression", "no"]);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 20000 key 100");
    for i in 0..100 {
        let pairs: String = (0..100).map(|j| format!(" f{} v", i * 100 + j)).collect();
        client.ask(&format!("HSET big{pairs}"));
        let pairs: String = (0..100).map(|j| format!(" {j} m{}", i * 100 + j)).collect();
        client.ask(&format!("ZADD sorted{pairs}"));
    }
    let used = |client: &mut Client| client.info("used_memory").parse::<f64>().expect("a number");
    let mut after_some = 0.0;
    let mut seed = 1u64;
    for round in 0..100 {
        assert_eq!(client.ask("BGSAVE"), "Background saving started");
        while client.info("rdb_bgsave_in_progress") == "1" {
            for _ in 0..50 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (a, b) = ((seed >> 33) % 20_000, (seed >> 20) % 10_000);
                client.send(&format!("SET key:{a} {}", "x".repeat(100)));
                client.send(&format!("HSET big f{b} w"));
                client.send(&format!("ZADD sorted {a} m{b}"));
            }
            for _ in 0..150 {
                client.receive();
            }
        }
        if round == 9 {
            after_some = used(&mut client);
        }
    }
    assert_eq!(client.info("rdb_saves"), "100");
    assert_eq!(client.info("snapshot_extra_memory"), "0");
    let grown = used(&mut client) / after_some;
    assert!(grown < 1.05, "{grown} of what it was after ten");
}
