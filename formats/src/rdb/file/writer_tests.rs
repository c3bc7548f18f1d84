use super::super::super::{Body, Reader};
use super::super::{Checksum, FileReader, Record, check_trailer};
use super::*;
use proptest::prelude::*;

fn file(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/rdb/");
    std::fs::read(format!("{path}{name}")).unwrap()
}

fn records(input: &[u8]) -> Vec<Record<'_>> {
    let mut reader = FileReader::new(input).unwrap().keep_modules(true);
    let mut records = Vec::new();
    loop {
        records.push(reader.next_record().unwrap());
        if let Some(Record::Eof { .. }) = records.last() {
            return records;
        }
    }
}

/// The file written again, record by record.
fn again(input: &[u8], target: Target) -> Vec<u8> {
    let mut writer = FileWriter::new(target, true, true);
    let mut output = Vec::new();
    for record in records(input) {
        match record {
            Record::Aux { key, value } => writer.aux(&key, &value),
            Record::SelectDb(db) => writer.select_db(db),
            Record::ResizeDb { keys, expires } => writer.resize_db(keys, expires),
            Record::SlotInfo {
                slot,
                keys,
                expires,
            } => writer.slot_info(slot, keys, expires),
            Record::Function(source) => writer.function(&source).unwrap(),
            Record::ModuleAux { module, when, body } => writer.module_aux(module, when, body),
            Record::Key(key) => writer.record(&key).unwrap(),
            Record::Eof { .. } => {}
        }
        if writer.buffered() > 1000 {
            writer.drain(|bytes| output.extend_from_slice(bytes));
            assert_eq!(writer.written(), output.len() as u64);
        }
    }
    writer.drain(|bytes| output.extend_from_slice(bytes));
    output.extend_from_slice(&writer.finish());
    output
}

#[test]
fn an_empty_file_is_that_of_redis() {
    let theirs = file("r72-empty.rdb");
    let number = |name: &str| {
        let value = records(&theirs)
            .into_iter()
            .find_map(|record| match record {
                Record::Aux { key, value } if *key == *name.as_bytes() => Some(value.into_owned()),
                _ => None,
            });
        String::from_utf8(value.unwrap()).unwrap().parse().unwrap()
    };
    let mut writer = FileWriter::new(Target::Redis72, true, true);
    writer.remarks(&Remarks {
        version_field: version_field(Magic::Redis),
        version: "7.2.4",
        ctime_s: number("ctime"),
        used_mem_bytes: number("used-mem") as u64,
        more: &[],
        aof_base: false,
    });
    assert_eq!(writer.finish(), theirs);
}

/// Bodies are copied, so only what a compressor of strings may choose can differ: files
/// without long keys and functions come out byte for byte.
#[test]
fn files_come_out_as_they_went_in() {
    for name in [
        "r72-multidb.rdb",
        "r72-expiry.rdb",
        "r72-evict-allkeys-lfu.rdb",
        "r72-evict-allkeys-lru.rdb",
        "r72-hash-default.rdb",
        "r72-stream-default.rdb",
        "r72-module-aux-and-value.rdb",
        "r72-module-datatype.rdb",
        "v81-zset-default.rdb",
    ] {
        let input = file(name);
        assert!(again(&input, Target::Redis72) == input, "{name}");
    }
    let input = file("r7.0.15-streams.rdb");
    assert!(again(&input, Target::Redis70) == input);
}

#[test]
fn later_versions() {
    let input = file("r72-expiry.rdb");
    for target in [Target::Redis74, Target::Valkey9] {
        let output = again(&input, target);
        assert_eq!(check_trailer(&output), Some(Ok(())));
        assert_eq!(FileReader::new(&output).unwrap().header(), target.header());
        let (before, after) = (records(&input), records(&output));
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(&after).all(|pair| match pair {
            // These differ in where they are.
            (Record::Key(a), Record::Key(b)) => a.key == b.key && a.body == b.body,
            (Record::Eof { .. }, Record::Eof { .. }) => true,
            (a, b) => a == b,
        }));
    }
}

#[test]
fn parts_written_elsewhere() {
    let part = |keys: std::ops::Range<u32>| {
        let mut out = Writer::new(true);
        for key in keys {
            let key = format!("key {key}");
            let head = KeyHead {
                key: key.as_bytes(),
                expire_ms: Some(1 << 40),
                idle_s: Some(100),
                freq: Some(7),
            };
            head.write(ObjectType::String, &mut out);
            out.string(b"value");
        }
        out.into_bytes()
    };
    let parts = [part(0..100), part(100..101), Vec::new(), part(101..500)];
    let mut together = FileWriter::new(Target::Redis72, true, true);
    together.select_db(3);
    parts.iter().for_each(|part| together.writer().raw(part));
    let whole = together.finish();

    let mut writer = FileWriter::new(Target::Redis72, true, true);
    writer.select_db(3);
    assert!(!writer.append(1, 0), "the buffer is not empty");
    let mut output = Vec::new();
    writer.drain(|bytes| output.extend_from_slice(bytes));
    for part in &parts {
        assert!(writer.append(part.len() as u64, crc64(0, part)));
        output.extend_from_slice(part);
        assert_eq!(writer.written(), output.len() as u64);
    }
    output.extend_from_slice(&writer.finish());
    assert_eq!(output, whole);
    assert_eq!(records(&output).len(), 1 + 500 + 1);
}

#[test]
fn without_checksum() {
    let file = FileWriter::new(Target::Redis62, true, false).finish();
    assert_eq!(file, b"REDIS0009\xff\0\0\0\0\0\0\0\0");
    let [Record::Eof { checksum, .. }] = records(&file)[..] else {
        panic!("nothing but an end");
    };
    assert_eq!(checksum, Checksum::Zero);
    let target = Target::Redis62;
    assert_eq!(
        FileWriter::new(target, true, true).function(b"#!lua name=l\n"),
        Err(RecodeError::Functions { target })
    );
}

proptest! {
    #[test]
    fn keys_come_back(
        keys in prop::collection::vec((
            prop::collection::vec(any::<u8>(), 0..80),
            prop::option::of(0..i64::MAX),
            prop::option::of(any::<u64>()),
            prop::option::of(any::<u8>()),
            prop::collection::vec(0..3u8, 0..100),
        ), 0..20),
        compress in any::<bool>(),
    ) {
        let mut writer = FileWriter::new(Target::Redis72, compress, true);
        for (key, expire_ms, idle_s, freq, value) in &keys {
            let (expire_ms, idle_s, freq) = (*expire_ms, *idle_s, *freq);
            let head = KeyHead { key, expire_ms, idle_s, freq };
            head.write(ObjectType::String, writer.writer());
            writer.writer().string(value);
        }
        let file = writer.finish();
        let mut back = Vec::new();
        for record in records(&file) {
            if let Record::Key(key) = record {
                let mut reader = Reader::new(key.body);
                let Ok(Body::String(value)) = Body::read(key.kind, &mut reader) else {
                    panic!("a string");
                };
                let value = value.into_owned();
                back.push((key.key.into_owned(), key.expire_ms, key.idle_s, key.freq, value));
            }
        }
        prop_assert_eq!(back, keys);
    }
}
