//! CRC-16/XMODEM and the hash slot of a key.
//!
//! Polynomial 0x1021, most significant bit first, initial value zero. Eight
//! bytes are folded in at once: `TABLES[k]` is the effect of a byte followed by
//! `k` zero bytes.

/// Number of hash slots of a cluster.
pub const SLOTS: u16 = 16384;

const TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
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
            tables[k][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// CRC-16/XMODEM of `data`.
#[must_use]
pub fn crc16(data: &[u8]) -> u16 {
    let mut crc = 0u16;
    let (chunks, rest) = data.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in chunks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(a ^ high)]
            ^ TABLES[6][usize::from(b ^ low)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for &byte in rest {
        let [high, _] = crc.to_be_bytes();
        crc = (crc << 8) ^ TABLES[0][usize::from(byte ^ high)];
    }
    crc
}

/// The hash slot of `key`, below [`SLOTS`].
#[must_use]
pub fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// The part of `key` that decides its slot: what stands between the first `{`
/// and the first `}` after it, if that is anything, else the whole key.
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let tag = find(key, b'{')
        .and_then(|open| key.get(open + 1..))
        .and_then(|rest| rest.get(..find(rest, b'}')?));
    match tag {
        Some(tag) if !tag.is_empty() => tag,
        _ => key,
    }
}

/// Position of the first `wanted`, eight bytes at a time: a byte of `word` is
/// zero where it matched, and the subtraction borrows into its top bit. Bytes
/// above the first match may be marked falsely, the lowest mark never is.
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (i, &chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(chunk) ^ u64::from_le_bytes([wanted; 8]);
        let marks = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if marks != 0 {
            return Some(i * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&b| b == wanted)?;
    Some(chunks.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bitwise(data: &[u8]) -> u16 {
        let mut crc = 0u16;
        for &byte in data {
            crc ^= u16::from(byte) << 8;
            for _ in 0..8 {
                let carry = crc & 0x8000 != 0;
                crc <<= 1;
                if carry {
                    crc ^= 0x1021;
                }
            }
        }
        crc
    }

    #[test]
    fn check_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots_of_known_keys() {
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"bar"), 5061);
        assert_eq!(key_slot(b"hello"), 866);
        assert_eq!(
            key_slot(b"{user1000}.following"),
            key_slot(b"{user1000}.followers")
        );
    }

    #[test]
    fn hash_tags() {
        for (key, tag) in [
            ("foo{bar}baz", "bar"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar{", "foo}bar{"),
            ("}{a}", "a"),
            ("", ""),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn same_as_bitwise(data in proptest::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(crc16(&data), bitwise(&data));
        }

        #[test]
        fn find_is_position(data in proptest::collection::vec(
            prop_oneof![any::<u8>(), 0x7au8..0x7e], 0..40)) {
            prop_assert_eq!(find(&data, 0x7b), data.iter().position(|&b| b == 0x7b));
        }

        #[test]
        fn tag_as_in_the_specification(key in "[{}ab]{0,20}") {
            let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'))
                .map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
            prop_assert_eq!(hash_tag(key.as_bytes()), tag.unwrap_or(&key).as_bytes());
        }
    }
}
