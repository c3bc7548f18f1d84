//! Printing `double` with the digits and the layout of Redis 7.2.
//!
//! Redis prints with Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers
//! Quickly and Accurately with Integers", PLDI 2010). Its digits always read
//! back to the same number, but for a few numbers in a thousand they are not
//! the shortest or nearest possible. They are visible to clients and compared
//! by them, so this is the same algorithm with the same choice of powers rather
//! than a better one.

use std::fmt::Write;

/// No text written here by [`format_f64`] or [`format_f64_shortest`] is longer.
pub const MAX_F64_CHARS: usize = 25;

/// Scaled exponents end between these two, so that the whole part of a number
/// has at most 32 bits.
const SCALED_MIN: i32 = -60;
const SCALED_MAX: i32 = -32;
/// `POWERS[i]` is `10^(FIRST_POWER + i * POWER_STEP)`.
const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// Leading 64 bits, rounded to nearest, of every eighth power of ten.
const POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288,
    0xbaaee17fa23ebf76,
    0x8b16fb203055ac76,
    0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d,
    0xe61acf033d1a45df,
    0xab70fe17c79ac6ca,
    0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c,
    0x8dd01fad907ffc3c,
    0xd3515c2831559a83,
    0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb,
    0xaecc49914078536d,
    0x823c12795db6ce57,
    0xc21094364dfb5637,
    0x9096ea6f3848984f,
    0xd77485cb25823ac7,
    0xa086cfcd97bf97f4,
    0xef340a98172aace5,
    0xb23867fb2a35b28e,
    0x84c8d4dfd2c63f3b,
    0xc5dd44271ad3cdba,
    0x936b9fcebb25c996,
    0xdbac6c247d62a584,
    0xa3ab66580d5fdaf6,
    0xf3e2f893dec3f126,
    0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b,
    0xc9bcff6034c13053,
    0x964e858c91ba2655,
    0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f,
    0xf8a95fcf88747d94,
    0xb94470938fa89bcf,
    0x8a08f0f8bf0f156b,
    0xcdb02555653131b6,
    0x993fe2c6d07b7fac,
    0xe45c10c42a2b3b06,
    0xaa242499697392d3,
    0xfd87b5f28300ca0e,
    0xbce5086492111aeb,
    0x8cbccc096f5088cc,
    0xd1b71758e219652c,
    0x9c40000000000000,
    0xe8d4a51000000000,
    0xad78ebc5ac620000,
    0x813f3978f8940984,
    0xc097ce7bc90715b3,
    0x8f7e32ce7bea5c70,
    0xd5d238a4abe98068,
    0x9f4f2726179a2245,
    0xed63a231d4c4fb27,
    0xb0de65388cc8ada8,
    0x83c7088e1aab65db,
    0xc45d1df942711d9a,
    0x924d692ca61be758,
    0xda01ee641a708dea,
    0xa26da3999aef774a,
    0xf209787bb47d6b85,
    0xb454e4a179dd1877,
    0x865b86925b9bc5c2,
    0xc83553c5c8965d3d,
    0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3,
    0xa59bc234db398c25,
    0xf6c69a72a3989f5c,
    0xb7dcbf5354e9bece,
    0x88fcf317f22241e2,
    0xcc20ce9bd35c78a5,
    0x98165af37b2153df,
    0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396,
    0xfb9b7cd9a4a7443c,
    0xbb764c4ca7a44410,
    0x8bab8eefb6409c1a,
    0xd01fef10a657842c,
    0x9b10a4e5e9913129,
    0xe7109bfba19c0c9d,
    0xac2820d9623bf429,
    0x80444b5e7aa7cf85,
    0xbf21e44003acdd2d,
    0x8e679c2f5e44ff8f,
    0xd433179d9c8cb841,
    0x9e19db92b4e31ba9,
    0xeb96bf6ebadf77d9,
    0xaf87023b9bf0ee6b,
];

/// `frac * 2^exp`
#[derive(Clone, Copy)]
struct Scaled {
    frac: u64,
    exp: i32,
}

impl Scaled {
    /// Shifts the leading one to bit 63.
    fn normalized(self) -> Self {
        let zeros = self.frac.leading_zeros();
        Self {
            frac: self.frac.checked_shl(zeros).unwrap_or(0),
            exp: self.exp - zeros.cast_signed(),
        }
    }

    /// Upper half of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.frac) * u128::from(other.frac);
        // The product of two 64-bit numbers leaves room for the half.
        let rounded = (product + (1 << 63)) >> 64;
        Self {
            frac: u64::try_from(rounded).unwrap_or(u64::MAX),
            exp: self.exp + other.exp + 64,
        }
    }
}

/// Decimal digits with the exponent of the last one.
struct Digits {
    text: [u8; 20],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.len > 0) && self.len < self.text.len() {
            #[expect(clippy::cast_possible_truncation, reason = "one digit")]
            {
                self.text[self.len] = b'0' + digit as u8;
            }
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&[])
    }

    /// Lowers the last digit while that brings the number nearer to the value,
    /// which lies `target` below the upper bound; the digits lie `rest` below
    /// it, must stay within `delta`, and one unit of the last is `unit`.
    fn approach(&mut self, delta: u64, mut rest: u64, unit: u64, target: u64) {
        let Some(last) = self.len.checked_sub(1).and_then(|at| self.text.get_mut(at)) else {
            return;
        };
        while rest < target
            && delta.wrapping_sub(rest) >= unit
            && (rest.wrapping_add(unit) < target
                || target - rest > rest.wrapping_add(unit).wrapping_sub(target))
        {
            *last = last.wrapping_sub(1);
            rest = rest.wrapping_add(unit);
        }
    }
}

/// The cached power that brings a normalized number with exponent `exp` into
/// the scaled range, and its decimal exponent.
fn cached_power(exp: i32) -> (Scaled, i32) {
    // Two neighbours may both fit: the estimate decides which is taken, and
    // with it, now and then, a digit.
    const LOG10_2: f64 = 0.301_029_995_663_981_14;
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred")]
    let estimate = (-f64::from(exp + 87) * LOG10_2) as i32;
    let mut index = (estimate - FIRST_POWER) / POWER_STEP;
    loop {
        let power = FIRST_POWER + index * POWER_STEP;
        // floor(power * log2(10)) - 63 over the range of the table.
        let binary = ((power * 217_706) >> 16) - 63;
        let scaled = exp + binary + 64;
        let frac = usize::try_from(index).ok().and_then(|i| POWERS.get(i));
        match frac {
            Some(_) if scaled < SCALED_MIN => index += 1,
            Some(_) if scaled > SCALED_MAX => index -= 1,
            // The table covers every double, so there is always one.
            _ => {
                let frac = frac.copied().unwrap_or(1 << 63);
                return (Scaled { frac, exp: binary }, power);
            }
        }
    }
}

/// Grisu2 digits of a positive finite number.
fn digits(value: f64) -> Digits {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let (field, low) = ((bits >> 52) & 0x7ff, bits & (HIDDEN - 1));
    let field = i32::try_from(field).unwrap_or(0);
    let exact = match field {
        0 => Scaled {
            frac: low,
            exp: -1074,
        },
        _ => Scaled {
            frac: low | HIDDEN,
            exp: field - 1075,
        },
    };
    // Half way to the neighbours; the lower one of a power of two is nearer.
    let upper = Scaled {
        frac: exact.frac * 2 + 1,
        exp: exact.exp - 1,
    }
    .normalized();
    let closer = if exact.frac == HIDDEN { 2 } else { 1 };
    let lower = Scaled {
        frac: (exact.frac << closer) - 1,
        exp: exact.exp - closer,
    };
    let lower = lower.frac << (lower.exp - upper.exp);
    let (power, decimal) = cached_power(upper.exp);
    let exact = exact.normalized().times(power);
    let lower = Scaled {
        frac: lower,
        exp: upper.exp,
    }
    .times(power)
    .frac
        + 1;
    let upper = upper.times(power);
    generate(
        exact.frac,
        lower,
        Scaled {
            frac: upper.frac - 1,
            exp: upper.exp,
        },
        -decimal,
    )
}

/// Digits of `upper` until what is cut off reaches below it no further than
/// `lower`, then nearer to `exact`.
fn generate(exact: u64, lower: u64, upper: Scaled, exponent: i32) -> Digits {
    let mut out = Digits {
        text: [0; 20],
        len: 0,
        exponent,
    };
    let target = upper.frac.wrapping_sub(exact);
    let mut delta = upper.frac.wrapping_sub(lower);
    let point = upper.exp.unsigned_abs();
    let one = 1u64 << point;
    let (mut whole, mut part) = (upper.frac >> point, upper.frac & (one - 1));
    let mut unit = 1_000_000_000u64;
    for left in (0..10).rev() {
        out.push(whole / unit);
        whole %= unit;
        let rest = (whole << point).wrapping_add(part);
        if rest <= delta {
            out.exponent += left;
            out.approach(delta, rest, unit << point, target);
            return out;
        }
        unit /= 10;
    }
    let mut scale = 1u64;
    loop {
        part = part.wrapping_mul(10);
        delta = delta.wrapping_mul(10);
        scale = scale.wrapping_mul(10);
        out.exponent -= 1;
        out.push(part >> point);
        part &= one - 1;
        // The second condition is for termination whatever the input.
        if part < delta || out.len == out.text.len() {
            out.approach(delta, part, one, target.wrapping_mul(scale));
            return out;
        }
    }
}

/// Appends a double as replies show it (scores, `ZINCRBY`, `,` in RESP3):
/// whole numbers up to about 4.6e18 in full, others as
/// [`format_f64_shortest`]; `inf`, `-inf`, `nan`, and `-0` for minus zero.
pub fn format_f64(value: f64, out: &mut Vec<u8>) {
    // Doubles in this range convert to i64 exactly or lose only a fraction.
    const WHOLE: f64 = (i64::MAX / 2) as f64;
    if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() {
            b"-0"
        } else {
            b"0"
        });
    } else if value.abs() <= WHOLE && value.trunc() == value {
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let whole = value as i64;
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        format_f64_shortest(value, out);
    }
}

/// Appends a double as rewritten AOF files, RDB text scores and Lua results
/// have it: digits in full up to seven zeros, small fractions in full, anything
/// else with an exponent. Never a sign on NaN.
pub fn format_f64_shortest(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        return out.extend_from_slice(b"inf");
    }
    if value == 0.0 {
        return out.push(b'0');
    }
    layout(&digits(value.abs()), value < 0.0, out);
}

fn layout(digits: &Digits, negative: bool, out: &mut Vec<u8>) {
    let (text, exponent) = (digits.as_slice(), digits.exponent);
    let len = i32::try_from(text.len()).unwrap_or(0);
    let zeros = |n: i32| std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    let magnitude = (exponent + len - 1).abs();
    if exponent >= 0 && magnitude < len + 7 {
        out.extend_from_slice(text);
        out.extend(zeros(exponent));
    } else if exponent < 0 && (exponent > -7 || magnitude < 4) {
        let whole = len + exponent;
        if whole <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(zeros(-whole));
            out.extend_from_slice(text);
        } else {
            let (whole, part) = text.split_at(usize::try_from(whole).unwrap_or(0).min(text.len()));
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(part);
        }
    } else {
        let kept = text.len().min(if negative { 17 } else { 18 });
        let (first, part) = text.split_at(kept.min(1));
        out.extend_from_slice(first);
        if kept > 1 {
            out.push(b'.');
            out.extend_from_slice(part.get(..kept - 1).unwrap_or(part));
        }
        let below_one = exponent + i32::try_from(kept).unwrap_or(0) - 1 < 0;
        out.extend_from_slice(if below_one { b"e-" } else { b"e+" });
        out.extend_from_slice(itoa::Buffer::new().format(magnitude).as_bytes());
    }
}

/// Appends a double with 17 significant digits as C `%.17g`, the form of
/// `ZSCAN` scores and of files from before Redis 7.2.
pub fn format_f64_g17(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return format_f64_shortest(value, out);
    }
    // "d.dddddddddddddddde-308": the standard library rounds exactly.
    let text = format!("{:.16e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let zeros = |n: i32| std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    let len = i32::try_from(digits.len()).unwrap_or(0);
    if (-4..0).contains(&exponent) {
        out.extend_from_slice(b"0.");
        out.extend(zeros(-1 - exponent));
        out.extend_from_slice(&digits);
        return;
    }
    let scientific = !(0..17).contains(&exponent);
    let whole = if scientific { 1 } else { exponent + 1 };
    let at = usize::try_from(whole.min(len)).unwrap_or(0);
    let (before, after) = digits.split_at(at.min(digits.len()));
    out.extend_from_slice(before);
    out.extend(zeros(whole - len));
    if !after.is_empty() {
        out.push(b'.');
        out.extend_from_slice(after);
    }
    if scientific {
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{:02}", exponent.unsigned_abs());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends a double scaled to `decimals` (1 to 17) digits behind the point, as
/// `GEODIST` prints four: the product with the power of ten is rounded half to
/// even. Returns false, writing nothing, if that product is not an `i64`.
#[must_use]
pub fn format_f64_fixed(value: f64, decimals: u32, out: &mut Vec<u8>) -> bool {
    if !(1..=17).contains(&decimals) {
        return false;
    }
    let power = 10u64.pow(decimals);
    #[expect(clippy::cast_precision_loss, reason = "powers up to 10^17 are exact")]
    let scaled = (value * power as f64).round_ties_even();
    // The bounds of i64 as doubles: the upper one is the first not inside.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&scaled) {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let scaled = scaled as i64;
    if scaled < 0 {
        out.push(b'-');
    }
    let (whole, part) = (scaled.unsigned_abs() / power, scaled.unsigned_abs() % power);
    let mut buffer = itoa::Buffer::new();
    out.extend_from_slice(buffer.format(whole).as_bytes());
    out.push(b'.');
    let text = buffer.format(part).as_bytes();
    let width = usize::try_from(decimals).unwrap_or(0);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(text.len())));
    out.extend_from_slice(text);
    true
}

#[cfg(test)]
#[path = "dtoa_tests.rs"]
mod tests;
