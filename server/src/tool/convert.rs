//! `basalt convert IN OUT`: an RDB file for another server, or in another form.
//!
//! ```text
//! IN, mapped --records--> layouts the target reads --1 MiB at a time--> temporary file --fsync, rename--> OUT
//! ```
//!
//! Invariants:
//! - OUT is either as it was or complete and on the disk, whatever happens on the way.
//! - Memory does not grow with the file: a buffer, and one value where it takes another layout.
//! - What the target reads as it is keeps its bytes, for which the checksum of IN vouches, where it has
//!   one; everything else is decoded whole.
//! - What the target cannot keep makes the tool refuse, unless it is told to leave such keys out,
//!   which it then lists.

mod plain;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use basalt_formats::rdb::file::{FileReader, FileWriter, KeyHead, KeyRecord, Record};
use basalt_formats::rdb::{RdbError, RecodeError, Target};
use rustix::fs::RenameFlags;

use super::rdb;
use super::{FAILURE, SUCCESS};
use crate::persist::mapped::MappedFile;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The RDB file to read
    pub input: PathBuf,
    /// The RDB file to write
    pub output: PathBuf,
    /// The server that is to read it: redis-5, redis-6, redis-6.2, redis-7.0, redis-7.2, redis-7.4, valkey-7.2,
    /// valkey-8, valkey-9; redis-7.2 unless told
    #[arg(long, value_parser = rdb::target)]
    pub target: Option<Target>,
    /// The RDB version to write instead: 9, 10, 11, 12, or 80 for Valkey 9
    #[arg(long, value_parser = rdb::version, conflicts_with = "target")]
    pub version: Option<Target>,
    /// Leave strings uncompressed
    #[arg(long)]
    pub no_compress: bool,
    /// Write no checksum
    #[arg(long)]
    pub no_checksum: bool,
    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,
    /// Leave out keys the target cannot keep, and list them
    #[arg(long)]
    pub skip_unsupported: bool,
}

/// Why there is no new file.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("offset {offset}{}: {cause}", of(key))]
    Damaged {
        offset: usize,
        key: Option<(u64, Vec<u8>)>,
        cause: String,
    },
    #[error(
        "offset {offset}{}: {cause}; --skip-unsupported leaves such out",
        of(key)
    )]
    Unsupported {
        offset: usize,
        key: Option<(u64, Vec<u8>)>,
        cause: RecodeError,
    },
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn of(key: &Option<(u64, Vec<u8>)>) -> String {
    match key {
        Some((db, key)) => format!(", key {} in database {db}", rdb::quoted(key)),
        None => String::new(),
    }
}

/// What became of the records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    keys: u64,
    changed: u64,
    functions: u64,
    skipped: u64,
    bytes: u64,
}

/// Writes the file and tells what became of it.
pub(super) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mapped = match MappedFile::open(&args.input) {
        Ok(mapped) => mapped,
        Err(error) => {
            writeln!(err, "{}: {error}", args.input.display())?;
            return Ok(FAILURE);
        }
    };
    let output = args.output.display();
    if !args.force && args.output.symlink_metadata().is_ok() {
        writeln!(err, "{output}: exists already; --force replaces it")?;
        return Ok(FAILURE);
    }
    match written(mapped.bytes(), args, out) {
        Ok(tally) => {
            writeln!(
                out,
                "{output}: {} for {}, {} bytes: {} keys, {} of them in another layout, {} libraries of functions, {} left out",
                target(args).header(),
                target(args),
                tally.bytes,
                tally.keys,
                tally.changed,
                tally.functions,
                tally.skipped
            )?;
            Ok(SUCCESS)
        }
        Err(Refusal::Io(error)) => {
            writeln!(err, "{output}: {error}")?;
            Ok(FAILURE)
        }
        Err(refusal) => {
            writeln!(err, "{}: {refusal}", args.input.display())?;
            Ok(FAILURE)
        }
    }
}

fn target(args: &Args) -> Target {
    args.target.or(args.version).unwrap_or(Target::Redis72)
}

/// Writes a temporary file beside the new one and gives it its name.
fn written(input: &[u8], args: &Args, list: &mut dyn Write) -> Result<Tally, Refusal> {
    let (folder, temporary) = beside(&args.output)?;
    let file = File::create_new(&temporary)?;
    let result = fill(input, args, file, list).and_then(|tally| {
        give_name(&temporary, &args.output, args.force)?;
        File::open(folder)?.sync_all()?;
        Ok(tally)
    });
    if result.is_err() {
        // It has its name already if only the directory could not be forced to the disk.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// The directory of a file, and a name in it that nobody else uses.
fn beside(output: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = output
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut temporary = std::ffi::OsString::from(format!(".temp-{}-", std::process::id()));
    temporary.push(name);
    let temporary = folder.join(temporary);
    Ok((folder, temporary))
}

/// Renames; without `force` another file of that name stays, even one that has just come.
fn give_name(temporary: &Path, output: &Path, force: bool) -> io::Result<()> {
    if !force {
        let here = rustix::fs::CWD;
        match rustix::fs::renameat_with(here, temporary, here, output, RenameFlags::NOREPLACE) {
            // Not every file system can do that.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            result => return result.map_err(io::Error::from),
        }
    }
    fs::rename(temporary, output)
}

fn fill(input: &[u8], args: &Args, mut file: File, list: &mut dyn Write) -> Result<Tally, Refusal> {
    let mut conversion = Conversion {
        args,
        writer: FileWriter::new(target(args), !args.no_compress, !args.no_checksum),
        tally: Tally::default(),
        db: 0,
        list,
    };
    let damaged = |offset, cause: String| Refusal::Damaged {
        offset,
        key: None,
        cause,
    };
    let mut reader = FileReader::new(input)
        .map_err(|error| damaged(error.offset, error.fault.to_string()))?
        .keep_modules(true);
    loop {
        let start = reader.offset();
        let record = reader.next_record().map_err(|error| Refusal::Damaged {
            offset: error.offset,
            key: rdb::key_at(input, start).map(|key| (conversion.db, key)),
            cause: error.fault.to_string(),
        })?;
        if let Record::Eof { .. } = record {
            break;
        }
        conversion.record(record, start)?;
        if conversion.writer.buffered() >= BUFFER {
            conversion.writer.drain(|bytes| file.write_all(bytes))?;
        }
    }
    let mut tally = conversion.tally;
    let mut writer = conversion.writer;
    writer.drain(|bytes| file.write_all(bytes))?;
    let drained = writer.written();
    let end = writer.finish();
    tally.bytes = drained + end.len() as u64;
    file.write_all(&end)?;
    file.sync_all()?;
    Ok(tally)
}

/// A conversion under way.
struct Conversion<'c> {
    args: &'c Args,
    writer: FileWriter,
    tally: Tally,
    db: u64,
    /// Where left out keys are told.
    list: &'c mut dyn Write,
}

impl Conversion<'_> {
    /// Writes one record, which began at `start`.
    fn record(&mut self, record: Record<'_>, start: usize) -> Result<(), Refusal> {
        match record {
            Record::Aux { key, value } => self.writer.aux(&key, &value),
            Record::SelectDb(db) => {
                self.db = db;
                self.writer.select_db(db);
            }
            Record::ResizeDb { keys, expires } => self.writer.resize_db(keys, expires),
            Record::SlotInfo {
                slot,
                keys,
                expires,
            } => self.writer.slot_info(slot, keys, expires),
            Record::ModuleAux { module, when, body } => self.writer.module_aux(module, when, body),
            Record::Function(source) => match self.writer.function(&source) {
                Ok(()) => self.tally.functions += 1,
                Err(cause) => self.leave_out(start, None, cause)?,
            },
            Record::Key(record) => self.key(&record)?,
            _ => {}
        }
        Ok(())
    }

    fn key(&mut self, record: &KeyRecord<'_>) -> Result<(), Refusal> {
        let same = self.writer.target().supports(record.kind);
        let done = match same && self.args.no_compress {
            true => self.plain(record),
            false => self.writer.record(record),
        };
        let key = || Some((self.db, record.key.to_vec()));
        match done {
            Ok(()) => {
                self.tally.keys += 1;
                self.tally.changed += u64::from(!same);
                Ok(())
            }
            // A load passes over it too, so nothing is lost.
            Err(cause @ RecodeError::Damaged(RdbError::Empty)) => {
                let key = key();
                self.tell(record.offset, &key, &cause)
            }
            Err(RecodeError::Damaged(cause)) => Err(Refusal::Damaged {
                offset: record.offset,
                key: key(),
                cause: cause.to_string(),
            }),
            Err(cause @ RecodeError::NotPairs) => Err(Refusal::Damaged {
                offset: record.offset,
                key: key(),
                cause: cause.to_string(),
            }),
            Err(cause) => {
                let key = key();
                self.leave_out(record.offset, key, cause)
            }
        }
    }

    /// Writes a key in its layout with its strings uncompressed.
    fn plain(&mut self, record: &KeyRecord<'_>) -> Result<(), RecodeError> {
        let mut body = basalt_formats::rdb::Writer::new(false);
        plain::copy(record.kind, record.body, &mut body)?;
        let head = KeyHead {
            key: &record.key,
            expire_ms: record.expire_ms,
            idle_s: record.idle_s,
            freq: record.freq,
        };
        let out = self.writer.writer();
        head.write(record.kind, out);
        out.raw(body.as_bytes());
        Ok(())
    }

    fn leave_out(
        &mut self,
        offset: usize,
        key: Option<(u64, Vec<u8>)>,
        cause: RecodeError,
    ) -> Result<(), Refusal> {
        if !self.args.skip_unsupported {
            return Err(Refusal::Unsupported { offset, key, cause });
        }
        self.tell(offset, &key, &cause)
    }

    fn tell(
        &mut self,
        offset: usize,
        key: &Option<(u64, Vec<u8>)>,
        cause: &RecodeError,
    ) -> Result<(), Refusal> {
        self.tally.skipped += 1;
        writeln!(self.list, "left out: offset {offset}{}: {cause}", of(key))?;
        Ok(())
    }
}
