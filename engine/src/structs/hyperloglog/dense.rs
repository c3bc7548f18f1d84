//! The dense encoding: 6 bits for each register, the first in the lowest bits of the first byte.
//!
//! ```text
//! 11000000 22221111 33333322  44...
//! ```

use super::REGISTERS;

/// Length of the registers.
pub const BYTES: usize = REGISTERS * BITS / 8;
const BITS: usize = 6;
const MAX: u8 = (1 << BITS) - 1;

/// The value of a register; 0 beyond the end.
pub fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    let byte = |at: usize| u16::from(registers.get(at).copied().unwrap_or(0));
    let pair = byte(at) | byte(at + 1) << 8;
    (pair >> shift) as u8 & MAX
}

/// Raises a register if it is lower than `count`; whether it was.
pub fn raise(registers: &mut [u8], index: usize, count: u8) -> bool {
    if get(registers, index) >= count {
        return false;
    }
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    let keep = !(u16::from(MAX) << shift);
    let put = u16::from(count & MAX) << shift;
    for (at, keep, put) in [
        (at, keep as u8, put as u8),
        (at + 1, (keep >> 8) as u8, (put >> 8) as u8),
    ] {
        if let Some(byte) = registers.get_mut(at) {
            *byte = *byte & keep | put;
        }
    }
    true
}

/// All registers in order.
pub fn values(registers: &[u8]) -> impl Iterator<Item = u8> {
    // Three bytes are four registers.
    registers.chunks_exact(3).flat_map(|three| {
        let bits = u32::from_le_bytes([three[0], three[1], three[2], 0]);
        [0, 6, 12, 18].map(|shift| (bits >> shift) as u8 & MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_do_not_touch_each_other() {
        let mut registers = vec![0; BYTES];
        let value = |index: usize| ((index * 37 + index / 100) % 63) as u8 + 1;
        for index in (0..REGISTERS).rev() {
            assert!(raise(&mut registers, index, value(index)));
            assert!(!raise(&mut registers, index, value(index)));
        }
        for index in 0..REGISTERS {
            assert_eq!(get(&registers, index), value(index));
        }
        assert!(values(&registers).eq((0..REGISTERS).map(value)));
        assert_eq!(get(&registers, REGISTERS), 0);
        assert_eq!(registers.len(), BYTES);
    }

    #[test]
    fn lower_counts_change_nothing() {
        let mut registers = vec![0xff; BYTES];
        assert!(!raise(&mut registers, 5, 63));
        registers[..3].fill(0);
        assert!(raise(&mut registers, 1, 9));
        assert_eq!(registers[..4], [0x40, 0x02, 0, 0xff]);
    }
}
