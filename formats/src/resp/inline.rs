//! Words of an inline request: a line as typed into telnet.
//!
//! Words are separated by blanks. A double-quoted part knows the escapes
//! `\n \r \t \b \a \xHH` and `\` before any other byte for that byte; a
//! single-quoted part knows `\'` only. A closing quote must be followed by a
//! blank or the end of the line. An opening quote may stand inside a word, the
//! two parts being one argument.
//!
//! The blanks that may stand between words (`isspace`) are two more than those
//! that end an unquoted word: a vertical tab or form feed inside one is part
//! of it.

/// A quote was left open, or closed in the middle of a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// Splits `line` into `args`. Returns true when the offsets point into `arena`
/// (some word had quotes), false when they point into `line`.
pub(crate) fn split_line(
    line: &[u8],
    args: &mut Vec<(usize, usize)>,
    arena: &mut Vec<u8>,
) -> Result<bool, Unbalanced> {
    args.clear();
    arena.clear();
    if line.iter().any(|&b| b == b'"' || b == b'\'') {
        split_quoted(line, args, arena)?;
        Ok(true)
    } else {
        split_plain(line, args);
        Ok(false)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0)
}

fn split_plain(line: &[u8], args: &mut Vec<(usize, usize)>) {
    let mut bytes = line.iter().enumerate();
    while let Some((start, _)) = bytes.find(|&(_, &b)| !is_space(b)) {
        let end = bytes.find(|&(_, &b)| ends_word(b));
        args.push((start, end.map_or(line.len(), |(at, _)| at)));
    }
}

fn split_quoted(
    line: &[u8],
    args: &mut Vec<(usize, usize)>,
    arena: &mut Vec<u8>,
) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = arena.len();
        rest = word(rest, arena)?;
        args.push((start, arena.len()));
    }
}

/// Appends the word at the start of `rest` to `arena`; returns what follows.
fn word<'a>(mut rest: &'a [u8], arena: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    while let [first, tail @ ..] = rest {
        match first {
            b'"' => return double_quoted(tail, arena),
            b'\'' => return single_quoted(tail, arena),
            byte if ends_word(*byte) => return Ok(tail),
            byte => arena.push(*byte),
        }
        rest = tail;
    }
    Ok(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], arena: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arena.push(hex(*high) << 4 | hex(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                arena.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [b'"', tail @ ..] => return closed(tail),
            [byte, tail @ ..] => {
                arena.push(*byte);
                tail
            }
            [] => return Err(Unbalanced),
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], arena: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [b'\\', b'\'', tail @ ..] => {
                arena.push(b'\'');
                tail
            }
            [b'\'', tail @ ..] => return closed(tail),
            [byte, tail @ ..] => {
                arena.push(*byte);
                tail
            }
            [] => return Err(Unbalanced),
        };
    }
}

fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(&byte) if !is_space(byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// Value of a digit already known to be hexadecimal.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let (mut args, mut arena) = (Vec::new(), Vec::new());
        let owned = split_line(line, &mut args, &mut arena)?;
        let base = if owned { &arena[..] } else { line };
        Ok(args.iter().map(|&(s, e)| base[s..e].to_vec()).collect())
    }

    fn words(line: &str) -> Vec<String> {
        let found = split(line.as_bytes()).expect("balanced");
        found
            .into_iter()
            .map(|w| String::from_utf8_lossy(&w).into_owned())
            .collect()
    }

    #[test]
    fn plain_words() {
        assert_eq!(words("set  key\tvalue "), ["set", "key", "value"]);
        assert!(words(" \t\x0b\x0c\r ").is_empty());
        assert!(words("").is_empty());
        assert_eq!(words("a\x0bb \x0cc"), ["a\x0bb", "c"]);
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(words(r#"set k "a b""#), ["set", "k", "a b"]);
        assert_eq!(words(r#""\n\r\t\b\a\x41\q\\\"""#), ["\n\r\t\x08\x07Aq\\\""]);
        assert_eq!(words(r#""\x4g""#), ["x4g"]);
        assert_eq!(words(r"'it\'s' '\n'"), ["it's", r"\n"]);
        assert_eq!(words(r#"foo"bar" "" ''"#), ["foobar", "", ""]);
        assert_eq!(split(br#""\xff\x00""#), Ok(vec![vec![0xff, 0]]));
    }

    #[test]
    fn unbalanced() {
        for line in [r#"""#, "'", r#""a"b"#, "'a'b", r#""a\"#, r#""a\""#] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line}");
        }
        assert!(split(br#""a"'b'"#).is_err());
    }

    /// The rules again, as one state machine over single bytes.
    fn naive(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        let mut i = 0;
        let at = |i: usize| line.get(i).copied();
        loop {
            while at(i).is_some_and(|b| b" \t\n\x0b\x0c\r".contains(&b)) {
                i += 1;
            }
            if i >= line.len() {
                return Some(out);
            }
            let mut word = Vec::new();
            let mut quote = None;
            loop {
                let byte = at(i);
                match (quote, byte) {
                    (Some(_), None) => return None,
                    (None, None) => break,
                    (Some(b'"'), Some(b'\\')) if at(i + 1).is_some() => {
                        let pair = (at(i + 2), at(i + 3));
                        let digits = match (at(i + 1), pair) {
                            (Some(b'x'), (Some(h), Some(l))) => std::str::from_utf8(&[h, l])
                                .ok()
                                .filter(|s| s.bytes().all(|b| b.is_ascii_hexdigit()))
                                .and_then(|s| u8::from_str_radix(s, 16).ok()),
                            _ => None,
                        };
                        if let Some(value) = digits {
                            word.push(value);
                            i += 4;
                            continue;
                        }
                        let raw = at(i + 1).unwrap_or(0);
                        let known = b"n\nr\rt\tb\x08a\x07";
                        let hit = known.chunks(2).find(|p| p[0] == raw);
                        word.push(hit.map_or(raw, |p| p[1]));
                        i += 2;
                    }
                    (Some(b'\''), Some(b'\\')) if at(i + 1) == Some(b'\'') => {
                        word.push(b'\'');
                        i += 2;
                    }
                    (Some(q), Some(b)) if q == b => {
                        i += 1;
                        if at(i).is_some_and(|b| !b" \t\n\x0b\x0c\r".contains(&b)) {
                            return None;
                        }
                        break;
                    }
                    (None, Some(b)) if b" \t\n\r".contains(&b) => break,
                    (None, Some(b @ (b'"' | b'\''))) => {
                        quote = Some(b);
                        i += 1;
                    }
                    (_, Some(b)) => {
                        word.push(b);
                        i += 1;
                    }
                }
            }
            out.push(word);
        }
    }

    proptest! {
        #[test]
        fn same_as_naive(line in proptest::collection::vec(
            prop::sample::select(&b"ab\"' \\xn4\t\x0b\r"[..]), 0..24)) {
            prop_assert_eq!(split(&line).ok(), naive(&line));
        }
    }
}
