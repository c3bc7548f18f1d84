use super::*;
use proptest::prelude::*;

fn human(value: LongDouble) -> String {
    let mut out = Vec::new();
    format_long_double_human(value, &mut out);
    String::from_utf8(out).expect("ascii")
}

fn read(text: &str) -> LongDouble {
    parse_long_double(text.as_bytes()).expect(text)
}

fn sum(a: &str, b: &str) -> String {
    human(read(a).checked_add(read(b)).expect("finite"))
}

#[test]
fn documented_sums() {
    assert_eq!(sum("10.50", "0.1"), "10.6");
    assert_eq!(sum("5.0e3", "2.0e2"), "5200");
    assert_eq!(sum("0.1", "0.2"), "0.3");
    assert_eq!(sum("3", "1.1"), "4.1");
    assert_eq!(sum("-0", "-0"), "0");
    assert_eq!(sum("-1e-30", "0"), "0");
    assert_eq!(sum("1", "-1"), "0");
    assert_eq!(sum("0.00000000000000001", "0"), "0.00000000000000001");
    assert_eq!(sum("0.99999999999999999999", "0"), "1");
}

#[test]
fn refused() {
    for text in [
        "",
        " 1",
        "1 ",
        "nan",
        "-nan",
        "1e5000",
        "-1e5000",
        "1e-5000",
        "0x1p16384",
        "0x1p-16446",
        "1.2.3",
        "0x",
        "1e",
        "abc",
        "1e99999999999999999999",
        "1e-99999999999999999999",
    ] {
        assert_eq!(parse_long_double(text.as_bytes()), None, "{text:?}");
    }
    let long = vec![b'1'; MAX_LONG_DOUBLE_CHARS];
    assert_eq!(parse_long_double(&long), None);
    let zeros = vec![b'0'; MAX_LONG_DOUBLE_CHARS - 1];
    assert_eq!(parse_long_double(&zeros), Some(LongDouble::ZERO));
}

#[test]
fn infinities_are_read_but_not_produced() {
    let (plus, minus) = (read("inf"), read("-Infinity"));
    assert!(plus.is_infinite());
    assert_eq!(human(minus), "-inf");
    assert_eq!(plus.checked_add(minus), None);
    assert_eq!(plus.checked_add(LongDouble::ZERO), None);
    let max = read("1.18973149535723176502e+4932");
    assert_eq!(max.checked_add(max), None);
}

#[test]
fn extremes() {
    assert_eq!(read("0x1p16383").parts(), (false, 1 << 63, 16383 - 63));
    assert_eq!(read("0x1p-16445").parts(), (false, 1, -16445));
    assert_eq!(
        read("3.6451995318824746025e-4951").parts(),
        (false, 1, -16445)
    );
    assert_eq!(human(read("0x1p70")), "1180591620717411303424");
    assert_eq!(human(read("1e4932")).len(), 4933);
    assert_eq!(human(LongDouble::from(i64::MIN)), "-9223372036854775808");
}

/// Reading by the other crate's algorithm.
fn model(text: &str) -> Option<u128> {
    let value = text.parse::<X87DoubleExtended>().ok()?;
    Some(value.to_bits())
}

proptest! {
    #[test]
    fn reads_as_apfloat(
        text in "-?[0-9]{1,25}(\\.[0-9]{1,25})?(e-?[0-9]{1,3})?|[1-9]\\.[0-9]{1,30}e-?4[0-8][0-9]{2}") {
        prop_assert_eq!(Some(read(&text).0.to_bits()), model(&text));
    }

    #[test]
    fn integers_print_plainly(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(human(LongDouble::from(a)), a.to_string());
        let (x, y) = (i128::from(a), i128::from(b));
        prop_assume!((x + y).abs() < 1 << 63);
        prop_assert_eq!(sum(&a.to_string(), &b.to_string()), (x + y).to_string());
    }

    #[test]
    fn prints_as_exact_decimal(kept in any::<u64>(), shift in 1u64..140) {
        // Compare with schoolbook long division: one decimal at a time.
        let (whole, decimals) = fixed_point(kept, shift);
        let mask = if shift >= 128 { u128::MAX } else { (1u128 << shift) - 1 };
        let mut rest = u128::from(kept) & mask;
        prop_assume!(shift <= 120);
        let mut expected = 0u128;
        for _ in 0..17 {
            rest *= 10;
            expected = expected * 10 + (rest >> shift);
            rest &= mask;
        }
        let half = 1u128 << (shift - 1);
        if rest > half || (rest == half && expected % 2 == 1) {
            expected += 1;
        }
        let total = (u128::from(kept).checked_shr(shift as u32).unwrap_or(0)) * 10u128.pow(17) + expected;
        prop_assert_eq!(u128::from(whole) * 10u128.pow(17) + u128::from(decimals), total);
    }

    #[test]
    fn any_bytes_do_not_panic(text in proptest::collection::vec(
        prop::sample::select(&b"0123456789+-.eExXpPaAinf "[..]), 0..60)) {
        if let Some(value) = parse_long_double(&text) {
            human(value);
        }
    }
}
