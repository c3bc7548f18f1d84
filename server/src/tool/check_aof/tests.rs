//! The tool on files of ours, of Redis, and broken ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{BatchWriter, Header, Lineage, Manifest, Part, annotation};
use clap::Parser;

use super::super::USAGE;
use super::*;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// Runs the tool on `path` in `folder`; the folder's name is left out of the text.
fn tool(folder: &Path, args: &[&str], path: &str, answer: &str) -> (u8, String) {
    let path = folder.join(path);
    let args = std::iter::once("check-aof".into())
        .chain(args.iter().map(std::ffi::OsString::from))
        .chain([path.into_os_string()]);
    let cli = Cli::try_parse_from(args).unwrap_or_else(|error| panic!("{error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&cli.options, &mut answer.as_bytes(), &mut out, &mut err).unwrap();
    let text = String::from_utf8(out).unwrap();
    (code, text.replace(&format!("{}/", folder.display()), ""))
}

fn command(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let args: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    format!("*{}\r\n{args}", words.len())
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn header(seq: u64, first: u64, prev: u32) -> Header {
    Header {
        part: Part::Incr,
        lineage: Lineage([0xab; 16]),
        seq,
        first,
        time_ms: 1_700_000_000_000,
        prev,
    }
}

/// Three batches in databases 0, 1 and 1, and where each ends.
fn sealed(writer: &mut BatchWriter) -> (Vec<u8>, Vec<usize>) {
    let mut file = Vec::new();
    let mut ends = Vec::new();
    let batches = [
        &["SET a 1"][..],
        &["SELECT 1", "MULTI", "SET b 2", "EXEC"],
        &["SET c 3"],
    ];
    for (number, batch) in batches.iter().enumerate() {
        for words in *batch {
            let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            writer.append(&args);
        }
        writer.close(1_700_000_000_000 + 1000 * number as u64);
        file.extend_from_slice(&writer.take());
        ends.push(file.len());
    }
    (file, ends)
}

#[test]
fn a_single_file() {
    let aof = command("SET foo hello") + &command("SET bar world");
    let folder = folder(&[("x.aof", aof.as_bytes()), ("empty.aof", b"")]);
    let text = "Start checking Old-Style AOF\n\
                AOF analyzed: filename=x.aof, size=66, ok_up_to=66, ok_up_to_line=15, diff=0\n\
                AOF x.aof is valid\n";
    assert_eq!(
        tool(folder.path(), &[], "x.aof", ""),
        (SUCCESS, text.into())
    );
    assert_eq!(
        tool(folder.path(), &[], "empty.aof", ""),
        (
            SUCCESS,
            "Start checking Old-Style AOF\nAOF empty.aof is empty\n".into()
        )
    );
    let (code, text) = tool(folder.path(), &[], "none.aof", "");
    assert_eq!(
        (code, text.as_str()),
        (
            FAILURE,
            "Cannot open file none.aof: No such file or directory (os error 2), aborting...\n"
        )
    );
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let aof = command("SET foo hello") + "!!!";
    let folder = folder(&[("x.aof", aof.as_bytes())]);
    let found = "Start checking Old-Style AOF\n\
                 Damaged at offset 33 (0x21), command number 2: expected *, found byte 0x21 at offset 33, in the record that \
                 begins at offset 33\nNothing whole was found behind it\n\
                 AOF analyzed: filename=x.aof, size=36, ok_up_to=33, ok_up_to_line=8, diff=3\n";
    let (code, text) = tool(folder.path(), &[], "x.aof", "");
    assert_eq!(
        (code, text),
        (
            FAILURE,
            format!("{found}AOF x.aof is not valid. Use the --fix option to try fixing it.\n")
        )
    );
    let asked = "This will shrink the AOF x.aof from 36 bytes, with 3 bytes, to 33 bytes\nContinue? [y/N]: ";
    for answer in ["", "n\n", "\n"] {
        let (code, text) = tool(folder.path(), &["--fix"], "x.aof", answer);
        assert_eq!(
            (code, text),
            (FAILURE, format!("{found}{asked}Aborting...\n"))
        );
    }
    assert_eq!(names(folder.path()), ["x.aof"]);
    let (code, text) = tool(folder.path(), &["--fix"], "x.aof", "y\n");
    let done =
        "The 3 bytes that were cut off are in x.aof.cut-33\nSuccessfully truncated AOF x.aof\n";
    assert_eq!((code, text), (SUCCESS, format!("{found}{asked}{done}")));
    assert_eq!(
        fs::read(folder.path().join("x.aof.cut-33")).unwrap(),
        b"!!!"
    );
    assert_eq!(
        fs::read(folder.path().join("x.aof")).unwrap(),
        command("SET foo hello").as_bytes()
    );
    assert_eq!(tool(folder.path(), &["--fix"], "x.aof", "").0, SUCCESS);
    // What was kept before is not overwritten.
    fs::write(folder.path().join("x.aof"), aof.replace("!!!", "*3\r\n")).unwrap();
    let (code, text) = tool(folder.path(), &["--fix", "--yes"], "x.aof", "");
    assert_eq!(code, SUCCESS);
    assert!(text.contains("are in x.aof.cut-33.1\n"), "{text}");
    assert_eq!(
        fs::read(folder.path().join("x.aof.cut-33.1")).unwrap(),
        b"*3\r\n"
    );
}

#[test]
fn damage_in_the_middle_is_not_cut_away() {
    let first = command("SET foo hello");
    let aof = format!("{first}garbage\r\n{}", command("SET bar world"));
    let folder = folder(&[("x.aof", aof.as_bytes())]);
    let (code, text) = tool(folder.path(), &["--fix", "--yes"], "x.aof", "");
    assert_eq!(code, FAILURE);
    assert!(
        text.contains("The next whole command behind it begins at offset 42\n"),
        "{text}"
    );
    assert!(
        text.ends_with("or --discard-after-damage to cut nevertheless.\n"),
        "{text}"
    );
    assert_eq!(
        fs::read(folder.path().join("x.aof")).unwrap(),
        aof.as_bytes()
    );

    let out = folder.path().join("out.aof");
    let salvage = ["--salvage", out.to_str().unwrap()];
    let (code, text) = tool(folder.path(), &salvage, "x.aof", "");
    assert_eq!(code, SUCCESS);
    assert!(text.contains("Salvaged 2 commands into out.aof: 0 with a checksum, 2 without. 9 bytes were left out.\n"), "{text}");
    assert!(
        text.contains("1 commands may belong to another database"),
        "{text}"
    );
    assert_eq!(
        fs::read(&out).unwrap(),
        (first.clone() + &command("SET bar world")).as_bytes()
    );
    // It is not written twice.
    let (code, text) = tool(folder.path(), &salvage, "x.aof", "");
    assert_eq!(
        (code, text.contains("Cannot write out.aof: File exists")),
        (FAILURE, true),
        "{text}"
    );

    let (code, _) = tool(
        folder.path(),
        &["--fix", "--yes", "--discard-after-damage"],
        "x.aof",
        "",
    );
    assert_eq!(code, SUCCESS);
    assert_eq!(
        fs::read(folder.path().join("x.aof")).unwrap(),
        first.as_bytes()
    );
}

const MANIFEST: &str = "file appendonly.aof.1.base.aof seq 1 type b\n\
                        file appendonly.aof.1.incr.aof seq 1 type h\n\
                        file appendonly.aof.2.incr.aof seq 2 type i\n";

#[test]
fn a_manifest_and_its_folder() {
    let one = command("SET foo hello");
    let folder = folder(&[
        ("appendonlydir/appendonly.aof.manifest", MANIFEST.as_bytes()),
        ("appendonlydir/appendonly.aof.1.base.aof", one.as_bytes()),
        ("appendonlydir/appendonly.aof.2.incr.aof", one.as_bytes()),
    ]);
    let text = "Start checking Multi Part AOF\n\
        Start to check BASE AOF (RESP format).\n\
        AOF analyzed: filename=appendonly.aof.1.base.aof, size=33, ok_up_to=33, ok_up_to_line=8, diff=0\n\
        BASE AOF appendonly.aof.1.base.aof is valid\n\
        Start to check INCR files.\n\
        AOF analyzed: filename=appendonly.aof.2.incr.aof, size=33, ok_up_to=33, ok_up_to_line=8, diff=0\n\
        INCR AOF appendonly.aof.2.incr.aof is valid\n\
        All AOF files and manifest are valid\n";
    for path in ["", "appendonlydir", "appendonlydir/appendonly.aof.manifest"] {
        assert_eq!(
            tool(folder.path(), &[], path, ""),
            (SUCCESS, text.into()),
            "{path}"
        );
    }
    // Only the last file may be cut.
    let base = folder
        .path()
        .join("appendonlydir/appendonly.aof.1.base.aof");
    fs::write(&base, one.clone() + &command("MULTI")).unwrap();
    let (code, text) = tool(folder.path(), &["--fix", "--yes"], "", "");
    assert_eq!(code, FAILURE);
    assert!(
        text.contains("Reached EOF before reading EXEC for MULTI\n"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "Failed to truncate AOF appendonly.aof.1.base.aof because it is not the last file\n"
        ),
        "{text}"
    );
    fs::write(&base, &one).unwrap();
    fs::write(
        folder
            .path()
            .join("appendonlydir/appendonly.aof.2.incr.aof"),
        one.clone() + "*3\r\n$3\r\nSE",
    )
    .unwrap();
    let (code, text) = tool(folder.path(), &["--fix", "--yes"], "", "");
    assert_eq!(
        (code, text.contains("Successfully truncated AOF")),
        (SUCCESS, true),
        "{text}"
    );
    assert_eq!(names(&folder.path().join("appendonlydir")).len(), 4);
    fs::remove_file(base).unwrap();
    let (code, text) = tool(folder.path(), &[], "", "");
    assert_eq!(
        (
            code,
            text.contains("Cannot open file appendonlydir/appendonly.aof.1.base.aof")
        ),
        (FAILURE, true)
    );
}

#[test]
fn a_broken_manifest() {
    let folder = folder(&[
        ("x.manifest", b"file a seq 1 type q\n"),
        ("y.manifest", b""),
    ]);
    let text = "\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 1\n\
                >>> 'file a seq 1 type q'\nUnknown AOF file type\n";
    assert_eq!(
        tool(folder.path(), &[], "x.manifest", ""),
        (FAILURE, text.into())
    );
    let (code, text) = tool(folder.path(), &[], "y.manifest", "");
    assert_eq!(
        (code, text.ends_with("Found an empty AOF manifest\n")),
        (FAILURE, true),
        "{text}"
    );
    let (code, text) = tool(folder.path(), &[], "", "");
    assert_eq!(
        (code, text.as_str()),
        (
            FAILURE,
            "There is more than one manifest: x.manifest and y.manifest\n"
        )
    );
    fs::remove_file(folder.path().join("x.manifest")).unwrap();
    fs::remove_file(folder.path().join("y.manifest")).unwrap();
    assert!(
        tool(folder.path(), &[], "", "")
            .1
            .starts_with("There is no manifest and no appendonly.aof in ")
    );
    fs::write(folder.path().join("appendonly.aof"), command("PING")).unwrap();
    assert_eq!(tool(folder.path(), &[], "", "").0, SUCCESS);
}

#[test]
fn cut_at_a_time() {
    let aof = [
        "#TS:1628217470\r\n",
        &command("SET foo1 bar1"),
        "#TS:1628217471\r\n",
        &command("SET foo2 bar2"),
    ]
    .concat();
    let folder = folder(&[
        ("appendonly.aof.1.base.aof", aof.as_bytes()),
        ("appendonly.aof.2.incr.aof", aof.as_bytes()),
        ("x.manifest", MANIFEST.as_bytes()),
        ("single.aof", aof.as_bytes()),
    ]);
    let cut = |seconds: &str, path: &str| {
        tool(
            folder.path(),
            &["--truncate-to-timestamp", seconds],
            path,
            "",
        )
    };
    let (code, text) = cut("1628217470", "x.manifest");
    assert_eq!(code, FAILURE);
    assert!(
        text.contains(
            "Failed to truncate AOF appendonly.aof.1.base.aof to timestamp 1628217470 to offset 49 because it is not the last file."
        ),
        "{text}"
    );
    let (code, text) = cut("1628217471", "x.manifest");
    assert_eq!(code, SUCCESS);
    assert!(
        text.contains(
            "Truncate nothing in AOF appendonly.aof.2.incr.aof to timestamp 1628217471\n"
        ),
        "{text}"
    );
    let (code, text) = cut("1628217469", "single.aof");
    assert_eq!(code, FAILURE);
    assert!(
        text.ends_with("AOF single.aof has nothing before timestamp 1628217469, aborting...\n"),
        "{text}"
    );
    let (code, text) = cut("1628217470", "single.aof");
    assert_eq!(code, SUCCESS);
    assert!(
        text.ends_with("Successfully truncated AOF single.aof to timestamp 1628217470\n"),
        "{text}"
    );
    assert_eq!(
        fs::read(folder.path().join("single.aof")).unwrap(),
        &aof.as_bytes()[..49]
    );
    assert_eq!(
        fs::read(folder.path().join("single.aof.cut-49")).unwrap(),
        &aof.as_bytes()[49..]
    );
}

#[test]
fn checksums() {
    let mut writer = BatchWriter::create(&header(1, 0, 0));
    let (one, ends) = sealed(&mut writer);
    let chain = writer.chain();
    let (two, _) = sealed(&mut BatchWriter::create(&header(
        2,
        chain.next_index,
        chain.prev,
    )));
    let mut manifest = Manifest::default();
    let _ = manifest.new_incr(b"a").unwrap();
    let _ = manifest.new_incr(b"a").unwrap();
    manifest.lineage = Some(Lineage([0xab; 16]));
    let folder = folder(&[
        ("a.manifest", &manifest.to_bytes()),
        ("a.1.incr.aof", &one),
        ("a.2.incr.aof", &two),
    ]);
    let (code, text) = tool(folder.path(), &[], "", "");
    assert_eq!(code, SUCCESS, "{text}");
    assert!(text.contains(&format!(
        "Checksums: 3 batches are as they were written, lineage {}\n",
        "ab".repeat(16)
    )));
    // A whole batch is missing at the end of a file that is not the last.
    fs::write(folder.path().join("a.1.incr.aof"), &one[..ends[1]]).unwrap();
    let (code, text) = tool(folder.path(), &[], "", "");
    assert_eq!(code, FAILURE);
    assert!(
        text.ends_with(
            "AOF a.2.incr.aof begins with batch 3, but the file before ends before batch 2\n"
        ),
        "{text}"
    );
    // A flipped bit in the second batch: the others are salvaged, each to its database.
    let mut damaged = one.clone();
    damaged[ends[1] - 20] ^= 4;
    fs::write(folder.path().join("a.1.incr.aof"), &damaged).unwrap();
    let (code, text) = tool(folder.path(), &["--json"], "a.1.incr.aof", "");
    assert_eq!(code, FAILURE);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["ok"], false);
    let file = &found["files"][0];
    assert_eq!(
        (
            &file["verdict"],
            &file["record"],
            &file["next_valid"],
            &file["form"]
        ),
        (
            &"corrupt".into(),
            &2.into(),
            &ends[1].into(),
            &"checksums".into()
        )
    );
    let out = folder.path().join("out");
    let (code, text) = tool(folder.path(), &["--salvage", out.to_str().unwrap()], "", "");
    assert_eq!(code, SUCCESS);
    let lost = ends[1] - ends[0];
    assert!(
        text.ends_with(&format!("Salvaged 8 commands into out: 8 with a checksum, 0 without. {lost} bytes were left out.\n")),
        "{text}"
    );
    assert_eq!(names(&out), ["a.1.incr.aof", "a.2.incr.aof", "a.manifest"]);
    assert_eq!(
        fs::read(out.join("a.1.incr.aof")).unwrap(),
        (command("SET a 1") + &command("SELECT 1") + &command("SET c 3")).as_bytes()
    );
    assert_eq!(tool(&out, &[], "a.manifest", "").0, SUCCESS);
    // A torn batch is cut, and the file can go on.
    fs::write(folder.path().join("t.aof"), &one[..ends[2] - 5]).unwrap();
    let (code, text) = tool(folder.path(), &["--fix", "--yes", "--json"], "t.aof", "");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &found["cuts"][0]["offset"]),
        (SUCCESS, &ends[1].into())
    );
    assert_eq!(
        fs::read(folder.path().join("t.aof")).unwrap(),
        &one[..ends[1]]
    );
}

#[test]
fn a_preamble() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/corpus/aof");
    let preamble = fs::read(corpus.join("r4.0.14-preamble/appendonly.aof")).unwrap();
    let folder = folder(&[("x.aof", &preamble)]);
    let (code, text) = tool(folder.path(), &[], "x.aof", "");
    assert_eq!(code, SUCCESS);
    assert!(
        text.contains("RDB preamble is OK, proceeding with AOF tail...\n"),
        "{text}"
    );
    let mut damaged = preamble.clone();
    damaged[60] ^= 1;
    fs::write(folder.path().join("x.aof"), &damaged).unwrap();
    let (code, text) = tool(folder.path(), &["--fix", "--yes"], "x.aof", "");
    assert_eq!(code, FAILURE);
    assert!(
        text.ends_with("RDB preamble of AOF file is not sane, aborting.\n"),
        "{text}"
    );
    assert_eq!(fs::read(folder.path().join("x.aof")).unwrap(), damaged);
}

#[test]
fn a_value_that_looks_like_a_manifest() {
    // redis-check-aof takes this for a manifest.
    let aof = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nfile x\r\n";
    let folder = folder(&[("x.aof", aof.as_bytes())]);
    assert_eq!(tool(folder.path(), &[], "x.aof", "").0, SUCCESS);
}

#[test]
fn a_file_that_grows_is_not_cut() {
    let folder = folder(&[("x.aof", b"longer than it was")]);
    let path: PathBuf = folder.path().join("x.aof");
    let error = cut::cut(&path, b"shorter", 3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert_eq!(names(folder.path()), ["x.aof"]);
}

#[test]
fn options_that_do_not_go_together() {
    for args in [
        &["--yes", "x"][..],
        &["--discard-after-damage", "x"],
        &["--fix", "--salvage", "y", "x"],
        &["--fix", "--truncate-to-timestamp", "1", "x"],
        &["--truncate-to-timestamp", "x", "x"],
        &[],
    ] {
        let args: Vec<&std::ffi::OsStr> = std::iter::once("check-aof")
            .chain(args.iter().copied())
            .map(AsRef::as_ref)
            .collect();
        assert_eq!(super::super::capture(&args).0, USAGE, "{args:?}");
    }
    assert_eq!(annotation::BATCH_BYTES, 87);
}
