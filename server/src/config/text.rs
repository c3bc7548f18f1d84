//! Words, quotes, numbers and patterns as redis.conf spells them.
//!
//! These are the small grammars below the directives: splitting a line into words, quoting a value so that splitting
//! gives it back, numbers with units, and the glob patterns of `CONFIG GET` and `include`.

use std::io;

use basalt_formats::words::skip_blanks;
pub use basalt_formats::words::split_args;

/// Puts a value in double quotes so that [`split_args`] gives it back.
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    out.push(b'"');
    for &byte in value {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// A decimal integer in its only canonical spelling: no sign `+`, no leading zeros, no blanks.
pub(super) fn strict_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An integer as C's `strtoll` reads it when the whole text has to be a number: blanks and a sign may precede, an empty
/// text is 0, and what does not fit becomes the nearest value. `None` when something follows the digits.
pub(super) fn loose_int(text: &[u8], radix: u32) -> Option<i64> {
    loose_int_exact(text, radix).map(|(value, _)| value)
}

/// Like [`loose_int`], also telling whether the number fitted.
pub(super) fn loose_int_exact(text: &[u8], radix: u32) -> Option<(i64, bool)> {
    if text.is_empty() {
        return Some((0, true));
    }
    let body = skip_blanks(text);
    let (negative, digits) = match body {
        [b'-', tail @ ..] => (true, tail),
        [b'+', tail @ ..] => (false, tail),
        _ => (false, body),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for &byte in digits {
        let digit = char::from(byte).to_digit(radix)?;
        value = value
            .saturating_mul(i128::from(radix))
            .saturating_add(i128::from(digit));
    }
    let value = if negative { -value } else { value };
    let clamped = value.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Some((i64::try_from(clamped).unwrap_or_default(), clamped == value))
}

/// A number of bytes: digits and one of the units `b k kb m mb g gb` in any case. An absent number is 0.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() >= 128 {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in digits {
        value = value
            .saturating_mul(10)
            .saturating_add(u64::from(byte - b'0'));
    }
    // A product that does not fit wraps around in Redis; a limit that silently became a small number helps nobody.
    value.checked_mul(factor)
}

/// A number of bytes with the largest unit that divides it.
pub fn format_memory(bytes: i128) -> String {
    for (unit, factor) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes % factor == 0 {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// Matches a name against a glob pattern with `*`, `?`, `[a-z]`, `[^a]` and `\x`, as Redis does, ignoring case if asked.
///
/// The time is bounded by the product of the two lengths: only the last `*` is ever tried again.
pub fn glob(pattern: &[u8], name: &[u8], ignore_case: bool) -> bool {
    let fold = |b: u8| {
        if ignore_case {
            b.to_ascii_lowercase()
        } else {
            b
        }
    };
    let (mut pattern, mut name) = (pattern, name);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (pattern, name) {
            ([], []) => return true,
            ([b'*', tail @ ..], _) => {
                retry = Some((tail, name));
                Some((tail, name))
            }
            ([b'?', tail @ ..], [_, left @ ..]) => Some((tail, left)),
            ([b'[', tail @ ..], [byte, left @ ..]) => {
                let (hit, tail) = char_class(tail, *byte, &fold);
                hit.then_some((tail, left))
            }
            ([b'\\', wanted, tail @ ..], [byte, left @ ..])
            | ([wanted, tail @ ..], [byte, left @ ..]) => {
                (fold(*wanted) == fold(*byte)).then_some((tail, left))
            }
            _ => None,
        };
        (pattern, name) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((tail, [_, left @ ..]))) => {
                retry = Some((tail, left));
                (tail, left)
            }
            _ => return false,
        };
    }
}

/// Matches one byte against the inside of `[...]`; returns the verdict and what follows the bracket.
fn char_class<'a>(class: &'a [u8], byte: u8, fold: &impl Fn(u8) -> u8) -> (bool, &'a [u8]) {
    let (negated, mut rest) = match class {
        [b'^', tail @ ..] => (true, tail),
        _ => (false, class),
    };
    let byte = fold(byte);
    let mut hit = false;
    loop {
        rest = match rest {
            [] => return (hit != negated, rest),
            [b']', tail @ ..] => return (hit != negated, tail),
            [b'\\', wanted, tail @ ..] => {
                hit |= fold(*wanted) == byte;
                tail
            }
            [from, b'-', to, tail @ ..] => {
                let (from, to) = (fold(*from), fold(*to));
                hit |= (from.min(to)..=from.max(to)).contains(&byte);
                tail
            }
            [wanted, tail @ ..] => {
                hit |= fold(*wanted) == byte;
                tail
            }
        };
    }
}

/// The system's text for an error, without the number that Rust adds: `No such file or directory`.
pub fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        Some(
            split_args(line.as_bytes())?
                .iter()
                .map(|w| String::from_utf8_lossy(w).into_owned())
                .collect(),
        )
    }

    #[test]
    fn words_and_quotes() {
        assert_eq!(words("  save 900  1\t").unwrap(), ["save", "900", "1"]);
        assert_eq!(
            words(r#"a "b \"c\" \x41\n" 'd \' e'"#).unwrap(),
            ["a", "b \"c\" A\n", "d ' e"]
        );
        assert_eq!(words(r#"pre"fix""#).unwrap(), ["prefix"]);
        assert_eq!(words("\"\"").unwrap(), [""]);
        assert_eq!(words("").unwrap(), Vec::<String>::new());
        assert_eq!(words(r#""open"#), None);
        assert_eq!(words(r#""a"b"#), None);
        assert_eq!(words("'open"), None);
    }

    #[test]
    fn quoting_survives_splitting() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_args(&quote(&all)).unwrap(), [all]);
        assert_eq!(quote(b"a\x07\xff\"").as_slice(), br#""a\a\xff\"""#);
    }

    #[test]
    fn integers() {
        assert_eq!(strict_int(b"-9223372036854775808"), Some(i64::MIN));
        for bad in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            " 1",
            "1 ",
            "9223372036854775808",
            "1k",
        ] {
            assert_eq!(strict_int(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(loose_int(b"", 10), Some(0));
        assert_eq!(loose_int(b" +07", 10), Some(7));
        assert_eq!(loose_int(b"0777", 8), Some(0o777));
        assert_eq!(loose_int(b"7x", 10), None);
        assert_eq!(loose_int(b"99999999999999999999", 10), Some(i64::MAX));
    }

    #[test]
    fn memory_units() {
        for (text, bytes) in [
            ("1k", 1000),
            ("1kb", 1024),
            ("2M", 2_000_000),
            ("2Mb", 2 << 20),
            ("3g", 3_000_000_000),
            ("3GB", 3 << 30),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
        }
        assert_eq!(parse_memory(b"12b"), Some(12));
        assert_eq!(parse_memory(b""), Some(0));
        for bad in ["-1", "1.5gb", "1tb", "x", "18446744073709551615gb"] {
            assert_eq!(parse_memory(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(format_memory(1 << 30), "1gb");
        assert_eq!(format_memory(3000), "3000");
        assert_eq!(format_memory(0), "0");
        assert_eq!(format_memory(3 << 10), "3kb");
    }

    #[test]
    fn patterns() {
        for (pattern, name, hit) in [
            ("*", "", true),
            ("max*", "MAXMEMORY", true),
            ("*-max-*-entries", "hash-max-listpack-entries", true),
            ("m?x", "max", true),
            ("m?x", "mx", false),
            ("[a-c]b", "bb", true),
            ("[^a-c]b", "bb", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("\\*", "\\x", false),
            ("a\\", "a\\", true),
            ("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("[", "a", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), name.as_bytes(), true),
                hit,
                "{pattern} {name}"
            );
        }
        assert!(!glob(b"A", b"a", false));
    }

    #[test]
    fn system_errors_carry_no_number() {
        let error = std::fs::read("/no such file").unwrap_err();
        assert_eq!(os_reason(&error), "No such file or directory");
    }
}
