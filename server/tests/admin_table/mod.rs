//! The command table as COMMAND INFO, DOCS and COUNT tell it, beside that of Valkey 8.1 and
//! the documentation of newer commands.

use std::collections::HashMap;

use super::common::{Reply, Server};

fn sorted(mut words: Vec<String>) -> String {
    words.sort_unstable();
    words.join("|")
}

fn texts(reply: &Reply) -> Vec<String> {
    let items = reply.items().iter();
    items.map(|item| item.text().to_uppercase()).collect()
}

/// A key spec in the notation of the table.
fn key_spec(spec: &Reply) -> String {
    let flags = sorted(texts(spec.get("flags")));
    let part = |name: &str| {
        let search = spec.get(name);
        (search.get("type").text().to_owned(), search.get("spec"))
    };
    let begin = match part("begin_search") {
        (kind, at) if kind == "index" => format!("index:{}", at.get("index").int()),
        (kind, at) if kind == "keyword" => format!(
            "keyword:{}@{}",
            at.get("keyword").text(),
            at.get("startfrom").int()
        ),
        (kind, _) => kind,
    };
    let numbers = |spec: &Reply, names: [&str; 3]| {
        let numbers = names.map(|name| spec.get(name).int().to_string());
        numbers.join(",")
    };
    let find = match part("find_keys") {
        (kind, spec) if kind == "range" => {
            format!("range({})", numbers(spec, ["lastkey", "keystep", "limit"]))
        }
        (kind, spec) if kind == "keynum" => {
            format!(
                "keynum({})",
                numbers(spec, ["keynumidx", "firstkey", "keystep"])
            )
        }
        (kind, _) => kind,
    };
    format!("{flags} {begin} {find}")
}

/// The table's notation with the flags of each key spec in order.
fn key_specs_of_table(text: &str) -> Vec<String> {
    let specs = text.split(';').map(str::trim).filter(|s| !s.is_empty());
    specs
        .map(|spec| {
            let (flags, rest) = spec.split_once(' ').expect("flags and places");
            let flags = flags.split('|').map(str::to_owned).collect();
            format!("{} {rest}", sorted(flags))
        })
        .collect()
}

fn doc(docs: &Reply, field: &str) -> String {
    let mut pairs = docs.items().chunks_exact(2);
    let found = pairs.find(|pair| pair[0].text() == field);
    match found.map(|pair| &pair[1]) {
        Some(Reply::Many(_, items)) => {
            sorted(items.iter().map(|i| i.text().to_uppercase()).collect())
        }
        Some(text) => text.text().to_owned(),
        None => String::new(),
    }
}

#[test]
fn the_command_table_is_that_of_valkey() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let table = include_str!("../data/command_facts.tsv");
    let rows: HashMap<&str, Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| {
            let facts: Vec<&str> = line.split('\t').collect();
            (facts[0], facts)
        })
        .collect();
    let list = client.ask("command list");
    let names: Vec<&str> = list.items().iter().map(Reply::text).collect();
    let mut wrong = Vec::new();
    for name in &names {
        let Some(row) = rows.get(name) else {
            // What no Valkey has.
            if name.split('|').next() == Some("backup") {
                continue;
            }
            wrong.push(format!("{name}: in no table"));
            continue;
        };
        let info = client.ask(&format!("command info {name}"));
        let info = info.items()[0].items();
        let reply = client.ask(&format!("command docs {name}"));
        let docs = &reply.items()[1];
        let specs: Vec<String> = info[8].items().iter().map(key_spec).collect();
        let tips = sorted(row[6].split('|').map(str::to_owned).collect());
        for (what, told, wanted) in [
            ("group", doc(docs, "group"), row[1].replace('_', "-")),
            ("since", doc(docs, "since"), row[2].to_owned()),
            (
                "key specs",
                specs.join("; "),
                key_specs_of_table(row[3]).join("; "),
            ),
            (
                "deprecated",
                doc(docs, "deprecated_since"),
                row[4].to_owned(),
            ),
            ("doc flags", doc(docs, "doc_flags"), row[5].to_owned()),
            ("tips", sorted(texts(&info[7])), tips),
        ] {
            if told != wanted {
                wrong.push(format!("{name}: {what}: {told:?}, in the table {wanted:?}"));
            }
        }
    }
    let absent = |name: &&&str| !names.contains(*name);
    let missing: Vec<&&str> = rows.keys().filter(absent).collect();
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(missing.is_empty(), "not there: {missing:?}");
    let top = names.iter().filter(|name| !name.contains('|')).count();
    assert_eq!(client.ask("command count").int(), top as i64);
}

#[test]
fn failover_of_a_lone_primary() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (line, error) in [
        ("failover", "FAILOVER requires connected replicas."),
        (
            "failover to host 1 force timeout 5",
            "FAILOVER requires connected replicas.",
        ),
        ("failover abort", "No failover in progress."),
        ("failover abort now", "syntax error"),
        ("failover to host", "syntax error"),
        (
            "failover timeout 0",
            "FAILOVER timeout must be greater than 0",
        ),
        (
            "failover to host x",
            "value is not an integer or out of range",
        ),
    ] {
        assert_eq!(
            client.ask(line),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
}

#[test]
fn what_replicas_send_is_answered() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let error = |text: &str| Reply::Line(format!("-ERR {text}"));
    let long = "x".repeat(256);
    for (line, reply) in [
        ("replconf", Reply::Line("+OK".into())),
        (
            "replconf listening-port 7000 ip-address 1.2.3.4",
            Reply::Line("+OK".into()),
        ),
        (
            "replconf capa eof capa psync2 capa other",
            Reply::Line("+OK".into()),
        ),
        (
            "replconf rdb-only 1 rdb-filter-only functions",
            Reply::Line("+OK".into()),
        ),
        ("replconf capa", error("syntax error")),
        (
            "replconf listening-port x",
            error("value is not an integer or out of range"),
        ),
        (
            "replconf rdb-only 2",
            error("value is out of range, value must between 0 and 1"),
        ),
        (
            "replconf rdb-filter-only keys",
            error("Unsupported rdb-filter-only option: keys"),
        ),
        (
            "replconf version 8.0.0",
            error("Unrecognized REPLCONF option: version"),
        ),
        (
            "psync ? -1",
            error("this server cannot feed replicas yet: replication is not built"),
        ),
        (
            "psync ? x",
            error("value is not an integer or out of range"),
        ),
        (
            "psync ? -1 failover",
            error("PSYNC FAILOVER can't be sent to a master."),
        ),
        (
            "sync",
            error("this server cannot feed replicas yet: replication is not built"),
        ),
        ("replicaof no one", Reply::Line("+OK".into())),
        ("replicaof host x", error("Invalid master port")),
        (
            "clusterscan 0",
            error("This instance has cluster support disabled"),
        ),
    ] {
        assert_eq!(client.ask(line), reply, "{line}");
    }
    assert_eq!(
        client.ask(&format!("replconf ip-address {long}")),
        error("REPLCONF ip-address provided by replica instance is too long: 256 bytes")
    );
    let role = client.ask("role");
    assert_eq!(role.items()[0].text(), "master");
    // ACK has no answer, whoever sends it: the next reply is that of PING.
    client.send("replconf ack 5");
    client.send("replconf getack *");
    assert_eq!(client.ask("ping"), Reply::Line("+PONG".into()));
}

#[test]
fn modules_cannot_be_loaded() {
    let server = Server::start(&[]);
    let refused = server.client().ask("module load x.so");
    let Reply::Line(text) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        text.starts_with("-ERR MODULE command not allowed."),
        "{text}"
    );
    let server = Server::start(&["--enable-module-command", "yes"]);
    let mut client = server.client();
    for (line, error) in [
        (
            "module load x.so",
            "Error loading the extension. Please check the server logs.",
        ),
        (
            "module loadex x.so CONFIG a b",
            "Error loading the extension. Please check the server logs.",
        ),
        (
            "module unload x",
            "Error unloading module: no such module with that name",
        ),
    ] {
        assert_eq!(
            client.ask(line),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
    assert!(client.ask("module list").items().is_empty());
}

#[test]
fn hot_keys_are_found() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let ok = Reply::Line("+OK".into());
    for (words, error) in [
        ("", "METRICS parameter is required"),
        (
            "METRICS 1",
            "METRICS count does not match number of metric types provided",
        ),
        ("METRICS 0 CPU", "METRICS count must be > 0 and <= 2"),
        ("METRICS 3 CPU NET", "METRICS count must be > 0 and <= 2"),
        (
            "METRICS 2 CPU",
            "METRICS count does not match number of metric types provided",
        ),
        ("METRICS 1 CPU NET", "syntax error"),
        (
            "METRICS 2 GPU NYET",
            "METRICS no valid metrics passed. Supported: CPU|NET",
        ),
        ("METRICS 2 NET NET", "METRICS NET defined more than once!"),
        ("METRICS 1 CPU COUNT 65", "COUNT must be between 1 and 64"),
        (
            "METRICS 1 CPU DURATION 0",
            "DURATION must be between 1 and 1000000",
        ),
        ("METRICS 1 CPU SAMPLE 0", "SAMPLE ratio must be positive"),
        (
            "METRICS 1 CPU SLOTS 1 0",
            "SLOTS parameter cannot be used in non-cluster mode",
        ),
        ("METRICS 1 CPU SAMPLE", "syntax error"),
    ] {
        let line = format!("hotkeys start {words}");
        assert_eq!(
            client.ask(line.trim_end()),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
    assert_eq!(client.ask("hotkeys get"), Reply::Nil);
    assert_eq!(client.ask("hotkeys stop"), Reply::Nil);
    assert_eq!(client.ask("hotkeys start METRICS 2 NET GPU COUNT 2"), ok);
    assert_eq!(
        client.ask("hotkeys start METRICS 1 CPU"),
        Reply::Line("-ERR hotkey tracking session already in progress".into())
    );
    assert_eq!(
        client.ask("hotkeys reset"),
        Reply::Line("-ERR hotkey tracking session in progress, stop tracking first".into())
    );
    client.ask("multi");
    client.ask("set a 12345");
    client.ask("set b 1");
    client.ask("exec");
    for _ in 0..3 {
        client.ask("mget a b");
    }
    client.ask("set c 1");
    client.ask("ping");
    assert_eq!(client.ask("hotkeys stop"), ok);
    client.ask("set c 123456789012345678901234567890");
    let got = client.ask("hotkeys get");
    let report = &got.items()[0];
    let fields: Vec<&str> = report.items().iter().step_by(2).map(Reply::text).collect();
    assert_eq!(
        fields,
        [
            "tracking-active",
            "sample-ratio",
            "selected-slots",
            "all-commands-all-slots-us",
            "net-bytes-all-commands-all-slots",
            "collection-start-time-unix-ms",
            "collection-duration-ms",
            "total-net-bytes",
            "by-net-bytes"
        ]
    );
    assert_eq!(report.get("tracking-active").int(), 0);
    let slots = report.get("selected-slots").items()[0].items();
    assert_eq!((slots[0].int(), slots[1].int()), (0, 16383));
    // Requests and replies of SET (inside EXEC, whose reply counts for none), MGET by half, SET c.
    let (set_a, set_b) = (31, 27);
    let mget = (28 + 22) / 2;
    let hot = report.get("by-net-bytes").items();
    assert_eq!((hot[0].text(), hot[1].int()), ("a", set_a + 3 * mget));
    assert_eq!((hot[2].text(), hot[3].int()), ("b", set_b + 3 * mget));
    assert_eq!(hot.len(), 4);
    assert_eq!(client.ask("hotkeys reset"), ok);
    assert_eq!(client.ask("hotkeys get"), Reply::Nil);
}
