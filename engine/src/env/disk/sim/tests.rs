//! The simulation does every bad thing it is meant to do, and none to what was synced. And it
//! catches the writers that it is there to catch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::env::disk::{publish, replace_file};

const DIR: &str = "/data";
const FILE: &str = "/data/file";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.put_dir(DIR);
    disk
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.create_new(Path::new(path)).unwrap();
    file.append(bytes).unwrap();
    file
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

#[test]
fn what_was_synced_is_there_after_every_crash() {
    for seed in 0..300 {
        let disk = disk(seed);
        let file = create(&disk, FILE, &[7; 1000]);
        file.sync_data().unwrap();
        disk.sync_dir(dir()).unwrap();
        file.append(&[8; 3000]).unwrap();
        disk.crash(Crash::Seeded);
        let found = disk.peek(FILE).unwrap();
        assert_eq!(found[..1000], [7; 1000], "seed {seed}");
        assert!(found.len() <= 4000, "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_comes_back_in_every_shape() {
    let mut shapes = BTreeSet::new();
    for seed in 0..600 {
        let disk = disk(seed);
        let file = create(&disk, FILE, &[7; 100]);
        file.sync_data().unwrap();
        disk.sync_dir(dir()).unwrap();
        file.append(&[8; 3000]).unwrap();
        disk.crash(Crash::Seeded);
        let tail = disk.peek(FILE).unwrap()[100..].to_vec();
        let good = tail.iter().take_while(|byte| **byte == 8).count();
        let rest = &tail[good..];
        let resumes = rest.contains(&8) && rest.iter().all(|byte| [0, 8].contains(byte));
        shapes.insert(match (good, rest) {
            (0, []) => "missing",
            (3000, []) => "whole",
            (_, []) => "cut",
            (_, rest) if rest.iter().all(|byte| *byte == 0) => "zeros behind",
            _ if resumes => "a hole",
            _ => "garbage behind",
        });
    }
    let all = [
        "missing",
        "whole",
        "cut",
        "zeros behind",
        "a hole",
        "garbage behind",
    ];
    assert_eq!(shapes, BTreeSet::from(all));
}

#[test]
fn two_files_come_back_in_any_order() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(seed);
        let paths = ["/data/first", "/data/second"];
        let files = paths.map(|path| create(&disk, path, b""));
        disk.sync_dir(dir()).unwrap();
        files.iter().for_each(|file| file.append(b"x").unwrap());
        disk.crash(Crash::Seeded);
        seen.insert(paths.map(|path| disk.peek(path).unwrap() == b"x"));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_truncation_is_not_durable_before_its_sync() {
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        disk.put(FILE, &[7; 100]);
        let file = disk.open_append(Path::new(FILE)).unwrap();
        file.truncate(50).unwrap();
        if seed % 2 == 0 {
            file.sync_data().unwrap();
        }
        disk.crash(Crash::Seeded);
        lengths.insert((seed % 2, disk.peek(FILE).unwrap().len()));
    }
    assert_eq!(lengths, BTreeSet::from([(0, 50), (1, 50), (1, 100)]));
}

#[test]
fn a_name_needs_the_sync_of_its_directory() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        create(&disk, FILE, b"x").sync_data().unwrap();
        if seed % 2 == 0 {
            disk.sync_dir(dir()).unwrap();
        }
        disk.crash(Crash::Seeded);
        seen.insert((seed % 2, disk.peek(FILE)));
    }
    let there = Some(b"x".to_vec());
    assert_eq!(
        seen,
        BTreeSet::from([(0, there.clone()), (1, there), (1, None)])
    );
}

/// A file whose directory did not survive is not there, synced or not.
#[test]
fn a_directory_is_a_name_too() {
    let disk = disk(1);
    disk.create_dir(Path::new("/data/inner")).unwrap();
    create(&disk, "/data/inner/x", b"x").sync_data().unwrap();
    disk.sync_dir(Path::new("/data/inner")).unwrap();
    disk.crash(Crash::DropAll);
    assert_eq!(disk.peek("/data/inner/x"), None);
    assert_eq!(disk.list(dir()).unwrap(), Vec::<PathBuf>::new());
}

/// Renames the new file into place and removes the old one, without a sync between.
fn swap(disk: &SimDisk) -> [bool; 2] {
    disk.put("/data/old", b"old");
    disk.put("/data/temp", b"new");
    disk.rename(Path::new("/data/temp"), Path::new("/data/new"))
        .unwrap();
    disk.remove(Path::new("/data/old")).unwrap();
    disk.crash(Crash::Seeded);
    ["/data/old", "/data/new"].map(|path| disk.peek(path).is_some())
}

#[test]
fn names_come_back_in_any_order_unless_a_journal_keeps_it() {
    let any: BTreeSet<_> = (0..100).map(|seed| swap(&disk(seed))).collect();
    assert_eq!(any.len(), 4, "{any:?}");
    let journal: BTreeSet<_> = (0..100)
        .map(|seed| swap(&disk(seed).with_name_order(NameOrder::Journal)))
        .collect();
    let in_order = [[true, false], [true, true], [false, true]];
    assert_eq!(journal, BTreeSet::from(in_order));
}

/// The trap: the second sync succeeds, and what the first one lost is gone all the same.
#[test]
fn a_sync_after_a_failed_one_proves_nothing() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"kept ");
    file.sync_data().unwrap();
    disk.sync_dir(dir()).unwrap();
    file.append(b"lost ").unwrap();
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    let error = file.sync_data().unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(5));
    file.append(b"later").unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.peek(FILE).unwrap(), b"kept lost later");
    disk.crash(Crash::KeepAll);
    assert_eq!(disk.peek(FILE).unwrap(), b"kept \0\0\0\0\0later");
}

#[test]
fn lost_pages_may_be_gone_before_any_crash() {
    let read_back = |seed| {
        let disk = disk(seed);
        let file = create(&disk, FILE, b"lost");
        disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
        assert!(file.sync_data().is_err());
        disk.kill();
        disk.peek(FILE).unwrap()
    };
    let seen: BTreeSet<_> = (0..50).map(read_back).collect();
    assert_eq!(seen, BTreeSet::from([b"lost".to_vec(), vec![0; 4]]));
}

#[test]
fn a_failed_sync_of_a_directory_loses_its_names() {
    let disk = disk(1);
    create(&disk, FILE, b"x").sync_data().unwrap();
    disk.inject(Fault::on(DiskOp::SyncDir, 1, FaultKind::Eio));
    assert!(disk.sync_dir(dir()).is_err());
    disk.sync_dir(dir()).unwrap();
    disk.crash(Crash::KeepAll);
    assert_eq!(disk.peek(FILE), None);
}

#[test]
fn a_kill_loses_nothing_and_ends_open_files() {
    for seed in 0..20 {
        let disk = disk(seed);
        let file = create(&disk, FILE, b"written");
        disk.kill();
        assert_eq!(disk.peek(FILE).unwrap(), b"written");
        assert!(file.append(b"x").is_err() && file.sync_data().is_err());
        assert!(file.truncate(0).is_err() && file.len().is_err());
        disk.crash(Crash::DropAll);
        assert_eq!(disk.peek(FILE), None);
    }
}

#[test]
fn the_kth_call_fails_and_only_that() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"");
    disk.inject(Fault::on(DiskOp::Append, 2, FaultKind::Eio));
    assert_eq!(disk.faults_waiting(), 1);
    file.append(b"a").unwrap();
    file.sync_data().unwrap();
    let failed = file.append(b"b").unwrap_err();
    assert_eq!((failed.written, disk.faults_waiting()), (0, 0));
    file.append(b"c").unwrap();
    assert_eq!(disk.peek(FILE).unwrap(), b"ac");

    disk.inject(Fault::nth(2, FaultKind::NoSpace).onwards());
    let changes = disk.changes();
    disk.len(Path::new(FILE)).unwrap();
    file.append(b"d").unwrap();
    for _ in 0..3 {
        assert!(file.truncate(0).unwrap_err().is_full());
    }
    assert!(disk.rename(Path::new(FILE), Path::new("/data/x")).is_err());
    assert_eq!(disk.changes() - changes, 5);
    disk.clear_faults();
    file.append(b"e").unwrap();
    assert_eq!(disk.peek(FILE).unwrap(), b"acde");

    disk.inject(Fault::on(DiskOp::Read, 1, FaultKind::Eio));
    assert!(disk.read(Path::new(FILE), 10).is_err());
    disk.inject(Fault::on(DiskOp::Open, 1, FaultKind::Eio));
    assert!(disk.open_append(Path::new(FILE)).is_err());
    disk.inject(Fault::on(DiskOp::Create, 1, FaultKind::Eio));
    assert!(disk.create_new(Path::new("/data/y")).is_err());
    assert!(disk.peek("/data/y").is_none());
}

#[test]
fn a_short_write_says_how_much_it_wrote() {
    let mut written = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        let file = create(&disk, FILE, b"");
        disk.inject(Fault::on(DiskOp::Append, 1, FaultKind::Short));
        let failed = file.append(b"12345678").unwrap_err();
        assert!(failed.error.is_full());
        assert_eq!(disk.peek(FILE).unwrap(), b"12345678"[..failed.written]);
        written.insert(failed.written);
        file.truncate(0).unwrap();
        file.append(b"again").unwrap();
        assert_eq!(disk.peek(FILE).unwrap(), b"again");
    }
    assert!(written.len() > 5, "{written:?}");
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"");
    disk.put("/data/other", &[0; 60]);
    disk.set_capacity(Some(100));
    let failed = file.append(&[1; 50]).unwrap_err();
    assert_eq!((failed.written, failed.error.is_full()), (40, true));
    assert_eq!(file.append(b"x").unwrap_err().written, 0);
    disk.remove(Path::new("/data/other")).unwrap();
    file.append(&[1; 60]).unwrap();
    disk.set_capacity(Some(10));
    assert!(file.append(b"x").is_err());
    disk.set_capacity(None);
    file.append(b"x").unwrap();
    assert_eq!(file.len().unwrap(), 101);
}

#[test]
fn after_a_power_cut_nothing_works_until_the_crash() {
    let mut survived = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        disk.put("/data/temp", b"new");
        let (temp, path) = (Path::new("/data/temp"), Path::new(FILE));
        disk.inject(Fault::on(DiskOp::Rename, 1, FaultKind::PowerCut));
        assert!(disk.rename(temp, path).is_err());
        assert!(!disk.is_powered());
        assert!(disk.create_new(path).is_err() && disk.stat(path).is_err());
        assert!(disk.sync_dir(dir()).is_err() && disk.list(dir()).is_err());
        disk.crash(Crash::Seeded);
        assert!(disk.is_powered());
        survived.insert(disk.stat(path).unwrap().is_some());
    }
    assert_eq!(
        survived.len(),
        2,
        "a call in which the power goes may have had its effect"
    );
}

#[test]
fn a_power_cut_in_a_sync_makes_nothing_durable() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"x");
    disk.sync_dir(dir()).unwrap();
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::PowerCut));
    assert!(file.sync_data().is_err());
    assert_eq!(disk.peek_durable(FILE).unwrap(), b"");
}

#[test]
fn a_slow_sync_covers_what_came_before_it() {
    let disk = disk(1);
    let file = Arc::new(create(&disk, FILE, b"before"));
    let (during, calls) = (Arc::downgrade(&file), Arc::new(AtomicU64::new(0)));
    let seen = calls.clone();
    disk.on_sync(move |path| {
        assert_eq!(path, Path::new(FILE));
        seen.fetch_add(1, Ordering::Relaxed);
        during.upgrade().unwrap().append(b" during").unwrap();
    });
    file.sync_data().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(disk.peek_durable(FILE).unwrap(), b"before");
    assert_eq!(disk.peek(FILE).unwrap(), b"before during");
}

#[test]
fn the_same_seed_gives_the_same_crash() {
    let run = |seed| {
        let disk = disk(seed);
        for path in ["/data/a", "/data/b", "/data/c"] {
            create(&disk, path, &[9; 2000]);
        }
        disk.crash(Crash::Seeded);
        (
            disk.peek("/data/a"),
            disk.peek("/data/b"),
            disk.peek("/data/c"),
        )
    };
    assert!((0..50).all(|seed| run(seed) == run(seed)));
    let different: BTreeSet<_> = (0..50).map(run).collect();
    assert!(different.len() > 20);
}

#[test]
fn the_trace_tells_what_was_called() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"abc");
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    assert!(file.sync_data().is_err());
    disk.kill();
    let trace = disk.trace();
    for line in [
        "#1 create /data/file\n",
        "#2 append to /data/file\n",
        "#3 fsync /data/file -> Eio\n",
        "--- kill ---\n",
        "/data/file: 3 bytes, 0 synced\n",
    ] {
        assert!(trace.contains(line), "{line} is not in\n{trace}");
    }
}

#[test]
fn times_tell_writing_from_placing() {
    let disk = disk(1);
    let times = || {
        let meta = disk.stat(Path::new(FILE)).unwrap().unwrap();
        (meta.modified_ms, meta.changed_ms)
    };
    disk.set_clock_ms(100);
    create(&disk, "/data/temp", b"x");
    disk.set_clock_ms(200);
    disk.rename(Path::new("/data/temp"), Path::new(FILE))
        .unwrap();
    assert_eq!(times(), (100, 200));
}

/// A way to replace a file, with the content it is to have.
type Replace = fn(&SimDisk, &[u8]) -> Result<()>;

const OLD: &[u8] = &[1; 900];
const NEW: &[u8] = &[2; 1500];

/// Cuts the power in every call of `replace` and behind it, with many seeds, and looks what is
/// there. How often it is neither the old file nor the new one, or the old one after success.
fn bad_outcomes(replace: Replace) -> u64 {
    let mut bad = 0;
    for seed in 0..60 {
        for nth in 1.. {
            let disk = disk(seed);
            disk.put(FILE, OLD);
            disk.inject(Fault::nth(nth, FaultKind::PowerCut));
            let done = replace(&disk, NEW).is_ok();
            let last = disk.faults_waiting() > 0;
            disk.crash(Crash::Seeded);
            let found = disk.peek(FILE);
            let good = match found.as_deref() {
                Some(bytes) if bytes == NEW => true,
                Some(bytes) => bytes == OLD && !done,
                None => false,
            };
            bad += u64::from(!good);
            if last {
                break;
            }
        }
    }
    bad
}

fn without_sync_of_the_file(disk: &SimDisk, bytes: &[u8]) -> Result<()> {
    let temp = Path::new("/data/temp");
    disk.create_new(temp)?
        .append(bytes)
        .map_err(|failed| failed.error)?;
    publish(disk, temp, Path::new(FILE))
}

fn without_sync_of_the_directory(disk: &SimDisk, bytes: &[u8]) -> Result<()> {
    let temp = Path::new("/data/temp");
    let file = disk.create_new(temp)?;
    file.append(bytes).map_err(|failed| failed.error)?;
    file.sync_data()?;
    disk.rename(temp, Path::new(FILE))
}

fn in_place(disk: &SimDisk, bytes: &[u8]) -> Result<()> {
    let file = disk.open_append(Path::new(FILE))?;
    file.truncate(0)?;
    file.append(bytes).map_err(|failed| failed.error)?;
    file.sync_data()
}

#[test]
fn naive_writers_are_caught_and_the_careful_one_is_not() {
    assert!(bad_outcomes(without_sync_of_the_file) > 20);
    assert!(bad_outcomes(without_sync_of_the_directory) > 20);
    assert!(bad_outcomes(in_place) > 20);
    assert_eq!(
        bad_outcomes(|disk, bytes| replace_file(disk, Path::new(FILE), bytes)),
        0
    );
}

/// Every call fails once: the old file or the new one is there, and trying again succeeds.
#[test]
fn replacing_a_file_survives_every_error() {
    for kind in [FaultKind::Eio, FaultKind::NoSpace, FaultKind::Short] {
        for nth in 1.. {
            let disk = disk(nth);
            disk.put(FILE, OLD);
            disk.inject(Fault::nth(nth, kind));
            let first = replace_file(&disk, Path::new(FILE), NEW);
            if disk.faults_waiting() > 0 {
                assert!(nth > 5, "only {nth} calls");
                break;
            }
            let found = disk.peek(FILE).unwrap();
            assert!(found == OLD || found == NEW);
            // Only removing what an earlier attempt left is allowed to fail unnoticed.
            assert!(first.is_err(), "{}", disk.trace());
            replace_file(&disk, Path::new(FILE), NEW).unwrap();
            disk.crash(Crash::DropAll);
            assert_eq!(disk.peek(FILE).unwrap(), NEW, "{}", disk.trace());
        }
    }
}

/// A log writer that takes a failed sync for one that can be repeated loses what it acknowledged.
#[test]
fn a_writer_that_syncs_again_is_caught() {
    let disk = disk(1);
    let file = create(&disk, FILE, b"");
    disk.sync_dir(dir()).unwrap();
    disk.inject(Fault::on(DiskOp::Sync, 2, FaultKind::Eio));
    let mut acknowledged = Vec::new();
    for record in [b"one ", b"two ", b"six "] {
        file.append(record).unwrap();
        while file.sync_data().is_err() {}
        acknowledged.extend_from_slice(record);
    }
    disk.crash(Crash::KeepAll);
    assert_ne!(disk.peek(FILE).unwrap(), acknowledged);
}
