//! The one hash function of the engine: SipHash-1-3 keyed once per process.
//!
//! Why SipHash: SCAN walks keys in hash order, so that order reaches clients; a
//! keyed pseudo-random function keeps it from telling anything that would help
//! to build colliding keys. One key for the whole process lets containers
//! recompute a hash instead of storing it.
//!
//! Invariant: the key never changes after the first hash was taken.

use std::sync::OnceLock;

use siphasher::sip::SipHasher13;

/// Key used when [`init`] was not called: fixed, so that tests are repeatable.
const DEFAULT_KEY: (u64, u64) = (0x6261_7361_6c74_0001, 0x9e37_79b9_7f4a_7c15);

static HASHER: OnceLock<SipHasher13> = OnceLock::new();

/// Sets the process-wide key; a server calls it once, with random words, before
/// any container exists.
///
/// Until then a fixed default key is in force. The first key used wins: a call
/// that comes after a hash was taken, or a second call, changes nothing and
/// returns false.
pub fn init(k0: u64, k1: u64) -> bool {
    HASHER.set(SipHasher13::new_with_keys(k0, k1)).is_ok()
}

/// Hashes `bytes` under the process-wide key.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    match HASHER.get() {
        Some(h) => h.hash(bytes),
        None => hash_first(bytes),
    }
}

#[cold]
fn hash_first(bytes: &[u8]) -> u64 {
    HASHER
        .get_or_init(|| SipHasher13::new_with_keys(DEFAULT_KEY.0, DEFAULT_KEY.1))
        .hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_siphash_1_3_and_the_key_is_fixed_by_first_use() {
        let expected = SipHasher13::new_with_keys(DEFAULT_KEY.0, DEFAULT_KEY.1).hash(b"key:1");
        assert_eq!(hash(b"key:1"), expected);
        assert!(!init(1, 2));
        assert_eq!(hash(b"key:1"), expected);
        assert_ne!(hash(b"key:1"), hash(b"key:2"));
    }
}
