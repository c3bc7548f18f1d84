//! Reading `double`: what C `strtod` accepts, less what Redis refuses.

use super::round::{Format, Number, round, scan};

const DOUBLE: Format = Format {
    precision: 53,
    min_exponent: -1074,
    max_exponent: 1023,
};

/// Parses a double as commands taking a score or a float do: decimal with an
/// optional exponent, hexadecimal (`0x1.8p3`), `inf` and `infinity` in any
/// case. Refuses NaN, blanks, anything after the number, and values too large
/// or too small for a double; a subnormal is accepted.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, number) = scan(text)?;
    let value = match number {
        Number::Infinity => f64::INFINITY,
        Number::Decimal { digits, .. } => {
            let unsigned = match text {
                [b'-' | b'+', rest @ ..] => rest,
                rest => rest,
            };
            let value: f64 = std::str::from_utf8(unsigned).ok()?.parse().ok()?;
            let zero = !digits.iter().any(|b| matches!(b, b'1'..=b'9'));
            if value.is_infinite() || (value == 0.0 && !zero) {
                return None;
            }
            value
        }
        Number::Hex { mantissa: 0, .. } => 0.0,
        Number::Hex {
            mantissa,
            exponent,
            sticky,
        } => {
            let (kept, lowest) = round(mantissa, exponent, sticky, &DOUBLE)?;
            if kept == 0 {
                return None;
            }
            assemble(u64::try_from(kept).ok()?, lowest)
        }
    };
    Some(if negative { -value } else { value })
}

/// `kept * 2^lowest`, known to be representable.
fn assemble(kept: u64, lowest: i64) -> f64 {
    // A subnormal has no hidden bit and the same lowest exponent as the
    // smallest normal numbers, so its field is one less.
    let hidden = 1u64 << 52;
    let field = u64::try_from(lowest + 1075).unwrap_or(0);
    let field = if kept < hidden { 0 } else { field };
    f64::from_bits(field << 52 | (kept & (hidden - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "+",
            "-",
            ".",
            "-.",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "nan",
            "NaN",
            "-nan",
            "nan(1)",
            "infi",
            "in",
            "0x",
            "0x.",
            "0x1p",
            "0x1p+",
            "x1",
            "1_0",
            "--1",
            "+-1",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p1024",
            "0x1p-1080",
            "0x1p-1075",
            "1\0",
            "\u{661}",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn accepted() {
        let cases = [
            ("1", 1.0),
            ("+1.5", 1.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("007", 7.0),
            ("1E2", 100.0),
            ("inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("+Infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("0X1P3", 8.0),
            ("-0x.8p1", -1.0),
            ("0x8.p-1", 4.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1.00000000000008p-1075", f64::from_bits(1)),
            ("0x1.8p-1074", f64::from_bits(2)),
            ("5e-324", f64::from_bits(1)),
            ("0e999999999999999999999", 0.0),
            ("0x0p99999999999999999999", 0.0),
            ("0x1.00000000000008", 1.0),
            (
                "0x1.000000000000080000000000000000000000001",
                1.0 + f64::EPSILON,
            ),
        ];
        for (text, value) in cases {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        let zero = parse_f64(b"-0").map(f64::to_bits);
        assert_eq!(zero, Some((-0.0f64).to_bits()));
    }

    proptest! {
        #[test]
        fn decimal_as_std(text in "[+-]?[0-9]{0,20}\\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?") {
            let std = text.parse::<f64>().ok();
            let tiny = std == Some(0.0) && text.split(['e', 'E']).next()
                .is_some_and(|m| m.bytes().any(|b| matches!(b, b'1'..=b'9')));
            let std = std.filter(|v| v.is_finite() && !tiny);
            prop_assert_eq!(parse_f64(text.as_bytes()), std);
        }

        #[test]
        fn hex_round_trip(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let (field, low) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
            let (lead, exp) = if field == 0 { (0, -1022) } else { (1, field as i64 - 1023) };
            let sign = if value.is_sign_negative() { "-" } else { "" };
            let text = format!("{sign}0x{lead}.{low:013x}p{exp}");
            prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(bits));
        }

        /// Integers that need rounding, against the rounding of a cast.
        #[test]
        fn hex_rounds_as_a_cast(value in 1u128.., low in 0u32..128) {
            let value = value >> low;
            prop_assume!(value != 0);
            prop_assert_eq!(parse_f64(format!("0x{value:x}").as_bytes()), Some(value as f64));
        }
    }
}
