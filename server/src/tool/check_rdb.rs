//! `basalt check-rdb FILE`: is every byte of an RDB file as it should be, and what is in it?
//!
//! The file is mapped and read once, front to back. Every value is decoded as a load would, so what
//! passes here loads; the checksum is computed over all of it. With a target, what that server
//! cannot keep is listed as well. Values of modules are no damage, but nothing this server can load.
//!
//! A file with damage in its frame ends there; damage inside a value does not keep the tool from
//! reading on, the first one is told and the rest counted.

mod print;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use basalt_formats::rdb::file::{Checksum, FileReader, Header, KeyRecord, Record};
use basalt_formats::rdb::{Target, Writer, recode};

use super::rdb::census::Census;
use super::rdb::{self, Verdict};
use super::{FAILURE, SUCCESS};
use crate::persist::mapped::MappedFile;

/// Keys that are listed because somebody cannot keep them; the rest is counted.
const LISTED: usize = 1000;
/// Remarks of a file that are kept.
const REMARKS: usize = 256;

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The RDB file
    pub file: PathBuf,
    /// List keys that this server cannot keep: redis-5, redis-6, redis-6.2, redis-7.0, redis-7.2, redis-7.4,
    /// valkey-7.2, valkey-8, valkey-9
    #[arg(long, value_parser = rdb::target)]
    pub target: Option<Target>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    offset: Option<usize>,
    db: u64,
    key: Option<Vec<u8>>,
    cause: String,
}

/// All that is known of a file in the end.
#[derive(Debug, Default)]
struct Report {
    bytes: u64,
    header: Option<Header>,
    remarks: Vec<(Vec<u8>, Vec<u8>)>,
    census: Census,
    functions: u64,
    empty: u64,
    modules: Vec<String>,
    checksum: Option<Checksum>,
    /// What follows the end of the file.
    trailing_bytes: u64,
    first_damage: Option<Finding>,
    more_damage: u64,
    /// What this server, or the target, cannot keep.
    unsupported: Vec<Finding>,
    more_unsupported: u64,
    notes: Vec<String>,
}

impl Report {
    fn damage(&mut self, finding: Finding) {
        match self.first_damage {
            None => self.first_damage = Some(finding),
            Some(_) => self.more_damage += 1,
        }
    }

    fn unsupported(&mut self, finding: Finding) {
        match self.unsupported.len() < LISTED {
            true => self.unsupported.push(finding),
            false => self.more_unsupported += 1,
        }
    }

    fn is_good(&self) -> bool {
        self.first_damage.is_none() && self.unsupported.is_empty()
    }
}

/// Prints what the file is worth.
pub(super) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mapped = match MappedFile::open(&args.file) {
        Ok(mapped) => mapped,
        Err(error) => {
            writeln!(err, "{}: {error}", args.file.display())?;
            return Ok(FAILURE);
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let report = examine(mapped.bytes(), args.target, now_ms);
    print(&args.file, args, &report, out)?;
    Ok(match report.is_good() {
        true => SUCCESS,
        false => FAILURE,
    })
}

fn print(file: &Path, args: &Args, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match args.json {
        true => print::json(file, args.target, report, out),
        false => print::text(file, args.target, report, out),
    }
}

/// Reads the whole file.
fn examine(input: &[u8], target: Option<Target>, now_ms: i64) -> Report {
    let mut report = Report {
        bytes: input.len() as u64,
        ..Report::default()
    };
    let mut scratch = Writer::new(false);
    let mut db = 0;
    let mut reader = match FileReader::new(input) {
        Ok(reader) => reader.keep_modules(true),
        Err(error) => {
            report.damage(Finding {
                offset: Some(error.offset),
                db,
                key: None,
                cause: error.fault.to_string(),
            });
            return report;
        }
    };
    report.header = Some(reader.header());
    loop {
        let start = reader.offset();
        match reader.next_record() {
            Ok(Record::Aux { key, value }) if report.remarks.len() < REMARKS => {
                report.remarks.push((key.into_owned(), value.into_owned()));
            }
            Ok(Record::SelectDb(number)) => db = number,
            Ok(Record::Function(_)) => function(&mut report, db, start, target),
            Ok(Record::ModuleAux { module, .. }) => {
                report.modules.push(module.to_string());
                report.unsupported(Finding {
                    offset: Some(start),
                    db,
                    key: None,
                    cause: format!("data of the module '{module}'"),
                });
            }
            Ok(Record::Key(record)) => {
                report.census.add(db, &record, now_ms);
                let body = reader.offset() - record.body.len();
                value(&mut report, db, &record, body, target, &mut scratch);
            }
            Ok(Record::Eof { checksum, end }) => {
                report.checksum = Some(checksum);
                report.trailing_bytes = (input.len() - end) as u64;
                break;
            }
            Ok(_) => {}
            Err(error) => {
                report.damage(Finding {
                    offset: Some(error.offset),
                    db,
                    key: rdb::key_at(input, start),
                    cause: error.fault.to_string(),
                });
                return report;
            }
        }
    }
    if let Some(twice) = report.census.duplicate(input) {
        report.damage(Finding {
            offset: Some(twice.offset),
            db: twice.db,
            key: Some(twice.key),
            cause: "the key comes twice".into(),
        });
    }
    notes(&mut report, target);
    report
}

fn function(report: &mut Report, db: u64, offset: usize, target: Option<Target>) {
    report.functions += 1;
    if let Some(target) = target.filter(|target| !target.supports_functions()) {
        report.unsupported(Finding {
            offset: Some(offset),
            db,
            key: None,
            cause: format!("a library of functions: {target} has none"),
        });
    }
}

/// Judges one value, which begins at `body` in the file.
fn value(
    report: &mut Report,
    db: u64,
    record: &KeyRecord<'_>,
    body: usize,
    target: Option<Target>,
    scratch: &mut Writer,
) {
    let finding = |offset, cause| Finding {
        offset: Some(offset),
        db,
        key: Some(record.key.to_vec()),
        cause,
    };
    match rdb::judge(record) {
        Verdict::Good => {}
        Verdict::Empty => report.empty += 1,
        Verdict::Foreign(cause) if target.is_none() => {
            report.unsupported(finding(record.offset, cause));
        }
        Verdict::Foreign(_) => {}
        Verdict::Damaged { offset, cause } => {
            let offset = offset.map_or(record.offset, |offset| body + offset);
            report.damage(finding(offset, cause));
            return;
        }
    }
    if let Some(target) = target.filter(|target| !target.supports(record.kind)) {
        scratch.clear();
        if let Err(error) = recode(record.kind, record.body, target, scratch) {
            report.unsupported(finding(record.offset, error.to_string()));
        }
    }
}

fn notes(report: &mut Report, target: Option<Target>) {
    if let (Some(header), Some(target)) = (report.header, target) {
        let own = target.header();
        let reads = own.magic == header.magic && own.version >= header.version
            || header.version <= own.version.min(11);
        if !reads {
            report.notes.push(format!(
                "{target} reads {own} and does not read {header}: convert the file for it"
            ));
        }
    }
    if report.trailing_bytes > 0 {
        let bytes = report.trailing_bytes;
        report.notes.push(format!(
            "{bytes} bytes follow the end of the file and are not part of it"
        ));
    }
    if report.empty > 0 {
        let empty = report.empty;
        report.notes.push(format!(
            "{empty} collections without elements, which a load passes over"
        ));
    }
}
