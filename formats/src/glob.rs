//! Glob patterns of `KEYS`, `SCAN MATCH`, `PSUBSCRIBE`, `CONFIG GET` and ACLs.
//!
//! `*` any bytes, `?` one byte, `[a-z]` and `[^a-z]` one byte of a set, `\x` the
//! byte x. Everything but `*` stands for exactly one byte, so it is enough to
//! go back to the last `*` when a byte does not match: time is at worst the
//! product of the two lengths, and there is no recursion.
//!
//! Corners that are as in Redis 7.2: an empty text matches only the empty
//! pattern, not `*`; a set without `]` ends with the pattern; `]` and `\` may be
//! the end of a range; a backslash at the very end is itself; bytes in a range
//! compare as signed when case matters; an escaped byte in a set is compared
//! with its case even when case is ignored.

/// True if the whole of `text` matches `pattern`. With `nocase`, ASCII letters
/// match in either case.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut rest = pattern;
    let mut left = text;
    // Behind the last star, and what it was tried on last.
    let mut star: Option<(&[u8], &[u8])> = None;
    while let [byte, tail @ ..] = left {
        if rest.first() == Some(&b'*') {
            rest = skip_stars(rest);
            if rest.is_empty() {
                return true;
            }
            star = Some((rest, left));
        }
        if let Some(next) = match_one(rest, *byte, nocase) {
            rest = next;
            left = tail;
            continue;
        }
        // The star takes one byte more.
        let Some((behind, [_, shorter @ ..])) = star else {
            return false;
        };
        star = Some((behind, shorter));
        rest = behind;
        left = shorter;
    }
    skip_stars(rest).is_empty()
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&b| b != b'*');
    pattern.get(end.unwrap_or(pattern.len())..).unwrap_or(&[])
}

/// Matches `byte` with the first element of `pattern`, which is not a star;
/// returns what follows the element.
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => {
            let (matched, rest) = match_set(rest, byte, nocase);
            matched.then_some(rest)
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            same(*literal, byte, nocase).then_some(rest)
        }
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

/// Matches `byte` with the set whose `[` precedes `rest`; returns what follows.
fn match_set(rest: &[u8], byte: u8, nocase: bool) -> (bool, &[u8]) {
    let (negated, mut rest) = match rest {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut matched = false;
    loop {
        let (hit, next) = match rest {
            [b'\\', literal, next @ ..] => (*literal == byte, next),
            [b']', next @ ..] => return (matched != negated, next),
            [] => return (matched != negated, rest),
            [from, b'-', to, next @ ..] => (in_range(*from, *to, byte, nocase), next),
            [literal, next @ ..] => (same(*literal, byte, nocase), next),
        };
        matched |= hit;
        rest = next;
    }
}

/// The bounds are put in order as signed bytes and only then lose their case, so
/// `[Z-a]` without case holds nothing. Losing case goes through C `tolower`,
/// which also makes every negative byte but the last (EOF) positive.
fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let (from, to) = (from.cast_signed(), to.cast_signed());
    let fold = |b: i8| match (nocase, b) {
        (false, _) | (true, -1) => i16::from(b),
        (true, _) => i16::from(b.cast_unsigned().to_ascii_lowercase()),
    };
    (fold(from.min(to))..=fold(from.max(to))).contains(&fold(byte.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn documented_examples() {
        assert!(matches("h?llo", "hallo") && !matches("h?llo", "hllo"));
        assert!(matches("h*llo", "hllo") && matches("h*llo", "heeeello"));
        assert!(matches("h[ae]llo", "hello") && !matches("h[ae]llo", "hillo"));
        assert!(matches("h[^e]llo", "hallo") && !matches("h[^e]llo", "hello"));
        assert!(matches("h[a-b]llo", "hbllo") && !matches("h[a-b]llo", "hcllo"));
        assert!(matches(r"h\*llo", "h*llo") && !matches(r"h\*llo", "hxllo"));
    }

    #[test]
    fn corners() {
        assert!(matches("", "") && !matches("*", "") && !matches("", "a"));
        assert!(matches("a**", "a") && matches("**", "a") && matches("*a*", "a"));
        assert!(matches("[^", "a") && !matches("[", "a") && !matches("[", "["));
        assert!(matches("[a-", "-") && matches("[a-]", "^") && !matches("[a-]", "-"));
        assert!(matches("\\", "\\") && matches("[\\", "\\") && matches("[\\]]", "]"));
        assert!(!matches("[]", "a") && matches("[^]", "a") && matches("[z-a]", "m"));
        assert!(glob_match(b"[A-z]", b"q", true) && !glob_match(b"[Z-a]", b"z", true));
        assert!(glob_match(b"HE[L]LO", b"hello", true));
        assert!(!glob_match(b"[\\A]", b"a", true) && glob_match(b"\\A", b"a", true));
        // Signed: 0x80 is below zero.
        assert!(glob_match(b"[\x80-a]", b"\x01", false));
        assert!(!glob_match(b"[\x80-a]", b"\x01", true));
        assert!(
            glob_match(b"[a-\xff]", b"\xff", false) && !glob_match(b"[\x80-\xfe]", b"\xff", false)
        );
    }

    #[test]
    fn hostile_patterns_take_no_longer_than_the_product() {
        // Exponential or cubic time would never come back from here.
        let pattern = b"a*".repeat(20_000);
        let mut pattern = [&pattern[..], b"b"].concat();
        let text = vec![b'a'; 40_000];
        assert!(!glob_match(&pattern, &text, false));
        pattern.splice(.., [&b"*"[..], &b"a".repeat(2000), b"b"].concat());
        assert!(!glob_match(&pattern, &text, true));
    }

    /// One element of a pattern, and recursion over all ways to use it.
    #[derive(Clone)]
    enum Element {
        Star,
        One(Vec<u8>),
    }

    fn elements(pattern: &[u8], nocase: bool) -> Vec<Element> {
        let all = || (0..=255u8).collect::<Vec<_>>();
        let lower = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
        let alike = |b: u8| {
            all()
                .into_iter()
                .filter(|&c| lower(c) == lower(b))
                .collect::<Vec<_>>()
        };
        let (mut out, mut i) = (Vec::new(), 0);
        while i < pattern.len() {
            let byte = pattern[i];
            i += 1;
            out.push(match byte {
                b'*' => Element::Star,
                b'?' => Element::One(all()),
                b'\\' if i < pattern.len() => {
                    i += 1;
                    Element::One(alike(pattern[i - 1]))
                }
                b'[' => {
                    let negated = pattern.get(i) == Some(&b'^');
                    i += usize::from(negated);
                    let mut set = Vec::new();
                    while i < pattern.len() {
                        let left = pattern.len() - i;
                        if pattern[i] == b'\\' && left >= 2 {
                            set.push(pattern[i + 1]);
                            i += 2;
                        } else if pattern[i] == b']' {
                            break;
                        } else if left >= 3 && pattern[i + 1] == b'-' {
                            let (a, b) = (pattern[i] as i8, pattern[i + 2] as i8);
                            let fold = |b: i8| match b {
                                -1 => -1,
                                b if nocase => i16::from(lower(b as u8)),
                                b => i16::from(b),
                            };
                            let (low, high) = (fold(a.min(b)), fold(a.max(b)));
                            set.extend(all().into_iter().filter(|&c| {
                                let c = fold(c as i8);
                                low <= c && c <= high
                            }));
                            i += 3;
                        } else {
                            set.extend(alike(pattern[i]));
                            i += 1;
                        }
                    }
                    i += 1;
                    Element::One(
                        all()
                            .into_iter()
                            .filter(|b| set.contains(b) != negated)
                            .collect(),
                    )
                }
                byte => Element::One(alike(byte)),
            });
        }
        out
    }

    fn naive(elements: &[Element], text: &[u8]) -> bool {
        match elements {
            [] => text.is_empty(),
            [Element::Star, rest @ ..] => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            [Element::One(set), rest @ ..] => {
                text.first().is_some_and(|b| set.contains(b)) && naive(rest, &text[1..])
            }
        }
    }

    fn bytes(alphabet: &'static [u8], max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop::sample::select(alphabet), 0..max)
    }

    proptest! {
        #[test]
        fn same_as_naive(
            pattern in bytes(b"aAbz**?[]^-\\\x80\xff", 12), text in bytes(b"aAbBz]-^\\\x80\xff", 10), nocase: bool) {
            let expected = if text.is_empty() {
                pattern.is_empty()
            } else {
                naive(&elements(&pattern, nocase), &text)
            };
            prop_assert_eq!(glob_match(&pattern, &text, nocase), expected);
        }
    }
}
