//! AOF files of real servers, and broken ones, judged as Redis 7.2 judged them (`corpus/README.md`).

use std::fs;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{Check, Manifest, Piece, PieceKind, Salvage, Verdict, check};

struct Case {
    name: String,
    folder: PathBuf,
    expect: String,
    check_tool: String,
    config: String,
}

fn cases() -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let table = fs::read_to_string(corpus.join("MANIFEST.tsv")).expect("the table");
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().expect("a header").split('\t').collect();
    let at = |name: &str| {
        columns
            .iter()
            .position(|column| *column == name)
            .expect("the column")
    };
    let (file, expect, tool, config) = (at("file"), at("expect"), at("check_tool"), at("config"));
    let cases: Vec<Case> = lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row[file].starts_with("aof/"))
        .map(|row| Case {
            name: row[file].to_owned(),
            folder: corpus.join(row[file]),
            expect: row[expect].to_owned(),
            check_tool: row[tool].to_owned(),
            config: row[config].to_owned(),
        })
        .collect();
    assert!(cases.len() > 60, "{}", cases.len());
    cases
}

/// The manifest of a case, or its one file, and where the files are.
enum Log {
    Nothing,
    Manifest(PathBuf, Vec<u8>),
    Single(PathBuf),
}

fn find(case: &Case) -> Log {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let top = entries(&case.folder);
    for folder in top.iter().filter(|path| path.is_dir()) {
        if let Some(path) = entries(folder)
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "manifest"))
        {
            return Log::Manifest(folder.clone(), fs::read(path).expect("readable"));
        }
    }
    match top
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "aof"))
    {
        Some(path) => Log::Single(path),
        None => Log::Nothing,
    }
}

/// The class of what Redis would say, as far as it can be known without running commands.
fn class(case: &Case, options: Check) -> String {
    let files: Vec<PathBuf> = match find(case) {
        Log::Nothing => return "loads".into(),
        Log::Single(path) => vec![path],
        Log::Manifest(folder, bytes) => match Manifest::parse(&bytes) {
            Err(_) => return "refused:manifest-error".into(),
            Ok(manifest) => manifest
                .files()
                .map(|info| folder.join(std::str::from_utf8(&info.name).expect("UTF-8")))
                .collect(),
        },
    };
    let repairs = !case.config.contains("aof-load-truncated no");
    for (number, path) in files.iter().enumerate() {
        let Ok(bytes) = fs::read(path) else {
            return "refused:file-missing".into();
        };
        let report = options.run(&bytes);
        assert!(report.valid_up_to <= bytes.len());
        match report.verdict {
            Verdict::Valid => {}
            Verdict::TruncatedTail { .. } if number + 1 == files.len() && repairs => {
                return "loads, tail dropped".into();
            }
            Verdict::TruncatedTail { .. } => return "refused:truncated".into(),
            Verdict::Corrupt { .. }
                if report.preamble_end.is_none() && bytes.starts_with(b"REDIS") =>
            {
                return "refused:base-rdb-corrupt".into();
            }
            Verdict::Corrupt { .. } => return "refused:bad-format".into(),
        }
    }
    "loads".into()
}

#[test]
fn judged_as_the_loader_judges() {
    let options = Check {
        strict_transactions: false,
        ..Check::default()
    };
    for case in cases() {
        let expect = match case.expect.as_str() {
            // Only running the commands shows these.
            "refused:unknown-command" | "refused:crash" => "loads",
            expect => expect,
        };
        assert_eq!(class(&case, options), expect, "{}", case.name);
    }
}

#[test]
fn judged_as_the_tool_judges() {
    for case in cases() {
        let accepted = match case.check_tool.as_str() {
            tool if tool.starts_with("check-aof rc=0") => true,
            tool if tool.starts_with("check-aof rc=1") => false,
            _ => continue,
        };
        // The tool of Redis passes over counts below one, which the loader refuses, and takes an empty manifest for an
        // empty AOF.
        let stricter = ["aof/edit-argc-0", "aof/edit-bad-argc", "aof/edit-man-empty"]
            .contains(&case.name.as_str());
        let expected = accepted && !stricter;
        assert_eq!(
            class(&case, Check::default()) == "loads",
            expected,
            "{}",
            case.name
        );
    }
}

#[test]
fn what_is_salvaged_can_be_read() {
    for case in cases() {
        let paths: Vec<PathBuf> = match find(&case) {
            Log::Nothing => continue,
            Log::Single(path) => vec![path],
            Log::Manifest(folder, _) => fs::read_dir(folder)
                .expect("a folder")
                .map(|entry| entry.expect("an entry").path())
                .collect(),
        };
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "aof"))
        {
            let bytes = fs::read(path).expect("readable");
            let report = check(&bytes);
            let pieces: Vec<Piece> = Salvage::new(&bytes).collect();
            let mut commands = 0;
            for piece in &pieces {
                let part = check(&bytes[piece.bytes.clone()]);
                assert_eq!(part.verdict, Verdict::Valid, "{}", path.display());
                if piece.kind == PieceKind::Plain {
                    assert_eq!(part.commands, piece.commands);
                    commands += piece.commands;
                }
            }
            if report.verdict == Verdict::Valid {
                assert_eq!(commands, report.commands, "{}", path.display());
            } else {
                assert!(commands <= report.commands + 3, "{}", path.display());
            }
        }
    }
}

/// Every cut of small logs of real servers: what is left is used up to a whole command, as it was.
#[test]
fn truncated_logs_are_cut_at_a_command() {
    let mut seen = 0;
    for case in cases() {
        let paths: Vec<PathBuf> = match find(&case) {
            Log::Nothing => continue,
            Log::Single(path) => vec![path],
            Log::Manifest(folder, _) => fs::read_dir(folder)
                .expect("a folder")
                .map(|entry| entry.expect("an entry").path())
                .filter(|path| path.extension().is_some_and(|e| e == "aof"))
                .collect(),
        };
        for path in paths {
            let bytes = fs::read(&path).expect("readable");
            let whole = check(&bytes);
            let small = (1..1500).contains(&bytes.len()) && whole.preamble_end.is_none();
            if !small || whole.verdict != Verdict::Valid {
                continue;
            }
            let mut kept = 0;
            for cut in 0..bytes.len() {
                let report = check(&bytes[..cut]);
                let at = format!("{} up to {cut}", path.display());
                let up_to = match report.verdict {
                    Verdict::Valid => cut,
                    Verdict::TruncatedTail { valid_up_to, .. } => valid_up_to,
                    Verdict::Corrupt { .. } => panic!("{at}: {:?}", report.verdict),
                };
                assert!(kept <= up_to && up_to <= cut, "{at}");
                kept = up_to;
                assert_eq!(check(&bytes[..up_to]).verdict, Verdict::Valid, "{at}");
            }
            // Nothing but the last command or transaction is missing in the end.
            assert!(bytes.len() - kept < 400, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}
