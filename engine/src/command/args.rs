//! Parsing of argument words: each function gives the value or Redis's error.

use basalt_formats::num;

use super::spec::Args;
use crate::error::ReplyError;

/// A strict decimal 64-bit integer.
///
/// # Errors
/// `value is not an integer or out of range`.
pub fn int(word: &[u8]) -> Result<i64, ReplyError> {
    num::parse_i64(word).ok_or(ReplyError::NOT_INTEGER)
}

/// An integer within `min..=max`; anything else answers `message` (without `ERR`), or Redis's
/// general texts if it is empty.
///
/// # Errors
/// `message`; without one, not an integer or out of range.
pub fn int_in(word: &[u8], min: i64, max: i64, message: &str) -> Result<i64, ReplyError> {
    let n = num::parse_i64(word).ok_or_else(|| {
        if message.is_empty() {
            ReplyError::NOT_INTEGER
        } else {
            ReplyError::err(message)
        }
    })?;
    if n < min || n > max {
        return Err(if message.is_empty() {
            ReplyError::err(format_args!(
                "value is out of range, value must between {min} and {max}"
            ))
        } else {
            ReplyError::err(message)
        });
    }
    Ok(n)
}

/// An integer of 32 bits; `message` as for [`int_in`].
///
/// # Errors
/// As [`int_in`].
pub fn int32(word: &[u8], message: &str) -> Result<i64, ReplyError> {
    int_in(word, i32::MIN.into(), i32::MAX.into(), message)
}

/// The number of one of so many databases.
///
/// # Errors
/// Not an integer of 32 bits; `DB index is out of range`.
pub fn database(word: &[u8], databases: usize) -> Result<usize, ReplyError> {
    usize::try_from(int32(word, "")?)
        .ok()
        .filter(|db| *db < databases)
        .ok_or(ReplyError::DB_OUT_OF_RANGE)
}

/// A count that must be positive or zero, as `LPOP key count` takes it.
///
/// # Errors
/// `value is out of range, must be positive`.
pub fn positive(word: &[u8]) -> Result<usize, ReplyError> {
    match num::parse_i64(word) {
        Some(n) if n >= 0 => usize::try_from(n).map_err(|_| ReplyError::NOT_POSITIVE),
        _ => Err(ReplyError::NOT_POSITIVE),
    }
}

/// A floating point number.
///
/// # Errors
/// `value is not a valid float`.
pub fn float(word: &[u8]) -> Result<f64, ReplyError> {
    num::parse_f64(word).ok_or(ReplyError::NOT_FLOAT)
}

/// Whether a word is this option, in any letter case.
pub fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}

/// A timeout of a blocking command in seconds, as milliseconds from now; `None` waits for ever.
/// Returns the absolute deadline.
///
/// # Errors
/// Not a float, negative, or out of range.
pub fn timeout_deadline(word: &[u8], now_ms: i64) -> Result<Option<i64>, ReplyError> {
    let ms = (seconds(word).ok_or(ReplyError::TIMEOUT_NOT_FLOAT)? * 1000.0).ceil();
    if ms > i64::MAX as f64 {
        return Err(ReplyError::err("timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(ReplyError::TIMEOUT_NEGATIVE);
    }
    let ms = ms as i64;
    if ms == 0 {
        return Ok(None);
    }
    match now_ms.checked_add(ms) {
        Some(deadline) => Ok(Some(deadline)),
        None => Err(ReplyError::err("timeout is out of range")),
    }
}

/// A number of seconds. Redis reads a long double here, so numbers beyond a double's range
/// are numbers too: they come out infinite, or as the smallest there is.
fn seconds(word: &[u8]) -> Option<f64> {
    num::parse_f64(word).or_else(|| {
        num::parse_long_double(word)?;
        let value: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
        Some(if value == 0.0 {
            f64::MIN_POSITIVE.copysign(value)
        } else {
            value
        })
    })
}

/// A cursor over the words of a request.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at argument `at`.
    pub fn new(args: Args<'a>, at: usize) -> Cursor<'a> {
        Cursor { args, at }
    }

    /// Words left.
    pub fn remaining(&self) -> usize {
        self.args.len().saturating_sub(self.at)
    }

    /// The next word, if any.
    #[allow(
        clippy::should_implement_trait,
        reason = "a cursor, not an iterator: callers peek and rewind"
    )]
    pub fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.args.get(self.at).copied();
        self.at += usize::from(word.is_some());
        word
    }

    /// The next word without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.args.get(self.at).copied()
    }

    /// The next word.
    ///
    /// # Errors
    /// `syntax error` when there is none.
    pub fn required(&mut self) -> Result<&'a [u8], ReplyError> {
        self.next().ok_or(ReplyError::SYNTAX)
    }

    /// Takes the next word if it is `option`.
    pub fn take(&mut self, option: &str) -> bool {
        let found = self.peek().is_some_and(|word| is(word, option));
        self.at += usize::from(found);
        found
    }

    /// Index of the next word.
    pub fn position(&self) -> usize {
        self.at
    }
}
