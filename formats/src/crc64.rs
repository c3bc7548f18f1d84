//! CRC-64/REDIS: the checksum of RDB files and `DUMP` payloads.
//!
//! The Jones polynomial 0xad93d23594c935a9, reflected, initial value and final
//! xor zero. A few bytes go through tables, eight at once: `TABLES[k]` is the effect of a
//! byte followed by `k` zero bytes. More of them go through crc-fast, which multiplies
//! polynomials with the instructions the processor has for it: 8 GB/s instead of 1.6 from
//! some hundred bytes on, and slower below.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// From here on crc-fast is the faster one.
const MANY: usize = 128;

const REFLECTED: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();

static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                (crc >> 1) ^ REFLECTED
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// Continues the checksum `crc` with `data`; start with zero.
#[must_use]
pub fn crc64(crc: u64, data: &[u8]) -> u64 {
    if data.len() < MANY {
        return by_table(crc, data);
    }
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(data);
    digest.finalize()
}

/// The checksum of two byte strings one after the other, from that of each and the length of
/// the second: so that parts may be summed up in parallel. O(log `second_len`).
#[must_use]
pub fn combine(first: u64, second: u64, second_len: u64) -> u64 {
    checksum_combine(CrcAlgorithm::Crc64Redis, first, second, second_len)
}

fn by_table(crc: u64, data: &[u8]) -> u64 {
    let mut crc = crc;
    let (chunks, rest) = data.as_chunks::<8>();
    for &chunk in chunks {
        let [a, b, c, d, e, f, g, h] = (crc ^ u64::from_le_bytes(chunk)).to_le_bytes();
        crc = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for &byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ TABLES[0][usize::from(low ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bitwise(mut crc: u64, data: &[u8]) -> u64 {
        for &byte in data {
            crc ^= u64::from(byte);
            for _ in 0..8 {
                let carry = crc & 1 != 0;
                crc >>= 1;
                if carry {
                    crc ^= 0x95ac_9329_ac4b_c9b5;
                }
            }
        }
        crc
    }

    #[test]
    fn check_value() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    proptest! {
        #[test]
        fn same_as_bitwise(crc: u64, data in proptest::collection::vec(any::<u8>(), 0..1200)) {
            prop_assert_eq!(crc64(crc, &data), bitwise(crc, &data));
            prop_assert_eq!(by_table(crc, &data), bitwise(crc, &data));
        }

        #[test]
        fn combines(data in proptest::collection::vec(any::<u8>(), 0..1200),
            at in any::<prop::sample::Index>()) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            let combined = combine(crc64(0, head), crc64(0, tail), tail.len() as u64);
            prop_assert_eq!(combined, crc64(0, &data));
        }

        #[test]
        fn continues(data in proptest::collection::vec(any::<u8>(), 0..1200),
            at in any::<prop::sample::Index>()) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            prop_assert_eq!(crc64(crc64(0, head), tail), crc64(0, &data));
        }
    }
}
