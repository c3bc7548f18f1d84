//! From member to score, beside the ordered tree of a big sorted set.
//!
//! The payload of a member is the big-endian bits of its score without the
//! zero bytes at the end: half of a double for most whole numbers.

use crate::structs::paged::{PagedMap, Schema};

/// Bits of a hash that a cursor carries. Below 2^53, so that clients which
/// keep numbers as doubles hand it back unharmed.
const CURSOR_BITS: u32 = 48;

/// The schema of the index: scores and nothing beside them.
pub(super) struct Scores;

impl Schema for Scores {
    type Obj = ();
    const WATCHED: bool = true;
}

#[derive(Clone, Default)]
pub(super) struct ScoreIndex(pub(super) PagedMap<Scores>);

pub(super) fn decode(payload: &[u8]) -> f64 {
    let mut be = [0; 8];
    let len = payload.len().min(8);
    be[..len].copy_from_slice(&payload[..len]);
    f64::from_bits(u64::from_be_bytes(be))
}

impl ScoreIndex {
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, member: &[u8]) -> Option<f64> {
        self.0.get(member).map(|entry| decode(entry.payload))
    }

    /// Adds a member or changes its score.
    pub fn put(&mut self, member: &[u8], score: f64) {
        let bits = score.to_bits();
        let len = 8 - (bits.trailing_zeros() / 8) as usize;
        self.0.put(member, &bits.to_be_bytes()[..len], None);
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (payload, _) = self.0.remove(member)?;
        Some(decode(&payload))
    }

    /// Shows about `count` members from a cursor on; gives the next cursor, 0
    /// at the end.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> u64 {
        let shift = 64 - CURSOR_BITS;
        self.0
            .scan(cursor << shift, CURSOR_BITS, count, &mut |_, entry| {
                f(entry.key, decode(entry.payload));
            })
            .map_or(0, |next| next >> shift)
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}
