//! The command table as COMMAND INFO, DOCS and COUNT tell it, beside that of Valkey 8.1 and
//! the documentation of newer commands.

use std::collections::HashMap;

use super::common::{Reply, Server};

/// Commands of the table that are not there, each with the reason; one that has come since does
/// no harm here.
const MISSING: &[(&str, &str)] = &[
    ("acl|deluser", "users"),
    ("acl|dryrun", "users"),
    ("acl|getuser", "users"),
    ("acl|load", "users"),
    ("acl|log", "users"),
    ("acl|save", "users"),
    ("acl|setuser", "users"),
    ("eval", "scripting"),
    ("eval_ro", "scripting"),
    ("evalsha", "scripting"),
    ("evalsha_ro", "scripting"),
    ("fcall", "scripting"),
    ("fcall_ro", "scripting"),
    ("function|load", "scripting"),
    ("module|load", "there is no module loader, on purpose"),
    ("module|loadex", "there is no module loader, on purpose"),
    ("module|unload", "there is no module loader, on purpose"),
    ("psync", "replication"),
    ("replconf", "replication"),
    ("script|debug", "scripting"),
    ("script|load", "scripting"),
    ("script|show", "scripting"),
    ("sync", "replication"),
];

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
    let absent = |name: &&&str| {
        !names.contains(*name) && !MISSING.iter().any(|(missing, _)| missing == *name)
    };
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
