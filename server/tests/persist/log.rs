//! The append-only file, written: what was answered is there after the process was killed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Client, Server, eventually};

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

/// 20 clients write under `always` until the server is killed; what they were told is there.
#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    for round in 0..4 {
        let dir = tempfile::tempdir().expect("a directory");
        let threads = if round % 2 == 0 { "1" } else { "4" };
        let policy = if round < 3 { "always" } else { "everysec" };
        let options = [
            "--appendonly",
            "yes",
            "--appendfsync",
            policy,
            "--io-threads",
            threads,
        ];
        let server = Server::start(dir.path(), &options);
        let acknowledged: Arc<Mutex<Vec<u64>>> = Arc::new(Mutex::new(vec![0; 20]));
        let writers: Vec<_> = (0..20)
            .map(|writer| {
                let mut client = server.client();
                let acknowledged = acknowledged.clone();
                std::thread::spawn(move || {
                    for n in 1u64.. {
                        // Both or neither.
                        client.send("MULTI");
                        client.send(&format!("SET a:{writer} {n}"));
                        client.send(&format!("SET b:{writer} {n}"));
                        client.send("EXEC");
                        client.send(&format!("SET c:{writer}:{n} 1"));
                        for reply in ["OK", "QUEUED", "QUEUED", "OK OK", "OK"] {
                            match client.receive() {
                                Some(got) => assert_eq!(got, reply),
                                None => return,
                            }
                        }
                        acknowledged.lock().expect("no panic")[writer] = n;
                    }
                })
            })
            .collect();
        let mut other = server.client();
        if round > 0 {
            std::thread::sleep(Duration::from_millis(100));
            other.ask("BGREWRITEAOF");
        }
        std::thread::sleep(Duration::from_millis(150 + 50 * round));
        server.kill();
        for writer in writers {
            // A writer that was cut off while it sent has panicked.
            let _ = writer.join();
        }
        let server = Server::start(dir.path(), &options);
        let mut client = server.client();
        let acknowledged = acknowledged.lock().expect("no panic").clone();
        assert!(acknowledged.iter().sum::<u64>() > 0, "{acknowledged:?}");
        for (writer, n) in acknowledged.iter().enumerate() {
            let a = client.ask(&format!("GET a:{writer}"));
            assert_eq!(
                a,
                client.ask(&format!("GET b:{writer}")),
                "half of a transaction"
            );
            let there = a.parse::<u64>().unwrap_or(0);
            assert!(
                there >= *n,
                "{policy}: {writer} has {there}, was told of {n}"
            );
            for told in 1..=*n {
                assert_eq!(client.ask(&format!("EXISTS c:{writer}:{told}")), "1");
            }
        }
    }
}

/// A rewrite under writes: what was there before the kill is there after it.
#[test]
fn rewrites_under_writes_keep_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes", "--io-threads", "2"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 20000");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (mut client, stop) = (server.client(), stop.clone());
            std::thread::spawn(move || {
                let mut n = 0u32;
                while !stop.load(Relaxed) {
                    n += 1;
                    client.ask(&format!("SELECT {}", n % 3));
                    client.ask(&format!("INCR counter:{writer}"));
                    client.ask(&format!("RPUSH list:{writer} {n}"));
                    client.ask(&format!("HINCRBY hash:{writer} {} 1", n % 50));
                    if n.is_multiple_of(17) {
                        client.ask(&format!("RENAME list:{writer} old:{writer}"));
                    }
                }
            })
        })
        .collect();
    for _ in 0..3 {
        client.ask("BGREWRITEAOF");
        eventually("it is rewritten", || {
            client.info("aof_rewrite_in_progress") == "0"
        });
        assert_eq!(
            client.info("aof_last_bgrewrite_status"),
            "ok",
            "{}",
            server.log()
        );
    }
    stop.store(true, Relaxed);
    for writer in writers {
        writer.join().expect("a writer");
    }
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
    assert_eq!(files(dir.path(), ".base."), ["appendonly.aof.4.base.rdb"]);
}

#[test]
fn the_log_is_switched_on_and_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendfsync", "always"]);
    let mut client = server.client();
    client.ask("SET before 1");
    assert_eq!(client.info("aof_enabled"), "0");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), "OK");
    assert_eq!(client.info("aof_enabled"), "1");
    client.ask("SET while 1");
    eventually("there is a base", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    client.ask("SET behind 1");
    assert_eq!(client.ask("CONFIG SET appendonly no"), "OK");
    client.ask("SET off 1");
    assert_eq!(client.ask("CONFIG SET appendonly yes"), "OK");
    eventually("there is a base", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    // Inside a transaction the shards of its keys are held.
    for line in ["MULTI", "SET m 1", "CONFIG SET appendonly no"] {
        client.ask(line);
    }
    assert_eq!(client.ask("EXEC"), "OK OK");
    for line in ["MULTI", "SET n 1", "CONFIG SET appendonly yes", "SET o 1"] {
        client.ask(line);
    }
    assert_eq!(client.ask("EXEC"), "OK OK OK");
    eventually("there is a base", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    client.ask("SET last 1");
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG DIGEST"), digest, "{}", server.log());
    assert_eq!(client.ask("DBSIZE"), "8");
}

#[test]
fn waitaof_waits_for_the_sync() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    // Nothing was written by this client.
    assert_eq!(client.ask("WAITAOF 1 0 0"), "1 0");
    client.ask("SET k v");
    assert_eq!(client.ask("WAITAOF 0 0 0"), "0 0");
    assert_eq!(client.ask("WAITAOF 1 0 0"), "1 0");
    client.ask("SET k w");
    assert_eq!(client.ask("WAITAOF 1 1 1"), "0 0");
    client.ask("CONFIG SET appendfsync always");
    client.ask("SET k x");
    assert_eq!(client.ask("WAITAOF 1 0 1"), "1 0");
    assert_eq!(client.ask("WAITAOF 1 1 10"), "1 0");
    client.ask("CONFIG SET appendfsync no");
    client.ask("SET k y");
    assert_eq!(client.ask("WAITAOF 1 0 20"), "0 0");
    let id = client.ask("CLIENT ID");
    client.send("WAITAOF 1 0 0");
    let mut other = server.client();
    eventually("it waits", || {
        other.ask(&format!("CLIENT UNBLOCK {id} ERROR")) == "1"
    });
    let error = client.receive().expect("a reply");
    assert_eq!(error, "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
}

/// What a crash leaves at the end is cut off, kept, and told of.
#[test]
fn a_torn_tail_is_cut_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    client.ask("SET a 1");
    client.ask("SET b 2");
    server.kill();
    let path = dir.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &whole[..whole.len() - 3]).expect("written");
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    assert_eq!(client.ask("GET a"), "1");
    assert_eq!(client.ask("EXISTS b"), "0");
    assert!(server.log().contains("are kept in"), "{}", server.log());
    assert_eq!(files(dir.path(), ".tail").len(), 1);
    client.ask("SET c 3");
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("MGET a c"), "1 3");
    server.kill();
    // A flipped bit is no torn tail.
    let mut bytes = std::fs::read(&path).expect("the file");
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    std::fs::write(&path, &bytes).expect("written");
    let mut server = Server::launch(dir.path(), &options);
    assert_eq!(server.end().code(), Some(1));
    assert!(server.log().contains("Bad file format"), "{}", server.log());
    assert_eq!(
        std::fs::read(&path).expect("the file"),
        bytes,
        "nothing was changed"
    );
}

/// The process dies at each step of a rewrite, and of switching the log on.
#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new_log() {
    let mut killed = 0;
    for point in [
        "aof.incr.created",
        "aof.incr.synced",
        "aof.manifest.before",
        "aof.manifest.before=kill@2",
        "aof.manifest.before=kill@3",
        "aof.manifest.after",
        "aof.manifest.after=kill@2",
        "aof.manifest.after=kill@3",
        "aof.base.written",
        "aof.base.before_rename",
        "aof.base.renamed",
        "aof.history.remove",
        "aof.history.remove=kill@2",
    ] {
        for on_at_start in [true, false] {
            let dir = tempfile::tempdir().expect("a directory");
            let yes = ["--appendonly", "yes", "--appendfsync", "always"];
            let server = Server::start(dir.path(), &yes);
            let mut client = server.client();
            fill(&mut client);
            if !on_at_start {
                client.ask("SAVE");
            }
            let before = client.ask("DEBUG DIGEST");
            client.send("SHUTDOWN");
            assert_eq!(client.receive(), None);
            drop(server);
            let armed = if point.contains('=') {
                point.to_owned()
            } else {
                format!("{point}=kill")
            };
            // Some passes belong to the start, if the log is on there.
            let options: &[&str] = if on_at_start { &yes } else { &yes[2..] };
            let mut server = Server::launch_armed(dir.path(), options, &armed);
            eventually("it is there, or ended", || {
                server.has_ended() || server.log().contains("Ready to accept")
            });
            if !server.has_ended() {
                let mut client = server.client();
                client.try_ask("CONFIG SET appendonly yes");
                client.try_ask("BGREWRITEAOF");
                let over = |text: String| {
                    text.contains("aof_rewrite_in_progress:0")
                        && text.contains("aof_rewrite_scheduled:0")
                };
                eventually("it is over", || {
                    client.try_ask("INFO persistence").is_none_or(over)
                });
                // Removing history comes last.
                std::thread::sleep(Duration::from_millis(20));
            }
            killed += usize::from(server.has_ended());
            drop(server);
            let server = Server::start(dir.path(), &yes);
            let mut client = server.client();
            assert_eq!(
                client.ask("DEBUG DIGEST"),
                before,
                "{point}: {}",
                server.log()
            );
            client.ask("BGREWRITEAOF");
            eventually("it is rewritten", || {
                client.info("aof_rewrite_in_progress") == "0"
            });
            assert_eq!(client.info("aof_last_bgrewrite_status"), "ok", "{point}");
            assert!(files(dir.path(), "temp-").is_empty(), "{point}");
        }
    }
    // Each point was reached one way or another.
    assert!(killed >= 20, "{killed}");
}

/// With `aof-use-rdb-preamble no` the base is made of commands, and holds the same.
#[test]
fn a_base_of_commands() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes", "--aof-use-rdb-preamble", "no"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    fill(&mut client);
    for n in 0..200 {
        client.ask(&format!("RPUSH long {n}"));
        client.ask(&format!("SADD set {n} m{n}"));
        client.ask(&format!("HSET hash f{n} {n}"));
        client.ask(&format!("ZADD zset {n}.25 m{n}"));
        client.ask(&format!("XADD stream {}-1 f {n} g v", n + 1));
    }
    for line in [
        "XDEL stream 7-1",
        "XGROUP CREATE stream g 5-1",
        "XREADGROUP GROUP g alice COUNT 3 STREAMS stream >",
        "XGROUP CREATECONSUMER stream g idle",
        "XADD empty 5-5 f v",
        "XDEL empty 5-5",
        "ZADD ends -inf low inf high 1e100 much",
    ] {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    let digest = client.ask("DEBUG DIGEST");
    let pending = client.ask("XPENDING stream g");
    client.ask("BGREWRITEAOF");
    eventually("it is rewritten", || {
        client.info("aof_rewrite_in_progress") == "0"
    });
    assert_eq!(
        client.info("aof_last_bgrewrite_status"),
        "ok",
        "{}",
        server.log()
    );
    client.ask("SET more 1");
    client.ask("DEL more");
    server.kill();
    assert_eq!(files(dir.path(), ".base."), ["appendonly.aof.2.base.aof"]);
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG DIGEST"), digest, "{}", server.log());
    assert_eq!(client.ask("XPENDING stream g"), pending);
}

/// Files that should be there and are not, or are older, end the start.
#[test]
fn the_start_is_refused_when_data_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes"];
    let server = Server::start(dir.path(), &options);
    let mut client = server.client();
    client.ask("SET a 1");
    client.send("SHUTDOWN");
    client.receive();
    drop(server);
    let logs = dir.path().join("appendonlydir");
    let hidden = dir.path().join("hidden");
    std::fs::rename(&logs, &hidden).expect("moved");
    for options in [&["--appendonly", "yes"][..], &["--appendonly", "no"]] {
        let mut server = Server::launch(dir.path(), options);
        assert_eq!(server.end().code(), Some(1), "{options:?}");
        let log = server.log();
        assert!(log.contains("Refusing to start: "), "{log}");
        assert!(log.contains("allow-data-loss yes"), "{log}");
    }
    std::fs::rename(&hidden, &logs).expect("moved back");
    let mut server = Server::launch(dir.path(), &["--appendonly", "no"]);
    assert_eq!(server.end().code(), Some(1), "{}", server.log());
    let override_it = ["--appendonly", "no", "--allow-data-loss", "yes"];
    let server = Server::start(dir.path(), &override_it);
    assert_eq!(server.client().ask("DBSIZE"), "0");
    assert!(
        server
            .log()
            .contains("appendonlydir is not loaded; it is kept as")
    );
    server.kill();
    let server = Server::start(dir.path(), &["--appendonly", "yes"]);
    assert_eq!(server.client().ask("DBSIZE"), "0");
}

/// A full disk refuses writes, and they go on by themselves when there is room again.
#[test]
fn a_failing_disk_is_told_of_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let armed = "aof.sync=error@3";
    let server = Server::start_armed(dir.path(), &options, armed);
    let mut client = server.client();
    for n in 0..50 {
        let reply = client.ask(&format!("SET k:{n} {n}"));
        assert!(
            reply == "OK" || reply.starts_with("-MISCONF Errors writing to the AOF file: "),
            "{reply}"
        );
        if reply != "OK" {
            eventually("it recovers", || client.ask("SET again 1") == "OK");
        }
    }
    assert_eq!(client.info("aof_last_write_status"), "ok");
    assert!(
        server.log().contains("AOF write error looks solved"),
        "{}",
        server.log()
    );
    let digest = client.ask("DEBUG DIGEST");
    server.kill();
    let server = Server::start(dir.path(), &options);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}
