//! Numbers, patterns and checksums.

use basalt_formats::glob::glob_match;
use basalt_formats::num;
use basalt_formats::{crc16, crc64};

use crate::Input;

/// Parsing never panics, what is written reads back the same.
pub fn text(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => numbers(input.rest()),
        1 => {
            let pattern = input.bytes(12);
            let text = input.bytes(24);
            let nocase = input.byte() & 1 == 1;
            let _ = glob_match(pattern, text, nocase);
            // Redis's matcher refuses an empty text whatever the pattern.
            assert_eq!(glob_match(b"*", text, nocase), !text.is_empty());
        }
        _ => {
            let bytes = input.rest();
            let (one, two) = bytes.split_at(bytes.len() / 2);
            let whole = crc64::crc64(0, bytes);
            assert_eq!(crc64::crc64(crc64::crc64(0, one), two), whole);
            let _ = crc16::crc16(bytes);
        }
    }
}

fn numbers(bytes: &[u8]) {
    if let Some(n) = num::parse_i64(bytes) {
        assert_eq!(n.to_string().as_bytes(), bytes);
    }
    // The unsigned parser takes signs and blanks as strtoull does, the digits must agree.
    if let Some(n) = num::parse_u64(bytes) {
        assert_eq!(num::parse_u64(n.to_string().as_bytes()), Some(n));
    }
    let mut values = vec![num::parse_f64(bytes)];
    if let Some(bits) = bytes.get(..8).and_then(|b| b.try_into().ok()) {
        values.push(Some(f64::from_le_bytes(bits)));
    }
    for value in values.into_iter().flatten().filter(|v| !v.is_nan()) {
        for format in [
            num::format_f64,
            num::format_f64_shortest,
            num::format_f64_g17,
        ] {
            let mut out = Vec::new();
            format(value, &mut out);
            assert_eq!(
                num::parse_f64(&out),
                Some(value),
                "{}",
                String::from_utf8_lossy(&out)
            );
        }
    }
    if let Some(value) = num::parse_long_double(bytes) {
        let mut out = Vec::new();
        num::format_long_double_human(value, &mut out);
        assert!(!out.is_empty());
    }
}
