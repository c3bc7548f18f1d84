//! Shared by the readers of `double` and `long double`: the syntax of C
//! `strtod`, and rounding a binary value of any size to a format's precision.

/// A text that `strtod` consumes whole, taken apart.
pub(super) enum Number<'a> {
    /// `inf` or `infinity`, in any case.
    Infinity,
    /// Decimal digits.
    Decimal {
        /// Digits with at most one point.
        digits: &'a [u8],
        /// The exponent, saturated far outside any format's range.
        exponent: i64,
    },
    /// A hexadecimal number: `mantissa * 2^exponent`, or a little more.
    Hex {
        /// Leading bits.
        mantissa: u128,
        /// Saturated far outside any format's range.
        exponent: i64,
        /// Bits below `mantissa` were dropped and not all zero.
        sticky: bool,
    },
}

/// Exponents saturate here: no input that fits in memory brings a larger one
/// back into range, and sums of a few of these stay inside `i64`.
const EXPONENT_CAP: i64 = 1 << 48;

/// Splits `text` into a sign and a number if `strtod` would consume all of it.
/// NaN and leading blanks are refused, as no caller accepts them.
pub(super) fn scan(text: &[u8]) -> Option<(bool, Number<'_>)> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let number = match rest {
        [b'0', b'x' | b'X', digits @ ..] => hex(digits)?,
        [b'0'..=b'9' | b'.', ..] => decimal(rest)?,
        _ if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") => {
            Number::Infinity
        }
        _ => return None,
    };
    Some((negative, number))
}

fn decimal(text: &[u8]) -> Option<Number<'_>> {
    let end = text.iter().position(|b| matches!(b, b'e' | b'E'));
    let digits = text.get(..end.unwrap_or(text.len()))?;
    let points = digits.iter().filter(|&&b| b == b'.').count();
    let valid = digits.iter().all(|&b| b == b'.' || b.is_ascii_digit());
    if !valid || points > 1 || digits.len() == points {
        return None;
    }
    let exponent = match end {
        Some(end) => exponent(text.get(end + 1..)?)?,
        None => 0,
    };
    Some(Number::Decimal { digits, exponent })
}

fn hex(text: &[u8]) -> Option<Number<'_>> {
    let end = text.iter().position(|b| matches!(b, b'p' | b'P'));
    let digits = text.get(..end.unwrap_or(text.len()))?;
    let mut exp = match end {
        Some(end) => exponent(text.get(end + 1..)?)?,
        None => 0,
    };
    let (mut mantissa, mut sticky) = (0u128, false);
    let (mut any, mut point) = (false, false);
    for &byte in digits {
        let digit = match byte {
            b'.' if !point => {
                point = true;
                continue;
            }
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        any = true;
        if mantissa >> 124 == 0 {
            mantissa = mantissa << 4 | u128::from(digit);
            exp -= if point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exp += if point { 0 } else { 4 };
        }
    }
    any.then_some(Number::Hex {
        mantissa,
        exponent: exp,
        sticky,
    })
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(EXPONENT_CAP);
    }
    Some(if negative { -value } else { value })
}

/// A binary floating point format.
pub(super) struct Format {
    /// Bits of the significand, the leading one included.
    pub precision: i64,
    /// Exponent of the lowest bit of the smallest number.
    pub min_exponent: i64,
    /// Largest exponent of a leading bit.
    pub max_exponent: i64,
}

/// Rounds `(mantissa + sticky) * 2^exponent` to nearest, ties to even, where
/// `mantissa` is not zero. The result is a significand of at most `precision`
/// bits and the exponent of its lowest bit; zero when too small, `None` when
/// too large.
pub(super) fn round(
    mantissa: u128,
    exponent: i64,
    sticky: bool,
    format: &Format,
) -> Option<(u128, i64)> {
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa.checked_shl(zeros).unwrap_or(0);
    let exponent = exponent - i64::from(zeros);
    let leading = exponent + 127;
    let lowest = (leading - format.precision + 1).max(format.min_exponent);
    // At least 64: the formats have 53 and 64 bits, and `leading` is fixed.
    let drop = lowest - exponent;
    let (mut kept, tail) = match u32::try_from(drop) {
        Ok(drop @ 1..=127) => (mantissa >> drop, mantissa << (128 - drop)),
        Ok(128) => (0, mantissa),
        // The leading bit is below half the lowest: rounds to zero.
        _ => (0, 1),
    };
    let half = 1u128 << 127;
    if tail > half || (tail == half && (sticky || kept & 1 == 1)) {
        kept += 1;
    }
    let (kept, lowest) = if kept >> format.precision == 0 {
        (kept, lowest)
    } else {
        (kept >> 1, lowest + 1)
    };
    let top = i64::from(127 - i32::try_from(kept.leading_zeros()).unwrap_or(0));
    (kept == 0 || lowest + top <= format.max_exponent).then_some((kept, lowest))
}
