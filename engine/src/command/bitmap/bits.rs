//! Bits of a byte string: counting, searching, and integers of 1 to 64 bits at any offset.
//!
//! ```text
//! byte    |       0       |       1       |
//! bit     |0 1 2 3 4 5 6 7|8 9 ...
//! ```
//! Offsets count from the highest bit of the first byte, so an integer that fills whole bytes
//! is a big-endian one. Beyond the end of the string every bit is zero.

/// Number of one bits. O(length), a machine word at a time.
pub(super) fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Cannot overflow, and saying so lets the compiler count several words at once.
    let whole = words.iter().fold(0u64, |n, word| {
        n.wrapping_add(u64::from_ne_bytes(*word).count_ones().into())
    });
    whole + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
}

/// Number of one bits among those from `first` to `last`, both inside `bytes`.
pub(super) fn ones_between(bytes: &[u8], first: usize, last: usize) -> u64 {
    let Some(touched) = bytes.get(first / 8..=last / 8) else {
        return 0;
    };
    let head = touched.first().map_or(0, |b| b & !from_bit(first));
    let tail = touched.last().map_or(0, |b| b & !up_to_bit(last));
    ones(touched) - u64::from(head.count_ones()) - u64::from(tail.count_ones())
}

/// Offset of the first bit with this value among those from `first` to `last`, both inside
/// `bytes`. O(distance), a machine word at a time.
pub(super) fn find(bytes: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    let touched = bytes.get(first / 8..=last / 8)?;
    // With the bits flipped for a search of zeros, it is always ones that are looked for.
    let flip = if bit { 0 } else { u8::MAX };
    let (&head, rest) = touched.split_first()?;
    let start = first - first % 8;
    let head = (head ^ flip) & from_bit(first);
    let found = if head != 0 {
        start + head.leading_zeros() as usize
    } else {
        start + 8 + first_one(rest, flip)?
    };
    (found <= last).then_some(found)
}

/// Offset of the first one bit once every byte is combined with `flip`.
fn first_one(bytes: &[u8], flip: u8) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let wide = u64::from_ne_bytes([flip; 8]);
    if let Some(at) = words
        .iter()
        .position(|word| u64::from_ne_bytes(*word) != wide)
    {
        let word = u64::from_be_bytes(words[at]) ^ wide;
        return Some(at * 64 + word.leading_zeros() as usize);
    }
    let at = rest.iter().position(|b| *b != flip)?;
    Some(words.len() * 64 + at * 8 + (rest[at] ^ flip).leading_zeros() as usize)
}

/// The bits of its byte from this one on.
fn from_bit(offset: usize) -> u8 {
    u8::MAX >> (offset % 8)
}

/// The bits of its byte up to this one.
fn up_to_bit(offset: usize) -> u8 {
    !(u8::MAX.wrapping_shr(1) >> (offset % 8))
}

/// The value of one bit.
pub(super) fn get(bytes: &[u8], offset: usize) -> bool {
    bytes
        .get(offset / 8)
        .is_some_and(|byte| byte & one_bit(offset) != 0)
}

/// Writes one bit; nothing happens outside `bytes`.
pub(super) fn set(bytes: &mut [u8], offset: usize, on: bool) {
    if let Some(byte) = bytes.get_mut(offset / 8) {
        if on {
            *byte |= one_bit(offset);
        } else {
            *byte &= !one_bit(offset);
        }
    }
}

fn one_bit(offset: usize) -> u8 {
    0x80 >> (offset % 8)
}

/// Makes `bytes` at least `len` long by adding zeros.
pub(super) fn grow(bytes: &mut Vec<u8>, len: usize) {
    if bytes.is_empty() {
        // Fresh zero pages from the system need not be written.
        *bytes = vec![0; len];
    } else if bytes.len() < len {
        bytes.resize(len, 0);
    }
}

/// Bytes that an integer of 64 bits at any offset may touch.
const WINDOW: usize = 9;

/// The integer of `width` bits (1 to 64) at `offset`, without sign.
pub(super) fn read(bytes: &[u8], offset: usize, width: u32) -> u64 {
    let (window, shift) = (window(bytes, offset), shift(offset, width));
    (window >> shift) as u64 & mask(width)
}

/// Writes the low `width` bits (1 to 64) of `value` at `offset`; what lies outside `bytes` is
/// dropped.
pub(super) fn write(bytes: &mut [u8], offset: usize, width: u32, value: u64) {
    let shift = shift(offset, width);
    let kept = window(bytes, offset) & !(u128::from(mask(width)) << shift);
    let window = (kept | (u128::from(value & mask(width)) << shift)).to_be_bytes();
    if let Some(rest) = bytes.get_mut(offset / 8..) {
        let len = rest.len().min(WINDOW);
        rest[..len].copy_from_slice(&window[..len]);
    }
}

/// The bytes from that of `offset` on, first byte highest.
fn window(bytes: &[u8], offset: usize) -> u128 {
    let mut window = [0; 16];
    if let Some(rest) = bytes.get(offset / 8..) {
        let len = rest.len().min(WINDOW);
        window[..len].copy_from_slice(&rest[..len]);
    }
    u128::from_be_bytes(window)
}

/// How far the integer is from the low end of its window.
fn shift(offset: usize, width: u32) -> u32 {
    u128::BITS - (offset % 8) as u32 - width
}

/// The low `width` bits.
pub(super) fn mask(width: u32) -> u64 {
    u64::MAX >> (u64::BITS - width.clamp(1, u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes with long runs of one value, the last few mixed.
    fn sample(len: usize, fill: u8, seed: u64) -> Vec<u8> {
        let mut x = seed | 1;
        let mut bytes = vec![fill; len];
        for _ in 0..3.min(len) {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes[(x >> 33) as usize % len] = (x >> 20) as u8;
        }
        bytes
    }

    #[test]
    fn counting_and_searching_agree_with_one_bit_at_a_time() {
        for seed in 0..400 {
            let len = 1 + seed as usize % 40;
            let bytes = sample(len, [0, 255, 0x5a][seed as usize % 3], seed);
            for first in (0..len * 8).step_by(1 + seed as usize % 5) {
                for last in (first..len * 8).step_by(1 + seed as usize % 7) {
                    let all: Vec<bool> = (first..=last).map(|at| get(&bytes, at)).collect();
                    assert_eq!(
                        ones_between(&bytes, first, last),
                        all.iter().filter(|on| **on).count() as u64
                    );
                    for bit in [false, true] {
                        assert_eq!(
                            find(&bytes, bit, first, last),
                            all.iter().position(|on| *on == bit).map(|at| at + first),
                            "{bytes:x?} {bit} {first} {last}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn integers_agree_with_one_bit_at_a_time() {
        for offset in 0..40 {
            for width in 1..=64 {
                let mut bytes = sample(24, 0xa7, offset as u64 * 64 + u64::from(width));
                let slow = |bytes: &[u8]| {
                    (0..width as usize)
                        .fold(0u64, |n, i| n << 1 | u64::from(get(bytes, offset + i)))
                };
                assert_eq!(read(&bytes, offset, width), slow(&bytes));
                let before = bytes.clone();
                let value = 0x9e37_79b9_7f4a_7c15;
                write(&mut bytes, offset, width, value);
                assert_eq!(slow(&bytes), value & mask(width));
                let inside = offset..offset + width as usize;
                for at in (0..24 * 8).filter(|at| !inside.contains(at)) {
                    assert_eq!(get(&bytes, at), get(&before, at), "bit {at}");
                }
            }
        }
    }

    #[test]
    fn beyond_the_end_are_zeros() {
        assert_eq!(read(&[0xff], 4, 8), 0xf0);
        assert_eq!(read(&[0xff], 400, 64), 0);
        assert!(!get(&[0xff], 8));
        let mut bytes = [0; 2];
        write(&mut bytes, 12, 8, 0xff);
        assert_eq!(bytes, [0, 0x0f]);
        write(&mut bytes, 100, 8, 0xff);
        set(&mut bytes, 16, true);
        assert_eq!(bytes, [0, 0x0f]);
    }
}
