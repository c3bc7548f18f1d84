//! The digest of a data set: a sum over its entries, so that their order does not count.
//!
//! What of an entry is hashed is decided by whoever knows values; see `docs/formats/repository.md`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::index::Note;

/// Lanes of a sum.
const LANES: usize = 8;

/// Hashes and adds up entries.
#[derive(Clone, Copy)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// Keyed with these bytes.
    pub fn new(key: [u8; 32]) -> DigestKey {
        DigestKey(key)
    }

    /// A hasher for one entry or element.
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

/// The sum of any number of hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u64; LANES]);

/// A text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 128 hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// Adds what was hashed.
    pub fn add_hash(&mut self, hasher: &blake3::Hasher) {
        let mut bytes = [0; 8 * LANES];
        hasher.finalize_xof().fill(&mut bytes);
        self.add(Digest::of_bytes(&bytes));
    }

    /// Adds a sum.
    pub fn add(&mut self, other: Digest) {
        for (lane, more) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(more);
        }
    }

    /// As bytes.
    pub fn to_bytes(self) -> [u8; 8 * LANES] {
        let mut bytes = [0; 8 * LANES];
        for (out, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            out.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }

    /// The beginning, which tells one entry from another.
    pub fn note(self) -> Note {
        let first = self.to_bytes().first_chunk().copied();
        Note::from_be_bytes(first.unwrap_or_default())
    }

    fn of_bytes(bytes: &[u8; 8 * LANES]) -> Digest {
        let mut lanes = [0; LANES];
        for (lane, part) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = u64::from_le_bytes(*part);
        }
        Digest(lanes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Digest, InvalidDigest> {
        let text = text.as_bytes();
        let mut bytes = [0; 8 * LANES];
        if text.len() != 2 * bytes.len() {
            return Err(InvalidDigest);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Digest::of_bytes(&bytes))
    }
}

fn digit(byte: u8) -> Result<u8, InvalidDigest> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidDigest),
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Digest, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_and_number_does() {
        let key = DigestKey::new([1; 32]);
        let sum = |entries: &[&str]| {
            let mut sum = Digest::default();
            for entry in entries {
                let mut hasher = key.hasher();
                hasher.update(entry.as_bytes());
                sum.add_hash(&hasher);
            }
            sum
        };
        assert_eq!(sum(&["a", "b", "c"]), sum(&["c", "a", "b"]));
        assert_ne!(sum(&["a", "b"]), sum(&["a", "b", "b"]));
        assert_ne!(sum(&["a", "a"]), sum(&["b", "b"]));
        assert_ne!(sum(&["a"]), Digest::default());
        let mut hasher = DigestKey::new([2; 32]).hasher();
        hasher.update(b"a");
        let mut other = Digest::default();
        other.add_hash(&hasher);
        assert_ne!(sum(&["a"]), other);
    }

    #[test]
    fn texts() {
        let mut digest = Digest([1, 2, 3, 4, 5, 6, 7, u64::MAX]);
        let text = digest.to_string();
        assert!(text.starts_with("0100000000000000"), "{text}");
        assert_eq!(text.parse(), Ok(digest));
        digest.add(Digest([0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(digest.0[7], 0);
        assert!("00".parse::<Digest>().is_err());
        assert!(text.to_uppercase().parse::<Digest>().is_err());
    }
}
