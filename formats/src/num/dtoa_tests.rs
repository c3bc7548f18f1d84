use super::*;
use proptest::prelude::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("ascii")
}

fn reply(value: f64) -> String {
    text(|out| format_f64(value, out))
}

fn g17(value: f64) -> String {
    text(|out| format_f64_g17(value, out))
}

fn fixed(value: f64, decimals: u32) -> String {
    text(|out| assert!(format_f64_fixed(value, decimals, out)))
}

/// Each expectation is the output of a Redis 7.2.4 build.
#[test]
fn layout_of_replies() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
        (3.0, "3"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e18, "1000000000000000000"),
        (4e18, "4000000000000000000"),
        (5e18, "5e+18"),
        (1e19, "1e+19"),
        (1.2345678901234567e19, "12345678901234567000"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.001234567890123, "0.001234567890123"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::from_bits(1), "5e-324"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
    ] {
        assert_eq!(reply(value), expected);
    }
}

#[test]
fn file_form_has_no_whole_number_shortcut() {
    assert_eq!(text(|out| format_f64_shortest(1e18, out)), "1e+18");
    assert_eq!(text(|out| format_f64_shortest(1e7, out)), "10000000");
    assert_eq!(text(|out| format_f64_shortest(1e8, out)), "1e+8");
}

#[test]
fn seventeen_digits() {
    for (value, expected) in [
        (0.1, "0.10000000000000001"),
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (100.0, "100"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (1.5e300, "1.5000000000000001e+300"),
        (0.0001, "0.0001"),
        (0.00001, "1.0000000000000001e-05"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(g17(value), expected);
    }
}

#[test]
fn fixed_decimals() {
    assert_eq!(fixed(166_274.151_56, 4), "166274.1516");
    assert_eq!(fixed(0.775, 4), "0.7750");
    assert_eq!(fixed(-0.5, 1), "-0.5");
    assert_eq!(fixed(0.0, 4), "0.0000");
    assert_eq!(fixed(0.00005, 4), "0.0000");
    assert!(!format_f64_fixed(1e300, 4, &mut Vec::new()));
    assert!(!format_f64_fixed(f64::NAN, 4, &mut Vec::new()));
    assert!(!format_f64_fixed(1.0, 18, &mut Vec::new()));
}

proptest! {
    #[test]
    fn all_forms_read_back(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        for text in [reply(value), g17(value), text(|out| format_f64_shortest(value, out))] {
            prop_assert!(text.len() <= MAX_F64_CHARS);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits));
        }
    }

    /// Short decimals print as they were written.
    #[test]
    fn decimals_print_as_typed(whole in -100_000i64..100_000, part in 1u32..1000) {
        let typed = format!("{whole}.{part:03}");
        let typed = typed.trim_end_matches('0');
        prop_assert_eq!(reply(typed.parse().expect("number")), typed);
    }

    #[test]
    fn whole_numbers_print_as_integers(value in -(1i64 << 53)..1 << 53) {
        prop_assert_eq!(reply(value as f64), value.to_string());
    }
}
