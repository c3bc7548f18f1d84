//! What every disk must do, run on the real one and on the simulated one.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::*;

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let names = disk.list(dir).unwrap();
    let text = |name: &PathBuf| name.to_str().unwrap().to_owned();
    names.iter().map(text).collect()
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => error.source.kind(),
    }
}

fn contract(disk: &dyn Disk, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    assert_eq!(names(disk, dir), Vec::<String>::new());
    assert!(disk.stat(dir).unwrap().unwrap().is_dir);

    assert_eq!(kind(disk.open_append(&a)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open_read(&a)), ErrorKind::NotFound);
    assert_eq!(kind(disk.len(&a)), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(&a)), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(&a, &b)), ErrorKind::NotFound);
    assert_eq!(disk.stat(&a).unwrap(), None);
    disk.remove_if_there(&a).unwrap();

    let file = disk.create_new(&a).unwrap();
    assert_eq!(kind(disk.create_new(&a)), ErrorKind::AlreadyExists);
    assert!(file.is_empty().unwrap());
    file.append(b"hello ").unwrap();
    file.append(b"").unwrap();
    file.append(b"world").unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 11);
    file.truncate(5).unwrap();
    file.append(b"!").unwrap();
    drop(file);
    let file = disk.open_append(&a).unwrap();
    file.append(b"?").unwrap();
    assert_eq!(disk.read(&a, 7).unwrap(), b"hello!?");
    assert_eq!(kind(disk.read(&a, 6)), ErrorKind::InvalidData);
    assert_eq!(disk.len(&a).unwrap(), 7);

    assert_eq!(disk.read_range(&a, 1, 3).unwrap(), b"ell");
    assert_eq!(disk.read_range(&a, 5, 100).unwrap(), b"!?");
    assert_eq!(disk.read_range(&a, 7, 1).unwrap(), b"");
    assert_eq!(disk.read_range(&a, u64::MAX / 2, 1).unwrap(), b"");
    let mut whole = Vec::new();
    disk.open_read(&a).unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!(whole, b"hello!?");

    disk.create_new(&b).unwrap().append(b"old").unwrap();
    disk.rename(&a, &b).unwrap();
    assert_eq!(names(disk, dir), ["b"]);
    file.append(b" renamed").unwrap();
    assert_eq!(disk.read(&b, 100).unwrap(), b"hello!? renamed");
    disk.truncate(&b, 2).unwrap();
    disk.rename(&b, &b).unwrap();
    assert_eq!(disk.read(&b, 100).unwrap(), b"he");
    disk.remove(&b).unwrap();
    assert_eq!(disk.stat(&b).unwrap(), None);

    let inner = dir.join("inner");
    assert_eq!(kind(disk.create_new(&inner.join("x"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.list(&inner)), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir(&inner)), ErrorKind::NotFound);
    assert_eq!(kind(disk.create_dir(&inner.join("x"))), ErrorKind::NotFound);
    disk.create_dir(&inner).unwrap();
    disk.create_dir(&inner).unwrap();
    disk.create_new(&inner.join("x")).unwrap();
    assert_eq!(names(disk, dir), ["inner"]);
    assert_eq!(names(disk, &inner), ["x"]);
    assert_eq!(
        kind(disk.create_dir(&inner.join("x"))),
        ErrorKind::AlreadyExists
    );
    disk.sync_dir(dir).unwrap();

    let small = inner.join("small");
    disk.create_new(&inner.join("temp-small")).unwrap();
    replace_file(disk, &small, b"one").unwrap();
    replace_file(disk, &small, b"second").unwrap();
    assert_eq!(disk.read(&small, 100).unwrap(), b"second");
    assert_eq!(names(disk, &inner), ["small", "x"]);
}

#[test]
fn real_disk() {
    let dir = tempfile::tempdir().unwrap();
    contract(&RealDisk, dir.path());
}

#[test]
fn simulated_disk() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        disk.put_dir("/data");
        contract(&disk, Path::new("/data"));
    }
}

#[test]
fn real_errors_name_the_call_and_the_file() {
    let error = RealDisk.len(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(error.is_not_found() && !error.is_full());
    let text = error.to_string();
    assert!(text.starts_with("can't stat '/nowhere/at/all': "), "{text}");
}

#[test]
fn a_real_file_knows_when_it_came_to_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis() as u64;
    RealDisk.create_new(&path).unwrap();
    let changed = RealDisk.stat(&path).unwrap().unwrap().changed_ms;
    assert!(changed.abs_diff(now) < 60_000, "{changed} {now}");
}

/// `/dev/full` refuses every byte.
#[test]
fn a_full_real_disk_says_so() {
    let path = Path::new("/dev/full");
    if !path.exists() {
        return;
    }
    let failed = RealDisk
        .open_append(path)
        .unwrap()
        .append(b"x")
        .unwrap_err();
    assert_eq!(failed.written, 0);
    assert!(failed.error.is_full());
    let text = failed.to_string();
    assert!(text.contains("append to '/dev/full'"), "{text}");
}

#[test]
fn one_thread_appends_while_another_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let file = RealDisk.create_new(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| file.sync_data().unwrap()));
        (0..100).for_each(|_| file.append(b"0123456789").unwrap());
    });
    assert_eq!(file.len().unwrap(), 1000);
}
