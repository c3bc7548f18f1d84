use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::load::LoadOptions;
use crate::testing::Client;

pub(super) const NOW: i64 = 1_700_000_000_000;

pub(super) fn write(client: &Client, snapshot: &Snapshot, threads: usize) -> Vec<u8> {
    let (file, keys) = write_any(client, snapshot, threads);
    assert_eq!(keys, snapshot.key_count());
    file
}

/// The file and the number of its keys, however many there should be.
pub(super) fn write_any(client: &Client, snapshot: &Snapshot, threads: usize) -> (Vec<u8>, u64) {
    let mut file = Vec::new();
    let options = SaveOptions {
        checksum: true,
        threads,
        ..SaveOptions::default()
    };
    let saved = snapshot
        .write_rdb(
            client.engine(),
            &options,
            &mut |bytes| {
                file.extend_from_slice(bytes);
                Ok(())
            },
            &Progress::default(),
        )
        .expect("a Vec takes everything");
    (file, saved.keys)
}

/// A client of a new engine with the contents of a file.
pub(super) fn load(file: &[u8]) -> Client {
    let client = Client::new();
    let options = LoadOptions {
        now_ms: NOW,
        checksum: true,
        threads: 2,
        keep_expired: true,
        replace: false,
    };
    client
        .engine()
        .load_rdb(file, &options, &Progress::default())
        .expect("our own file");
    client
}

/// All keys of a database with their dumps.
fn contents(client: &mut Client, db: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut keys = Vec::new();
    let held = Held::all(&client.engine().shards);
    crate::keyspace::Keyspace::new(client.engine(), held, db, NOW)
        .for_each_key(&mut |key, _| keys.push(key.to_vec()));
    client.session.db = db;
    let dump = |key: Vec<u8>| {
        let dump = client.run_words(&[b"DUMP", &key]);
        (key, dump)
    };
    keys.into_iter().map(dump).collect()
}

/// Stops the other thread, even when this one fails.
pub(super) struct Ending<'e>(pub(super) &'e AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn random_write(client: &mut Client, random: &mut u64) {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    let (a, b) = ((*random >> 33) % 300, (*random >> 20) % 1000);
    client.run(&match (*random >> 50) % 14 {
        0..4 => format!("SET k{a} {b}"),
        4 => format!("DEL k{a}"),
        5 => format!("HSET h{} f{b} {a}", a % 3),
        6 => format!("HDEL h{} f{b}", a % 3),
        7 => format!("ZADD z {a} m{b}"),
        8 => format!("RPUSH l{} {b}", a % 5),
        9 => format!("LPOP l{}", a % 5),
        10 => format!("RENAME k{a} k{}", b % 300),
        11 => format!("APPEND k{a} x"),
        12 => format!("PEXPIRE k{a} {}", 100_000 + b),
        _ => format!("SADD s m{b}"),
    });
}

#[test]
fn writes_after_the_cut_do_not_show() {
    for seed in 0..20 {
        let mut random = seed;
        let mut client = Client::new();
        for _ in 0..3000 {
            random_write(&mut client, &mut random);
        }
        client.session.db = 5;
        client.run("SET in another");
        client.session.db = 0;
        let wanted = [contents(&mut client, 0), contents(&mut client, 5)];
        client.session.db = 0;
        let snapshot = client.engine().snapshot(NOW);
        // A small limit takes writers through every way of handing over.
        client
            .engine()
            .snapshot_room
            .set_limit(if seed % 2 == 0 { 64 << 20 } else { 2000 });
        for i in 0..3000 {
            random_write(&mut client, &mut random);
            if i == 1000 && seed % 3 == 0 {
                client.run("SWAPDB 0 5");
            }
            if i == 2000 && seed % 4 == 0 {
                client.run("FLUSHALL");
            }
        }
        let file = write(&client, &snapshot, 2);
        let mut copy = load(&file);
        assert_eq!(contents(&mut copy, 0), wanted[0], "seed {seed}");
        assert_eq!(contents(&mut copy, 5), wanted[1], "seed {seed}");
        assert!(snapshot.usage().captured_by_writers > 0);
        assert_eq!(snapshot.usage().extra_bytes, 0);
    }
}

#[test]
fn writers_and_the_walk_at_the_same_time() {
    for seed in 0..10 {
        let mut random = seed + 100;
        let mut client = Client::new();
        for _ in 0..20_000 {
            random_write(&mut client, &mut random);
        }
        for i in 0..20_000 {
            client.run(&format!("SET filler:{i} {i}"));
        }
        let wanted = contents(&mut client, 0);
        client.session.db = 0;
        let snapshot = client.engine().snapshot(NOW);
        client
            .engine()
            .snapshot_room
            .set_limit(if seed % 2 == 0 { 1 << 20 } else { 10_000 });
        let stop = AtomicBool::new(false);
        let file = std::thread::scope(|scope| {
            let mut other = client.other();
            let stop = &stop;
            let writer = scope.spawn(move || {
                let mut writes = 0;
                while !stop.load(Relaxed) {
                    random_write(&mut other, &mut random);
                    other.run(&format!("SET filler:{} changed", random % 20_000));
                    writes += 1;
                }
                writes
            });
            let ending = Ending(stop);
            let file = write(&client, &snapshot, 1 + seed as usize % 2);
            drop(ending);
            assert!(writer.join().expect("no panic") > 0);
            file
        });
        assert_eq!(contents(&mut load(&file), 0), wanted, "seed {seed}");
    }
}

#[test]
fn several_snapshots_at_once_each_see_their_own_moment() {
    let mut client = Client::new();
    let snapshots: Vec<_> = (0..4)
        .map(|i| {
            for key in 0..200 {
                client.run(&format!("SET k{key} {i}"));
            }
            client.engine().snapshot(NOW)
        })
        .collect();
    client.run("FLUSHALL");
    for (i, snapshot) in snapshots.iter().enumerate() {
        let mut copy = load(&write(&client, snapshot, 2));
        assert_eq!(copy.run("GET k7"), format!("$1\r\n{i}\r\n"));
        assert_eq!(copy.engine().key_count(0), 200);
    }
}

#[test]
fn a_dropped_snapshot_costs_nothing_any_more() {
    let mut client = Client::new();
    client.run("SET a 1");
    let snapshot = client.engine().snapshot(NOW);
    let cut = snapshot.cut.clone();
    drop(snapshot);
    client.run("SET a 2");
    assert_eq!(cut.usage().captured_by_writers, 0);
    assert_eq!(Arc::strong_count(&cut), crate::keyspace::shard::SHARDS);
    let _ = client.engine().snapshot(NOW);
    assert_eq!(Arc::strong_count(&cut), 1);
}

#[test]
fn reads_leave_no_trace_while_a_snapshot_is_under_way() {
    let mut client = Client::new();
    client.run("SET a 1");
    let snapshot = client.engine().snapshot(NOW);
    client.now_ms += 60_000;
    client.run("GET a");
    client.run("STRLEN a");
    assert_eq!(snapshot.usage().captured_by_writers, 0);
    client.now_ms += 60_000;
    assert_eq!(client.run("OBJECT IDLETIME a"), ":120\r\n");
    client.run("SET b 2");
    client.run("SET a 2");
    assert!(snapshot.usage().captured_by_writers >= 1);
    drop(snapshot);
    client.now_ms += 60_000;
    assert_eq!(client.run("OBJECT IDLETIME a"), ":60\r\n");
    client.run("GET a");
    assert_eq!(client.run("OBJECT IDLETIME a"), ":0\r\n");
}

/// A copied page of a slot that is open is told of with that slot, though only a read touched it.
#[test]
fn reads_copy_no_page_that_the_walk_does_not_know() {
    let mut client = Client::new();
    for i in 0..2000 {
        client.run(&format!("SET {{s}}{i} value"));
    }
    let snapshot = client.engine().snapshot(NOW);
    client.run("SET {s}0 other");
    let before = snapshot.usage().extra_bytes;
    assert!(before > 0);
    client.now_ms += 60_000;
    for i in 0..2000 {
        client.run(&format!("GET {{s}}{i}"));
    }
    assert_eq!(snapshot.usage().extra_bytes, before);
}

#[test]
fn the_moment_of_the_cut_is_shared() {
    let client = Client::new();
    let (snapshot, index) = client
        .engine()
        .snapshot_with(NOW, || client.engine().log.index());
    assert_eq!(snapshot.log_index(), index);
}

/// Pages that writers copy cost memory until they are encoded, so all are encoded for that, on any
/// number of threads: hardly one is left when the rest of the slots is written.
#[test]
fn copied_pages_are_not_left_for_the_end() {
    let client = Client::new();
    let (slots, keys) = (512, 300);
    let mut names = Vec::new();
    for slot in 0..slots {
        for key in 0..keys {
            names.push(format!("{{{slot}}}{key}"));
        }
    }
    let value = "v".repeat(100);
    let mut filling = client.other();
    for name in &names {
        filling.run(&format!("SET {name} {value}"));
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (snapshot, left) = std::thread::scope(|scope| {
        let ending = Ending(&stop);
        let snapshot = client.engine().snapshot(NOW);
        for first in 0..2 {
            let (mut writer, names, value, stop) = (client.other(), &names, &value, &stop);
            scope.spawn(move || {
                let mut at = first;
                while !stop.load(Relaxed) {
                    at = (at + 7919) % names.len();
                    writer.run(&format!("SET {} {value}", names[at]));
                }
            });
        }
        write(&client, &snapshot, 3);
        drop(ending);
        let left = snapshot.cut.missed.load(Relaxed);
        (snapshot, left)
    });
    let captured = snapshot.usage().captured_by_writers;
    assert!(captured > 50, "{captured}");
    assert!(left <= 3, "{left} pages of {captured} slots");
}
