//! What is said of a file, as text and as JSON.

use std::io::{self, Write};
use std::path::Path;

use basalt_formats::aof::{AofReader, AofReport, Form, Record, Verdict};
use serde_json::{Map, Value, json};

use super::files::NamedFile;

/// Says what is wrong, and where.
pub(super) fn verdict(out: &mut dyn Write, report: &AofReport) -> io::Result<()> {
    match &report.verdict {
        Verdict::Valid => Ok(()),
        Verdict::TruncatedTail { valid_up_to, cause } => {
            writeln!(out, "Unfinished tail from offset {valid_up_to}: {cause}")
        }
        Verdict::Corrupt {
            offset,
            record,
            cause,
            next_valid,
        } => {
            let what = if report.form == Form::Annotated && report.unproven_from.is_none() {
                "batch"
            } else {
                "command"
            };
            writeln!(
                out,
                "Damaged at offset {offset} (0x{offset:x}), {what} number {record}: {cause}"
            )?;
            match next_valid {
                Some(next) => writeln!(
                    out,
                    "The next whole {what} behind it begins at offset {next}"
                ),
                None => writeln!(out, "Nothing whole was found behind it"),
            }
        }
    }
}

/// The line that `redis-check-aof` prints.
pub(super) fn analyzed(
    out: &mut dyn Write,
    name: &str,
    bytes: &[u8],
    report: &AofReport,
) -> io::Result<()> {
    let (size, ok) = (report.size, report.valid_up_to);
    let line = protocol_line(bytes, report);
    let diff = size - ok;
    writeln!(
        out,
        "AOF analyzed: filename={name}, size={size}, ok_up_to={ok}, ok_up_to_line={line}, diff={diff}"
    )
}

/// The number of the line at which the whole commands end: each count, length and argument is a line, an annotation is none.
fn protocol_line(bytes: &[u8], report: &AofReport) -> u64 {
    let whole = bytes.get(..report.valid_up_to).unwrap_or_default();
    let mut reader = AofReader::at(whole, report.preamble_end.unwrap_or(0));
    let mut line = 1u64;
    while let Ok(Some(record)) = reader.next_record() {
        if let Record::Command(command) = record {
            line += 1 + 2 * command.args.len() as u64;
        }
    }
    line
}

/// What the checksums tell.
pub(super) fn proven(out: &mut dyn Write, report: &AofReport) -> io::Result<()> {
    if let Some(header) = &report.header {
        let batches = report.batches;
        writeln!(
            out,
            "Checksums: {batches} batches are as they were written, lineage {}",
            header.lineage
        )?;
    }
    if let Some(from) = report.unproven_from {
        writeln!(
            out,
            "From offset {from} on, another server wrote, without checksums"
        )?;
    }
    Ok(())
}

/// All that is found, for `--json`.
#[derive(Default)]
pub(super) struct Findings {
    object: Map<String, Value>,
    files: Vec<Value>,
    cuts: Vec<Value>,
}

impl Findings {
    pub fn manifest(&mut self, path: &Path) {
        self.object
            .insert("manifest".into(), json!(path.to_string_lossy()));
    }

    pub fn refuse(&mut self, reason: &str) {
        self.object.insert("refused".into(), json!(reason));
    }

    pub fn file(&mut self, file: &NamedFile, report: &AofReport) {
        let (verdict, offset, record, cause, next_valid) = match &report.verdict {
            Verdict::Valid => ("valid", None, None, None, None),
            Verdict::TruncatedTail { valid_up_to, cause } => (
                "truncated",
                Some(*valid_up_to),
                None,
                Some(cause.to_string()),
                None,
            ),
            Verdict::Corrupt {
                offset,
                record,
                cause,
                next_valid,
            } => (
                "corrupt",
                Some(*offset),
                Some(*record),
                Some(cause.to_string()),
                *next_valid,
            ),
        };
        let form = match report.form {
            Form::Empty => "empty",
            Form::Plain => "plain",
            Form::Annotated => "checksums",
        };
        self.files.push(json!({
            "file": file.path.to_string_lossy(),
            "type": file.label(),
            "size": report.size,
            "form": form,
            "rdb_preamble_bytes": report.preamble_end,
            "verdict": verdict,
            "valid_up_to": report.valid_up_to,
            "offset": offset,
            "record": record,
            "cause": cause,
            "next_valid": next_valid,
            "commands": report.commands,
            "transactions": report.transactions,
            "batches": report.batches,
            "unproven_from": report.unproven_from,
            "first_time_ms": report.times_ms.map(|(first, _)| first),
            "last_time_ms": report.times_ms.map(|(_, last)| last),
            "lineage": report.header.map(|header| header.lineage.to_string()),
        }));
    }

    pub fn cut(&mut self, file: &NamedFile, offset: usize, kept: &Path) {
        self.cuts.push(json!({
            "file": file.path.to_string_lossy(),
            "offset": offset,
            "kept_in": kept.to_string_lossy(),
        }));
    }

    pub fn salvaged(&mut self, summary: Value) {
        self.object.insert("salvaged".into(), summary);
    }

    pub fn to_json(&self, code: u8) -> Value {
        let mut object = self.object.clone();
        object.insert("ok".into(), json!(code == super::SUCCESS));
        object.insert("files".into(), json!(self.files));
        object.insert("cuts".into(), json!(self.cuts));
        Value::Object(object)
    }
}
