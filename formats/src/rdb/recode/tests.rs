use super::super::file::{FileReader, FileWriter, KeyRecord, Record};
use super::*;
use crate::packed::ziplist;

/// The value after recoding, with its type.
fn recoded(
    kind: ObjectType,
    body: &[u8],
    target: Target,
) -> Result<(ObjectType, Vec<u8>), RecodeError> {
    let mut out = Writer::new(false);
    let kind = recode(kind, body, target, &mut out)?;
    Ok((kind, out.into_bytes()))
}

fn listpack(texts: &[&str]) -> Listpack {
    let mut list = Listpack::new();
    texts
        .iter()
        .for_each(|text| list.push_back(text.as_bytes()));
    list
}

fn body(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new(false);
    write(&mut out);
    out.into_bytes()
}

fn ziplist(texts: &[&str]) -> Vec<u8> {
    let mut list = ZiplistWriter::new();
    assert!(texts.iter().all(|text| list.push(text.as_bytes())));
    list.finish()
}

#[test]
fn what_a_target_reads_stays() {
    let bytes = b"anything";
    for target in Target::ALL {
        let kind = ObjectType::Zset;
        assert_eq!(recoded(kind, bytes, target), Ok((kind, bytes.to_vec())));
    }
    let kind = ObjectType::SetListpack;
    assert_eq!(
        recoded(kind, bytes, Target::Valkey8),
        Ok((kind, bytes.to_vec()))
    );
}

#[test]
fn sets() {
    let kind = ObjectType::SetListpack;
    let mixed = body(|out| out.string(listpack(&["b", "1", "a"]).as_bytes()));
    let run = body(|out| {
        out.len(3);
        ["b", "1", "a"]
            .iter()
            .for_each(|text| out.string(text.as_bytes()));
    });
    for target in [Target::Redis70, Target::Redis5] {
        assert_eq!(
            recoded(kind, &mixed, target),
            Ok((ObjectType::Set, run.clone()))
        );
    }
    let ints = body(|out| out.string(listpack(&["70000", "1", "-5"]).as_bytes()));
    let mut set = Intset::new();
    assert!([-5, 1, 70000].into_iter().all(|int| set.add(int)));
    let expected = body(|out| out.string(set.as_bytes()));
    assert_eq!(
        recoded(kind, &ints, Target::Redis70),
        Ok((ObjectType::SetIntset, expected))
    );
    let many: Vec<_> = (0..513).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let large = body(|out| out.string(listpack(&many).as_bytes()));
    let (kind, _) = recoded(kind, &large, Target::Redis70).unwrap();
    assert_eq!(kind, ObjectType::Set);
}

#[test]
fn hashes_and_sorted_sets() {
    let pairs = body(|out| out.string(listpack(&["f", "12", "g", "x"]).as_bytes()));
    let expected = body(|out| out.string(&ziplist(&["f", "12", "g", "x"])));
    assert_eq!(
        recoded(ObjectType::HashListpack, &pairs, Target::Redis62),
        Ok((ObjectType::HashZiplist, expected))
    );
    let odd = body(|out| out.string(listpack(&["f", "1", "g"]).as_bytes()));
    for kind in [ObjectType::HashListpack, ObjectType::ZsetListpack] {
        assert_eq!(
            recoded(kind, &odd, Target::Redis62),
            Err(RecodeError::NotPairs)
        );
    }
    // Redis 7.2 spells scores with as few digits as tell them apart, 6.2 with 17.
    let scores = [
        "a",
        "-inf",
        "b",
        "-0",
        "c",
        "0.1",
        "d",
        "3",
        "e",
        "100000000000000000",
        "f",
        "1e+300",
        "g",
        "inf",
    ];
    let spelled = [
        "a",
        "-inf",
        "b",
        "-0",
        "c",
        "0.10000000000000001",
        "d",
        "3",
        "e",
        "1e+17",
        "f",
        "1.0000000000000001e+300",
        "g",
        "inf",
    ];
    let zset = body(|out| out.string(listpack(&scores).as_bytes()));
    let (kind, bytes) = recoded(ObjectType::ZsetListpack, &zset, Target::Redis62).unwrap();
    assert_eq!(kind, ObjectType::ZsetZiplist);
    assert_eq!(bytes, body(|out| out.string(&ziplist(&spelled))));
    let nan = body(|out| out.string(listpack(&["a", "nan"]).as_bytes()));
    assert_eq!(
        recoded(ObjectType::ZsetListpack, &nan, Target::Redis62),
        Err(RecodeError::NotPairs)
    );
}

#[test]
fn lists() {
    let nodes = body(|out| {
        out.len(3);
        out.packed_node(&listpack(&["a", "1"]));
        out.packed_node(&Listpack::new());
        out.plain_node(b"large");
    });
    let expected = body(|out| {
        out.len(2);
        out.string(&ziplist(&["a", "1"]));
        out.string(&ziplist(&["large"]));
    });
    assert_eq!(
        recoded(ObjectType::ListQuicklist2, &nodes, Target::Redis6),
        Ok((ObjectType::ListQuicklist, expected))
    );
    let empty = body(|out| {
        out.len(1);
        out.packed_node(&Listpack::new());
    });
    assert_eq!(
        recoded(ObjectType::ListQuicklist2, &empty, Target::Redis6),
        Err(RecodeError::Damaged(RdbError::Empty))
    );
}

#[test]
fn field_times() {
    let fields = [("a", "1", 0u64), ("b", "2", 1_000), ("c", "3", 900)];
    let redis = body(|out| {
        out.raw(&900u64.to_le_bytes());
        out.len(3);
        for (field, value, when) in fields {
            out.number(if when == 0 { 0 } else { when - 900 + 1 });
            out.string(field.as_bytes());
            out.string(value.as_bytes());
        }
    });
    let valkey = body(|out| {
        out.len(3);
        for (field, value, when) in fields {
            out.string(field.as_bytes());
            out.string(value.as_bytes());
            let when = if when == 0 { -1 } else { when as i64 };
            out.raw(&when.to_le_bytes());
        }
    });
    let (ours, theirs) = (ObjectType::HashMetadata, ObjectType::ValkeyHash2);
    assert_eq!(
        recoded(ours, &redis, Target::Valkey9),
        Ok((theirs, valkey.clone()))
    );
    assert_eq!(
        recoded(theirs, &valkey, Target::Redis74),
        Ok((ours, redis.clone()))
    );
    let target = Target::Redis72;
    assert_eq!(
        recoded(ours, &redis, target),
        Err(RecodeError::FieldExpires { target })
    );
    let lasting = body(|out| {
        out.string(listpack(&["a", "1", "0", "b", "2", "0"]).as_bytes());
    });
    let run = body(|out| {
        out.len(2);
        ["a", "1", "b", "2"]
            .iter()
            .for_each(|text| out.string(text.as_bytes()));
    });
    assert_eq!(
        recoded(ObjectType::HashListpackExPreGa, &lasting, target),
        Ok((ObjectType::Hash, run))
    );
}

#[test]
fn streams() {
    let stream = |offsets: bool, active: bool| {
        body(|out| {
            out.len(1);
            out.string(&[0; 16]);
            out.string(b"a listpack");
            [2, 5, 0].iter().for_each(|&number| out.number(number));
            if offsets {
                [1, 2, 3, 4, 70_000]
                    .iter()
                    .for_each(|&number| out.number(number));
            }
            out.len(1);
            out.string(b"group");
            [5, 0].iter().for_each(|&number| out.number(number));
            if offsets {
                out.number(2);
            }
            out.len(1);
            out.raw(&[7; 24]);
            out.number(3);
            out.len(1);
            out.string(b"consumer");
            out.raw(&[8; 8]);
            if active {
                out.raw(&[9; 8]);
            }
            out.len(1);
            out.raw(&[7; 16]);
        })
    };
    let (one, two, three) = (
        ObjectType::StreamListpacks,
        ObjectType::StreamListpacks2,
        ObjectType::StreamListpacks3,
    );
    let newest = stream(true, true);
    assert_eq!(
        recoded(three, &newest, Target::Redis70),
        Ok((two, stream(true, false)))
    );
    assert_eq!(
        recoded(three, &newest, Target::Redis62),
        Ok((one, stream(false, false)))
    );
    assert_eq!(
        recoded(two, &stream(true, false), Target::Redis62),
        Ok((one, stream(false, false)))
    );
    for end in 0..newest.len() {
        assert!(
            recoded(three, &newest[..end], Target::Redis62).is_err(),
            "{end}"
        );
    }
}

fn keys(input: &[u8]) -> Vec<KeyRecord<'_>> {
    let mut reader = FileReader::new(input).unwrap();
    let mut keys = Vec::new();
    loop {
        match reader.next_record().unwrap() {
            Record::Key(key) => keys.push(key),
            Record::Eof { .. } => return keys,
            _ => {}
        }
    }
}

fn file(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/rdb/");
    std::fs::read(format!("{path}{name}")).unwrap()
}

/// What old servers packed is packed again to the same bytes.
#[test]
fn ziplists_of_old_servers() {
    let mut seen = [0; 3];
    for name in ["r2.6.17", "r3.2.13", "r4.0.14"] {
        let input = file(&format!("{name}-types-small.rdb"));
        for key in keys(&input) {
            let mut reader = Reader::new(key.body);
            let check = |kind, packed: &[u8]| {
                let list = ziplist::to_listpack(packed).unwrap();
                let again = match kind {
                    ObjectType::ZsetZiplist => zset(&list, Target::Redis62).unwrap(),
                    _ => {
                        let mut again = ZiplistWriter::new();
                        assert!(list.iter().all(|entry| push(&mut again, entry)));
                        again.finish()
                    }
                };
                assert!(again == packed, "{name} {key:?}");
            };
            match key.kind {
                ObjectType::HashZiplist | ObjectType::ZsetZiplist => {
                    check(key.kind, &reader.string().unwrap());
                    seen[usize::from(key.kind == ObjectType::ZsetZiplist)] += 1;
                }
                ObjectType::ListQuicklist => {
                    for _ in 0..reader.length().unwrap() {
                        check(key.kind, &reader.string().unwrap());
                        seen[2] += 1;
                    }
                }
                _ => {}
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
}

/// Whole files of each server are written for each other one; what comes back has the same
/// keys, and types that the target reads.
#[test]
fn files_for_every_target() {
    for name in [
        "r72-expiry.rdb",
        "r72-stream-default.rdb",
        "r7.0.15-streams.rdb",
        "crafted-v11.rdb",
        "crafted-v9.rdb",
        "r4.0.14-types-small.rdb",
    ] {
        let input = file(name);
        let before = keys(&input);
        for target in Target::ALL {
            let mut writer = FileWriter::new(target, true, true);
            for key in &before {
                writer.record(key).unwrap();
            }
            let mut output = Vec::new();
            writer.drain(|bytes| output.extend_from_slice(bytes));
            output.extend_from_slice(&writer.finish());
            let after = keys(&output);
            assert_eq!(before.len(), after.len());
            for (old, new) in before.iter().zip(&after) {
                assert!(target.supports(new.kind));
                let facts = |key: &KeyRecord<'_>| {
                    (
                        key.key.to_vec(),
                        key.expire_ms,
                        key.idle_s,
                        key.freq,
                        key.kind.name(),
                    )
                };
                assert_eq!(facts(old), facts(new));
            }
        }
    }
}
