//! What commands on hashes, sets and sorted sets share: replying with elements, the words of
//! `HSCAN`, `SSCAN` and `ZSCAN`, and how big a random sample with repetition may get.

use basalt_formats::glob::glob_match;
use basalt_formats::packed::Entry;

use super::args;
use super::spec::Args;
use crate::error::ReplyError;
use crate::reply::Reply;

/// Writes an element of a collection as a bulk string.
pub(super) fn bulk_element(out: &mut Reply, element: Entry<'_>) {
    match element {
        Entry::Int(int) => out.bulk_int(int),
        Entry::Str(bytes) => out.bulk(bytes),
    }
}

/// A cursor as the `SCAN` family takes it: what C's `strtoul` reads, so with an optional
/// sign (a minus wraps around) and nothing behind; an empty word is 0.
///
/// # Errors
/// `invalid cursor`.
pub(super) fn scan_cursor(word: &[u8]) -> Result<u64, ReplyError> {
    let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() && !word.is_empty() {
        return Err(ReplyError::INVALID_CURSOR);
    }
    let mut cursor = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        cursor = cursor
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit)))
            .filter(|_| digit <= 9)
            .ok_or(ReplyError::INVALID_CURSOR)?;
    }
    Ok(if negative {
        cursor.wrapping_neg()
    } else {
        cursor
    })
}

/// The options behind the cursor of `HSCAN`, `SSCAN` and `ZSCAN`.
#[derive(Debug)]
pub(super) struct ScanOptions<'a> {
    /// `COUNT`: about how many elements a step visits.
    pub count: usize,
    /// `MATCH`, unless everything matches.
    pattern: Option<&'a [u8]>,
    /// `NOVALUES` or `NOSCORES` was given.
    pub only_keys: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the words from argument 3 on. `only_keys` is the option of this command that
    /// leaves values out, if it has one.
    ///
    /// # Errors
    /// `syntax error`, a `COUNT` that is no integer, `NOVALUES` or `NOSCORES` where it does
    /// not belong.
    pub fn parse(args: Args<'a>, only_keys: &str) -> Result<Self, ReplyError> {
        let mut options = ScanOptions {
            count: 10,
            pattern: None,
            only_keys: false,
        };
        let mut words = args::Cursor::new(args, 3);
        while let Some(word) = words.next() {
            if args::is(word, "count") && words.remaining() > 0 {
                let count = args::int(words.required()?)?;
                if count < 1 {
                    return Err(ReplyError::SYNTAX);
                }
                options.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if args::is(word, "match") && words.remaining() > 0 {
                options.pattern = Some(words.required()?).filter(|pattern| *pattern != b"*");
            } else if !only_keys.is_empty() && args::is(word, only_keys) {
                options.only_keys = true;
            } else if args::is(word, "novalues") {
                return Err(ReplyError::err("NOVALUES option can only be used in HSCAN"));
            } else if args::is(word, "noscores") {
                return Err(ReplyError::err("NOSCORES option can only be used in ZSCAN"));
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether an element is to be returned.
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob_match(pattern, element, false))
    }
}

/// Writes the reply of a scan step that visits nothing and ends.
pub(super) fn empty_scan(out: &mut Reply) {
    out.array(2);
    out.bulk(b"0");
    out.array(0);
}

/// Writes the reply of a scan step: `step` writes elements to the reply it is given,
/// counts them up, and returns the next cursor.
pub(super) fn reply_scan(out: &mut Reply, step: impl FnOnce(&mut Reply, &mut usize) -> u64) {
    let mut body = Reply {
        buf: Vec::new(),
        protocol: out.protocol,
    };
    let mut count = 0;
    let cursor = step(&mut body, &mut count);
    out.array(2);
    out.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    out.array(count);
    out.buf.extend_from_slice(&body.buf);
}

/// Parses the count of `HRANDFIELD`, `SRANDMEMBER` and `ZRANDMEMBER`: its absolute value,
/// and whether elements may repeat (it is negative).
///
/// # Errors
/// Not an integer, or the one integer that has no negative.
pub(super) fn sample_count(word: &[u8]) -> Result<(u64, bool), ReplyError> {
    let count = args::int(word)?;
    if count == i64::MIN {
        return Err(ReplyError::err(format_args!(
            "value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )));
    }
    Ok((count.unsigned_abs(), count < 0))
}

/// Refuses a sample with repetition whose reply would be longer than `most` bytes, the
/// longest string a client may store: a few bytes of request must not take all memory.
/// `size` tells the number of elements and their bytes, and is asked only for big counts.
///
/// # Errors
/// `value is out of range`.
pub(super) fn check_sample(
    most: usize,
    count: u64,
    size: impl FnOnce() -> (usize, usize),
) -> Result<usize, ReplyError> {
    /// `$1`, two line ends, and one byte.
    const SHORTEST: u64 = 7;
    /// So few are no danger, whatever they are.
    const FEW: u64 = 1000;
    let result = usize::try_from(count).map_err(|_| ReplyError::OUT_OF_RANGE);
    if count <= FEW {
        return result;
    }
    let (len, bytes) = size();
    let mean = bytes.checked_div(len).unwrap_or(0) as u64;
    match count.checked_mul(SHORTEST.saturating_add(mean)) {
        Some(reply) if reply <= most as u64 => result,
        _ => Err(ReplyError::OUT_OF_RANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"", Some(0)),
            (b"007", Some(7)),
            (b"+7", Some(7)),
            (b"-1", Some(u64::MAX)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"1\0x", Some(1)),
            (b" 1", None),
            (b"1 ", None),
            (b"-", None),
            (b"+", None),
            (b"1x", None),
        ];
        for (word, cursor) in cases {
            assert_eq!(scan_cursor(word).ok(), *cursor, "{word:?}");
        }
    }
}
