//! The record as a file, and what a survey finds.

use std::path::{Path, PathBuf};

use basalt_engine::env::disk::{Crash, Disk, Fault, FaultKind, SimDisk};

use super::super::facts::{Found, FoundAof, Settings, Tag};
use super::super::survey::{Listed, Probe, survey};
use super::super::*;

fn record(index: u64) -> Lineage {
    Lineage {
        id: DataSetId([0xab; 16]),
        index,
        updated_ms: 1_790_000_000_000,
        rdb: Some(ExpectedRdb {
            name: "dump \"1\".rdb".to_owned(),
            len: 88,
            index: 7,
        }),
        aof: Some(ExpectedAof {
            dir: "appendonlydir".to_owned(),
            base: None,
            incr: vec![ExpectedFile {
                name: "appendonly.aof.1.incr.aof".to_owned(),
                seq: 1,
                len: u64::MAX,
            }],
        }),
    }
}

#[test]
fn a_record_reads_back() {
    let bare = Lineage {
        rdb: None,
        aof: None,
        ..record(0)
    };
    for record in [record(u64::MAX), record(0), bare] {
        assert_eq!(Lineage::parse(&record.to_bytes()).unwrap(), record);
    }
    let text = String::from_utf8(record(12).to_bytes()).unwrap();
    assert!(
        text.starts_with("{\n  \"format\": 1,\n  \"id\": \"abababab"),
        "{text}"
    );
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["index"], 12);
    assert_eq!(value["crc32"].as_str().unwrap().len(), 8);
}

/// Pins the bytes: a later release has to read them.
#[test]
fn the_first_format_stays_readable() {
    let text = "{\n  \"format\": 1,\n  \"id\": \"000102030405060708090a0b0c0d0e0f\",\n  \"index\": 5,\n  \"updated_ms\": 6,\n  \"rdb\": null,\n  \"aof\": null,\n  \"crc32\": \"06cd072d\"\n}\n";
    let read = Lineage::parse(text.as_bytes()).unwrap();
    assert_eq!((read.index, read.updated_ms), (5, 6));
    assert_eq!(read.id, DataSetId(std::array::from_fn(|i| i as u8)));
    assert_eq!(read.to_bytes(), text.as_bytes());
}

#[test]
fn any_cut_and_any_flipped_bit_is_noticed() {
    let bytes = record(1234).to_bytes();
    for len in 0..bytes.len() {
        assert!(Lineage::parse(&bytes[..len]).is_err(), "cut at {len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Lineage::parse(&flipped).is_err(), "bit {bit}");
    }
    let more = [&bytes[..], b" "].concat();
    assert!(Lineage::parse(&more).is_err());
}

#[test]
fn what_is_wrong_is_said() {
    let said = |bytes: &[u8]| Lineage::parse(bytes).unwrap_err().to_string();
    assert_eq!(said(b""), "it is empty");
    assert_eq!(said(b"{}"), "it is no lineage record: it has no checksum");
    let edited = String::from_utf8(record(12).to_bytes()).unwrap();
    let edited = edited.replace("\"index\": 12", "\"index\": 13");
    assert!(said(edited.as_bytes()).starts_with("its checksum does not match its content"));
    let mut later = "{\n  \"format\": 2,\n  \"new\": true,".to_owned();
    let crc = crc32fast::hash(later.as_bytes());
    later.push_str(&format!("\n  \"crc32\": \"{crc:08x}\"\n}}\n"));
    assert!(matches!(
        Lineage::parse(later.as_bytes()),
        Err(LineageError::Later(2))
    ));
}

#[test]
fn ids_are_32_hex_digits() {
    let id = DataSetId::random().unwrap();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_ne!(id, DataSetId::random().unwrap());
    for bad in [
        "",
        "12",
        "g0000000000000000000000000000000",
        "+0000000000000000000000000000000",
    ] {
        assert_eq!(bad.parse::<DataSetId>(), Err(BadId));
    }
}

/// The power goes in each call of storing it: the old record or the new one is there.
#[test]
fn storing_is_all_or_nothing() {
    let dir = Path::new("/data");
    for seed in 0..30 {
        for nth in 1.. {
            let disk = SimDisk::new(seed);
            disk.put_dir(dir);
            record(1).store(&disk, dir).unwrap();
            disk.inject(Fault::nth(nth, FaultKind::PowerCut));
            let done = record(2).store(&disk, dir).is_ok();
            let last = disk.faults_waiting() > 0;
            disk.crash(Crash::Seeded);
            let found = Lineage::load(&disk, dir).unwrap().unwrap();
            assert!(
                found == record(2) || (found == record(1) && !done),
                "seed {seed}"
            );
            if last {
                break;
            }
        }
    }
}

#[test]
fn no_record_is_no_error_and_an_empty_one_is() {
    let disk = SimDisk::new(1);
    assert!(Lineage::load(&disk, Path::new(".")).unwrap().is_none());
    disk.put(FILE_NAME, b"");
    let error = Lineage::load(&disk, Path::new("")).unwrap_err();
    assert!(matches!(error, LineageError::Empty));
}

/// Reads made-up formats: an RDB file is `id:index`, a manifest a list of `b|i seq name`.
struct Simple;

impl Probe for Simple {
    fn rdb(&self, disk: &dyn Disk, path: &Path) -> Result<Tag, String> {
        let bytes = disk.read(path, 100).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (id, index) = text.split_once(':').ok_or("no RDB file")?;
        Ok(Tag {
            id: id.parse().ok(),
            index: index.parse().ok(),
        })
    }

    fn manifest(&self, bytes: &[u8]) -> Result<Listed, String> {
        let mut listed = Listed::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [kind, seq, name] = words[..] else {
                return Err("no manifest".to_owned());
            };
            let file = (name.to_owned(), seq.parse().map_err(|_| "no number")?);
            match kind {
                "b" => listed.base = Some(file),
                _ => listed.incr.push(file),
            }
        }
        Ok(listed)
    }

    fn log(&self, _: &dyn Disk, _: &Path, _: &Listed) -> Tag {
        Tag {
            id: None,
            index: Some(9),
        }
    }
}

fn surveyed(disk: &SimDisk) -> Found {
    let settings = Settings {
        dbfilename: "dump.rdb".to_owned(),
        appenddirname: "log".to_owned(),
        ..Settings::default()
    };
    survey(disk, Path::new("/data"), "manifest", &settings, &Simple).unwrap()
}

#[test]
fn a_survey_tells_what_is_there() {
    let disk = SimDisk::new(1);
    disk.put_dir("/data");
    let found = surveyed(&disk);
    assert!(matches!(found.lineage, Ok(None)));
    assert!(found.rdb.is_none() && matches!(found.aof, FoundAof::Nothing));

    disk.set_clock_ms(50);
    disk.put("/data/dump.rdb", b"abababababababababababababababab:77");
    record(4).store(&disk, Path::new("/data")).unwrap();
    disk.put_dir("/data/log");
    disk.put("/data/log/manifest", b"b 1 x\ni 1 y\ni 2 z");
    disk.set_clock_ms(60);
    disk.put("/data/log/x", b"12345");
    disk.put("/data/log/z", b"123");
    let found = surveyed(&disk);
    assert_eq!(found.lineage.unwrap().unwrap().index, 4);
    let rdb = found.rdb.unwrap();
    assert_eq!((rdb.len, rdb.changed_ms, rdb.modified_ms), (35, 50, 50));
    assert_eq!(rdb.tag.unwrap().index, Some(77));
    let FoundAof::Log(log) = found.aof else {
        panic!("{:?}", found.aof)
    };
    assert_eq!(log.base.unwrap().len, Some(5));
    let lens: Vec<_> = log.incr.iter().map(|file| file.len).collect();
    assert_eq!(lens, [None, Some(3)]);
    assert_eq!(
        (log.changed_ms, log.modified_ms, log.tag.index),
        (50, 60, Some(9))
    );

    disk.put("/data/log/manifest", b"rubbish");
    disk.put("/data/dump.rdb", b"rubbish");
    disk.put(PathBuf::from("/data").join(FILE_NAME), b"");
    let found = surveyed(&disk);
    assert!(found.lineage.is_err() && found.rdb.unwrap().tag.is_err());
    assert!(matches!(found.aof, FoundAof::BadManifest(_)));
}

#[test]
fn files_without_a_manifest_count_if_they_hold_anything() {
    let disk = SimDisk::new(1);
    disk.put_dir("/data");
    disk.put_dir("/data/log");
    disk.put("/data/log/a.1.incr.aof", b"");
    disk.put("/data/log/temp-rewrite.base.rdb", b"half a base");
    assert!(matches!(surveyed(&disk).aof, FoundAof::Nothing));
    disk.put("/data/log/a.1.base.rdb", b"data");
    assert!(matches!(surveyed(&disk).aof, FoundAof::NoManifest { .. }));
    // The first manifest was about to come.
    disk.put("/data/log/temp-manifest", b"b 1 a.1.base.rdb");
    assert!(matches!(surveyed(&disk).aof, FoundAof::Nothing));
}

#[test]
fn a_disk_that_can_not_be_read_is_an_error_and_no_verdict() {
    use basalt_engine::env::disk::DiskOp;
    for (op, nth) in [(DiskOp::Read, 1), (DiskOp::Stat, 1), (DiskOp::Stat, 2)] {
        let disk = SimDisk::new(1);
        disk.put_dir("/data");
        disk.inject(Fault::on(op, nth, FaultKind::Eio));
        let settings = Settings::default();
        assert!(survey(&disk, Path::new("/data"), "m", &settings, &Simple).is_err());
    }
}
