//! MurmurHash64A, which decides where elements are counted. The bytes are read as little endian
//! on every machine, so values can move between servers.

const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

/// The hash of `data`.
pub fn hash64(data: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (data.len() as u64).wrapping_mul(FACTOR);
    let (blocks, tail) = data.as_chunks::<8>();
    for block in blocks {
        let mut mixed = u64::from_le_bytes(*block).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tail_length_counts_its_bytes() {
        let data = b"0123456789abcdef";
        let mut seen: Vec<u64> = (0..=16).map(|len| hash64(&data[..len], 7)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 17);
        assert_eq!(hash64(b"", 0), 0);
    }
}
