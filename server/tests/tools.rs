//! The tools on RDB files, run as programs on every file of the corpus.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/corpus");

/// Files that the tool judges otherwise than Redis 7.2.4 loads them, and why.
const OTHERWISE: &[(&str, bool, &str)] = &[
    (
        "r72-db299.rdb",
        true,
        "how many databases there are is the server's affair",
    ),
    ("v81-db299.rdb", true, "likewise"),
    ("bad-selectdb-16.rdb", true, "likewise"),
    (
        "bad-fn-syntax.rdb",
        true,
        "the source of libraries is not compiled",
    ),
    ("bad-magic-valkey.rdb", true, "a file of Valkey 9"),
    ("bad-lp-zset-nan.rdb", false, "a score that is no number"),
];

/// The files, and whether Redis loads each.
fn files() -> Vec<(PathBuf, bool)> {
    let manifest = std::fs::read_to_string(format!("{CORPUS}/MANIFEST.tsv")).expect("a manifest");
    let rows = manifest.lines().filter(|row| row.starts_with("rdb/"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        (
            Path::new(CORPUS).join(columns[0]),
            columns[9].starts_with("loads"),
        )
    })
    .collect()
}

fn basalt(args: &[&str], files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_basalt"))
        .args(args)
        .args(files)
        .output()
        .expect("the tool runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_file_is_judged_as_redis_does() {
    let files = files();
    assert!(files.len() > 150);
    for (file, loads) in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let other = OTHERWISE.iter().find(|(known, ..)| *known == name);
        let expected = other.map_or(loads, |(_, good, _)| *good);
        let output = basalt(&["check-rdb"], &[&file]);
        let out = text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(i32::from(!expected)),
            "{name}:\n{out}{}",
            text(&output.stderr)
        );
        let last = out.lines().last().unwrap_or_default();
        match expected {
            true => assert!(last.contains(": ok, "), "{name}: {last}"),
            false => assert!(out.contains(": offset "), "{name}: {out}"),
        }
    }
}

#[test]
fn every_good_file_converts_and_stays_good() {
    let folder = tempfile::tempdir().expect("a directory");
    let output = folder.path().join("out.rdb");
    for (file, loads) in files() {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        if !loads || OTHERWISE.iter().any(|(known, ..)| *known == name) {
            continue;
        }
        for target in ["redis-5", "valkey-8"] {
            let options = [
                "convert",
                "--force",
                "--skip-unsupported",
                "--target",
                target,
            ];
            let done = basalt(&options, &[&file, &output]);
            assert_eq!(
                done.status.code(),
                Some(0),
                "{name}: {}",
                text(&done.stderr)
            );
            let out = text(&done.stdout);
            for left_out in out.lines().filter(|line| line.starts_with("left out: ")) {
                assert!(
                    left_out.ends_with("Redis 5 has no functions")
                        || left_out.ends_with("collection without elements"),
                    "{name}: {left_out}"
                );
            }
            let checked = basalt(&["check-rdb", "--target", target], &[&output]);
            assert_eq!(
                checked.status.code(),
                Some(0),
                "{name} for {target}: {}",
                text(&checked.stdout)
            );
        }
    }
}

#[test]
fn a_link_with_the_name_of_redis() {
    let folder = tempfile::tempdir().expect("a directory");
    let link = folder.path().join("redis-check-rdb");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_basalt"), &link).expect("a link");
    for (name, code) in [("crafted-v1.rdb", 0), ("bad-crc-wrong.rdb", 1)] {
        let file = Path::new(CORPUS).join("rdb").join(name);
        let status = Command::new(&link)
            .arg(file)
            .output()
            .expect("it runs")
            .status;
        assert_eq!(status.code(), Some(code), "{name}");
    }
}
