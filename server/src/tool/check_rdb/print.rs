//! The report as text for people and as JSON for programs.

use std::io::{self, Write};
use std::path::Path;

use basalt_formats::rdb::Target;
use basalt_formats::rdb::file::Checksum;

use super::super::rdb::json::{self, Json};
use super::super::rdb::{layout, quoted};
use super::{Finding, Report};

fn checksum(report: &Report) -> &'static str {
    match report.checksum {
        Some(Checksum::Good(_)) => "good",
        Some(Checksum::Zero) => "none was computed",
        Some(Checksum::Absent) => "the version has none",
        Some(Checksum::Unchecked(_)) | None => "not reached",
    }
}

fn place(finding: &Finding) -> String {
    let mut text = match finding.offset {
        Some(offset) => format!("offset {offset}"),
        None => "unknown offset".into(),
    };
    if let Some(key) = &finding.key {
        text += &format!(", key {} in database {}", quoted(key), finding.db);
    }
    text
}

/// Prints lines.
pub(super) fn text(
    file: &Path,
    target: Option<Target>,
    report: &Report,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = file.display();
    if let Some(header) = report.header {
        writeln!(out, "{name}: {header}, {} bytes", report.bytes)?;
    }
    for (key, value) in &report.remarks {
        writeln!(out, "  {} = {}", quoted(key), quoted(value))?;
    }
    for (db, database) in &report.census.databases {
        writeln!(
            out,
            "database {db}: {} keys, {} that expire, {} of them already expired",
            database.keys, database.expires, database.expired
        )?;
        for (kind, count) in &database.kinds {
            writeln!(
                out,
                "  {} ({}): {} keys, {} bytes",
                kind.name(),
                layout(*kind),
                count.keys,
                count.bytes
            )?;
        }
    }
    if report.functions > 0 {
        writeln!(out, "libraries of functions: {}", report.functions)?;
    }
    let mut biggest = report.census.biggest().peekable();
    if biggest.peek().is_some() {
        writeln!(out, "biggest keys:")?;
    }
    for big in biggest {
        let key = quoted(&big.key);
        let kind = big.kind.name();
        writeln!(
            out,
            "  {} bytes: {kind} {key} in database {}",
            big.bytes, big.db
        )?;
    }
    writeln!(out, "checksum: {}", checksum(report))?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    let whom = target.map_or_else(|| "this server".into(), |target| target.to_string());
    for finding in &report.unsupported {
        let (place, cause) = (place(finding), &finding.cause);
        writeln!(out, "not for {whom}: {place}: {cause}")?;
    }
    if report.more_unsupported > 0 {
        writeln!(out, "not for {whom}: {} more", report.more_unsupported)?;
    }
    let keys = report.census.keys();
    match &report.first_damage {
        None if report.unsupported.is_empty() => writeln!(out, "{name}: ok, {keys} keys"),
        None => {
            let count = report.unsupported.len() as u64 + report.more_unsupported;
            writeln!(out, "{name}: {count} of {keys} keys not for {whom}")
        }
        Some(finding) => {
            let (place, cause) = (place(finding), &finding.cause);
            writeln!(out, "{name}: damaged: {place}: {cause}")?;
            match report.more_damage {
                0 => Ok(()),
                more => writeln!(out, "{name}: {more} more values are damaged"),
            }
        }
    }
}

fn finding(finding: &Finding) -> String {
    let mut object = Json::object();
    if let Some(offset) = finding.offset {
        object.put("offset", offset);
    }
    if let Some(key) = &finding.key {
        object.put("db", finding.db);
        object.put("key", json::string(&quoted(key)));
        object.put("key_hex", json::hex(key));
    }
    object.put("cause", json::string(&finding.cause));
    object.finish()
}

/// Prints one JSON object on one line.
pub(super) fn json(
    file: &Path,
    target: Option<Target>,
    report: &Report,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut object = Json::object();
    object.put("file", json::string(&file.display().to_string()));
    object.put("ok", report.is_good());
    object.put("bytes", report.bytes);
    if let Some(header) = report.header {
        object.put("header", json::string(&header.to_string()));
    }
    if let Some(target) = target {
        object.put("target", json::string(&target.to_string()));
    }
    let mut remarks = Json::array();
    for (key, value) in &report.remarks {
        let text = |bytes: &[u8]| json::string(&String::from_utf8_lossy(bytes));
        remarks.push(&format!("[{},{}]", text(key), text(value)));
    }
    object.put("aux", remarks.finish());
    object.put("keys", report.census.keys());
    object.put("databases", databases(report));
    object.put("functions", report.functions);
    object.put("empty_collections", report.empty);
    let mut biggest = Json::array();
    for big in report.census.biggest() {
        let mut one = Json::object();
        one.put("bytes", big.bytes);
        one.put("db", big.db);
        one.put("type", json::string(big.kind.name()));
        one.put("key", json::string(&quoted(&big.key)));
        biggest.push(&one.finish());
    }
    object.put("biggest", biggest.finish());
    object.put("checksum", json::string(checksum(report)));
    object.put("trailing_bytes", report.trailing_bytes);
    let mut notes = Json::array();
    for note in &report.notes {
        notes.push(&json::string(note));
    }
    object.put("notes", notes.finish());
    let mut unsupported = Json::array();
    for one in &report.unsupported {
        unsupported.push(&finding(one));
    }
    object.put("unsupported", unsupported.finish());
    object.put("unsupported_not_listed", report.more_unsupported);
    if let Some(first) = &report.first_damage {
        object.put("damage", finding(first));
        object.put("damage_not_listed", report.more_damage);
    }
    writeln!(out, "{}", object.finish())
}

fn databases(report: &Report) -> String {
    let mut databases = Json::array();
    for (db, database) in &report.census.databases {
        let mut one = Json::object();
        one.put("db", db);
        one.put("keys", database.keys);
        one.put("expires", database.expires);
        one.put("expired", database.expired);
        let mut kinds = Json::array();
        for (kind, count) in &database.kinds {
            let mut of_kind = Json::object();
            of_kind.put("type", json::string(kind.name()));
            of_kind.put("layout", json::string(layout(*kind)));
            of_kind.put("keys", count.keys);
            of_kind.put("bytes", count.bytes);
            kinds.push(&of_kind.finish());
        }
        one.put("layouts", kinds.finish());
        databases.push(&one.finish());
    }
    databases.finish()
}
