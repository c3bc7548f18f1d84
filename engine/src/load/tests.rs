use super::*;
use crate::snapshot::SaveOptions;
use crate::testing::Client;

const NOW: i64 = 1_700_000_000_000;

fn options() -> LoadOptions {
    LoadOptions {
        now_ms: NOW + 20,
        checksum: true,
        threads: 2,
        keep_expired: false,
        replace: false,
    }
}

fn save(client: &Client, threads: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let saved = client
        .engine()
        .snapshot(NOW)
        .write_rdb(
            client.engine(),
            &SaveOptions {
                compress: true,
                checksum: true,
                threads,
                aux: vec![(b"redis-ver".to_vec(), b"7.2.4".to_vec())],
                functions: vec![b"#!lua name=f\n".to_vec()],
                ..SaveOptions::default()
            },
            &mut |bytes| {
                file.extend_from_slice(bytes);
                Ok(())
            },
            &Progress::default(),
        )
        .expect("a Vec takes everything");
    assert_eq!(saved.bytes, file.len() as u64);
    file
}

fn filled() -> Client {
    let mut client = Client::new();
    for i in 0..5000 {
        client.run(&format!("SET key:{i} value-{}", i * 7919));
    }
    client.run("SET int 12345");
    client.run(&format!("SET long {}", "abc".repeat(1000)));
    client.run(&format!("PEXPIREAT key:17 {}", NOW + 5000));
    client.run(&format!("PEXPIREAT key:18 {}", NOW + 10));
    client.run("RPUSH list a b c 1 2 3");
    client.run("SADD ints 1 2 3");
    client.run("SADD words a b c");
    client.run("HSET hash a 1 b 2");
    client.run("ZADD zset 1 a 2.5 b inf c");
    for i in 0..700 {
        client.run(&format!("HSET bighash field:{i} {i}"));
        client.run(&format!("SADD bigset member:{i}"));
        client.run(&format!("ZADD bigzset {i} member:{i}"));
        client.run(&format!("RPUSH biglist {}", "x".repeat(i)));
    }
    client.session.db = 3;
    client.run("SET other db");
    client.session.db = 0;
    client
}

#[test]
fn what_is_saved_is_loaded() {
    let client = filled();
    let file = save(&client, 1);
    let copy = Client::new();
    let loaded = copy
        .engine()
        .load_rdb(&file, &options(), &Progress::default())
        .expect("our own file");
    assert_eq!(loaded.expired, 1);
    assert_eq!(loaded.keys, 5000 - 1 + 2 + 5 + 4 + 1);
    assert_eq!(loaded.functions, [b"#!lua name=f\n".to_vec()]);
    assert_eq!(loaded.end, file.len());
    assert_eq!(copy.engine().key_count(0) as u64, loaded.keys - 1);
    assert_eq!(copy.engine().key_count(3), 1);
    assert_eq!(copy.engine().volatile_count(0), 1);
    // Equal data gives equal bytes, in an engine with another order inside.
    let mut client = client;
    client.run("DEL key:18");
    assert_eq!(save(&client, 1), save(&copy, 2));
}

#[test]
fn damage_is_found_wherever_it_is() {
    let mut client = Client::new();
    client.run("SET a hello");
    client.run("RPUSH l a b c");
    let file = save(&client, 1);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut bad = file.clone();
            bad[at] ^= 1 << bit;
            let copy = Client::new();
            let result = copy
                .engine()
                .load_rdb(&bad, &options(), &Progress::default());
            assert!(result.is_err(), "bit {bit} of byte {at}");
        }
        let copy = Client::new();
        let cut = copy
            .engine()
            .load_rdb(&file[..at], &options(), &Progress::default());
        assert!(cut.is_err(), "cut at {at}");
    }
}

#[test]
fn keys_that_are_there_are_refused_or_replaced() {
    let mut client = Client::new();
    client.run("SET a 1 PX 100000");
    let file = save(&client, 1);
    let error = client
        .engine()
        .load_rdb(&file, &options(), &Progress::default())
        .expect_err("the key is there");
    assert_eq!(error.cause, RdbLoadCause::DuplicateKey);
    assert_eq!(error.key.as_deref(), Some(&b"a"[..]));
    let replace = LoadOptions {
        replace: true,
        ..options()
    };
    let mut client = Client::new();
    client.run("SET a 2 PX 5");
    client.run("SET b 2");
    client
        .engine()
        .load_rdb(&file, &replace, &Progress::default())
        .expect("keys may be replaced");
    assert_eq!(client.run("GET a"), "$1\r\n1\r\n");
    assert_eq!(client.engine().key_count(0), 2);
    assert_eq!(client.engine().volatile_count(0), 1);
}

#[test]
fn cancelling_stops_load_and_save() {
    let client = filled();
    let file = save(&client, 1);
    let progress = Progress::default();
    progress.cancel.store(true, Relaxed);
    let copy = Client::new();
    let error = copy
        .engine()
        .load_rdb(&file, &options(), &progress)
        .expect_err("cancelled");
    assert_eq!(error.cause, RdbLoadCause::Cancelled);
    let error = client
        .engine()
        .snapshot(NOW)
        .write_rdb(
            client.engine(),
            &SaveOptions::default(),
            &mut |_| Ok(()),
            &progress,
        )
        .expect_err("cancelled");
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
}

#[test]
fn a_failing_output_ends_the_save() {
    let client = filled();
    let mut left = 3;
    let error = client
        .engine()
        .snapshot(NOW)
        .write_rdb(
            client.engine(),
            &SaveOptions {
                threads: 2,
                ..SaveOptions::default()
            },
            &mut |_| {
                left -= 1;
                if left == 0 {
                    return Err(std::io::Error::other("full"));
                }
                Ok(())
            },
            &Progress::default(),
        )
        .expect_err("the output fails");
    assert_eq!(error.to_string(), "full");
}

/// A file of so many keys in random order that claims to hold so many.
fn unordered(keys: u64, claimed: u64) -> Vec<u8> {
    let mut file = b"REDIS0011\xfe\x00\xfb\x81".to_vec();
    file.extend_from_slice(&claimed.to_be_bytes());
    file.push(0);
    for i in 0..keys {
        let key = format!("key:{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        file.extend_from_slice(&[0, key.len() as u8]);
        file.extend_from_slice(key.as_bytes());
        file.extend_from_slice(b"\x08vvvvvvvv");
    }
    file.push(0xff);
    file.extend_from_slice(&[0; 8]);
    file
}

fn pages_bytes(client: &Client) -> usize {
    let shards = client.engine().shards.iter();
    shards
        .map(|cell| {
            let shard = cell.lock.lock();
            let tables = shard.db(0).map_or(&[][..], |tables| &tables.slots[..]);
            tables.iter().map(|table| table.heap_bytes()).sum::<usize>()
        })
        .sum()
}

#[test]
fn room_made_beforehand_is_used() {
    const KEYS: u64 = 200_000;
    let loaded_of = |claimed| {
        let client = Client::new();
        let file = unordered(KEYS, claimed);
        let loaded = client
            .engine()
            .load_rdb(&file, &options(), &Progress::default())
            .expect("a good file");
        assert_eq!(loaded.keys, KEYS);
        assert_eq!(client.engine().key_count(0), KEYS as usize);
        (pages_bytes(&client), file.len())
    };
    let (grown, _) = loaded_of(0);
    let (true_claim, length) = loaded_of(KEYS);
    let (lie, _) = loaded_of(u64::MAX);
    // Not much is lost by slots with fewer keys than most, and a lie is believed as far as there are bytes.
    assert!(true_claim < grown + grown / 10, "{true_claim}, {grown}");
    assert!(lie < grown + grown / 10, "{lie}, {grown}");
    assert_eq!(Expected::default().per_slot(1, length), 0);
}

#[test]
fn what_is_expected_of_a_slot() {
    let expected = |claimed, start, records| Expected {
        db: 0,
        claimed,
        start,
        records,
    };
    // A tenth of a file with a tenth of a million records.
    let million = expected(1_000_000, 0, 100_000);
    assert_eq!(million.per_slot(4_000_000, 40_000_000), 54);
    let more = expected(u64::MAX, 0, 100_000);
    assert_eq!(more.per_slot(4_000_000, 40_000_000), 54);
    let late = expected(u64::MAX, 36_000_000, 900_000);
    assert_eq!(late.per_slot(38_000_000, 40_000_000), 5);
    assert_eq!(expected(u64::MAX, 0, 0).per_slot(0, 0), 0);
}

#[test]
fn records_are_ordered_by_slot_and_then_as_they_stand() {
    let file = unordered(3000, 0);
    let mut reader = FileReader::new(&file).expect("a header");
    let mut items = Vec::new();
    while let Ok(record) = reader.next_record() {
        match record {
            Record::Key(record) => items.extend([(0, record.clone()), (1, record)]),
            Record::Eof { .. } => break,
            _ => {}
        }
    }
    let (order, bytes) = by_slot(&items);
    assert_eq!((order.len(), bytes), (6000, 6000 * (20 + 9 + HEAD_BYTES)));
    let keys: Vec<_> = order.iter().map(|(place, at)| (place.slot, *at)).collect();
    assert!(keys.is_sorted());
    for (place, at) in order {
        assert_eq!(place.hash, Place::of(&items[at].1.key).hash);
    }
}
