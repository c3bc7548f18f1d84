use std::ffi::OsStr;

use basalt_formats::rdb::file::{Checksum, Header, Magic};
use basalt_formats::rdb::{ObjectType, Reader};

use super::super::capture;
use super::*;

fn corpus(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../formats/tests/corpus/rdb").join(name)
}

fn convert(input: &Path, output: &Path, options: &[&str]) -> (u8, String, String) {
    let mut args: Vec<&OsStr> = vec!["convert".as_ref(), input.as_os_str(), output.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    capture(&args)
}

/// Header, then database, key, type and body of each key, and the fate of the checksum.
type Content = (Header, Vec<(u64, Vec<u8>, ObjectType, Vec<u8>)>, Checksum);

fn content(file: &Path) -> Content {
    let input = fs::read(file).unwrap();
    let mut reader = FileReader::new(&input).unwrap().keep_modules(true);
    let header = reader.header();
    let (mut db, mut keys) = (0, Vec::new());
    loop {
        match reader.next_record().unwrap() {
            Record::SelectDb(number) => db = number,
            Record::Key(record) => {
                let key = record.key.into_owned();
                keys.push((db, key, record.kind, record.body.to_vec()));
            }
            Record::Eof { checksum, end } => {
                assert_eq!(end, input.len());
                return (header, keys, checksum);
            }
            _ => {}
        }
    }
}

fn only_file(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn to_the_same_version_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (
        corpus("r72-hash-default.rdb"),
        folder.path().join("out.rdb"),
    );
    let (code, out, err) = convert(&input, &output, &[]);
    assert_eq!((code, err.as_str()), (SUCCESS, ""));
    assert!(out.contains(": REDIS0011 for Redis 7.2, "), "{out}");
    assert!(out.contains(" 0 of them in another layout"), "{out}");
    assert_eq!(fs::read(input).unwrap(), fs::read(output).unwrap());
    assert_eq!(only_file(folder.path()), ["out.rdb"]);
}

#[test]
fn every_target_reads_what_is_written_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "crafted-v11.rdb",
        "r72-zset-default.rdb",
        "r2.2.15-types-small.rdb",
        "v81-stream-default.rdb",
    ] {
        let before = content(&corpus(name)).1;
        for target in Target::ALL {
            let output = folder.path().join("out.rdb");
            let (name_of, _) = rdb::TARGETS
                .into_iter()
                .find(|(_, known)| *known == target)
                .unwrap();
            let (code, _, err) = convert(
                &corpus(name),
                &output,
                &["--target", name_of, "--force", "--skip-unsupported"],
            );
            assert_eq!((code, err.as_str()), (SUCCESS, ""), "{name} {target}");
            let (header, after, checksum) = content(&output);
            assert_eq!(header, target.header());
            assert!(matches!(checksum, Checksum::Good(_)));
            assert_eq!(before.len(), after.len());
            for (old, new) in before.iter().zip(&after) {
                assert_eq!((old.0, &old.1), (new.0, &new.1));
                assert_eq!(old.2.name(), new.2.name());
                assert!(target.supports(new.2), "{target} {:?}", new.2);
                assert!(old.2 != new.2 || old.3 == new.3);
            }
        }
    }
}

#[test]
fn uncompressed_and_without_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.rdb");
    for name in [
        "r72-zset-large.rdb",
        "r72-hash-small.rdb",
        "r2.2.15-types-small.rdb",
        "r72-stream-default.rdb",
        "r3.2.13-types-small.rdb",
    ] {
        let options = ["--no-compress", "--no-checksum", "--force"];
        let (code, _, err) = convert(&corpus(name), &output, &options);
        assert_eq!((code, err.as_str()), (SUCCESS, ""));
        let (_, after, checksum) = content(&output);
        assert_eq!(checksum, Checksum::Zero);
        for (old, new) in content(&corpus(name)).1.iter().zip(&after) {
            assert_eq!((&old.1, old.2), (&new.1, new.2));
            // Old servers wrote some strings in other ways than in the shortest.
            assert!(new.3.len() >= old.3.len() || !name.starts_with("r72"));
            if old.2 == ObjectType::String {
                let text = Reader::new(&old.3).string().unwrap().into_owned();
                assert_eq!(Reader::new(&new.3).string().unwrap(), text);
                assert!(new.3.len() >= text.len() || text.len() <= 11);
            }
        }
        // And back: the same compressor, so the same bytes, but for what an old server packed.
        let again = folder.path().join("again.rdb");
        assert_eq!(convert(&output, &again, &["--force"]).0, SUCCESS);
    }
}

#[test]
fn what_exists_stays_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.rdb");
    fs::write(&output, "precious").unwrap();
    let (code, out, err) = convert(&corpus("r72-empty.rdb"), &output, &[]);
    assert_eq!((code, out.as_str()), (FAILURE, ""));
    assert!(err.contains("exists already"), "{err}");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(
        convert(&corpus("r72-empty.rdb"), &output, &["--force"]).0,
        SUCCESS
    );
    assert!(content(&output).1.is_empty());
    // A file onto itself.
    assert_eq!(
        convert(&output, &output, &["--force", "--version", "9"]).0,
        SUCCESS
    );
    let magic = Magic::Redis;
    assert_eq!(content(&output).0, Header { magic, version: 9 });
}

#[test]
fn damage_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.rdb");
    for name in [
        "bad-crc-wrong.rdb",
        "bad-trunc-9.rdb",
        "bad-magic-lower.rdb",
        "bad-zero-bytes.rdb",
    ] {
        let (code, out, err) = convert(&corpus(name), &output, &[]);
        assert_eq!((code, out.as_str()), (FAILURE, ""), "{name}");
        assert!(err.contains(": offset "), "{err}");
        assert!(only_file(folder.path()).is_empty());
    }
}

#[test]
fn what_the_target_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.rdb");
    let functions = corpus("r7.0.15-functions.rdb");
    let (code, out, err) = convert(&functions, &output, &["--target", "redis-6.2"]);
    assert_eq!((code, out.as_str()), (FAILURE, ""));
    assert!(
        err.contains("Redis 6.2 has no functions; --skip-unsupported"),
        "{err}"
    );
    assert!(only_file(folder.path()).is_empty());
    let (code, out, err) = convert(
        &functions,
        &output,
        &["--target", "redis-6.2", "--skip-unsupported"],
    );
    assert_eq!((code, err.as_str()), (SUCCESS, ""));
    assert!(out.contains("left out: offset "), "{out}");
    assert!(out.contains(" 1 left out"), "{out}");
    assert_eq!(content(&output).1.len(), 1);
}

#[test]
fn fields_that_expire_are_not_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.rdb"), folder.path().join("out.rdb"));
    let mut file = b"VALKEY080\xfe\x00\x16\x01h\x02\x01a\x011".to_vec();
    file.extend_from_slice(&(-1i64).to_le_bytes());
    file.extend_from_slice(b"\x01b\x012");
    file.extend_from_slice(&77i64.to_le_bytes());
    file.extend_from_slice(b"\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0");
    fs::write(&input, file).unwrap();
    let (code, _, err) = convert(&input, &output, &["--target", "valkey-8"]);
    assert_eq!(code, FAILURE);
    assert!(
        err.contains("key \"h\" in database 0: Valkey 8 has no expiry times"),
        "{err}"
    );
    let options = ["--target", "valkey-8", "--skip-unsupported"];
    let (code, out, _) = convert(&input, &output, &options);
    assert_eq!(code, SUCCESS);
    assert!(
        out.contains("left out: offset 11, key \"h\" in database 0"),
        "{out}"
    );
    assert_eq!(content(&output).1.len(), 1);
    let options = ["--target", "redis-7.4", "--force"];
    assert_eq!(convert(&input, &output, &options).0, SUCCESS);
    assert_eq!(content(&output).1.len(), 2);
}

#[test]
fn a_wrong_command_line() {
    for options in [
        &["--target", "redis-3"][..],
        &["--version", "13"],
        &["--target", "redis-6", "--version", "9"],
    ] {
        let (code, out, err) = convert(Path::new("a"), Path::new("b"), options);
        assert_eq!((code, out.as_str()), (super::super::USAGE, ""));
        assert!(err.contains("error: "), "{err}");
    }
    let (code, _, err) = convert(Path::new("/nonexistent"), Path::new("b"), &[]);
    assert_eq!(code, FAILURE);
    assert!(err.starts_with("/nonexistent: "), "{err}");
}
