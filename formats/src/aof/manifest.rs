//! The manifest: which files make up the log, and in which order.
//!
//! ```text
//! #BSLT1 m 5be1..e0 000000af 1a2b3c4d 9c0d1e2f        optional: lineage, and length and CRC-32 of the rest
//! file appendonly.aof.2.base.rdb seq 2 type b
//! file appendonly.aof.1.incr.aof seq 1 type h
//! file "a name.3.incr.aof" seq 3 type i
//! ```
//!
//! What is accepted and refused, and with which words, is what Redis 7.2 does: lines of pairs of a key and a value in any order,
//! unknown keys passed over, `#` in the first column for a comment. Redis takes a manifest that lost its last lines for a
//! whole one; the first line, a comment to Redis, lets us see that. Without it the manifest counts as Redis's.
//!
//! Beyond Redis, a name must be one that can name a file: not empty, not `.` or `..`, no zero byte, at most 255 bytes. Then
//! every line that is read can be written again, which in Redis it cannot.

mod line;
#[cfg(test)]
mod tests;

use self::line::{parse_line, push_name, trim};
use super::annotation::{LineError, Lineage, read};

/// Longest line Redis reads, with its line end.
const LINE_MAX: usize = 1024;

/// What a file is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// The data as of some moment.
    Base,
    /// What came after.
    Incr,
    /// No longer needed, to be removed.
    History,
}

impl FileType {
    /// The letter of the manifest.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Base => 'b',
            Self::Incr => 'i',
            Self::History => 'h',
        }
    }
}

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileInfo {
    /// Its name, in the folder of the manifest.
    pub name: Vec<u8>,
    /// Its number among its kind.
    pub seq: i64,
    /// What it is.
    pub kind: FileType,
}

/// How a base is written; it shows in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFormat {
    /// As an RDB file (`aof-use-rdb-preamble yes`).
    Rdb,
    /// As commands.
    Aof,
}

/// The files of the log, in the order of loading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The data to begin with.
    pub base: Option<FileInfo>,
    /// What came after, oldest first; writing goes to the last.
    pub incr: Vec<FileInfo>,
    /// Files to be removed.
    pub history: Vec<FileInfo>,
    /// The history of the data, if the manifest says.
    pub lineage: Option<Lineage>,
    /// The last numbers given out.
    last_base: i64,
    last_incr: i64,
}

/// Why a manifest is refused. The text is what Redis logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ManifestError {
    /// The line, from 1.
    pub line: u32,
    /// What stands there, where Redis shows it.
    pub text: Option<Vec<u8>>,
    /// What is wrong.
    pub kind: ManifestErrorKind,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestErrorKind {
    /// No line at all.
    #[error("Found an empty AOF manifest")]
    Empty,
    /// A line of more than 1024 bytes, or without an end.
    #[error("The AOF manifest file contains too long line")]
    LineTooLong,
    /// A blank line, unbalanced quotes, too few or an odd number of words, or a key missing.
    #[error("Invalid AOF manifest file format")]
    Format,
    /// A name that leaves the folder.
    #[error("File can't be a path, just a filename")]
    Path,
    /// A second base.
    #[error("Found duplicate base file information")]
    DuplicateBase,
    /// Increments out of order.
    #[error("Found a non-monotonic sequence number")]
    Sequence,
    /// A type that does not exist.
    #[error("Unknown AOF file type")]
    Type,
    /// Not as it was written.
    #[error(
        "The checksum of the AOF manifest does not match: lines are missing or changed. If it was edited on purpose, remove its first line"
    )]
    Checksum,
}

/// All sequence numbers are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no sequence number is left for another AOF file")]
pub struct SequenceExhausted;

impl ManifestError {
    /// What Redis logs, line by line.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = String::from("\n*** FATAL AOF MANIFEST FILE ERROR ***\n");
        if let Some(text) = &self.text {
            report.push_str(&format!(
                "Reading the manifest file, at line {}\n",
                self.line
            ));
            report.push_str(&format!(">>> '{}'\n", String::from_utf8_lossy(text)));
        }
        report.push_str(&format!("{self}\n"));
        report
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`], with the line.
    pub fn parse(input: &[u8]) -> Result<Self, ManifestError> {
        let mut manifest = Self {
            lineage: verify_seal(input)?,
            ..Self::default()
        };
        let mut rest = input;
        let mut number = 0u32;
        while !rest.is_empty() {
            let limit = rest.get(..LINE_MAX).unwrap_or(rest);
            let end = limit.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(end.map_or(limit.len(), |at| at + 1));
            rest = after;
            number = number.saturating_add(1);
            if line.starts_with(b"#") {
                continue;
            }
            let error = |kind| ManifestError {
                line: number,
                text: None,
                kind,
            };
            if end.is_none() || line.contains(&0) {
                return Err(error(ManifestErrorKind::LineTooLong));
            }
            let line = trim(line);
            manifest.add_line(line).map_err(|kind| ManifestError {
                text: Some(line.to_vec()),
                ..error(kind)
            })?;
        }
        if number == 0 {
            return Err(ManifestError {
                line: 0,
                text: None,
                kind: ManifestErrorKind::Empty,
            });
        }
        Ok(manifest)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), ManifestErrorKind> {
        let info = parse_line(line)?;
        match info.kind {
            FileType::Base => {
                if self.base.is_some() {
                    return Err(ManifestErrorKind::DuplicateBase);
                }
                self.last_base = info.seq;
                self.base = Some(info);
            }
            FileType::History => self.history.push(info),
            FileType::Incr => {
                if info.seq <= self.incr.last().map_or(0, |last| last.seq) {
                    return Err(ManifestErrorKind::Sequence);
                }
                self.last_incr = info.seq;
                self.incr.push(info);
            }
        }
        Ok(())
    }

    /// The bytes of the manifest, with its checksum if it has a lineage.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for info in self.base.iter().chain(&self.history).chain(&self.incr) {
            lines.extend_from_slice(b"file ");
            push_name(&mut lines, &info.name);
            lines.extend_from_slice(
                format!(" seq {} type {}\n", info.seq, info.kind.letter()).as_bytes(),
            );
        }
        match self.lineage {
            Some(lineage) => {
                let mut sealed = seal(lineage, &lines).into_bytes();
                sealed.extend_from_slice(&lines);
                sealed
            }
            None => lines,
        }
    }

    /// The files to load, in order.
    pub fn files(&self) -> impl Iterator<Item = &FileInfo> {
        self.base.iter().chain(&self.incr)
    }

    /// True if there is nothing to load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// Names the base of a rewrite and makes it the base; the one before becomes history.
    ///
    /// # Errors
    /// [`SequenceExhausted`].
    pub fn new_base(
        &mut self,
        prefix: &[u8],
        format: BaseFormat,
    ) -> Result<&FileInfo, SequenceExhausted> {
        let suffix = match format {
            BaseFormat::Rdb => ".base.rdb",
            BaseFormat::Aof => ".base.aof",
        };
        let (name, seq) = self.free_name(prefix, self.last_base, suffix)?;
        if let Some(old) = self.base.take() {
            self.history.insert(
                0,
                FileInfo {
                    kind: FileType::History,
                    ..old
                },
            );
        }
        self.last_base = seq;
        Ok(self.base.insert(FileInfo {
            name,
            seq,
            kind: FileType::Base,
        }))
    }

    /// Numbers that `other` has given out are not given out again.
    pub fn use_up(&mut self, other: &Manifest) {
        self.last_base = self.last_base.max(other.last_base);
        self.last_incr = self.last_incr.max(other.last_incr);
    }

    /// Names another file for what is written from now on.
    ///
    /// # Errors
    /// [`SequenceExhausted`].
    pub fn new_incr(&mut self, prefix: &[u8]) -> Result<&FileInfo, SequenceExhausted> {
        let (name, seq) = self.free_name(prefix, self.last_incr, ".incr.aof")?;
        self.last_incr = seq;
        self.incr.push(FileInfo {
            name,
            seq,
            kind: FileType::Incr,
        });
        self.incr.last().ok_or(SequenceExhausted)
    }

    /// Makes history of the increments that a new base covers: all but the last `keep`, which are still written to.
    pub fn retire_incr(&mut self, keep: usize) {
        let retired = self.incr.len().saturating_sub(keep);
        for info in self.incr.drain(..retired) {
            self.history.insert(
                0,
                FileInfo {
                    kind: FileType::History,
                    ..info
                },
            );
        }
    }

    /// Takes the files to be removed out of the manifest. They may be removed once the manifest without them is on disk.
    pub fn take_history(&mut self) -> Vec<FileInfo> {
        std::mem::take(&mut self.history)
    }

    /// The manifest of a data set that is one file of an older version, which becomes the base.
    #[must_use]
    pub fn upgrade(name: &[u8]) -> Self {
        let base = FileInfo {
            name: name.to_vec(),
            seq: 1,
            kind: FileType::Base,
        };
        Self {
            base: Some(base),
            last_base: 1,
            ..Self::default()
        }
    }

    /// A name that no file of the manifest has, not even one that waits for its removal.
    fn free_name(
        &self,
        prefix: &[u8],
        last: i64,
        suffix: &str,
    ) -> Result<(Vec<u8>, i64), SequenceExhausted> {
        let mut seq = last.max(0);
        loop {
            seq = seq.checked_add(1).ok_or(SequenceExhausted)?;
            let mut name = prefix.to_vec();
            name.extend_from_slice(format!(".{seq}{suffix}").as_bytes());
            if !self
                .files()
                .chain(&self.history)
                .any(|info| info.name == name)
            {
                return Ok((name, seq));
            }
        }
    }
}

/// The name of the manifest of a log (`appendfilename`).
#[must_use]
pub fn manifest_name(prefix: &[u8]) -> Vec<u8> {
    [prefix, b".manifest"].concat()
}

/// The name under which a manifest is written before it takes its place.
#[must_use]
pub fn temporary_manifest_name(prefix: &[u8]) -> Vec<u8> {
    [b"temp-", prefix, b".manifest"].concat()
}

/// The first line of a manifest with a checksum.
fn seal(lineage: Lineage, lines: &[u8]) -> String {
    let covered = format!(
        "#BSLT1 m {lineage} {:08x} {:08x}",
        lines.len(),
        crc32fast::hash(lines)
    );
    format!("{covered} {:08x}\n", crc32fast::hash(covered.as_bytes()))
}

/// Compares the first line with the rest, if it is a checksum.
fn verify_seal(input: &[u8]) -> Result<Option<Lineage>, ManifestError> {
    if read(input) == Err(LineError::Foreign) {
        return Ok(None);
    }
    let refused = ManifestError {
        line: 1,
        text: None,
        kind: ManifestErrorKind::Checksum,
    };
    let lineage = input
        .get(9..41)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| u128::from_str_radix(text, 16).ok())
        .map(|value| Lineage(value.to_be_bytes()));
    let end = input.iter().position(|byte| *byte == b'\n');
    match (lineage, end) {
        (Some(lineage), Some(end)) => {
            let (line, lines) = input.split_at(end + 1);
            if line == seal(lineage, lines).as_bytes() {
                Ok(Some(lineage))
            } else {
                Err(refused)
            }
        }
        _ => Err(refused),
    }
}
