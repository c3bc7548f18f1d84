//! `basalt check-aof PATH`: is an AOF whole, and if not, what can be had of it?
//!
//! Prints what `redis-check-aof` prints, with the same words, and what the checksums tell beyond that. Unlike it:
//!
//! - A tail that is cut off is kept in a file beside (`FILE.cut-OFFSET`) before.
//! - `--fix` repairs what a crash leaves. Where whole commands follow damage, it does not cut them away unless told
//!   to; `--salvage` writes all that can be trusted to another place and changes nothing.
//! - A manifest is known by its name or its first line, not by any line that begins with `file`.
//!
//! Exit codes: 0 all is valid, or was made so, or was salvaged; 1 it is not; 2 the command line is wrong.

mod cut;
mod files;
mod print;
mod salvage;

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use basalt_formats::aof::{
    AofReport, TimestampError, Verdict, check, check_order, truncate_to_timestamp,
};

use super::{FAILURE, SUCCESS};
use files::{Log, NamedFile};

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Cuts off what is unfinished at the end of the last file, after asking
    #[arg(long)]
    fix: bool,
    /// Does not ask
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Cuts at damage even if whole commands follow it
    #[arg(long, requires = "fix")]
    discard_after_damage: bool,
    /// Cuts off what is later than this, in seconds since 1970
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["fix", "salvage"], allow_negative_numbers = true)]
    truncate_to_timestamp: Option<i64>,
    /// Writes what can be trusted to OUT, which must not exist: a file, or for a manifest a folder
    #[arg(long, value_name = "OUT", conflicts_with = "fix")]
    salvage: Option<PathBuf>,
    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// An AOF, a manifest, or a folder that has one of them
    #[arg(value_name = "FILE|MANIFEST|DIR")]
    path: PathBuf,
}

/// Why the work ends early; the text is printed.
enum Stop {
    /// A finding.
    Refused(String),
    /// The output is gone.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Checks, and does what else was asked for. `input` answers the question of `--fix`.
pub(super) fn run(
    options: &Options,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let mut text = Vec::new();
    let mut findings = print::Findings::default();
    // Text goes out at once, as a question may be asked in the middle of it.
    let sink: &mut dyn Write = if options.json { &mut text } else { out };
    let mut work = Work {
        options,
        input,
        out: sink,
        findings: &mut findings,
    };
    let ended = work.run();
    let code = match ended {
        Ok(()) => SUCCESS,
        Err(Stop::Output(error)) => return Err(error),
        Err(Stop::Refused(reason)) => {
            findings.refuse(&reason);
            match options.json {
                true => writeln!(err, "{reason}")?,
                false => writeln!(out, "{reason}")?,
            }
            FAILURE
        }
    };
    if options.json {
        writeln!(out, "{}", findings.to_json(code))?;
    }
    Ok(code)
}

struct Work<'a> {
    options: &'a Options,
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    findings: &'a mut print::Findings,
}

impl Work<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let log = Log::find(&self.options.path).map_err(Stop::Refused)?;
        if let Some(target) = &self.options.salvage {
            return salvage::run(&log, target, self.out, self.findings);
        }
        match &log.manifest {
            None => writeln!(self.out, "Start checking Old-Style AOF")?,
            Some((path, _)) => {
                self.findings.manifest(path);
                writeln!(self.out, "Start checking Multi Part AOF")?;
            }
        }
        let mut reports = Vec::new();
        let mut said_incr = false;
        for (number, file) in log.files.iter().enumerate() {
            if file.is_incr() && !said_incr {
                writeln!(self.out, "Start to check INCR files.")?;
                said_incr = true;
            }
            let last = number + 1 == log.files.len();
            reports.push(self.file(file, last)?);
        }
        if let Some((_, manifest)) = &log.manifest {
            check_order(manifest, &reports).map_err(|(number, what)| {
                let name = log
                    .files
                    .get(number)
                    .map(NamedFile::display)
                    .unwrap_or_default();
                Stop::Refused(format!("AOF {name} {what}"))
            })?;
            writeln!(self.out, "All AOF files and manifest are valid")?;
        }
        Ok(())
    }

    /// One file. Returns what is known of it after a repair.
    fn file(&mut self, file: &NamedFile, last: bool) -> Result<AofReport, Stop> {
        let mapped = file.open().map_err(Stop::Refused)?;
        let bytes = mapped.bytes();
        if file.is_base() {
            let format = if basalt_formats::aof::has_preamble(bytes) {
                "RDB"
            } else {
                "RESP"
            };
            writeln!(self.out, "Start to check BASE AOF ({format} format).")?;
        }
        let report = check(bytes);
        self.findings.file(file, &report);
        let name = file.display();
        let label = file.label();
        if report.size == 0 {
            writeln!(self.out, "{label} {name} is empty")?;
            return Ok(report);
        }
        match report.preamble_end {
            Some(_) => writeln!(self.out, "RDB preamble is OK, proceeding with AOF tail...")?,
            None if basalt_formats::aof::has_preamble(bytes) => {
                print::verdict(self.out, &report)?;
                return Err(Stop::Refused(
                    "RDB preamble of AOF file is not sane, aborting.".into(),
                ));
            }
            None => {}
        }
        if let Some(seconds) = self.options.truncate_to_timestamp {
            return self.truncate(file, bytes, report, seconds, last);
        }
        print::verdict(self.out, &report)?;
        print::analyzed(self.out, &name, bytes, &report)?;
        print::proven(self.out, &report)?;
        if report.verdict != Verdict::Valid {
            return self.repair(file, bytes, &report, last);
        }
        writeln!(self.out, "{label} {name} is valid")?;
        Ok(report)
    }

    fn repair(
        &mut self,
        file: &NamedFile,
        bytes: &[u8],
        report: &AofReport,
        last: bool,
    ) -> Result<AofReport, Stop> {
        let name = file.display();
        let refuse = |reason: String| Err(Stop::Refused(reason));
        if !self.options.fix {
            return refuse(format!(
                "AOF {name} is not valid. Use the --fix option to try fixing it."
            ));
        }
        if !last {
            return refuse(format!(
                "Failed to truncate AOF {name} because it is not the last file"
            ));
        }
        if matches!(
            report.verdict,
            Verdict::Corrupt {
                next_valid: Some(_),
                ..
            }
        ) && !self.options.discard_after_damage
        {
            return refuse(format!(
                "AOF {name} is damaged in the middle: cutting it here would lose what follows. Use the --salvage option to save \
                 all that can be trusted, or --discard-after-damage to cut nevertheless."
            ));
        }
        let keep = report.valid_up_to;
        let cut = report.size - keep;
        writeln!(
            self.out,
            "This will shrink the AOF {name} from {} bytes, with {cut} bytes, to {keep} bytes",
            report.size
        )?;
        if !self.options.yes {
            write!(self.out, "Continue? [y/N]: ")?;
            self.out.flush()?;
            let mut answer = String::new();
            // No answer is no.
            let _ = self.input.read_line(&mut answer);
            if !answer.starts_with(['y', 'Y']) {
                return refuse("Aborting...".into());
            }
        }
        self.cut(file, bytes, keep)?;
        writeln!(self.out, "Successfully truncated AOF {name}")?;
        Ok(check(bytes.get(..keep).unwrap_or_default()))
    }

    fn truncate(
        &mut self,
        file: &NamedFile,
        bytes: &[u8],
        report: AofReport,
        seconds: i64,
        last: bool,
    ) -> Result<AofReport, Stop> {
        let name = file.display();
        let keep = match truncate_to_timestamp(bytes, seconds) {
            Ok(Some(offset)) => offset,
            Ok(None) => {
                writeln!(
                    self.out,
                    "Truncate nothing in AOF {name} to timestamp {seconds}"
                )?;
                writeln!(self.out, "{} {name} is valid", file.label())?;
                return Ok(report);
            }
            Err(TimestampError::NothingBefore) => {
                return Err(Stop::Refused(format!(
                    "AOF {name} has nothing before timestamp {seconds}, aborting..."
                )));
            }
            Err(TimestampError::Damaged(report)) => {
                print::verdict(self.out, &report)?;
                print::analyzed(self.out, &name, bytes, &report)?;
                return Err(Stop::Refused(format!(
                    "AOF {name} is not valid. Use the --fix option to try fixing it."
                )));
            }
            Err(error) => return Err(Stop::Refused(error.to_string())),
        };
        if !last {
            return Err(Stop::Refused(format!(
                "Failed to truncate AOF {name} to timestamp {seconds} to offset {keep} because it is not the last file.\n\
                 If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run basalt check-aof."
            )));
        }
        self.cut(file, bytes, keep)?;
        writeln!(
            self.out,
            "Successfully truncated AOF {name} to timestamp {seconds}"
        )?;
        Ok(check(bytes.get(..keep).unwrap_or_default()))
    }

    fn cut(&mut self, file: &NamedFile, bytes: &[u8], keep: usize) -> Result<(), Stop> {
        let name = file.display();
        let kept = cut::cut(&file.path, bytes, keep)
            .map_err(|error| Stop::Refused(format!("Failed to truncate AOF {name}: {error}")))?;
        self.findings.cut(file, keep, &kept);
        writeln!(
            self.out,
            "The {} bytes that were cut off are in {}",
            bytes.len() - keep,
            kept.display()
        )?;
        Ok(())
    }
}
