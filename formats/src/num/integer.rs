//! Integers: the strict form that also decides what may be stored as a number,
//! and the lenient unsigned form of stream IDs.

/// Parses the one canonical decimal form of an `i64`, so that printing the
/// result gives the input again: no sign but `-`, no leading zero, no `-0`,
/// no space.
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        // "-9223372036854775808" has nineteen digits.
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        [b'0'] if !negative => return Some(0),
        _ => return None,
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits are below 10^19 < 2^64.
        value = value * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Parses an unsigned integer as Redis does for the parts of stream IDs: the
/// strict form first, then whatever C `strtoull` takes whole. That admits
/// leading blanks, `+`, leading zeros, and a `-` that wraps around unless the
/// text is a plain negative number.
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let start = text
        .iter()
        .position(|b| !matches!(b, b' ' | b'\t'..=b'\r'))?;
    let (negative, digits) = match text.get(start..)? {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// The number a text begins with, as C's `atoi` reads it with 64-bit longs: blanks, a sign
/// and digits; 0 if there are none; beyond an `i64` the nearest, of which the low 32 bits are
/// the result. O(text). Redis finds keys with it where a count is not a clean number.
pub fn atoi(text: &[u8]) -> i32 {
    let blanks = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blanks(byte));
    let text = start.and_then(|at| text.get(at..)).unwrap_or_default();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative {
            value.saturating_sub(digit)
        } else {
            value.saturating_add(digit)
        };
    }
    value as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strict_form() {
        for text in [
            "", "-", "+1", " 1", "1 ", "01", "-0", "-01", "00", "1a", "--1", "0x1", "1\0",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i64(b"18446744073709551616"), None);
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
    }

    #[test]
    fn unsigned_leniency() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b"-01"), Some(u64::MAX));
        assert_eq!(parse_u64(b"-0"), Some(0));
        assert_eq!(parse_u64(b" +007"), Some(7));
        for text in [&b""[..], b" ", b"+", b"1 ", b"a", b"- 1"] {
            assert_eq!(parse_u64(text), None);
        }
    }

    proptest! {
        #[test]
        fn accepts_exactly_what_printing_gives(text in "-?[0-9]{0,21}| ?[+-]?[0-9]{1,3}[a ]?") {
            let std = text.parse::<i64>().ok().filter(|v| v.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), std);
        }

        #[test]
        fn round_trip(signed: i64, unsigned: u64) {
            prop_assert_eq!(parse_i64(signed.to_string().as_bytes()), Some(signed));
            prop_assert_eq!(parse_u64(unsigned.to_string().as_bytes()), Some(unsigned));
        }
    }

    #[test]
    fn atoi_reads_what_a_text_begins_with() {
        for (text, value) in [
            ("", 0),
            ("x1", 0),
            ("1.5 ", 1),
            ("  +7a", 7),
            ("\t-12", -12),
            ("--1", 0),
            ("2147483648", i32::MIN),
            ("4294967297", 1),
            ("9223372036854775807", -1),
            ("99999999999999999999", -1),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(atoi(text.as_bytes()), value, "{text}");
        }
    }
}
