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

use super::annotation::{LineError, Lineage, read};
use crate::resp::inline::split_line;

/// Longest line Redis reads, with its line end.
const LINE_MAX: usize = 1024;

/// Longest name of a file.
const NAME_MAX: usize = 255;
/// Longest name whose bytes may all be written as four.
const ESCAPED_MAX: usize = 230;

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

fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |at| at + 1);
    line.get(start..end).unwrap_or_default()
}

fn parse_line(line: &[u8]) -> Result<FileInfo, ManifestErrorKind> {
    let (mut words, mut arena) = (Vec::new(), Vec::new());
    let quoted = split_line(line, &mut words, &mut arena).map_err(|_| ManifestErrorKind::Format)?;
    let text = if quoted { &arena } else { line };
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err(ManifestErrorKind::Format);
    }
    let word = |(start, end): (usize, usize)| text.get(start..end).unwrap_or_default();
    let (mut name, mut seq, mut letter) = (None, 0, None);
    for pair in words.as_chunks::<2>().0 {
        let [key, value] = pair.map(word);
        if key.eq_ignore_ascii_case(b"file") {
            if value.iter().any(|byte| matches!(byte, b'/' | b'\\'))
                || matches!(value, b"." | b"..")
            {
                return Err(ManifestErrorKind::Path);
            }
            name = Some(value).filter(|value| {
                !value.is_empty() && value.len() <= NAME_MAX && !value.contains(&0)
            });
        } else if key.eq_ignore_ascii_case(b"seq") {
            seq = leading_integer(value);
        } else if key.eq_ignore_ascii_case(b"type") {
            letter = value.first().filter(|letter| **letter != 0);
        }
    }
    let (Some(name), Some(letter)) = (name, letter) else {
        return Err(ManifestErrorKind::Format);
    };
    if seq == 0 {
        return Err(ManifestErrorKind::Format);
    }
    let kind = match letter {
        b'b' => FileType::Base,
        b'i' => FileType::Incr,
        b'h' => FileType::History,
        _ => return Err(ManifestErrorKind::Type),
    };
    Ok(FileInfo {
        name: name.to_vec(),
        seq,
        kind,
    })
}

/// The integer a text begins with, 0 if none, as C's `atoll` has it: blanks, a sign, digits; the nearest that fits.
fn leading_integer(text: &[u8]) -> i64 {
    let start = text
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))
        .unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut value = 0i64;
    for byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(byte - b'0');
        value = value.saturating_mul(10);
        value = if negative {
            value.saturating_sub(digit)
        } else {
            value.saturating_add(digit)
        };
    }
    value
}

/// Writes a name, in quotes if it needs them. Redis forgets that a single quote does.
fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'\'');
    if !name.is_empty() && name.iter().all(plain) {
        return out.extend_from_slice(name);
    }
    out.push(b'"');
    for byte in name {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            // The line would be too long to be read.
            _ if name.len() > ESCAPED_MAX => out.push(*byte),
            other => out.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIX: &[u8] = b"appendonly.aof";

    fn parse(text: &str) -> Manifest {
        Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &[u8]) -> (u32, ManifestErrorKind, bool) {
        let error = Manifest::parse(text).expect_err("refused");
        (error.line, error.kind, error.text.is_some())
    }

    #[test]
    fn read_and_written() {
        let text = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type h\n\
                    file \"a name\\x01.3.incr.aof\" seq 3 type i\n\
                    file appendonly.aof.7.incr.aof seq 7 type i\n";
        let manifest = parse(text);
        assert_eq!(manifest.base.as_ref().map(|base| base.seq), Some(2));
        assert_eq!(manifest.incr[0].name, b"a name\x01.3.incr.aof");
        assert_eq!(manifest.history.len(), 1);
        assert_eq!(manifest.files().count(), 3);
        assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), text);
    }

    #[test]
    fn what_is_accepted() {
        let one = |line: &str| {
            let manifest = parse(line);
            let info = manifest
                .files()
                .chain(&manifest.history)
                .next()
                .expect("a file")
                .clone();
            (String::from_utf8(info.name).unwrap(), info.seq, info.kind)
        };
        let plain = ("x".to_owned(), 1, FileType::Incr);
        for line in [
            "file x seq 1 type i\n",
            "# comment\n  \t FILE x Seq 1 TYPE i \t\r\n",
            "seq 1 type i file x\n",
            "file x seq 1 type i other thing\n",
            "file y file x seq 1 type i more more\n",
            "file 'x' seq \" 1z\" type index\n",
            "file \"\\x78\" seq +1 type i\n",
            "file x seq 1 type i\n#",
        ] {
            assert_eq!(one(line), plain, "{line}");
        }
        assert_eq!(one("file x seq -5 type b\n").1, -5);
        assert_eq!(one("file x seq 99999999999999999999 type b\n").1, i64::MAX);
        assert!(parse("# nothing\n").is_empty());
        // A long comment goes on as a line of its own.
        let comment = format!("#{}\n", "#".repeat(1024));
        assert!(parse(&comment).is_empty());
        // 1024 bytes with the line end are not too long.
        let line = format!("file x seq 1 type i more {}\n", "x".repeat(1024 - 26));
        assert_eq!(line.len(), 1024);
        assert_eq!(parse(&line).incr.len(), 1);
    }

    /// Redis writes each of these bytes as four, and then the line as one that it cannot read.
    #[test]
    fn long_names_can_be_read_again() {
        let read = |len: usize| {
            let name = vec![0xd4; len];
            let line = [b"file \"", &name[..], b"\" seq 1 type i\n"].concat();
            let manifest = Manifest::parse(&line)?;
            assert_eq!(manifest.incr[0].name, name);
            Manifest::parse(&manifest.to_bytes()).map(|again| assert_eq!(again, manifest))
        };
        for len in [1, ESCAPED_MAX, ESCAPED_MAX + 1, NAME_MAX] {
            assert_eq!(read(len), Ok(()), "{len}");
        }
        let refused = read(NAME_MAX + 1).expect_err("no file has such a name");
        assert_eq!(refused.kind, ManifestErrorKind::Format);
    }

    #[test]
    fn what_is_refused() {
        use ManifestErrorKind::*;
        let good = "file b seq 1 type b\n";
        for (text, kind, shown) in [
            ("\n", Format, true),
            ("file x seq 1 type\n", Format, true),
            ("file x seq 1\n", Format, true),
            ("file x seq 0 type i\n", Format, true),
            ("file x seq x type i\n", Format, true),
            ("file x seq 1 type \"\"\n", Format, true),
            ("file x seq 1 kind i\n", Format, true),
            ("file \"\" seq 1 type i\n", Format, true),
            ("file \"a\\x00b\" seq 1 type i\n", Format, true),
            ("file \"x seq 1 type i\n", Format, true),
            ("file \"x\"y seq 1 type i\n", Format, true),
            ("file a/b seq 1 type i\n", Path, true),
            ("file a\\b seq 1 type i\n", Path, true),
            ("file .. seq 1 type i\n", Path, true),
            ("file x seq 1 type b\n", DuplicateBase, true),
            ("file x seq 1 type q\n", Type, true),
            ("file x seq -1 type i\n", Sequence, true),
            ("file x seq 1 type i", LineTooLong, false),
            ("file x\0 seq 1 type i\n", LineTooLong, false),
        ] {
            assert_eq!(
                refusal(format!("{good}{text}").as_bytes()),
                (2, kind, shown),
                "{text}"
            );
        }
        assert_eq!(refusal(b""), (0, Empty, false));
        let line = format!("file {} seq 1 type i\n", "x".repeat(1025 - 19));
        assert_eq!(refusal(line.as_bytes()), (1, LineTooLong, false));
        let comment = format!("#{}\n", "x".repeat(1024));
        assert_eq!(refusal(comment.as_bytes()), (2, Format, true));
        let twice = "file x seq 3 type i\nfile y seq 3 type i\n";
        assert_eq!(refusal(twice.as_bytes()), (2, Sequence, true));
    }

    #[test]
    fn the_report_is_that_of_redis() {
        let error = Manifest::parse(b"# c\nfile x seq 2 type q\n").expect_err("refused");
        assert_eq!(
            error.report(),
            "\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 2\n\
             >>> 'file x seq 2 type q'\nUnknown AOF file type\n"
        );
        let error = Manifest::parse(b"").expect_err("refused");
        assert_eq!(
            error.report(),
            "\n*** FATAL AOF MANIFEST FILE ERROR ***\nFound an empty AOF manifest\n"
        );
    }

    #[test]
    fn a_rewrite() {
        let mut manifest = Manifest::default();
        assert_eq!(
            manifest.new_base(PREFIX, BaseFormat::Rdb).unwrap().name,
            b"appendonly.aof.1.base.rdb"
        );
        assert_eq!(
            manifest.new_incr(PREFIX).unwrap().name,
            b"appendonly.aof.1.incr.aof"
        );
        // It begins: from now on is written elsewhere.
        assert_eq!(
            manifest.new_incr(PREFIX).unwrap().name,
            b"appendonly.aof.2.incr.aof"
        );
        // It ends.
        assert_eq!(
            manifest.new_base(PREFIX, BaseFormat::Aof).unwrap().name,
            b"appendonly.aof.2.base.aof"
        );
        manifest.retire_incr(1);
        assert_eq!(
            String::from_utf8(manifest.to_bytes()).unwrap(),
            "file appendonly.aof.2.base.aof seq 2 type b\n\
             file appendonly.aof.1.incr.aof seq 1 type h\n\
             file appendonly.aof.1.base.rdb seq 1 type h\n\
             file appendonly.aof.2.incr.aof seq 2 type i\n"
        );
        assert_eq!(manifest.take_history().len(), 2);
        assert!(manifest.history.is_empty());
        manifest.retire_incr(0);
        // What waits for its removal keeps its name.
        let mut again = Manifest::parse(&manifest.to_bytes()).unwrap();
        again.history[0].name = b"appendonly.aof.1.incr.aof".to_vec();
        assert_eq!(
            again.new_incr(PREFIX).unwrap().name,
            b"appendonly.aof.2.incr.aof"
        );
        let mut last = parse("file x seq 9223372036854775807 type b\n");
        assert_eq!(
            last.new_base(PREFIX, BaseFormat::Rdb),
            Err(SequenceExhausted)
        );
        assert_eq!(last.base.map(|base| base.name), Some(b"x".to_vec()));
        let old = Manifest::upgrade(b"old.aof");
        assert_eq!(old.to_bytes(), b"file old.aof seq 1 type b\n");
    }

    #[test]
    fn a_checksum_shows_every_cut_and_every_flip() {
        let mut manifest = parse("file b seq 1 type b\nfile x seq 3 type i\n");
        manifest.lineage = Some(Lineage([0xab; 16]));
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest));
        for end in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..end]).is_err(), "{end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::parse(&bytes).is_err(), "{bit}");
        }
    }

    proptest! {
        #[test]
        fn names_are_read_back(name in proptest::collection::vec(1u8.., 1..40), lineage: Option<[u8; 16]>) {
            prop_assume!(!name.iter().any(|byte| matches!(byte, b'/' | b'\\')) && name != b"." && name != b"..");
            let info = FileInfo { name, seq: 4, kind: FileType::Incr };
            let lineage = lineage.map(Lineage);
            let manifest = Manifest { incr: vec![info], lineage, last_incr: 4, ..Manifest::default() };
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }

        #[test]
        fn nothing_panics(input: Vec<u8>, text in "(file|seq|type|#|x|[0-9]|[ \"'\\\\\n\0bih/.])*") {
            let _ = Manifest::parse(&input);
            let _ = Manifest::parse(text.as_bytes());
        }
    }
}
