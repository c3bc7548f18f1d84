//! Every RDB file of the corpus is read as Redis 7.2.4 reads it, as far as a reader without a
//! server can tell; and nothing that is done to them makes the reader fail in another way than
//! with an error.

use basalt_formats::rdb::file::{Checksum, FileReader, Record, check_trailer};
use basalt_formats::rdb::{Body, ObjectType, RdbError, Reader};
use proptest::prelude::*;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/");

/// Refused by Redis for reasons beyond the format: what the values mean, what is loaded
/// already, how many databases there are, what a library of functions says.
const FOR_THE_SERVER: &[&str] = &[
    "bad-dup-hash.rdb",
    "bad-dup-key.rdb",
    "bad-dup-lp-set-int.rdb",
    "bad-dup-lp-set.rdb",
    "bad-dup-zl-hash.rdb",
    "bad-dup-zset.rdb",
    "bad-fn-syntax.rdb",
    "bad-lp-zset-odd.rdb",
    "bad-selectdb-16.rdb",
    "r72-db299.rdb",
    "v81-db299.rdb",
];

/// Of Valkey 9, which Redis does not read.
const FOR_VALKEY: &str = "bad-magic-valkey.rdb";

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{CORPUS}rdb/{name}")).expect(name)
}

/// Name of each file, and whether Redis 7.2.4 loads it.
fn files() -> Vec<(String, bool)> {
    let manifest = std::fs::read_to_string(format!("{CORPUS}MANIFEST.tsv")).unwrap();
    let rows = manifest.lines().filter_map(|row| row.strip_prefix("rdb/"));
    rows.map(|row| {
        let columns: Vec<_> = row.split('\t').collect();
        (columns[0].to_string(), columns[9].starts_with("loads"))
    })
    .collect()
}

/// Decodes what a key holds.
fn decode(kind: ObjectType, body: &[u8]) -> Result<(), RdbError> {
    let mut reader = Reader::new(body);
    match Body::read(kind, &mut reader) {
        // Redis passes over empty collections.
        Err(RdbError::Empty) => return Ok(()),
        Err(error) => return Err(error),
        Ok(Body::List(mut run) | Body::Set(mut run)) => run.try_for_each(|item| item.map(drop)),
        Ok(Body::Hash(mut run)) => run.try_for_each(|item| item.map(drop)),
        Ok(Body::Zset(mut run)) => run.try_for_each(|item| item.map(drop)),
        Ok(Body::ListNodes(mut run)) => run.try_for_each(|item| item.map(drop)),
        Ok(Body::HashTtl(mut run)) => run.try_for_each(|item| item.map(drop)),
        Ok(_) => Ok(()),
    }?;
    assert_eq!(reader.left(), 0, "{kind:?} was cut where it does not end");
    Ok(())
}

/// Reads a file to its end; how many keys it has, and where it ends.
fn read(input: &[u8], checksum: bool) -> Result<(usize, Checksum, usize), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut reader = FileReader::new(input)
        .map_err(|error| text(&error))?
        .checksum(checksum);
    let (mut keys, mut at) = (0, reader.offset());
    loop {
        let record = reader.next_record();
        assert!(reader.offset() >= at && reader.offset() <= input.len());
        at = reader.offset();
        match record.map_err(|error| text(&error))? {
            Record::Key(key) => {
                decode(key.kind, key.body).map_err(|error| text(&error))?;
                assert_eq!(input[key.offset], key.kind.byte());
                keys += 1;
            }
            Record::Eof { checksum, end } => return Ok((keys, checksum, end)),
            _ => {}
        }
    }
}

#[test]
fn the_corpus_is_read_as_redis_does() {
    let mut seen = [0; 2];
    for (name, loads) in files() {
        let input = file(&name);
        let result = read(&input, true);
        let for_server = FOR_THE_SERVER.contains(&name.as_str()) || name == FOR_VALKEY;
        assert_eq!(result.is_ok(), loads || for_server, "{name}: {result:?}");
        seen[usize::from(loads)] += 1;
        let Ok((_, checksum, end)) = result else {
            continue;
        };
        assert!(
            end == input.len() || name == "crafted-trailing-garbage.rdb",
            "{name}"
        );
        match check_trailer(&input) {
            Some(found) => assert!(found.is_ok() && matches!(checksum, Checksum::Good(_))),
            None => assert!(!matches!(checksum, Checksum::Good(_)) || end < input.len()),
        }
    }
    assert!(seen[0] > 50 && seen[1] > 80, "{seen:?}");
}

/// How many keys real servers wrote, some of which had expired when Redis loaded them.
#[test]
fn no_key_is_lost() {
    let manifest = std::fs::read_to_string(format!("{CORPUS}MANIFEST.tsv")).unwrap();
    let mut seen = 0;
    for row in manifest.lines().filter_map(|row| row.strip_prefix("rdb/")) {
        let columns: Vec<_> = row.split('\t').collect();
        let numbers: Result<Vec<usize>, _> = columns[6..9].iter().map(|n| n.parse()).collect();
        if let (Ok(numbers), "loads") = (numbers, columns[9]) {
            let (keys, ..) = read(&file(columns[0]), true).unwrap();
            assert_eq!(keys, numbers.iter().sum::<usize>(), "{}", columns[0]);
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

fn small_files(limit: usize) -> impl Iterator<Item = (String, Vec<u8>, usize)> {
    files().into_iter().filter_map(move |(name, loads)| {
        let input = file(&name);
        if !loads || input.len() > limit {
            return None;
        }
        let (.., end) = read(&input, true).expect(&name);
        Some((name, input, end))
    })
}

#[test]
fn truncated_files_are_refused() {
    let mut seen = 0;
    for (name, input, end) in small_files(5_000) {
        for len in 0..end {
            assert!(read(&input[..len], true).is_err(), "{name} up to {len}");
        }
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn flipped_bits_are_found() {
    let mut seen = 0;
    for (name, mut input, end) in small_files(1_300) {
        let (_, checksum, _) = read(&input, true).unwrap();
        for at in 0..end {
            for bit in 0..8 {
                input[at] ^= 1 << bit;
                // Without a checksum any outcome will do, but a panic.
                let result = read(&input, true);
                if let Checksum::Good(_) = checksum {
                    assert!(result.is_err(), "{name}, byte {at}, bit {bit}");
                }
                input[at] ^= 1 << bit;
            }
        }
        seen += usize::from(matches!(checksum, Checksum::Good(_)));
    }
    assert!(seen > 25, "{seen}");
}

fn samples() -> &'static [(String, Vec<u8>)] {
    static SAMPLES: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        let names = files().into_iter().map(|(name, _)| name);
        names
            .map(|name| (name.clone(), file(&name)))
            .filter(|(_, input)| input.len() < 80_000)
            .collect()
    })
}

proptest! {
    /// Damage that a checksum does not guard against ends in an error or in other data.
    #[test]
    fn damaged_files_are_safe(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        gap in 0..20usize,
    ) {
        let (_, input) = sample.get(samples());
        let mut input = input.clone();
        if !input.is_empty() {
            for (at, byte) in changes {
                let at = at.index(input.len());
                input[at] = byte;
            }
            let from = cut.index(input.len());
            let to = (from + gap).min(input.len());
            input.drain(from..to);
        }
        let _ = read(&input, false);
    }

    #[test]
    fn any_bytes_are_safe(
        version in prop::sample::select(vec!["REDIS0003", "REDIS0011", "REDIS0012", "VALKEY080"]),
        opcodes in prop::collection::vec(prop_oneof![any::<u8>(), 243..=255u8, 0..26u8], 0..60),
    ) {
        let mut input = version.as_bytes().to_vec();
        input.extend_from_slice(&opcodes);
        let _ = read(&input, false);
    }
}
