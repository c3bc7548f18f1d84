use proptest::prelude::*;

use super::line::{ESCAPED_MAX, NAME_MAX};
use super::*;

const PREFIX: &[u8] = b"appendonly.aof";

fn parse(text: &str) -> Manifest {
    Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &[u8]) -> (u32, ManifestErrorKind, bool) {
    let error = Manifest::parse(text).expect_err("refused");
    (error.line, error.kind, error.text.is_some())
}

#[test]
fn read_and_written() {
    let text = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                file appendonly.aof.1.incr.aof seq 1 type h\n\
                file \"a name\\x01.3.incr.aof\" seq 3 type i\n\
                file appendonly.aof.7.incr.aof seq 7 type i\n";
    let manifest = parse(text);
    assert_eq!(manifest.base.as_ref().map(|base| base.seq), Some(2));
    assert_eq!(manifest.incr[0].name, b"a name\x01.3.incr.aof");
    assert_eq!(manifest.history.len(), 1);
    assert_eq!(manifest.files().count(), 3);
    assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), text);
}

#[test]
fn what_is_accepted() {
    let one = |line: &str| {
        let manifest = parse(line);
        let info = manifest
            .files()
            .chain(&manifest.history)
            .next()
            .expect("a file")
            .clone();
        (String::from_utf8(info.name).unwrap(), info.seq, info.kind)
    };
    let plain = ("x".to_owned(), 1, FileType::Incr);
    for line in [
        "file x seq 1 type i\n",
        "# comment\n  \t FILE x Seq 1 TYPE i \t\r\n",
        "seq 1 type i file x\n",
        "file x seq 1 type i other thing\n",
        "file y file x seq 1 type i more more\n",
        "file 'x' seq \" 1z\" type index\n",
        "file \"\\x78\" seq +1 type i\n",
        "file x seq 1 type i\n#",
    ] {
        assert_eq!(one(line), plain, "{line}");
    }
    assert_eq!(one("file x seq -5 type b\n").1, -5);
    assert_eq!(one("file x seq 99999999999999999999 type b\n").1, i64::MAX);
    assert!(parse("# nothing\n").is_empty());
    // A long comment goes on as a line of its own.
    let comment = format!("#{}\n", "#".repeat(1024));
    assert!(parse(&comment).is_empty());
    // 1024 bytes with the line end are not too long.
    let line = format!("file x seq 1 type i more {}\n", "x".repeat(1024 - 26));
    assert_eq!(line.len(), 1024);
    assert_eq!(parse(&line).incr.len(), 1);
}

/// Redis writes each of these bytes as four, and then the line as one that it cannot read.
#[test]
fn long_names_can_be_read_again() {
    let read = |len: usize| {
        let name = vec![0xd4; len];
        let line = [b"file \"", &name[..], b"\" seq 1 type i\n"].concat();
        let manifest = Manifest::parse(&line)?;
        assert_eq!(manifest.incr[0].name, name);
        Manifest::parse(&manifest.to_bytes()).map(|again| assert_eq!(again, manifest))
    };
    for len in [1, ESCAPED_MAX, ESCAPED_MAX + 1, NAME_MAX] {
        assert_eq!(read(len), Ok(()), "{len}");
    }
    let refused = read(NAME_MAX + 1).expect_err("no file has such a name");
    assert_eq!(refused.kind, ManifestErrorKind::Format);
}

#[test]
fn what_is_refused() {
    use ManifestErrorKind::*;
    let good = "file b seq 1 type b\n";
    for (text, kind, shown) in [
        ("\n", Format, true),
        ("file x seq 1 type\n", Format, true),
        ("file x seq 1\n", Format, true),
        ("file x seq 0 type i\n", Format, true),
        ("file x seq x type i\n", Format, true),
        ("file x seq 1 type \"\"\n", Format, true),
        ("file x seq 1 kind i\n", Format, true),
        ("file \"\" seq 1 type i\n", Format, true),
        ("file \"a\\x00b\" seq 1 type i\n", Format, true),
        ("file \"x seq 1 type i\n", Format, true),
        ("file \"x\"y seq 1 type i\n", Format, true),
        ("file a/b seq 1 type i\n", Path, true),
        ("file a\\b seq 1 type i\n", Path, true),
        ("file .. seq 1 type i\n", Path, true),
        ("file x seq 1 type b\n", DuplicateBase, true),
        ("file x seq 1 type q\n", Type, true),
        ("file x seq -1 type i\n", Sequence, true),
        ("file x seq 1 type i", LineTooLong, false),
        ("file x\0 seq 1 type i\n", LineTooLong, false),
    ] {
        assert_eq!(
            refusal(format!("{good}{text}").as_bytes()),
            (2, kind, shown),
            "{text}"
        );
    }
    assert_eq!(refusal(b""), (0, Empty, false));
    let line = format!("file {} seq 1 type i\n", "x".repeat(1025 - 19));
    assert_eq!(refusal(line.as_bytes()), (1, LineTooLong, false));
    let comment = format!("#{}\n", "x".repeat(1024));
    assert_eq!(refusal(comment.as_bytes()), (2, Format, true));
    let twice = "file x seq 3 type i\nfile y seq 3 type i\n";
    assert_eq!(refusal(twice.as_bytes()), (2, Sequence, true));
}

#[test]
fn the_report_is_that_of_redis() {
    let error = Manifest::parse(b"# c\nfile x seq 2 type q\n").expect_err("refused");
    assert_eq!(
        error.report(),
        "\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 2\n\
         >>> 'file x seq 2 type q'\nUnknown AOF file type\n"
    );
    let error = Manifest::parse(b"").expect_err("refused");
    assert_eq!(
        error.report(),
        "\n*** FATAL AOF MANIFEST FILE ERROR ***\nFound an empty AOF manifest\n"
    );
}

#[test]
fn a_rewrite() {
    let mut manifest = Manifest::default();
    assert_eq!(
        manifest.new_base(PREFIX, BaseFormat::Rdb).unwrap().name,
        b"appendonly.aof.1.base.rdb"
    );
    assert_eq!(
        manifest.new_incr(PREFIX).unwrap().name,
        b"appendonly.aof.1.incr.aof"
    );
    // It begins: from now on is written elsewhere.
    assert_eq!(
        manifest.new_incr(PREFIX).unwrap().name,
        b"appendonly.aof.2.incr.aof"
    );
    // It ends.
    assert_eq!(
        manifest.new_base(PREFIX, BaseFormat::Aof).unwrap().name,
        b"appendonly.aof.2.base.aof"
    );
    manifest.retire_incr(1);
    assert_eq!(
        String::from_utf8(manifest.to_bytes()).unwrap(),
        "file appendonly.aof.2.base.aof seq 2 type b\n\
         file appendonly.aof.1.incr.aof seq 1 type h\n\
         file appendonly.aof.1.base.rdb seq 1 type h\n\
         file appendonly.aof.2.incr.aof seq 2 type i\n"
    );
    assert_eq!(manifest.take_history().len(), 2);
    assert!(manifest.history.is_empty());
    manifest.retire_incr(0);
    // What waits for its removal keeps its name.
    let mut again = Manifest::parse(&manifest.to_bytes()).unwrap();
    again.history[0].name = b"appendonly.aof.1.incr.aof".to_vec();
    assert_eq!(
        again.new_incr(PREFIX).unwrap().name,
        b"appendonly.aof.2.incr.aof"
    );
    let mut last = parse("file x seq 9223372036854775807 type b\n");
    assert_eq!(
        last.new_base(PREFIX, BaseFormat::Rdb),
        Err(SequenceExhausted)
    );
    assert_eq!(last.base.map(|base| base.name), Some(b"x".to_vec()));
    let old = Manifest::upgrade(b"old.aof");
    assert_eq!(old.to_bytes(), b"file old.aof seq 1 type b\n");
}

#[test]
fn a_checksum_shows_every_cut_and_every_flip() {
    let mut manifest = parse("file b seq 1 type b\nfile x seq 3 type i\n");
    manifest.lineage = Some(Lineage([0xab; 16]));
    let bytes = manifest.to_bytes();
    assert_eq!(Manifest::parse(&bytes), Ok(manifest));
    for end in 0..bytes.len() {
        assert!(Manifest::parse(&bytes[..end]).is_err(), "{end}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::parse(&bytes).is_err(), "{bit}");
    }
}

proptest! {
    #[test]
    fn names_are_read_back(name in proptest::collection::vec(1u8.., 1..40), lineage: Option<[u8; 16]>) {
        prop_assume!(!name.iter().any(|byte| matches!(byte, b'/' | b'\\')) && name != b"." && name != b"..");
        let info = FileInfo { name, seq: 4, kind: FileType::Incr };
        let lineage = lineage.map(Lineage);
        let manifest = Manifest { incr: vec![info], lineage, last_incr: 4, ..Manifest::default() };
        prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
    }

    #[test]
    fn nothing_panics(input: Vec<u8>, text in "(file|seq|type|#|x|[0-9]|[ \"'\\\\\n\0bih/.])*") {
        let _ = Manifest::parse(&input);
        let _ = Manifest::parse(text.as_bytes());
    }
}
