//! Bounds of ranges as the commands spell them.
//!
//! Redis reads a score bound with C's `strtod` and only looks at whether the
//! text ends where the number does. So, unlike a score given to `ZADD`, a bound
//! may begin with blanks, an empty text is 0, a NUL byte ends the text, and
//! numbers out of range become infinite or zero.

use basalt_formats::num;

use crate::error::ReplyError;
use crate::value::zset::{LexRange, ScoreRange};

/// Parses the bounds of a range of scores.
///
/// # Errors
/// `min or max is not a float`.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, ReplyError> {
    ScoreRange::parse(min, max, number).ok_or(ReplyError::MIN_MAX_NOT_FLOAT)
}

/// Parses the bounds of a range of members.
///
/// # Errors
/// `min or max not valid string range item`.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, ReplyError> {
    LexRange::parse(min, max).ok_or(ReplyError::MIN_MAX_NOT_LEX)
}

fn number(text: &[u8]) -> Option<f64> {
    let text = match text.iter().position(|&b| b == 0) {
        Some(end) => text.get(..end)?,
        None => text,
    };
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text
        .iter()
        .take_while(|b| matches!(b, b' ' | 9..=13))
        .count();
    let digits = text.get(blanks..)?;
    num::parse_f64(digits).or_else(|| out_of_range(digits))
}

/// A decimal number too large or too small for a double.
fn out_of_range(text: &[u8]) -> Option<f64> {
    let decimal = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E');
    if !text.iter().all(decimal) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_strtod_reads_to_the_end() {
        for (text, value) in [
            ("", 0.0),
            (" 5", 5.0),
            ("\t\n-1.5", -1.5),
            ("0x10", 16.0),
            ("1e999", f64::INFINITY),
            ("-1e999", f64::NEG_INFINITY),
            ("1e-999", 0.0),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("3\0rest", 3.0),
            ("\0", 0.0),
            ("5.", 5.0),
            (".5", 0.5),
        ] {
            assert_eq!(number(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in [" ", "5 ", "nan", "abc", "1e", "--1", "(1", "1_0"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_lone_parenthesis_is_an_exclusive_zero() {
        let range = score_range(b"(", b"( 3").expect("valid");
        assert!(range.min_exclusive && range.max_exclusive);
        assert_eq!((range.min, range.max), (0.0, 3.0));
    }
}
