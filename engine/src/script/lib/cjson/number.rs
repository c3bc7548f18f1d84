//! Numbers as C writes them with `%.*g` and reads them with `strtod`.

use basalt_formats::num;

/// A NaN without a payload, and the bits of one.
const QUIET_NAN: u64 = 0x7ff8 << 48;
const PAYLOAD: u64 = (1 << 51) - 1;

/// `%.*g` with 1 to 14 digits.
pub(super) fn write(number: f64, precision: usize, out: &mut Vec<u8>) {
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_nan() || number.is_infinite() {
        let name = if number.is_nan() { b"nan" } else { b"inf" };
        return out.extend_from_slice(name);
    }
    let whole = number.abs() as u64;
    if whole as f64 == number.abs() && number.abs() < 10f64.powi(precision as i32) {
        return out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    }
    // One digit, a point, the others, and the exponent: rounded as C rounds.
    let text = format!("{:.*e}", precision.saturating_sub(1), number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mut digits: Vec<u8> = mantissa.bytes().filter(|&byte| byte != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < precision => {
            if digits.len() <= exponent {
                digits.resize(exponent + 1, b'0');
            }
            let (whole, fraction) = digits.split_at(exponent + 1);
            out.extend_from_slice(whole);
            with_fraction(fraction, out);
        }
        Err(_) if exponent >= -4 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(
                b'0',
                exponent.unsigned_abs() as usize - 1,
            ));
            out.extend_from_slice(&digits);
        }
        _ => {
            let (first, fraction) = digits.split_at(1);
            out.extend_from_slice(first);
            with_fraction(fraction, out);
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
        }
    }
}

fn with_fraction(fraction: &[u8], out: &mut Vec<u8>) {
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// The number that `strtod` finds at the beginning of a text, and the bytes it takes.
pub(super) fn read(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let negative = text.first() == Some(&b'-');
    let rest = text.get(sign..).unwrap_or_default();
    let (value, len) = unsigned(rest)?;
    Some((if negative { -value } else { value }, sign + len))
}

fn unsigned(text: &[u8]) -> Option<(f64, usize)> {
    let is = |name: &[u8]| {
        text.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    if is(b"inf") {
        return Some((f64::INFINITY, if is(b"infinity") { 8 } else { 3 }));
    }
    if is(b"nan") {
        let (payload, len) = nan_payload(text.get(3..).unwrap_or_default());
        return Some((f64::from_bits(QUIET_NAN | payload), 3 + len));
    }
    if is(b"0x") {
        let digits = text.get(2..).unwrap_or_default();
        if let Some(len) = spelled(digits, u8::is_ascii_hexdigit, b'p') {
            let number = text.get(..2 + len).unwrap_or_default();
            return Some((hex(number), 2 + len));
        }
        // Only the zero before the letter.
        return Some((0.0, 1));
    }
    let len = spelled(text, u8::is_ascii_digit, b'e')?;
    let number = std::str::from_utf8(text.get(..len)?).ok()?;
    Some((number.parse().ok()?, len))
}

/// What may be in parentheses behind `nan`: the lowest bits of the value, if it is a number of C
/// with nothing behind it, and the length of it all.
fn nan_payload(text: &[u8]) -> (u64, usize) {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let Some((b'(', rest)) = text.split_first() else {
        return (0, 0);
    };
    let len = rest.iter().take_while(|byte| word(byte)).count();
    if rest.get(len) != Some(&b')') {
        return (0, 0);
    }
    let (digits, radix) = match rest.get(..len).unwrap_or_default() {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] => (digits, 8),
        digits => (digits, 10),
    };
    let payload = digits.iter().try_fold(0u64, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        let number = number.saturating_mul(radix.into());
        Some(number.saturating_add(digit.into()))
    });
    (payload.unwrap_or(0) & PAYLOAD, len + 2)
}

/// Length of digits with a point and an exponent, if they are a number.
fn spelled(text: &[u8], digit: fn(&u8) -> bool, exponent: u8) -> Option<usize> {
    let run = |from: usize, digit: fn(&u8) -> bool| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| digit(byte)).count()
    };
    let whole = run(0, digit);
    let mut len = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = run(len + 1, digit);
        if whole + fraction > 0 {
            len += 1 + fraction;
        }
    }
    if len == 0 {
        return None;
    }
    if text
        .get(len)
        .is_some_and(|byte| byte.to_ascii_lowercase() == exponent)
    {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'-' | b'+')));
        let digits = run(len + 1 + sign, u8::is_ascii_digit);
        if digits > 0 {
            len += 1 + sign + digits;
        }
    }
    Some(len)
}

fn hex(number: &[u8]) -> f64 {
    num::parse_f64(number).unwrap_or_else(|| {
        // Too large, or too small.
        let small = number
            .iter()
            .position(|byte| matches!(byte, b'p' | b'P'))
            .is_some_and(|at| number.get(at + 1) == Some(&b'-'));
        if small { 0.0 } else { f64::INFINITY }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, precision, text) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (-1.5, 14, "-1.5"),
            (0.1, 14, "0.1"),
            (0.1, 1, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (2.0 / 3.0, 5, "0.66667"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (100_000_000_000_000.0, 14, "1e+14"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (999_999_999_999_999.9, 14, "1e+15"),
            (0.0001, 14, "0.0001"),
            (0.000_012_5, 14, "1.25e-05"),
            (1e100, 14, "1e+100"),
            (5e-324, 14, "4.9406564584125e-324"),
            (f64::MAX, 14, "1.7976931348623e+308"),
            (15.0, 1, "2e+01"),
            (25.0, 1, "2e+01"),
            (123_456.0, 3, "1.23e+05"),
            (120.0, 3, "120"),
            (9.99, 2, "10"),
            (f64::INFINITY, 14, "inf"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ] {
            let mut out = Vec::new();
            write(number, precision, &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                text,
                "{number:?} {precision}"
            );
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, value, len) in [
            ("1", 1.0, 1),
            ("-12.5e1,", -125.0, 7),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1.e2x", 100.0, 4),
            (".5", 0.5, 2),
            ("01", 1.0, 2),
            ("+3", 3.0, 2),
            ("1e400", f64::INFINITY, 5),
            ("-1e400", f64::NEG_INFINITY, 6),
            ("1e-400", 0.0, 6),
            ("0x10", 16.0, 4),
            ("-0X1.8p1]", -3.0, 8),
            ("0x.8", 0.5, 4),
            ("0xg", 0.0, 1),
            ("0x1p", 1.0, 3),
            ("0x1p99999", f64::INFINITY, 9),
            ("0x1p-99999", 0.0, 10),
            ("inf", f64::INFINITY, 3),
            ("-InFiNiTy!", f64::NEG_INFINITY, 9),
            ("infinit", f64::INFINITY, 3),
        ] {
            assert_eq!(read(text.as_bytes()), Some((value, len)), "{text}");
        }
        for (text, len) in [("nan", 3), ("-NaN(x_1)", 9), ("nan(-)", 3), ("nan(1", 3)] {
            let (value, taken) = read(text.as_bytes()).unwrap();
            assert!(value.is_nan() && value.is_sign_negative() == text.starts_with('-'));
            assert_eq!(taken, len, "{text}");
        }
        for (text, payload) in [
            ("nan(1)", 1),
            ("nan(0x1f)", 31),
            ("nan(010)", 8),
            ("nan(08)", 0),
            ("nan(1x)", 0),
            ("nan()", 0),
            ("nan(99999999999999999999)", PAYLOAD),
        ] {
            let (value, _) = read(text.as_bytes()).unwrap();
            assert_eq!(value.to_bits(), QUIET_NAN | payload, "{text}");
        }
        for text in ["", "-", "+", ".", "-.", "e1", "-e", "- 1", "in", "na"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
