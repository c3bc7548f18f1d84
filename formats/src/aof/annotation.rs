//! Annotation lines: comments to Redis, checksums to us.
//!
//! ```text
//! #BSLT1 h i 5be1..e0 0000000000000005 00000000000001a4 019aa3f1c2d4 00000000 9c0d1e2f\r\n
//!          | lineage  sequence number  first batch      ms           prev     chk
//! #BSLT1 b 00000000000001a4 00000000 000000004e 019aa3f1c2d4 1a2b3c4d 9c0d1e2f 5e6f7a8b\r\n
//!          batch            db       length     ms           crc      prev     chk
//! ```
//!
//! Every number is lower-case hexadecimal of a fixed width, so a line has one spelling and one length. `chk` is the CRC-32 of
//! the line up to the blank before it: a line proves itself, wherever it is found. `crc` is the CRC-32 of the `length` bytes
//! behind the line: a batch proves itself with its own line alone, which is what salvage needs. `prev` is `chk` of the line
//! before, up to the header and across files: removed, repeated, reordered and foreign batches do not fit.
//!
//! The line stands before its batch, not behind it. Then a file that ends inside a batch is known to be cut, and whole commands
//! behind the last batch are known to come from another server that appended to the file, which must not be cut away.
//!
//! Redis skips a line that begins with `#` if it has at most 1023 bytes ([`ANNOTATION_MAX`](super::ANNOTATION_MAX)) and stands
//! between commands. `#TS:` lines are Redis's own: seconds since 1970.

use std::fmt::{self, Write};

/// What each of our lines begins with.
pub const PREFIX: &[u8; 7] = b"#BSLT1 ";
/// Bytes of a header line.
pub const HEADER_BYTES: usize = 110;
/// Bytes of a batch line.
pub const BATCH_BYTES: usize = 87;

/// How many of the bytes of [`PREFIX`] must be there for a line to be taken as a damaged one of ours. `#TS:` lines have three
/// at most.
const LIKENESS: usize = 4;

/// The history a file belongs to: drawn at random when a data set begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lineage(pub [u8; 16]);

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lineage({self})")
    }
}

/// Which part of the log a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Commands that rebuild the data as of some moment.
    Base,
    /// What came after.
    Incr,
}

impl Part {
    fn letter(self) -> u8 {
        match self {
            Self::Base => b'b',
            Self::Incr => b'i',
        }
    }
}

/// The first line of a file with checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the file is.
    pub part: Part,
    /// Where it belongs.
    pub lineage: Lineage,
    /// The sequence number it has in the manifest.
    pub seq: u64,
    /// The index of its first batch: one more than that of the last batch of the file before it.
    pub first: u64,
    /// When it was begun, in milliseconds since 1970; 48 bits are kept.
    pub time_ms: u64,
    /// `chk` of the last line of the file before it, 0 if there is none.
    pub prev: u32,
}

/// The line before a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLine {
    /// The commit index: 1 more than that of the batch before.
    pub index: u64,
    /// The database that is selected where the batch begins.
    pub db: u32,
    /// Bytes of the batch, without this line; 40 bits are kept.
    pub length: u64,
    /// When it was closed, in milliseconds since 1970; 48 bits are kept.
    pub time_ms: u64,
    /// CRC-32 of the batch.
    pub crc: u32,
    /// `chk` of the line before.
    pub prev: u32,
}

/// A line of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The first of a file.
    Header(Header),
    /// The one before a batch.
    Batch(BatchLine),
}

/// Why there is no line of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Something else begins here.
    #[error("no checksum line")]
    Foreign,
    /// The input ends within what could be a line of ours.
    #[error("unfinished checksum line")]
    Torn,
    /// A line of ours, but not as it was written; or one of a later version.
    #[error("damaged checksum line")]
    Damaged,
}

impl Header {
    /// The line, and its `chk`.
    #[must_use]
    pub fn to_line(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut line = Fields::new(b'h');
        line.letter(self.part.letter());
        line.wide(u128::from_be_bytes(self.lineage.0), 32);
        line.hex(self.seq, 16);
        line.hex(self.first, 16);
        line.hex(self.time_ms, 12);
        line.hex(self.prev.into(), 8);
        line.seal()
    }
}

impl BatchLine {
    /// The line, and its `chk`.
    #[must_use]
    pub fn to_line(&self) -> ([u8; BATCH_BYTES], u32) {
        let mut line = Fields::new(b'b');
        line.hex(self.index, 16);
        line.hex(self.db.into(), 8);
        line.hex(self.length, 10);
        line.hex(self.time_ms, 12);
        line.hex(self.crc.into(), 8);
        line.hex(self.prev.into(), 8);
        line.seal()
    }
}

/// Writes a line of `N` bytes. What would not fit is left out, which the tests of the lengths would show.
struct Fields<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Fields<N> {
    fn new(kind: u8) -> Self {
        let mut fields = Self {
            bytes: [b' '; N],
            len: 0,
        };
        fields.push(PREFIX);
        fields.letter(kind);
        fields
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn letter(&mut self, letter: u8) {
        self.push(&[letter, b' ']);
    }

    fn hex(&mut self, value: u64, digits: usize) {
        self.wide(value.into(), digits);
    }

    /// The lowest `digits` hexadecimal digits and a blank.
    fn wide(&mut self, value: u128, digits: usize) {
        for at in (0..digits).rev() {
            let digit = (value >> (4 * at)) as u8 & 0xf;
            self.push(&[if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }]);
        }
        self.push(b" ");
    }

    fn seal(mut self) -> ([u8; N], u32) {
        // The last blank is not covered.
        let covered = self
            .bytes
            .get(..self.len.saturating_sub(1))
            .unwrap_or_default();
        let check = crc32fast::hash(covered);
        self.hex(check.into(), 8);
        self.len -= 1;
        self.push(b"\r\n");
        (self.bytes, check)
    }
}

/// Takes the fields of a line apart.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn letter(&mut self) -> Option<u8> {
        let (letter, rest) = self.0.split_first()?;
        self.0 = rest.strip_prefix(b" ")?;
        Some(*letter)
    }

    fn wide(&mut self, digits: usize) -> Option<u128> {
        let (text, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest.strip_prefix(b" ")?;
        let mut value = 0u128;
        for byte in text {
            value = value << 4 | u128::from(digit(*byte)?);
        }
        Some(value)
    }

    fn hex(&mut self, digits: usize) -> Option<u64> {
        self.wide(digits).and_then(|value| value.try_into().ok())
    }

    fn short(&mut self) -> Option<u32> {
        self.hex(8).and_then(|value| value.try_into().ok())
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// True if what begins here is, or was, a line of ours: some bytes of it may be damaged.
#[must_use]
pub fn is_ours(input: &[u8]) -> bool {
    // What follows a line must not decide what it is.
    (input.len() >= PREFIX.len() || input.contains(&b'\n')) && resembles(input)
}

/// True if the line that begins here could be taken for one of ours, whatever stands behind it.
#[must_use]
pub fn resembles(input: &[u8]) -> bool {
    let line = input.iter().zip(PREFIX).take_while(|(a, _)| **a != b'\n');
    line.filter(|(a, b)| a == b).count() >= LIKENESS
}

/// Reads the line of ours at the start of `input`. Also returns its `chk`; its length follows from its kind.
///
/// # Errors
/// [`LineError`].
pub fn read(input: &[u8]) -> Result<(Line, u32), LineError> {
    if input.len() < PREFIX.len() {
        let torn = !input.is_empty() && PREFIX.starts_with(input);
        return Err(if torn {
            LineError::Torn
        } else {
            LineError::Foreign
        });
    }
    if !is_ours(input) {
        return Err(LineError::Foreign);
    }
    let length = match input.get(PREFIX.len()) {
        Some(b'h') => HEADER_BYTES,
        Some(b'b') => BATCH_BYTES,
        Some(_) => return Err(LineError::Damaged),
        None if input == PREFIX => return Err(LineError::Torn),
        None => return Err(LineError::Damaged),
    };
    let Some(line) = input.get(..length) else {
        return Err(if could_become(input, length) {
            LineError::Torn
        } else {
            LineError::Damaged
        });
    };
    parse(line).ok_or(LineError::Damaged)
}

/// True if some line of `length` bytes begins with `input`.
fn could_become(input: &[u8], length: usize) -> bool {
    let template: &[u8] = match length {
        HEADER_BYTES => {
            b"#BSLT1 h b ******************************** **************** **************** ************ ******** ********\r\n"
        }
        _ => b"#BSLT1 b **************** ******** ********** ************ ******** ******** ********\r\n",
    };
    input
        .iter()
        .zip(template)
        .enumerate()
        .all(|(at, (byte, pattern))| match pattern {
            b'*' => digit(*byte).is_some(),
            b'b' if at == 9 && length == HEADER_BYTES => matches!(byte, b'b' | b'i'),
            _ => byte == pattern,
        })
}

/// A whole line.
fn parse(line: &[u8]) -> Option<(Line, u32)> {
    let body = line.strip_suffix(b"\r\n")?;
    let (covered, text) = body.split_last_chunk::<8>()?;
    let covered = covered.strip_suffix(b" ")?;
    let mut check = 0u32;
    for byte in text {
        check = check << 4 | u32::from(digit(*byte)?);
    }
    if crc32fast::hash(covered) != check {
        return None;
    }
    let mut parts = Parts(body.strip_prefix(PREFIX)?);
    let line = match parts.letter()? {
        b'h' => Line::Header(Header {
            part: match parts.letter()? {
                b'b' => Part::Base,
                b'i' => Part::Incr,
                _ => return None,
            },
            lineage: Lineage(parts.wide(32)?.to_be_bytes()),
            seq: parts.hex(16)?,
            first: parts.hex(16)?,
            time_ms: parts.hex(12)?,
            prev: parts.short()?,
        }),
        b'b' => Line::Batch(BatchLine {
            index: parts.hex(16)?,
            db: parts.short()?,
            length: parts.hex(10)?,
            time_ms: parts.hex(12)?,
            crc: parts.short()?,
            prev: parts.short()?,
        }),
        _ => return None,
    };
    // What is left is `chk`.
    (parts.0.len() == 8).then_some((line, check))
}

/// The line of Redis that gives the time of what follows it.
#[must_use]
pub fn timestamp_line(seconds: i64) -> String {
    let mut line = String::with_capacity(18);
    let _ = write!(line, "#TS:{seconds}\r\n");
    line
}

/// The seconds of a `#TS:` line, given with its line end. `None` if it is another line, `Some(None)` if it has no valid time.
#[must_use]
pub fn timestamp(line: &[u8]) -> Option<Option<i64>> {
    let text = line.strip_prefix(b"#TS:")?;
    Some(text.strip_suffix(b"\r\n").and_then(crate::num::parse_i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            part: Part::Incr,
            lineage: Lineage(*b"\x00lineage lineage"),
            seq: 5,
            first: 0x1a4,
            time_ms: 0x019a_a3f1_c2d4,
            prev: 0xdead_beef,
        }
    }

    fn batch() -> BatchLine {
        BatchLine {
            index: 0x1a4,
            db: 3,
            length: 78,
            time_ms: 0x019a_a3f1_c2d4,
            crc: 1,
            prev: 2,
        }
    }

    #[test]
    fn lines_are_read_back() {
        let (line, check) = header().to_line();
        assert!(line.starts_with(b"#BSLT1 h i 006c696e656167652"));
        assert_eq!(read(&line), Ok((Line::Header(header()), check)));
        let (line, check) = batch().to_line();
        assert_eq!(
            String::from_utf8(line[..79].to_vec()).unwrap(),
            "#BSLT1 b 00000000000001a4 00000003 000000004e 019aa3f1c2d4 00000001 00000002 "
                .to_owned()
                + &format!("{check:08x}")[..2]
        );
        let mut more = line.to_vec();
        more.extend_from_slice(b"*1\r\n");
        assert_eq!(read(&more), Ok((Line::Batch(batch()), check)));
    }

    #[test]
    fn the_example_of_the_documentation() {
        let page = include_str!("../../../docs/formats/aof.md");
        let lineage = Lineage(0x5be1_0000_0000_0000_0000_0000_0000_c0de_u128.to_be_bytes());
        let header = Header {
            part: Part::Incr,
            lineage,
            seq: 1,
            first: 1,
            time_ms: 0x019a_a3f1_c2d4,
            prev: 0,
        };
        let mut writer = super::super::BatchWriter::create(&header);
        writer.append(&[b"SET", b"k", b"v"]);
        writer.close(header.time_ms);
        let file = String::from_utf8(writer.take()).unwrap();
        assert!(page.contains(&file.replace('\r', "")), "{file}");
        let mut manifest = super::super::Manifest::default();
        manifest.new_incr(b"appendonly.aof").unwrap();
        manifest.lineage = Some(lineage);
        let manifest = String::from_utf8(manifest.to_bytes()).unwrap();
        assert!(page.contains(&manifest), "{manifest}");
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_cut_is_torn_and_every_flip_is_damage() {
        for line in [header().to_line().0.to_vec(), batch().to_line().0.to_vec()] {
            for end in 1..line.len() {
                assert_eq!(read(&line[..end]), Err(LineError::Torn), "{end}");
            }
            for bit in 0..line.len() * 8 {
                let mut line = line.clone();
                line[bit / 8] ^= 1 << (bit % 8);
                // A `b` that becomes an `h` asks for a longer line.
                let mut more = line.clone();
                more.extend_from_slice(&[b'*'; HEADER_BYTES]);
                assert_eq!(read(&more), Err(LineError::Damaged), "{bit}");
                assert_eq!(read(&line), Err(LineError::Damaged), "{bit}");
            }
        }
    }

    #[test]
    fn other_lines() {
        for line in [
            "",
            "*1\r\n$4\r\nPING\r\n",
            "#TS:1711111111\r\n",
            "#",
            "#just a note\r\n",
            "$5\r\n",
        ] {
            let torn = line == "#";
            let error = if torn {
                LineError::Torn
            } else {
                LineError::Foreign
            };
            assert_eq!(read(line.as_bytes()), Err(error), "{line}");
        }
        assert_eq!(read(b"#BSLT2 b 000"), Err(LineError::Damaged));
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp_line(1_700_000_000), "#TS:1700000000\r\n");
        assert_eq!(timestamp(b"#TS:1700000000\r\n"), Some(Some(1_700_000_000)));
        assert_eq!(timestamp(b"#TS:1700000000\n"), Some(None));
        assert_eq!(timestamp(b"#TS:abc\r\n"), Some(None));
        assert_eq!(timestamp(b"#TS\r\n"), None);
    }
}
