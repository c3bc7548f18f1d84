//! RDB files: arbitrary bytes, and files of real servers with bytes changed. They are refused, or
//! what is read can be written for every server and is read again.

use basalt_formats::rdb::file::{FileReader, FileWriter, KeyRecord, Record};
use basalt_formats::rdb::{Body, ObjectType, RdbError, Reader, Target};

use crate::Input;

const HEADERS: &[&[u8]] = &[b"REDIS0003", b"REDIS0011", b"REDIS0012", b"VALKEY080"];

/// Files with values of many types.
const SAMPLES: &[&[u8]] = &[
    include_bytes!("../../formats/tests/corpus/rdb/crafted-v11.rdb"),
    include_bytes!("../../formats/tests/corpus/rdb/crafted-v9.rdb"),
    include_bytes!("../../formats/tests/corpus/rdb/crafted-v2.rdb"),
    include_bytes!("../../formats/tests/corpus/rdb/r72-multidb.rdb"),
    include_bytes!("../../formats/tests/corpus/rdb/r7.0.15-streams.rdb"),
    include_bytes!("../../formats/tests/corpus/rdb/r72-module-aux-and-value.rdb"),
];

/// Runs one case.
pub fn rdb_file(data: &[u8]) {
    let mut input = Input::new(data);
    let bytes = match input.below(4) {
        0 => arbitrary(&mut input),
        _ => damaged(&mut input),
    };
    read(&bytes);
}

fn arbitrary(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = HEADERS[input.below(HEADERS.len())].to_vec();
    while !input.is_empty() {
        match input.below(4) {
            0 => bytes.push(243 + input.below(13) as u8),
            1 => bytes.push(input.below(26) as u8),
            2 => bytes.push(input.below(8) as u8),
            _ => bytes.extend_from_slice(input.bytes(12)),
        }
    }
    bytes
}

fn damaged(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = SAMPLES[input.below(SAMPLES.len())].to_vec();
    for _ in 0..=input.below(6) {
        let at = input.below(bytes.len());
        match input.below(3) {
            0 => bytes[at] = input.byte(),
            1 => bytes[at] ^= 1 << input.below(8),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    bytes
}

/// Decodes a value; whether it is whole and has elements.
fn decode(kind: ObjectType, body: &[u8]) -> Result<(), RdbError> {
    let mut reader = Reader::new(body);
    match Body::read(kind, &mut reader)? {
        Body::List(mut run) | Body::Set(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::Hash(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::Zset(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::ListNodes(mut run) => run.try_for_each(|item| item.map(drop))?,
        Body::HashTtl(mut run) => run.try_for_each(|item| item.map(drop))?,
        _ => {}
    }
    assert_eq!(reader.left(), 0, "{kind:?} was cut where it does not end");
    Ok(())
}

fn read(bytes: &[u8]) {
    let Ok(reader) = FileReader::new(bytes) else {
        return;
    };
    let mut reader = reader.checksum(false).keep_modules(true);
    let mut whole = Vec::new();
    while let Ok(record) = reader.next_record() {
        match record {
            Record::Key(key) => {
                if decode(key.kind, key.body).is_ok() {
                    whole.push(key);
                }
            }
            Record::Eof { .. } => break,
            _ => {}
        }
    }
    for target in [
        Target::Redis62,
        Target::Redis70,
        Target::Redis74,
        Target::Valkey9,
    ] {
        write(&whole, target);
    }
}

fn write(keys: &[KeyRecord<'_>], target: Target) {
    let mut writer = FileWriter::new(target, true, true);
    let written: Vec<_> = keys
        .iter()
        .filter(|key| writer.record(key).is_ok())
        .collect();
    let file = writer.finish();
    let mut reader = FileReader::new(&file).expect("a header").keep_modules(true);
    for before in written {
        match reader.next_record() {
            Ok(Record::Key(after)) => {
                assert_eq!(
                    (&before.key, before.expire_ms),
                    (&after.key, after.expire_ms)
                );
                assert!(target.supports(after.kind));
                assert_eq!(before.kind.name(), after.kind.name());
                decode(after.kind, after.body).expect("what was written is read");
            }
            other => panic!("{other:?} for {before:?}"),
        }
    }
    assert!(matches!(reader.next_record(), Ok(Record::Eof { .. })));
}
