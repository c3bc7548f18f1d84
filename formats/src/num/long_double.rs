//! The 80-bit `long double` of x86-64, in which `INCRBYFLOAT` and
//! `HINCRBYFLOAT` compute. A double would give other digits.
//!
//! Reading is exact: short numbers in 128-bit arithmetic, others by dividing
//! big integers bit by bit. That is slow for thousands of digits but bounded,
//! as a text may have at most [`MAX_LONG_DOUBLE_CHARS`] bytes.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended;

use super::round::{Format, Number, round, scan};

/// A text of this many bytes or more is not a number.
pub const MAX_LONG_DOUBLE_CHARS: usize = 5 * 1024;

const X87: Format = Format {
    precision: 64,
    min_exponent: -16445,
    max_exponent: 16383,
};

/// An 80-bit extended precision number; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Zero.
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// The sum, or `None` if it is infinite or not a number: the "increment
    /// would produce NaN or Infinity" of the commands.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// The largest finite number; its negative is the smallest.
    #[must_use]
    pub fn largest() -> Self {
        Self(X87DoubleExtended::largest())
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(-self.0)
    }

    /// True for the two infinities, which `inf` parses to.
    #[must_use]
    pub fn is_infinite(self) -> bool {
        self.0.is_infinite()
    }

    /// `kept * 2^lowest`, known to be representable.
    fn assemble(negative: bool, kept: u64, lowest: i64) -> Self {
        let field = u128::try_from(lowest + 16446).unwrap_or(0);
        let field = if kept >> 63 == 0 { 0 } else { field };
        let sign = u128::from(negative) << 79;
        Self(X87DoubleExtended::from_bits(
            sign | field << 64 | u128::from(kept),
        ))
    }

    /// Sign, significand, and the exponent of its lowest bit.
    fn parts(self) -> (bool, u64, i64) {
        let bits = self.0.to_bits();
        #[expect(clippy::cast_possible_truncation, reason = "the low 64 of 80 bits")]
        let kept = bits as u64;
        let field = i64::try_from(bits >> 64 & 0x7fff).unwrap_or(0);
        (bits >> 79 & 1 == 1, kept, field.max(1) - 16446)
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        Self(X87DoubleExtended::from_i128(i128::from(value)).value)
    }
}

/// Parses a long double as `INCRBYFLOAT` does: the forms of
/// [`parse_f64`](super::parse_f64) with the wider range.
#[must_use]
pub fn parse_long_double(text: &[u8]) -> Option<LongDouble> {
    if text.len() >= MAX_LONG_DOUBLE_CHARS {
        return None;
    }
    let (negative, number) = scan(text)?;
    let rounded = match number {
        Number::Infinity => {
            let value = X87DoubleExtended::INFINITY;
            return Some(LongDouble(if negative { -value } else { value }));
        }
        Number::Hex { mantissa: 0, .. } => (0, 0),
        Number::Hex {
            mantissa,
            exponent,
            sticky,
        } => nonzero(round(mantissa, exponent, sticky, &X87)?)?,
        Number::Decimal { digits, exponent } => decimal(digits, exponent)?,
    };
    let kept = u64::try_from(rounded.0).ok()?;
    Some(LongDouble::assemble(negative, kept, rounded.1))
}

/// Refuses a number that rounded to zero.
fn nonzero(rounded: (u128, i64)) -> Option<(u128, i64)> {
    (rounded.0 != 0).then_some(rounded)
}

/// Rounds decimal `digits` (with at most one point) times `10^exponent`.
fn decimal(digits: &[u8], exponent: i64) -> Option<(u128, i64)> {
    let point = digits.iter().position(|&b| b == b'.');
    let behind = point.map_or(0, |at| digits.len() - at - 1);
    let mut exponent = exponent - i64::try_from(behind).ok()?;
    let mut plain: Vec<u8> = digits.iter().copied().filter(|&b| b != b'.').collect();
    while plain.last() == Some(&b'0') {
        plain.pop();
        exponent += 1;
    }
    let leading = plain.iter().take_while(|&&b| b == b'0').count();
    plain.drain(..leading);
    if plain.is_empty() {
        return Some((0, 0));
    }
    // The range is about 3.6e-4951 to 1.2e4932.
    let magnitude = exponent + i64::try_from(plain.len()).ok()?;
    if !(-5000..=5000).contains(&magnitude) {
        return None;
    }
    let power = u32::try_from(exponent.unsigned_abs()).ok()?;
    if plain.len() <= 19 {
        let value = plain
            .iter()
            .fold(0u128, |v, &b| v * 10 + u128::from(b - b'0'));
        if exponent >= 0 && power <= 19 {
            return nonzero(round(value * 10u128.pow(power), 0, false, &X87)?);
        }
        if exponent < 0 && power <= 18 {
            // The quotient has at least 127 - 60 = 67 bits.
            let shift = value.leading_zeros();
            let (value, divisor) = (value << shift, 10u128.pow(power));
            let sticky = !value.is_multiple_of(divisor);
            return nonzero(round(value / divisor, -i64::from(shift), sticky, &X87)?);
        }
    }
    let mut numerator = Big::from_digits(&plain);
    let mut denominator = Big(vec![1]);
    if exponent >= 0 {
        numerator.scale_by_ten(power);
    } else {
        denominator.scale_by_ten(power);
    }
    let (mantissa, exponent, sticky) = divide(numerator, denominator);
    nonzero(round(mantissa, exponent, sticky, &X87)?)
}

/// Leading 70 bits of a quotient of positive integers, the exponent of the
/// lowest of them, and whether anything was left over.
fn divide(mut numerator: Big, mut denominator: Big) -> (u128, i64, bool) {
    const BITS: u32 = 70;
    // Align the leading bits so that each step gives one bit of the quotient.
    let shift = numerator.bits() - denominator.bits();
    if shift > 0 {
        denominator.shift_left(shift.unsigned_abs());
    } else {
        numerator.shift_left(shift.unsigned_abs());
    }
    let mut mantissa = 0u128;
    for step in 0..BITS {
        if step > 0 {
            numerator.shift_left(1);
        }
        let fits = numerator.subtract_if_fits(&denominator);
        mantissa = mantissa << 1 | u128::from(fits);
    }
    let sticky = numerator.0.iter().any(|&limb| limb != 0);
    (mantissa, shift - i64::from(BITS) + 1, sticky)
}

/// An unsigned integer, least significant limb first, without leading zeros.
struct Big(Vec<u32>);

impl Big {
    fn from_digits(digits: &[u8]) -> Self {
        let mut big = Self(Vec::with_capacity(digits.len() / 9 + 2));
        for chunk in digits.chunks(9) {
            let value = chunk.iter().fold(0, |v, &b| v * 10 + u32::from(b - b'0'));
            let scale = chunk.iter().fold(1, |v, _| v * 10);
            big.multiply_add(scale, value);
        }
        big
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = low(carry);
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(low(carry));
        }
    }

    fn scale_by_ten(&mut self, power: u32) {
        for _ in 0..power / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10u32.pow(power % 9), 0);
    }

    fn bits(&self) -> i64 {
        let zeros = self.0.last().map_or(0, |limb| limb.leading_zeros());
        i64::try_from(self.0.len() * 32).unwrap_or(i64::MAX) - i64::from(zeros)
    }

    fn shift_left(&mut self, bits: u64) {
        let (limbs, bits) = (bits / 32, bits % 32);
        let mut carry = 0u64;
        for limb in &mut self.0 {
            carry |= u64::from(*limb) << bits;
            *limb = low(carry);
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(low(carry));
        }
        let zeros = usize::try_from(limbs).unwrap_or(0);
        self.0.splice(0..0, std::iter::repeat_n(0, zeros));
    }

    /// Subtracts `other` and returns true, unless it is larger.
    fn subtract_if_fits(&mut self, other: &Self) -> bool {
        let smaller = match self.0.len().cmp(&other.0.len()) {
            std::cmp::Ordering::Equal => self.0.iter().rev().lt(other.0.iter().rev()),
            order => order.is_lt(),
        };
        if smaller {
            return false;
        }
        let mut borrow = 0u64;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let take = u64::from(other.0.get(i).copied().unwrap_or(0)) + borrow;
            borrow = u64::from(u64::from(*limb) < take);
            *limb = low((u64::from(*limb) | 1 << 32).wrapping_sub(take));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        true
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low(value: u64) -> u32 {
    value as u32
}

/// Appends `value` with 17 decimals rounded half to even, trailing zeros and a
/// trailing point removed: what `INCRBYFLOAT` stores and replies. Minus zero
/// is printed as `0`.
pub fn format_long_double_human(value: LongDouble, out: &mut Vec<u8>) {
    let (negative, kept, lowest) = value.parts();
    if value.is_infinite() {
        out.extend_from_slice(if negative { b"-inf" } else { b"inf" });
        return;
    }
    if lowest >= 0 {
        if negative && kept != 0 {
            out.push(b'-');
        }
        return integer(kept, lowest, out);
    }
    let (whole, mut decimals) = fixed_point(kept, lowest.unsigned_abs());
    if negative && (whole, decimals) != (0, 0) {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    out.extend_from_slice(buffer.format(whole).as_bytes());
    if decimals != 0 {
        out.push(b'.');
        let mut width = 17usize;
        while decimals.is_multiple_of(10) {
            decimals /= 10;
            width -= 1;
        }
        let text = buffer.format(decimals).as_bytes();
        out.extend(std::iter::repeat_n(b'0', width.saturating_sub(text.len())));
        out.extend_from_slice(text);
    }
}

/// Whole part and 17 decimals of `kept / 2^shift`.
fn fixed_point(kept: u64, shift: u64) -> (u64, u64) {
    const SCALE: u64 = 100_000_000_000_000_000;
    // Below 2^64 * 2^57: from 128 on, less than half a unit.
    let Some(shift) = u32::try_from(shift).ok().filter(|&s| s < 128) else {
        return (0, 0);
    };
    let whole = kept.checked_shr(shift).unwrap_or(0);
    let rest = u128::from(kept) & ((1u128 << shift) - 1);
    let scaled = rest * u128::from(SCALE);
    let mut decimals = u64::try_from(scaled >> shift).unwrap_or(0);
    let tail = scaled & ((1u128 << shift) - 1);
    let half = 1u128 << (shift - 1);
    if tail > half || (tail == half && decimals % 2 == 1) {
        decimals += 1;
    }
    // With a shift of at least one the whole part is below 2^63.
    if decimals == SCALE {
        (whole + 1, 0)
    } else {
        (whole, decimals)
    }
}

/// Appends all digits of `kept * 2^exponent`, at most 4933 of them.
fn integer(kept: u64, exponent: i64, out: &mut Vec<u8>) {
    const BASE: u64 = 1_000_000_000;
    let mut limbs = vec![
        low(kept % BASE),
        low(kept / BASE % BASE),
        low(kept / BASE / BASE),
    ];
    let mut left = exponent;
    while left > 0 {
        let step = left.min(32);
        let mut carry = 0u64;
        for limb in &mut limbs {
            // Below 10^9 * 2^32 + 2^32, inside 64 bits.
            carry += u64::from(*limb) << step;
            *limb = low(carry % BASE);
            carry /= BASE;
        }
        while carry > 0 {
            limbs.push(low(carry % BASE));
            carry /= BASE;
        }
        left -= step;
    }
    while limbs.len() > 1 && limbs.last() == Some(&0) {
        limbs.pop();
    }
    let mut buffer = itoa::Buffer::new();
    for (i, &limb) in limbs.iter().rev().enumerate() {
        let text = buffer.format(limb).as_bytes();
        if i > 0 {
            out.extend(std::iter::repeat_n(b'0', 9 - text.len()));
        }
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
#[path = "long_double_tests.rs"]
mod tests;
