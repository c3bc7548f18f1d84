//! The text of a score that is no whole number.

/// Shortest digits that read back as the same number, laid out as Redis does:
/// plain while the exponent is small, else scientific.
pub(super) fn score_text(score: f64) -> Vec<u8> {
    if score.is_infinite() {
        return if score < 0.0 { &b"-inf"[..] } else { b"inf" }.to_vec();
    }
    let shortest = format!("{:e}", score.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(|b| *b != b'.').collect();
    let scale = exponent - (digits.len() as i32 - 1);
    let mut out = Vec::with_capacity(32);
    if score.is_sign_negative() {
        out.push(b'-');
    }
    if scale >= 0 && exponent.abs() < digits.len() as i32 + 7 {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', scale as usize));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend_from_slice(&digits);
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        out.extend_from_slice(exponent.abs().to_string().as_bytes());
    }
    out
}
