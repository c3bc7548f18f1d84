//! Tests of the configuration as a whole: defaults, the table, files, the command line.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::*;

mod access;
mod rewrite;

fn one(config: &Config, name: &str) -> String {
    let found = config.get(&[name.as_bytes()]);
    assert_eq!(found.len(), 1, "{name}");
    String::from_utf8(found[0].1.clone()).unwrap()
}

fn read(text: &str) -> Result<Config, String> {
    Config::from_text(text.as_bytes())
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string())
}

/// The reason of the error that this text gives.
fn reason(text: &str) -> String {
    read(text).unwrap_err().lines().last().unwrap().to_owned()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Config, String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    config
        .set(&pairs, SetContext::default(), &mut |_| Ok(()))
        .map_err(|error| error.reply())
}

fn load(args: &[&str], stdin: &str) -> Result<Loaded, LoadError> {
    let args = std::iter::once("basalt-server")
        .chain(args.iter().copied())
        .map(OsString::from);
    let Invocation::Start(plan) = Invocation::from_args(args) else {
        panic!("not a start")
    };
    Config::load(&plan, &mut stdin.as_bytes(), &mut NoHooks)
}

#[test]
fn names_and_defaults_are_those_of_redis() {
    let expected: Vec<(&str, &str)> = include_str!("../../tests/data/config_defaults.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap())
        .collect();
    assert_eq!(expected.len(), 194);
    let config = Config::default();
    let shown = config.get(&[b"*"]);
    for (name, default) in expected {
        let (_, value) = shown
            .iter()
            .find(|(shown, _)| shown == name)
            .unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(String::from_utf8_lossy(value), default, "{name}");
    }
}

#[test]
fn every_row_is_sound() {
    let config = Config::default();
    let mut names = Vec::new();
    for row in TABLE {
        names.extend(std::iter::once(row.name).chain(row.alias));
        assert_eq!(row.name, row.name.to_ascii_lowercase());
        let kind_min_max = match row.kind {
            Kind::Int(a, b) | Kind::Memory(a, b) | Kind::Octal(a, b) => Some((a, b)),
            _ => None,
        };
        // Both bounds fit the field: they are read back as they were set.
        for bound in kind_min_max.into_iter().flat_map(|(a, b)| [a, b]) {
            let text = if matches!(row.kind, Kind::Octal(..)) {
                format!("{bound:o}")
            } else {
                bound.to_string()
            };
            let mut copy = config.clone();
            copy.set_directive(row.name, &[&text])
                .unwrap_or_else(|e| panic!("{}: {e}", row.name));
            let clamped = match row.name {
                "hz" => bound.clamp(1, 500).to_string(),
                "repl-backlog-size" => bound.max(16 * 1024).to_string(),
                _ => text,
            };
            assert_eq!(one(&copy, row.name), clamped, "{}", row.name);
        }
        // What GET shows is what the parser takes.
        let value = one(&config, row.name);
        if row.name != "replicaof" {
            let line = format!(
                "{} {}",
                row.name,
                String::from_utf8(text::quote(value.as_bytes())).unwrap()
            );
            let again = read(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(one(&again, row.name), value, "{}", row.name);
        }
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_shipped_file_spells_out_the_defaults() {
    let text = include_str!("../../../basalt.conf");
    assert_eq!(read(text).unwrap(), Config::default());
    let mut lines = 0;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#")
    {
        // A directive whose default is "not set" stands there as `#name value`.
        let line = line.trim_start_matches('#');
        read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        lines += 1;
    }
    assert!(lines > 100, "{lines}");
}

#[test]
fn the_page_on_compatibility_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility-config.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, compatibility_page()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        compatibility_page(),
        "run this test with UPDATE_DOCS=1"
    );
}

#[test]
fn a_file_is_read_line_by_line() {
    let config = read(
        "# comment\n\n  PORT 7000\r\nbind 127.0.0.1 -::1\nrequirepass \"a b\\x00\\xff\"\nmaxmemory 1gb\n\
         maxmemory-clients 5%\nunixsocketperm 700\nslave-priority 7\nclient-output-buffer-limit replica 1mb 1kb 5\n\
         client-output-buffer-limit \"pubsub 1 2 3\"\nnotify-keyspace-events KEA\nslaveof 10.0.0.1 6380\n\
         latency-tracking-info-percentiles 50 99.95\nshutdown-on-sigterm nosave now\nlua-replicate-commands yes\n\
         user alice on >secret ~*\nrename-command FLUSHALL \"\"\nloadmodule /m.so a\nmod.opt 1 2\n\
         oom-score-adj relative\nloglevel VERBOSE\n",
    )
    .unwrap();
    assert_eq!(
        (config.port, config.bind.0.len(), config.maxmemory),
        (7000, 2, 1 << 30)
    );
    assert_eq!(config.requirepass.as_deref(), Some(&b"a b\x00\xff"[..]));
    assert_eq!(
        (config.maxmemory_clients, config.maxmemory_clients_bytes()),
        (-5, (1 << 30) / 20)
    );
    assert_eq!((config.unixsocketperm, config.replica_priority), (0o700, 7));
    assert_eq!(one(&config, "maxmemory-clients"), "5%");
    assert_eq!(one(&config, "unixsocketperm"), "700");
    assert_eq!(
        one(&config, "client-output-buffer-limit"),
        "normal 0 0 0 slave 1048576 1024 5 pubsub 1 2 3"
    );
    assert_eq!(one(&config, "notify-keyspace-events"), "AKE");
    assert_eq!(one(&config, "slaveof"), "10.0.0.1 6380");
    assert_eq!(
        one(&config, "latency-tracking-info-percentiles"),
        "50 99.95"
    );
    assert_eq!(one(&config, "shutdown-on-sigterm"), "nosave now");
    assert_eq!(one(&config, "oom-score-adj"), "yes");
    assert_eq!(config.loglevel, LogLevel::Verbose);
    assert_eq!(config.users[0][0], b"alice");
    assert_eq!(
        config.renamed_commands,
        [(b"FLUSHALL".to_vec(), Vec::new())]
    );
    assert_eq!(config.modules, [[b"/m.so".to_vec(), b"a".to_vec()]]);
    assert_eq!(
        config.module_options,
        [(b"mod.opt".to_vec(), b"1 2".to_vec())]
    );
}

#[test]
fn save_lines_add_up_after_the_first() {
    assert_eq!(
        one(&read("save 900 1\nsave 60 5").unwrap(), "save"),
        "900 1 60 5"
    );
    assert_eq!(one(&read("save 900 1 60 5").unwrap(), "save"), "900 1 60 5");
    assert_eq!(one(&read("save \"900 1\"").unwrap(), "save"), "900 1");
    assert_eq!(one(&read("save \"\"").unwrap(), "save"), "");
    assert_eq!(
        one(&read("save 900 1\nsave \"\"\nsave 60 5").unwrap(), "save"),
        "60 5"
    );
    assert_eq!(one(&read("").unwrap(), "save"), "3600 1 300 100 60 10000");
    let config = set(&Config::default(), &[("save", "1 1 2 2")]).unwrap();
    assert_eq!(one(&config, "save"), "1 1 2 2");
    assert_eq!(
        one(&set(&config, &[("save", "3 3")]).unwrap(), "save"),
        "3 3"
    );
    assert_eq!(one(&set(&config, &[("save", "")]).unwrap(), "save"), "");
}

#[test]
fn errors_have_the_form_of_redis() {
    assert_eq!(
        read("port 1\n port  abc \n").unwrap_err(),
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 2\n\
         >>> 'port  abc'\nargument couldn't be parsed into an integer"
    );
    for (line, expected) in [
        ("nonsense 1", "Bad directive or wrong number of arguments"),
        ("include", "Bad directive or wrong number of arguments"),
        (
            "rename-command a",
            "Bad directive or wrong number of arguments",
        ),
        ("port 1 2", "wrong number of arguments"),
        ("port", "wrong number of arguments"),
        (
            "port 65536",
            "argument must be between 0 and 65535 inclusive",
        ),
        ("port 010", "argument couldn't be parsed into an integer"),
        (
            "maxclients -1",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "hash-max-listpack-entries -1",
            "argument must be between 0 and 9223372036854775807 inclusive",
        ),
        (
            "proto-max-bulk-len 1kb",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        ("maxmemory x", "argument must be a memory value"),
        ("maxmemory -1", "argument must be a memory value"),
        (
            "maxmemory-clients 101%",
            "percentage argument must be less or equal to 100",
        ),
        (
            "maxmemory-clients x",
            "argument must be a memory or percent value",
        ),
        (
            "unixsocketperm 888",
            "argument couldn't be parsed as an octal number",
        ),
        (
            "unixsocketperm 1000",
            "argument must be between 0 and 777 inclusive",
        ),
        ("appendonly maybe", "argument must be 'yes' or 'no'"),
        (
            "maxmemory-policy x",
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, \
             allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        ),
        (
            "shutdown-on-sigint save x",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            "oom-score-adj x",
            "argument(s) must be one of the following: no, yes, relative, absolute",
        ),
        (
            "shutdown-on-sigint save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        ("save 900", "Invalid save parameters"),
        ("save 0 1", "Invalid save parameters"),
        (
            "client-output-buffer-limit normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit master 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit normal 1 2 x",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("oom-score-adj-values 1 2", "wrong number of arguments"),
        (
            "oom-score-adj-values 1 2 2001",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        (
            "notify-keyspace-events Q",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        (
            "bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
            "Too many bind addresses specified.",
        ),
        ("replicaof a", "wrong number of arguments"),
        ("replicaof a 65536", "Invalid master port"),
        (
            "latency-tracking-info-percentiles x",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            "latency-tracking-info-percentiles 1e-400",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            "latency-tracking-info-percentiles 101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        (
            "dbfilename a/b",
            "dbfilename can't be a path, just a filename",
        ),
        ("appendfilename \"\"", "appendfilename can't be empty"),
        (
            "appenddirname a/b",
            "appenddirname can't be a path, just a dirname",
        ),
        (
            "cluster-announce-hostname a_b",
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ),
        (
            "cluster-announce-human-nodename a*b",
            "Announced human node name contained invalid character",
        ),
        (
            "proc-title-template {x}",
            "template format is invalid or contains unknown variables",
        ),
        ("dir /no/such/dir", "No such file or directory"),
        ("dir /etc/passwd", "Not a directory"),
        ("save \"900", "Unbalanced quotes in configuration line"),
        (
            "sentinel monitor a",
            "sentinel directive while not in sentinel mode",
        ),
        ("mod.opt", "Module config specified without value"),
        (
            "cluster-enabled yes\nreplicaof a 1",
            "replicaof directive not allowed in cluster mode",
        ),
        (
            "logfile /no/such/dir/x",
            "Can't open the log file: No such file or directory",
        ),
    ] {
        assert_eq!(reason(line), expected, "{line}");
    }
    // What concerns no single line names none.
    assert_eq!(
        read("cluster-enabled yes\nreplicaof a 1").unwrap_err(),
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nreplicaof directive not allowed in cluster mode"
    );
}

#[test]
fn values_out_of_range_are_brought_into_it() {
    assert_eq!(read("hz 100000").unwrap().hz, 500);
    assert_eq!(set(&Config::default(), &[("hz", "0")]).unwrap().hz, 1);
    assert_eq!(
        read("repl-backlog-size 1").unwrap().repl_backlog_size,
        16 * 1024
    );
    let loaded = Config::from_text(b"cluster-enabled yes").unwrap();
    assert_eq!((loaded.config.databases, loaded.warnings.len()), (1, 1));
}

#[test]
fn file_then_standard_input_then_options() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.conf");
    fs::write(&path, "port 1\ntimeout 1\nhz 20").unwrap();
    let file = path.to_str().unwrap();
    let config = load(&[file, "--port", "3", "-"], "port 2\ntimeout 2\n")
        .unwrap()
        .config;
    assert_eq!((config.port, config.timeout, config.hz), (3, 2, 20));
    assert_eq!(config.config_file.as_deref(), Some(path.as_path()));
    assert_eq!(load(&[file], "port 9").unwrap().config.port, 1);
    // A line of the command line comes after one that is empty.
    let error = load(&["--port", "x"], "").unwrap_err().to_string();
    assert!(error.contains("at line 2\n>>> 'port \"x\"'\n"), "{error}");
    let error = load(&["/no/such.conf"], "").unwrap_err().to_string();
    assert_eq!(
        error,
        "Fatal error, can't open config file '/no/such.conf': No such file or directory"
    );
    assert!(
        load(
            &["--bind", "127.0.0.1", "::1", "--save", "900 1", "--hz 5"],
            ""
        )
        .unwrap()
        .config
        .bind
        .0
        .len()
            == 2
    );
}

#[test]
fn includes_follow_names_and_patterns() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("10.conf"), "port 10\ntimeout 7").unwrap();
    fs::write(at("20.conf"), "port 20").unwrap();
    fs::write(at(".hidden.conf"), "port 30").unwrap();
    fs::write(at("bad.txt"), "\nhz x").unwrap();
    fs::write(
        at("loop.txt"),
        format!("include {}", at("loop.txt").display()),
    )
    .unwrap();
    let dir = dir.path().display();
    let config = read(&format!("dir {dir}\ninclude *.conf\ninclude none*.conf")).unwrap();
    assert_eq!((config.port, config.timeout), (20, 7));
    assert_eq!(read(&format!("include {dir}/1?.conf")).unwrap().port, 10);
    assert_eq!(read(&format!("include {dir}/[!1]0.conf")).unwrap().port, 20);
    let error = read(&format!("include {dir}/bad.txt")).unwrap_err();
    assert!(
        error.contains(&format!(
            "Reading the configuration file '{dir}/bad.txt', at line 2\n>>> 'hz x'"
        )),
        "{error}"
    );
    assert!(
        read(&format!("include {dir}/none.conf"))
            .unwrap_err()
            .starts_with("Fatal error, can't open config file")
    );
    assert!(reason(&format!("include {dir}/loop.txt")).starts_with("Too many nested include"));
}

#[test]
fn hooks_can_refuse_lines() {
    struct Refuse;
    impl LoadHooks for Refuse {
        fn user(&mut self, words: &[Vec<u8>]) -> Result<(), (Vec<u8>, String)> {
            Err((words[1].clone(), "Syntax error".to_owned()))
        }
        fn rename_command(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
            Err("No such command in rename-command".to_owned())
        }
    }
    for (line, expected) in [
        (
            "user a bad",
            "Error in user declaration 'bad': Syntax error",
        ),
        ("rename-command a b", "No such command in rename-command"),
    ] {
        let plan = StartPlan {
            options: line.as_bytes().to_vec(),
            ..StartPlan::default()
        };
        let error = Config::load(&plan, &mut std::io::empty(), &mut Refuse)
            .unwrap_err()
            .to_string();
        assert_eq!(error.lines().last().unwrap(), expected);
    }
}
