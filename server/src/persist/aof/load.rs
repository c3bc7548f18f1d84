//! Loading the log: each file is judged as a whole before anything of it is used.
//!
//! ```text
//! file -> RDB at its start? -> the engine's loader
//!      -> rest: check -> valid        replay all
//!                     -> torn tail    last file only: keep the tail aside, cut, replay the rest
//!                     -> damage       refuse, with file, offset and record
//! ```

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use basalt_engine::fail_point;
use basalt_formats::aof::{
    AofReader, AofReport, Chain, Check, FileType, Header, Lineage, ManifestError, Record,
    TailCause, Verdict, has_preamble,
};
use smallvec::SmallVec;

use super::files::{AofFile, AofFiles, sync_dir};
use super::replay::{BadCommand, Replayer};
use crate::config::text::os_reason;
use crate::persist::load::LoadFailure;
use crate::persist::loading::Round;
use crate::server::Server;

/// Commands after which progress is told and cancelling is looked for.
const PAUSE_EVERY: u64 = 256;

/// Why the log cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AofFailure {
    /// The manifest is damaged.
    #[error("{}", .0.report())]
    Manifest(ManifestError),
    /// There are files of a log, but nothing says which and in what order.
    #[error(
        "The AOF manifest {manifest} doesn't exist, but {name} does: the log is incomplete. Restore the manifest, or move the files away to start without them."
    )]
    NoManifest {
        /// The manifest's place.
        manifest: String,
        /// One of the files.
        name: String,
    },
    /// A file that the manifest names is not there.
    #[error("The append log file {name} doesn't exist: No such file or directory")]
    Missing {
        /// The file.
        name: String,
    },
    /// A file cannot be read.
    #[error(
        "Fatal error: can't open the append log file {name} for reading: {}",
        os_reason(cause)
    )]
    Open {
        /// The file.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A single file of an older layout cannot be moved.
    #[error("Error trying to migrate an old-style AOF file: can't {what}: {reason}")]
    Upgrade {
        /// What cannot be done.
        what: &'static str,
        /// What the system says.
        reason: String,
    },
    /// The snapshot at the start of a file is bad.
    #[error("Error reading the RDB base file {name}, AOF loading aborted")]
    Base {
        /// The file.
        name: String,
        /// Why.
        cause: Box<LoadFailure>,
    },
    /// A file is damaged.
    #[error(
        "Bad file format reading the append only file {name}: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>"
    )]
    Damaged {
        /// The file.
        name: String,
        /// Where.
        offset: usize,
        /// The command, or the batch in a file with checksums; from 1.
        record: u64,
        /// What is seen there.
        cause: String,
        /// Where something whole follows.
        next_valid: Option<usize>,
    },
    /// A file ends early and is not to be cut.
    #[error(
        "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server."
    )]
    Truncated {
        /// The file.
        name: String,
        /// Up to where it is whole.
        valid_up_to: usize,
        /// What is unfinished.
        cause: TailCause,
    },
    /// A file that is followed by others ends early.
    #[error("Fatal error: the truncated file is not the last file")]
    TruncatedInside {
        /// The file.
        name: String,
        /// Up to where it is whole.
        valid_up_to: usize,
        /// What is unfinished.
        cause: TailCause,
    },
    /// A torn tail cannot be cut off.
    #[error("Error truncating the AOF file {name}: {reason}")]
    CannotCut {
        /// The file.
        name: String,
        /// What the system says.
        reason: String,
    },
    /// A command that cannot be run.
    #[error("{cause} reading the append only file {name}")]
    Command {
        /// The file.
        name: String,
        /// Where the command begins.
        offset: usize,
        /// Its number in the file, from 1.
        record: u64,
        /// Why.
        cause: BadCommand,
    },
    /// The process goes down.
    #[error("Loading was cancelled")]
    Cancelled,
}

impl AofFailure {
    /// Logs what there is to say; the last line is the one that Redis ends with.
    pub fn log(&self) {
        match self {
            AofFailure::Base { cause, .. } => cause.log(),
            AofFailure::Damaged {
                name,
                offset,
                record,
                cause,
                next_valid,
            } => {
                tracing::warn!(
                    "Damage in the AOF file {name} at offset {offset}, record {record}: {cause}"
                );
                if let Some(next) = next_valid {
                    tracing::warn!("Something whole follows at offset {next}");
                }
            }
            AofFailure::Truncated {
                name,
                valid_up_to,
                cause,
            }
            | AofFailure::TruncatedInside {
                name,
                valid_up_to,
                cause,
            } => tracing::warn!(
                "The AOF file {name} is whole only up to offset {valid_up_to}: {cause}"
            ),
            AofFailure::Command {
                name,
                offset,
                record,
                ..
            } => tracing::warn!("In the AOF file {name} at offset {offset}, record {record}:"),
            _ => {}
        }
        tracing::warn!("{self}");
    }
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadedAof {
    /// Keys that came from snapshots.
    pub keys: u64,
    /// What a batch after the last one would continue, if that has a checksum.
    pub chain: Option<Chain>,
    /// Whose the files with checksums are.
    pub lineage: Option<Lineage>,
    /// The last file is one of ours to its end: it can be gone on with.
    pub resumable: bool,
}

impl Server {
    /// Adds what the log holds to the data, which is empty, in this thread.
    ///
    /// # Errors
    /// [`AofFailure`]; part of the data may be there then.
    pub fn load_aof(
        self: &Arc<Server>,
        log: &AofFiles,
        round: &Round,
    ) -> Result<LoadedAof, AofFailure> {
        let mut loaded = LoadedAof::default();
        let total = log.files.len();
        for (at, file) in log.files.iter().enumerate() {
            let began = Instant::now();
            self.load_aof_file(log, file, at + 1 == total, round, &mut loaded)?;
            round.next_file(file.content.bytes().len() as u64);
            let what = match file.kind {
                FileType::Base => "base",
                _ => "incr",
            };
            if !file.content.bytes().is_empty() {
                tracing::info!(
                    "DB loaded from {what} file {}: {:.3} seconds",
                    file.name,
                    began.elapsed().as_secs_f64()
                );
            }
        }
        Ok(loaded)
    }

    fn load_aof_file(
        self: &Arc<Server>,
        log: &AofFiles,
        file: &AofFile,
        is_last: bool,
        round: &Round,
        loaded: &mut LoadedAof,
    ) -> Result<(), AofFailure> {
        let bytes = file.content.bytes();
        loaded.resumable = false;
        if bytes.is_empty() {
            return Ok(());
        }
        let start = self.load_preamble(file, round, loaded)?;
        let tail = bytes.get(start..).unwrap_or_default();
        let check = Check {
            strict_transactions: false,
            preamble: false,
        };
        let report = check.run(tail);
        let damaged =
            |offset: usize, record, cause: String, next_valid: Option<usize>| AofFailure::Damaged {
                name: file.name.clone(),
                offset: start + offset,
                record,
                cause,
                next_valid: next_valid.map(|at| start + at),
            };
        if let Some(header) = &report.header
            && let Some(reason) = misplaced(header, log, file, loaded.chain)
        {
            return Err(damaged(0, 0, reason, None));
        }
        match &report.verdict {
            Verdict::Valid => {}
            Verdict::Corrupt {
                offset,
                record,
                cause,
                next_valid,
            } => return Err(damaged(*offset, *record, cause.to_string(), *next_valid)),
            Verdict::TruncatedTail { valid_up_to, cause } => {
                let synced = self.persist.lineage.synced_len(&file.name);
                if report.header.is_some() && ((start + valid_up_to) as u64) < synced {
                    let cause = format!("{cause}, but {synced} bytes were synced");
                    return Err(damaged(*valid_up_to, report.batches + 1, cause, None));
                }
                self.may_cut(file, start + valid_up_to, cause, is_last)?;
            }
        }
        if let Some(from) = report.unproven_from {
            tracing::warn!(
                "The AOF file {} has commands without checksums from offset {} on: another server wrote them",
                file.name,
                start + from
            );
        }
        if let Some(header) = &report.header {
            loaded.lineage = Some(header.lineage);
        }
        loaded.chain = report.chain.or(match report.header {
            Some(_) => None,
            None => loaded.chain,
        });
        if file.kind == FileType::Base {
            // The file behind it was begun before it: its cut is no end of a chain.
            loaded.chain = None;
        }
        loaded.resumable = file.kind == FileType::Incr && report.chain.is_some();
        self.replay(file, start, &report, round)?;
        if let Verdict::TruncatedTail { valid_up_to, cause } = &report.verdict {
            cut_tail(file, start + valid_up_to, cause)?;
        }
        Ok(())
    }

    /// Loads the snapshot at the start of a file, if there is one; where it ends.
    fn load_preamble(
        &self,
        file: &AofFile,
        round: &Round,
        loaded: &mut LoadedAof,
    ) -> Result<usize, AofFailure> {
        let bytes = file.content.bytes();
        if !has_preamble(bytes) {
            return Ok(0);
        }
        if file.name == self.config.load().appendfilename {
            tracing::info!("Reading RDB preamble from AOF file...");
        } else {
            tracing::info!("Reading RDB base file on AOF loading...");
        }
        let part = self
            .load_rdb_bytes(&file.path, bytes, round, false, true)
            .map_err(|cause| match round.is_cancelled() {
                true => AofFailure::Cancelled,
                false => AofFailure::Base {
                    name: file.name.clone(),
                    cause: Box::new(cause),
                },
            })?;
        loaded.keys += part.keys;
        let loading = &self.persist.loading;
        loading.loaded.store(part.keys, Relaxed);
        loading.expired.store(part.expired, Relaxed);
        if part.end < bytes.len() {
            tracing::info!("Reading the remaining AOF tail...");
        }
        Ok(part.end)
    }

    /// Whether the file may end early.
    fn may_cut(
        &self,
        file: &AofFile,
        valid_up_to: usize,
        cause: &TailCause,
        is_last: bool,
    ) -> Result<(), AofFailure> {
        let name = &file.name;
        if matches!(cause, TailCause::OpenTransaction) {
            tracing::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
        }
        let (name, cause) = (name.clone(), cause.clone());
        if !self.config.load().aof_load_truncated {
            return Err(AofFailure::Truncated {
                name,
                valid_up_to,
                cause,
            });
        }
        if !is_last {
            return Err(AofFailure::TruncatedInside {
                name,
                valid_up_to,
                cause,
            });
        }
        tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
        Ok(())
    }

    /// Runs the commands of a file that was checked.
    fn replay(
        self: &Arc<Server>,
        file: &AofFile,
        start: usize,
        report: &AofReport,
        round: &Round,
    ) -> Result<(), AofFailure> {
        let bytes = file.content.bytes();
        let end = start + report.valid_up_to;
        let input = bytes.get(..end).unwrap_or(bytes);
        let mut reader = AofReader::at(input, start);
        let mut replayer = Replayer::new(self.clone());
        loop {
            let offset = reader.offset();
            let record = match reader.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(error) => {
                    // It was checked: the file has changed since.
                    return Err(AofFailure::Damaged {
                        name: file.name.clone(),
                        offset,
                        record: reader.commands() + 1,
                        cause: error.to_string(),
                        next_valid: None,
                    });
                }
            };
            let Record::Command(command) = record else {
                continue;
            };
            let words: SmallVec<[&[u8]; 8]> = command
                .args
                .iter()
                .map(|range| input.get(range.clone()).unwrap_or_default())
                .collect();
            let result = replayer.run(&words);
            if let Err(cause) = result {
                return Err(AofFailure::Command {
                    name: file.name.clone(),
                    offset,
                    record: reader.commands(),
                    cause,
                });
            }
            if !reader.commands().is_multiple_of(PAUSE_EVERY) {
                continue;
            }
            round.progress.bytes.store(offset as u64, Relaxed);
            self.delay_load(round, PAUSE_EVERY);
            if round.is_cancelled() {
                return Err(AofFailure::Cancelled);
            }
        }
    }
}

/// Why a file with checksums does not belong where the manifest has it.
fn misplaced(
    header: &Header,
    log: &AofFiles,
    file: &AofFile,
    before: Option<Chain>,
) -> Option<String> {
    if u64::try_from(file.seq).ok() != Some(header.seq) {
        return Some(format!(
            "the file has sequence number {} in the manifest, {} in its header",
            file.seq, header.seq
        ));
    }
    if let Some(lineage) = log.manifest.lineage
        && lineage != header.lineage
    {
        return Some("the file belongs to another data set".into());
    }
    let chain = before?;
    if (chain.prev, chain.next_index) != (header.prev, header.first) {
        return Some("the file does not continue the one before it: one is missing".into());
    }
    None
}

/// Cuts off what a crash left unfinished; a copy stays beside the file.
fn cut_tail(file: &AofFile, valid_up_to: usize, cause: &TailCause) -> Result<(), AofFailure> {
    let name = &file.name;
    tracing::warn!("!!! Truncating the AOF {name} at offset {valid_up_to} !!!");
    let tail = file.content.bytes().get(valid_up_to..).unwrap_or_default();
    let bytes = tail.len();
    // From the cut on, the map is not read behind it.
    let kept = keep_tail(&file.path, valid_up_to, tail)
        .and_then(|kept| {
            cut(&file.path, valid_up_to)?;
            Ok(kept)
        })
        .map_err(|cause| AofFailure::CannotCut {
            name: name.clone(),
            reason: os_reason(&cause),
        })?;
    tracing::warn!("The {bytes} bytes cut off ({cause}) are kept in {kept}");
    tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
    Ok(())
}

/// Copies what will be cut off to a file beside, on the disk; its name.
fn keep_tail(path: &Path, offset: usize, tail: &[u8]) -> io::Result<String> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{offset}.tail"));
    let kept = path.with_file_name(name);
    let mut file = fs::File::create(&kept)?;
    file.write_all(tail)?;
    file.sync_all()?;
    sync_dir(kept.parent().unwrap_or(Path::new(".")))?;
    fail_point!("aof.tail.kept").map_err(|error| error.source)?;
    Ok(kept.display().to_string())
}

fn cut(path: &Path, length: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length as u64)?;
    fail_point!("aof.tail.cut").map_err(|error| error.source)?;
    file.sync_all()
}
