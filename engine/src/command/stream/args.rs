//! Words of stream commands: IDs in their forms, and where the keys are.

use crate::command::spec::{Args, KeyFlags, KeyRef};
use crate::command::{Ctx, args};
use crate::error::{ReplyError, shown};
use crate::value::stream::StreamId;

/// A word that is no ID.
pub(super) const INVALID_ID: ReplyError = ReplyError(std::borrow::Cow::Borrowed(
    "ERR Invalid stream ID specified as stream command argument",
));

/// Longest word that is looked at.
const MAX_WORD: usize = 127;

/// The ID of an entry to add, as far as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Auto,
    /// `<ms>-*`
    Ms(u64),
    /// `<ms>-<seq>` or `<ms>`, which means `<ms>-0`.
    Full(StreamId),
}

/// An ID; `-` and `+` are the smallest and greatest. A missing sequence is `missing_seq`.
///
/// # Errors
/// `Invalid stream ID`.
pub(super) fn id(word: &[u8], missing_seq: u64) -> Result<StreamId, ReplyError> {
    match text(word)? {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => parts(text, missing_seq),
    }
}

/// An ID other than `-` and `+`.
///
/// # Errors
/// As [`id`].
pub(super) fn strict_id(word: &[u8], missing_seq: u64) -> Result<StreamId, ReplyError> {
    parts(text(word)?, missing_seq)
}

/// The ID of an entry to add, where it is not `*`.
///
/// # Errors
/// As [`id`].
pub(super) fn new_id(word: &[u8]) -> Result<NewId, ReplyError> {
    let text = text(word)?;
    match text.strip_suffix(b"-*") {
        Some(ms) if !ms.contains(&b'-') => unsigned(ms).map(NewId::Ms).ok_or(INVALID_ID),
        _ => parts(text, 0).map(NewId::Full),
    }
}

/// An end of a range, and whether it is itself left out, which `(` in front says.
///
/// # Errors
/// As [`id`].
pub(super) fn bound(word: &[u8], missing_seq: u64) -> Result<(StreamId, bool), ReplyError> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => Ok((strict_id(rest, missing_seq)?, true)),
        _ => Ok((id(word, missing_seq)?, false)),
    }
}

/// The part of a word that is looked at: what comes before a NUL.
fn text(word: &[u8]) -> Result<&[u8], ReplyError> {
    if word.len() > MAX_WORD {
        return Err(INVALID_ID);
    }
    Ok(word.split(|&byte| byte == 0).next().unwrap_or_default())
}

fn parts(text: &[u8], missing_seq: u64) -> Result<StreamId, ReplyError> {
    let (ms, seq) = match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let seq = seq.map_or(Some(missing_seq), unsigned);
    match (unsigned(ms), seq) {
        (Some(ms), Some(seq)) => Ok(StreamId { ms, seq }),
        _ => Err(INVALID_ID),
    }
}

/// A number of 64 bits as Redis reads it: with what the C library takes in front (blanks, a
/// plus, zeros), and with a minus if the rest is not written as numbers are.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(int) = basalt_formats::num::parse_i64(text) {
        return u64::try_from(int).ok();
    }
    let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(blank).count()..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Until when BLOCK waits, given milliseconds from now; `None` for ever. `name` is the command as
/// it was sent.
///
/// # Errors
/// Not an integer, negative, or out of range; the command runs in a script.
pub(super) fn block_deadline(
    ctx: &Ctx<'_>,
    name: &[u8],
    word: &[u8],
) -> Result<Option<i64>, ReplyError> {
    if ctx.in_script() {
        return Err(ReplyError::err(format_args!(
            "{} command is not allowed with BLOCK option from scripts",
            shown(name)
        )));
    }
    let now_ms = ctx.ks.now_ms;
    let ms = args::int(word).map_err(|_| ReplyError::TIMEOUT_NOT_INTEGER)?;
    match ms {
        ..0 => Err(ReplyError::TIMEOUT_NEGATIVE),
        0 => Ok(None),
        ms => match now_ms.checked_add(ms) {
            Some(at) => Ok(Some(at)),
            None => Err(ReplyError::err("timeout is out of range")),
        },
    }
}

/// Keys of XREAD and XREADGROUP: the first half of what follows STREAMS.
pub(super) fn streams_get_keys(words: Args<'_>) -> Option<Vec<KeyRef>> {
    let mut at = 1;
    let first = loop {
        let word = words.get(at)?;
        at += match word {
            word if ["block", "count", "claim"]
                .iter()
                .any(|name| args::is(word, name)) =>
            {
                2
            }
            word if args::is(word, "group") => 3,
            word if args::is(word, "noack") => 1,
            word if args::is(word, "streams") => break at + 1,
            _ => return None,
        };
    };
    let count = words.len() - first;
    if count == 0 || !count.is_multiple_of(2) {
        return None;
    }
    Some(
        (first..first + count / 2)
            .map(|at| (at, KeyFlags::RO.or(KeyFlags::ACCESS)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let ok = |word: &str, ms, seq| {
            assert_eq!(id(word.as_bytes(), 5), Ok(StreamId { ms, seq }), "{word}");
        };
        ok("1-2", 1, 2);
        ok("1", 1, 5);
        ok("-", 0, 0);
        ok("+", u64::MAX, u64::MAX);
        ok("18446744073709551615-0", u64::MAX, 0);
        ok(" 1-+2", 1, 2);
        ok("01-02", 1, 2);
        ok("1--02", 1, u64::MAX - 1);
        ok("1-2\0x", 1, 2);
        for word in [
            "",
            "a",
            "1-",
            "-1",
            "1--2",
            "1-2-3",
            "1-*",
            "1-x",
            "18446744073709551616",
            "1 ",
            "--",
        ] {
            assert_eq!(id(word.as_bytes(), 5), Err(INVALID_ID), "{word:?}");
        }
        assert!(id(&[b'0'; 127], 0).is_ok());
        assert!(id(&[b'0'; 128], 0).is_err());
        assert!(strict_id(b"-", 0).is_err());
        assert!(strict_id(b"+", 0).is_err());
    }

    #[test]
    fn new_ids() {
        let full = |ms, seq| Ok(NewId::Full(StreamId { ms, seq }));
        assert_eq!(new_id(b"7"), full(7, 0));
        assert_eq!(new_id(b"7-1"), full(7, 1));
        assert_eq!(new_id(b"7-*"), Ok(NewId::Ms(7)));
        for word in ["-*", "7-1-*", "7*", "-", "+"] {
            assert!(new_id(word.as_bytes()).is_err(), "{word}");
        }
    }

    #[test]
    fn bounds() {
        assert_eq!(bound(b"(1", 3), Ok((StreamId::new(1, 3), true)));
        assert_eq!(bound(b"-", 3), Ok((StreamId::MIN, false)));
        assert!(bound(b"(-", 3).is_err());
        assert!(bound(b"(", 3).is_err());
    }

    #[test]
    fn keys() {
        let keys = |line: &str| {
            let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
            streams_get_keys(&words)
                .map(|keys| keys.into_iter().map(|(at, _)| at).collect::<Vec<_>>())
        };
        assert_eq!(keys("xread count 1 streams a b 0 0"), Some(vec![4, 5]));
        assert_eq!(
            keys("xreadgroup group g c noack STREAMS a >"),
            Some(vec![6])
        );
        assert_eq!(
            keys("xreadgroup group g c claim 5 STREAMS a >"),
            Some(vec![7])
        );
        assert_eq!(keys("xread streams a"), None);
        assert_eq!(keys("xread count"), None);
        assert_eq!(keys("xread what streams a 0"), None);
    }
}
