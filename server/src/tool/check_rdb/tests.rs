use std::ffi::OsStr;
use std::path::PathBuf;

use super::super::capture;
use super::*;

fn corpus(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../formats/tests/corpus/rdb").join(name)
}

fn check(file: &Path, options: &[&str]) -> (u8, String) {
    let mut args: Vec<&OsStr> = vec!["check-rdb".as_ref(), file.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    let (code, out, err) = capture(&args);
    assert_eq!(err, "");
    (code, out.replace(&file.display().to_string(), "FILE"))
}

fn check_bytes(bytes: &[u8], options: &[&str]) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    std::fs::write(&file, bytes).unwrap();
    check(&file, options)
}

#[test]
fn a_good_file_is_described() {
    let (code, out) = check(&corpus("crafted-int-aux.rdb"), &[]);
    let expected = "FILE: REDIS0011, 47 bytes\n  \"ctime\" = \"123456\"\n  \"n\" = \"-3\"\n";
    assert_eq!(code, SUCCESS, "{out}");
    assert!(
        out.starts_with("FILE: REDIS0011, 47 bytes\n"),
        "{expected}{out}"
    );
    assert!(out.contains("database 0: 1 keys, 0 that expire"), "{out}");
    assert!(out.contains("checksum: good\n"), "{out}");
    assert!(out.ends_with("FILE: ok, 1 keys\n"), "{out}");
}

#[test]
fn expiry_databases_and_functions_are_counted() {
    let (code, out) = check(&corpus("r72-multidb.rdb"), &["--json"]);
    assert_eq!(code, SUCCESS, "{out}");
    assert!(
        out.contains("\"ok\":true") && out.contains("{\"db\":15,"),
        "{out}"
    );
    let (code, out) = check(&corpus("r7.0.15-functions.rdb"), &[]);
    assert_eq!(code, SUCCESS, "{out}");
    assert!(out.contains("libraries of functions: 1\n"), "{out}");
    let (code, out) = check(&corpus("r7.0.15-functions.rdb"), &["--target", "redis-6.2"]);
    assert_eq!(code, FAILURE);
    assert!(out.contains("not for Redis 6.2: offset "), "{out}");
    assert!(
        out.contains("note: Redis 6.2 reads REDIS0009 and does not read REDIS0010"),
        "{out}"
    );
}

#[test]
fn damage_has_offset_key_and_cause() {
    let (code, out) = check(&corpus("bad-dup-hash.rdb"), &[]);
    assert_eq!(code, FAILURE);
    let last = out.lines().last().unwrap_or_default();
    assert!(last.starts_with("FILE: damaged: offset "), "{out}");
    assert!(last.contains("key \"h\" in database 0: "), "{out}");
    let (code, out) = check(&corpus("bad-crc-wrong.rdb"), &["--json"]);
    assert_eq!(code, FAILURE);
    assert!(
        out.contains("\"ok\":false") && out.contains("checksum expected"),
        "{out}"
    );
    let (code, out) = check(&corpus("bad-dup-key.rdb"), &[]);
    assert_eq!(code, FAILURE);
    assert!(out.contains("the key comes twice"), "{out}");
    let (code, out) = check(&corpus("bad-magic-lower.rdb"), &[]);
    assert_eq!(
        (code, out.as_str()),
        (
            FAILURE,
            "checksum: not reached\nFILE: damaged: offset 0: Wrong signature trying to load DB from file\n"
        )
    );
}

#[test]
fn damage_in_one_value_does_not_end_the_reading() {
    // Two sets that hold an element twice, and a good string, without a checksum.
    let file = b"REDIS0011\xfe\x00\x02\x01a\x02\x01x\x01x\x02\x01b\x02\x01x\x01x\x00\x01c\x01v\xff\0\0\0\0\0\0\0\0";
    let (code, out) = check_bytes(file, &[]);
    assert_eq!(code, FAILURE);
    assert!(out.contains("database 0: 3 keys"), "{out}");
    assert!(out.contains("damaged: offset 19, key \"a\""), "{out}");
    assert!(out.ends_with("FILE: 1 more values are damaged\n"), "{out}");
}

#[test]
fn modules_are_no_damage_but_do_not_load() {
    let (code, out) = check(&corpus("r72-module-datatype.rdb"), &[]);
    assert_eq!(code, FAILURE);
    assert!(out.contains("not for this server: offset "), "{out}");
    assert!(!out.contains("damaged"), "{out}");
}

#[test]
fn a_cut_file_names_the_key() {
    let (code, out) = check_bytes(b"REDIS0011\xfe\x00\xf9\x05\x00\x03key\x20abc", &[]);
    assert_eq!(code, FAILURE);
    assert!(
        out.contains("damaged: offset 19, key \"key\" in database 0: "),
        "{out}"
    );
    assert!(out.contains("checksum: not reached"), "{out}");
}

#[test]
fn no_file() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let (code, out, err) = capture(&["check-rdb".as_ref(), none.as_os_str()]);
    assert_eq!((code, out.as_str()), (FAILURE, ""));
    assert!(err.contains("No such file"), "{err}");
}

/// Small files with many kinds of values, all with a checksum.
const SMALL: [&str; 3] = [
    "r72-expiry.rdb",
    "r7.0.15-expiry.rdb",
    "r5.0.14-evict-allkeys-lru.rdb",
];

#[test]
fn cut_anywhere_a_file_is_bad() {
    for name in SMALL {
        let input = std::fs::read(corpus(name)).unwrap();
        assert!(examine(&input, None, 0).is_good(), "{name}");
        for end in 0..input.len() {
            assert!(
                !examine(&input[..end], None, 0).is_good(),
                "{name} up to {end}"
            );
        }
    }
}

/// Whoever repairs the checksum may have any values loaded, but nothing else may happen.
#[test]
fn flipped_bits_are_found_or_harmless() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for name in SMALL {
        let input = std::fs::read(corpus(name)).unwrap();
        let content = input.len() - 8;
        let mut good = 0;
        for _ in 0..2000 {
            let mut damaged = input.clone();
            damaged[random(input.len())] ^= 1 << random(8);
            assert!(!examine(&damaged, None, 0).is_good(), "{name}");
            let sum = basalt_formats::crc64::crc64(0, &damaged[..content]);
            damaged[content..].copy_from_slice(&sum.to_le_bytes());
            for target in [None, Some(Target::Redis5)] {
                good += usize::from(examine(&damaged, target, 0).is_good());
            }
        }
        assert!(good > 0 && good < 4000, "{name}: {good}");
    }
}
