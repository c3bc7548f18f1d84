//! Loading the append-only file: every layout, and everything that can be wrong with it.

use std::fs;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{BatchWriter, Chain, Header, Lineage, Part, sync_line};
use tempfile::TempDir;

use crate::harness::{Server, command, eventually};

const LINEAGE: Lineage = Lineage([7; 16]);

/// Commands, one per line, as a log holds them.
fn log(lines: &[&str]) -> Vec<u8> {
    let words = |line: &&str| -> Vec<u8> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        command(&words)
    };
    lines.iter().flat_map(words).collect()
}

/// A folder with these files of the log, named by what follows `appendonly.aof.`.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("appendonlydir");
    fs::create_dir(&logs).expect("a directory");
    let mut manifest = String::new();
    for (suffix, content) in files {
        let name = format!("appendonly.aof.{suffix}");
        fs::write(logs.join(&name), content).expect("written");
        let kind = if suffix.contains("base") { 'b' } else { 'i' };
        let seq = suffix.split('.').next().expect("a number");
        manifest += &format!("file {name} seq {seq} type {kind}\n");
    }
    fs::write(logs.join("appendonly.aof.manifest"), manifest).expect("written");
    dir
}

fn in_folder(dir: &TempDir, suffix: &str) -> PathBuf {
    let name = format!("appendonlydir/appendonly.aof.{suffix}");
    dir.path().join(name)
}

/// Starts on the log and asks.
#[track_caller]
fn loaded(dir: &Path, options: &[&str], asked: &[(&str, &str)]) -> Server {
    let options = [&["--appendonly", "yes"], options].concat();
    let server = Server::start(dir, &options);
    let mut client = server.client();
    for (line, reply) in asked {
        assert_eq!(&client.ask(line), reply, "{line}: {}", server.log());
    }
    server
}

/// The start is refused, and the log says why: the last line, and somewhere each of `texts`.
#[track_caller]
fn refused(dir: &Path, options: &[&str], last: &str, texts: &[&str]) {
    let options = [&["--appendonly", "yes", "--save", "1 1"], options].concat();
    let mut server = Server::launch(dir, &options);
    assert_eq!(server.end().code(), Some(1), "{}", server.log());
    let log = server.log();
    // What follows the log is what standard error says.
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(":M ")).collect();
    assert!(lines.last().expect("a line").contains(last), "{log}");
    for text in texts {
        assert!(log.contains(text), "{text}: {log}");
    }
    assert!(!log.contains("Ready to accept"), "{log}");
}

/// A snapshot that holds these.
fn snapshot(lines: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &["--save", ""]);
    let mut client = server.client();
    for line in lines {
        client.ask(line);
    }
    assert_eq!(client.ask("SAVE"), "OK");
    fs::read(dir.path().join("dump.rdb")).expect("a snapshot")
}

#[test]
fn base_and_increments_in_order() {
    let base = snapshot(&["SET a base", "SET b base", "RPUSH l 1"]);
    let dir = folder(&[
        ("1.base.rdb", &base),
        (
            "1.incr.aof",
            &log(&["SELECT 0", "SET b one", "SET c one", "RPUSH l 2"]),
        ),
        (
            "2.incr.aof",
            &log(&["SELECT 2", "SET d two", "SELECT 0", "SET c two", "DEL a"]),
        ),
        ("3.incr.aof", b""),
    ]);
    let asked = [
        ("MGET a b c", "nil one two"),
        ("LRANGE l 0 -1", "1 2"),
        ("SELECT 2", "OK"),
        ("GET d", "two"),
    ];
    let server = loaded(dir.path(), &[], &asked);
    let log = server.log();
    for text in [
        "DB loaded from base file appendonly.aof.1.base.rdb: ",
        "DB loaded from incr file appendonly.aof.2.incr.aof: ",
        "DB loaded from append only file: ",
    ] {
        assert!(log.contains(text), "{log}");
    }
    assert_eq!(server.client().info("rdb_changes_since_last_save"), "0");
}

#[test]
fn transactions_annotations_and_libraries() {
    let mut content = b"#TS:1700000000\r\n".to_vec();
    content.extend(log(&[
        "MULTI", "SELECT 3", "INCR n", "INCR n", "EXEC", "INCR n",
    ]));
    content.extend_from_slice(b"# anything\n");
    content.extend(command(&[
        b"FUNCTION",
        b"LOAD",
        b"#!lua name=lib\nredis.register_function('f', function() return 1 end)",
    ]));
    content.extend(command(&[
        b"FUNCTION",
        b"LOAD",
        b"REPLACE",
        b"#!lua name=lib\nredis.register_function('g', function() return 2 end)",
    ]));
    content.extend(log(&["PING", "PUBLISH channel text"]));
    let dir = folder(&[("1.incr.aof", &content)]);
    loaded(
        dir.path(),
        &[],
        &[
            ("SELECT 3", "OK"),
            ("GET n", "3"),
            (
                "FUNCTION LIST WITHCODE",
                "library_name lib engine LUA functions name g description nil flags  library_code #!lua name=lib\nredis.register_function('g', function() return 2 end)",
            ),
        ],
    );
}

/// A log says when a key went, so while it is replayed no key is past its time.
/// Redis before 7 logged scripts as they were called.
#[test]
fn scripts_may_call_commands_that_need_a_connection() {
    let script = "redis.call('ping') redis.call('time') redis.call('publish', 'c', 'm') \
        redis.call('select', 3) redis.call('info') redis.pcall('client', 'id') \
        return redis.call('incr', KEYS[1])";
    let mut bytes = log(&["SELECT 0"]);
    bytes.extend(command(&[b"EVAL", script.as_bytes(), b"1", b"k"]));
    bytes.extend(log(&["SET k2 v"]));
    let dir = folder(&[("1.incr.aof", &bytes)]);
    let server = loaded(
        dir.path(),
        &[],
        &[("GET k2", "v"), ("SELECT 3", "OK"), ("GET k", "1")],
    );
    assert!(!server.log().contains("rror"), "{}", server.log());
}

#[test]
fn nothing_expires_before_all_is_loaded() {
    let dir = folder(&[(
        "1.incr.aof",
        &log(&[
            "SET n 5",
            "PEXPIREAT n 1000",
            "INCR n",
            "PERSIST n",
            "SET gone 1 PXAT 2000",
            "APPEND gone 2",
            "SET later 1",
            "PEXPIREAT later 4102444800000",
        ]),
    )]);
    loaded(
        dir.path(),
        &[],
        &[
            ("GET n", "6"),
            ("GET gone", "nil"),
            ("PEXPIRETIME later", "4102444800000"),
        ],
    );
}

#[test]
fn a_single_file_moves_into_the_folder() {
    let preamble = [snapshot(&["SET a 1"]), log(&["SELECT 0", "SET b 2"])].concat();
    for content in [log(&["SELECT 0", "SET a 1", "SET b 2"]), preamble] {
        let dir = tempfile::tempdir().expect("a directory");
        let old = dir.path().join("appendonly.aof");
        fs::write(&old, &content).expect("written");
        let server = loaded(dir.path(), &[], &[("MGET a b", "1 2")]);
        assert!(
            server
                .log()
                .contains("Successfully migrated an old-style AOF file")
        );
        server.kill();
        assert!(!old.exists());
        let moved = dir.path().join("appendonlydir/appendonly.aof");
        assert_eq!(fs::read(moved).expect("moved"), content);
        loaded(dir.path(), &[], &[("MGET a b", "1 2")]);
    }
    // Cut short before the file was moved: the next start goes on.
    let dir = folder(&[]);
    let manifest = in_folder(&dir, "manifest");
    fs::write(manifest, "file appendonly.aof seq 1 type b\n").expect("written");
    fs::write(dir.path().join("appendonly.aof"), log(&["SET a 1"])).expect("written");
    loaded(dir.path(), &[], &[("GET a", "1")]);
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let whole = log(&["SET a 1", "SET b 2"]);
    let torn = [
        whole.clone(),
        b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$100\r\nxyz".to_vec(),
    ]
    .concat();
    let open = [whole.clone(), log(&["MULTI", "SET c 3"])].concat();
    for (content, text) in [(torn, "short read"), (open, "Revert incomplete MULTI/EXEC")] {
        let dir = folder(&[("1.incr.aof", &content)]);
        let path = in_folder(&dir, "1.incr.aof");
        refused(
            dir.path(),
            &["--aof-load-truncated", "no"],
            "Unexpected end of file reading the append only file appendonly.aof.1.incr.aof",
            &["whole only up to offset"],
        );
        assert_eq!(fs::read(&path).expect("there"), content);
        let server = loaded(dir.path(), &[], &[("MGET a b c", "1 2 nil")]);
        assert!(server.log().contains(text), "{}", server.log());
        server.kill();
        assert_eq!(fs::read(&path).expect("there"), whole);
        let kept = in_folder(&dir, &format!("1.incr.aof.{}.tail", whole.len()));
        assert_eq!(fs::read(kept).expect("kept"), content[whole.len()..]);
        let server = loaded(dir.path(), &[], &[("MGET a b c", "1 2 nil")]);
        assert!(!server.log().contains("Truncating"));
    }
}

#[test]
fn only_the_last_file_may_be_torn() {
    let torn = [log(&["SET a 1"]), b"*3\r\n$3\r\nSE".to_vec()].concat();
    let dir = folder(&[("1.incr.aof", &torn), ("2.incr.aof", &log(&["SET b 2"]))]);
    refused(
        dir.path(),
        &[],
        "Fatal error: the truncated file is not the last file",
        &["appendonly.aof.1.incr.aof is whole only up to offset 27"],
    );
    assert_eq!(
        fs::read(in_folder(&dir, "1.incr.aof")).expect("there"),
        torn
    );
}

#[test]
fn damage_is_refused_with_its_place() {
    let good = log(&["SET a 1"]);
    for (bad, last, texts) in [
        (
            &b"garbage\r\n"[..],
            "Bad file format reading the append only file appendonly.aof.1.incr.aof",
            &["at offset 27, record 2"][..],
        ),
        (b"*0\r\n", "Bad file format", &["at offset 28, record 2"]),
        (
            b"*1\r\n$3\r\nbla\r\n",
            "Unknown command 'bla' reading the append only file",
            &["at offset 27, record 2"],
        ),
        (
            b"*1\r\n$7\r\nMIGRATE\r\n",
            "wrong number of arguments for 'migrate' reading the append only file",
            &["at offset 27, record 2"],
        ),
        (
            b"*2\r\n$6\r\nSELECT\r\n$3\r\n999\r\n",
            "a database is out of range",
            &["at offset 27, record 2"],
        ),
    ] {
        let content = [&good[..], bad, &good].concat();
        let dir = folder(&[("1.incr.aof", &content)]);
        refused(dir.path(), &[], last, texts);
        assert_eq!(
            fs::read(in_folder(&dir, "1.incr.aof")).expect("there"),
            content
        );
        assert!(!dir.path().join("dump.rdb").exists());
    }
}

#[test]
fn files_that_should_be_there() {
    let files: &[(&str, &[u8])] = &[("1.incr.aof", &log(&["SET a 1"])), ("2.incr.aof", b"")];
    let dir = folder(files);
    fs::remove_file(in_folder(&dir, "1.incr.aof")).expect("removed");
    refused(
        dir.path(),
        &[],
        "appendonly.aof.1.incr.aof doesn't exist: No such file or directory",
        &[],
    );
    // Without its manifest a log is not the empty one that it would be to Redis.
    let dir = folder(files);
    fs::remove_file(in_folder(&dir, "manifest")).expect("removed");
    refused(
        dir.path(),
        &[],
        "the log is incomplete",
        &["appendonly.aof.1.incr.aof"],
    );
    // Nor is the folder of a single file, when there are other parts.
    fs::write(dir.path().join("appendonly.aof"), log(&["SET b 1"])).expect("written");
    refused(dir.path(), &[], "the log is incomplete", &[]);
    for (manifest, reason) in [
        ("", "Found an empty AOF manifest"),
        ("file a seq 1 type x\n", "Unknown AOF file type"),
        (
            "file a seq 2 type i\nfile b seq 1 type i\n",
            "Found a non-monotonic sequence number",
        ),
        ("nonsense\n", "Invalid AOF manifest file format"),
    ] {
        let dir = folder(files);
        fs::write(in_folder(&dir, "manifest"), manifest).expect("written");
        let options = ["--appendonly", "yes"];
        let mut server = Server::launch(dir.path(), &options);
        assert_eq!(server.end().code(), Some(1));
        assert!(server.log().contains(reason), "{reason}: {}", server.log());
    }
}

#[test]
fn a_broken_base_is_refused() {
    let mut base = snapshot(&["SET a 1"]);
    let middle = base.len() / 2;
    base[middle] ^= 1;
    let dir = folder(&[("1.base.rdb", &base), ("1.incr.aof", &log(&["SET b 1"]))]);
    refused(
        dir.path(),
        &[],
        "Error reading the RDB base file appendonly.aof.1.base.rdb, AOF loading aborted",
        &["CRC error"],
    );
}

/// A log of ours: header and batches of one command each; also what the next file continues.
fn annotated(seq: u64, before: Option<Chain>, lines: &[&str]) -> (Vec<u8>, Chain) {
    let header = Header {
        part: Part::Incr,
        lineage: LINEAGE,
        seq,
        first: before.map_or(1, |chain| chain.next_index),
        time_ms: 1_700_000_000_000,
        prev: before.map_or(0, |chain| chain.prev),
    };
    let mut writer = BatchWriter::create(&header);
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        writer.append(&words);
        writer.close(1_700_000_000_001);
    }
    let chain = writer.chain();
    (writer.take(), chain)
}

#[test]
fn checksums_are_verified() {
    let (first, chain) = annotated(1, None, &["SET a 1", "SET b 2"]);
    let (second, _) = annotated(2, Some(chain), &["SET c 3", "SET d 4"]);
    let dir = folder(&[("1.incr.aof", &first), ("2.incr.aof", &second)]);
    loaded(dir.path(), &[], &[("MGET a b c d", "1 2 3 4")]).kill();
    // A flipped bit in a value, which Redis would load.
    let mut flipped = first.clone();
    let at = flipped.windows(7).position(|part| part == b"$1\r\n1\r\n");
    flipped[at.expect("the value") + 4] ^= 2;
    let dir = folder(&[("1.incr.aof", &flipped), ("2.incr.aof", &second)]);
    refused(
        dir.path(),
        &[],
        "Bad file format",
        &["has checksum", "record 1"],
    );
    // A file is missing and the manifest does not know.
    let (third, _) = annotated(2, None, &["SET c 3"]);
    let dir = folder(&[("1.incr.aof", &first), ("2.incr.aof", &third)]);
    refused(
        dir.path(),
        &[],
        "Bad file format",
        &["does not continue the one before it"],
    );
    let dir = folder(&[("1.incr.aof", &second)]);
    refused(dir.path(), &[], "Bad file format", &["sequence number"]);
    // A crash cut the last batch.
    let cut = &second[..second.len() - 5];
    let dir = folder(&[("1.incr.aof", &first), ("2.incr.aof", cut)]);
    loaded(dir.path(), &[], &[("MGET a b c d", "1 2 3 nil")]).kill();
    loaded(dir.path(), &[], &[("MGET a b c d", "1 2 3 nil")]).kill();
    let dir = folder(&[
        ("1.incr.aof", &first[..first.len() - 5]),
        ("2.incr.aof", &second),
    ]);
    refused(
        dir.path(),
        &[],
        "the truncated file is not the last file",
        &[],
    );
}

#[test]
fn without_a_log_the_snapshot_is_loaded() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("dump.rdb"), snapshot(&["SET a 1"])).expect("written");
    let server = loaded(dir.path(), &[], &[("GET a", "1")]);
    assert!(server.log().contains("rather than starting empty"));
    server.kill();
    // An empty folder is no log.
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("dump.rdb"), snapshot(&["SET a 1"])).expect("written");
    fs::create_dir(dir.path().join("appendonlydir")).expect("a directory");
    loaded(dir.path(), &[], &[("GET a", "1")]);
}

#[test]
fn clients_wait_and_debug_loads_again() {
    let lines: Vec<String> = (0..2000).map(|n| format!("SET key:{n} {n}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let dir = folder(&[("1.incr.aof", &log(&lines))]);
    let options = ["--appendonly", "yes", "--key-load-delay", "100000"];
    let server = Server::launch(dir.path(), &options);
    let mut client = server.client();
    assert_eq!(
        client.ask("GET key:1"),
        "-LOADING Redis is loading the dataset in memory"
    );
    assert_eq!(client.info("loading"), "1");
    client.ask("CONFIG SET key-load-delay 0");
    eventually("it is loaded", || client.ask("GET key:1999") == "1999");
    client.ask("SET other 1");
    assert_eq!(client.ask("DEBUG LOADAOF"), "OK");
    assert_eq!(client.ask("DBSIZE"), "2001");
    assert!(
        server
            .log()
            .contains("Append Only File loaded by DEBUG LOADAOF")
    );
}

/// Blocks that a power cut left unwritten in front of a whole batch.
#[test]
fn a_hole_in_what_was_not_synced_is_cut() {
    let long = format!("SET b {}", "x".repeat(9000));
    let hole = |marked: Option<u64>| {
        let (file, chain) = annotated(1, None, &["SET a 1", &long]);
        let (from, to) = (file.len() - 8500, file.len());
        let mut last = BatchWriter::resume(chain);
        if let Some(index) = marked {
            last.append_encoded(sync_line(index).as_bytes(), 0);
        }
        last.append(&[b"SET", b"c", b"3"]);
        last.close(1_700_000_000_002);
        let mut file = [file, last.take()].concat();
        file[from..to].fill(0);
        folder(&[("1.incr.aof", &file)])
    };
    for marked in [None, Some(1)] {
        let dir = hole(marked);
        let server = loaded(dir.path(), &[], &[("MGET a b c", "1 nil nil")]);
        assert!(server.log().contains("before 1 whole batches"));
        server.kill();
        let kept = std::fs::read_dir(dir.path().join("appendonlydir")).expect("the folder");
        let mut names = kept.flatten().map(|entry| entry.file_name());
        assert!(names.any(|name| name.to_string_lossy().ends_with(".tail")));
    }
    refused(
        hole(Some(2)).path(),
        &[],
        "Bad file format",
        &["has checksum", "record 2", "Something whole follows"],
    );
}
