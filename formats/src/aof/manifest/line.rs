//! One line of the manifest: words, quotes, and what may be a name.

use super::{FileInfo, FileType, ManifestErrorKind};
use crate::resp::inline::split_line;

/// Longest name of a file.
pub(super) const NAME_MAX: usize = 255;
/// Longest name whose bytes may all be written as four.
pub(super) const ESCAPED_MAX: usize = 230;

pub(super) fn trim(line: &[u8]) -> &[u8] {
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

pub(super) fn parse_line(line: &[u8]) -> Result<FileInfo, ManifestErrorKind> {
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
pub(super) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
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
