//! Integer set: sorted integers, all of one width.
//!
//! ```text
//! +-----------------+---------------+----------+----------+----
//! | width u32 LE    | length u32 LE | value 0  | value 1  | ...
//! | 2, 4 or 8 bytes |               | `width` bytes each, LE, signed
//! +-----------------+---------------+----------+----------+----
//! ```
//!
//! Invariants: values strictly ascend; the width only ever grows, up to the
//! width of the widest value ever added (removal does not narrow it, as in
//! Redis, so that `DUMP` bytes agree).

use super::{PackedError, size_class};

const HEADER: usize = 8;

/// A set of 64-bit integers in Redis's intset bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Intset {
    buf: Vec<u8>,
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        Self {
            buf: size_class::to_vec(&self.buf),
        }
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes the value needs.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// The value whose little-endian bytes these are (2, 4 or 8 of them).
fn decode(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

impl Intset {
    /// An empty set of two-byte width.
    pub fn new() -> Self {
        let mut buf = Vec::with_capacity(HEADER);
        buf.extend_from_slice(&2u32.to_le_bytes());
        buf.extend_from_slice(&0u32.to_le_bytes());
        Self { buf }
    }

    /// Takes over untrusted bytes after checking width, size and order.
    ///
    /// An empty set is accepted; Redis refuses it on load, callers that load
    /// a key must look at [`Intset::is_empty`].
    ///
    /// # Errors
    /// The first fault found, see [`PackedError`].
    pub fn from_bytes(buf: Vec<u8>) -> Result<Self, PackedError> {
        let (Some(&[a, b, c, d]), Some(&[e, f, g, h])) = (
            buf.get(..4).and_then(|s| s.first_chunk::<4>()),
            buf.get(4..8).and_then(|s| s.first_chunk::<4>()),
        ) else {
            return Err(PackedError::TooShort {
                found: buf.len(),
                needed: HEADER,
            });
        };
        let width = u32::from_le_bytes([a, b, c, d]);
        if !matches!(width, 2 | 4 | 8) {
            return Err(PackedError::BadEncoding(width));
        }
        let len = u32::from_le_bytes([e, f, g, h]);
        let expected = HEADER as u64 + u64::from(len) * u64::from(width);
        if expected != buf.len() as u64 {
            return Err(PackedError::SizeMismatch {
                expected,
                found: buf.len() as u64,
            });
        }
        let set = Self { buf };
        for index in 1..set.len() {
            if set.at(index) <= set.at(index - 1) {
                return Err(PackedError::NotSorted { index });
            }
        }
        Ok(set)
    }

    /// The serialised form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        (self.buf.len() - HEADER) / self.width()
    }

    /// Whether the set has no element.
    pub fn is_empty(&self) -> bool {
        self.buf.len() == HEADER
    }

    /// Bytes per element: 2, 4 or 8.
    pub fn width(&self) -> usize {
        usize::from(self.buf[0])
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.buf.capacity()
    }

    /// The element at a position in ascending order. O(1).
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The smallest element.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest element.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The element a random number selects, `None` when empty. O(1).
    pub fn random(&self, random: u64) -> Option<i64> {
        let len = self.len() as u64;
        let index = random.checked_rem(len)?;
        self.get(index as usize)
    }

    /// Whether the value is a member. O(log n).
    pub fn find(&self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// Adds a value; false when it was there already. O(n), widening every
    /// element when the value is the first that needs more bytes.
    ///
    /// # Panics
    /// When the set already has `u32::MAX` elements.
    pub fn add(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            self.widen_and_add(value);
            return true;
        }
        let Err(index) = self.search(value) else {
            return false;
        };
        let width = self.width();
        let at = HEADER + index * width;
        let old = self.buf.len();
        size_class::reserve(&mut self.buf, old + width);
        self.buf.resize(old + width, 0);
        self.buf.copy_within(at..old, at + width);
        self.put(index, value);
        self.write_len();
        true
    }

    /// Removes a value; false when it was not there. O(n).
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            return false;
        }
        let Ok(index) = self.search(value) else {
            return false;
        };
        let width = self.width();
        let at = HEADER + index * width;
        self.buf.copy_within(at + width.., at);
        self.buf.truncate(self.buf.len() - width);
        size_class::relax(&mut self.buf);
        self.write_len();
        true
    }

    /// The elements in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        self.buf[HEADER..].chunks_exact(self.width()).map(decode)
    }

    fn at(&self, index: usize) -> i64 {
        let width = self.width();
        let at = HEADER + index * width;
        decode(&self.buf[at..at + width])
    }

    fn put(&mut self, index: usize, value: i64) {
        let width = self.width();
        let at = HEADER + index * width;
        self.buf[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }

    /// `Ok(position)` of the value, or `Err(position)` where it belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        // Appending in order is the common way to fill a set.
        match self.max() {
            None => return Err(0),
            Some(max) if value > max => return Err(self.len()),
            Some(_) => {}
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            match self.at(mid).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(mid),
                std::cmp::Ordering::Less => low = mid + 1,
                std::cmp::Ordering::Greater => high = mid,
            }
        }
        Err(low)
    }

    /// A value wider than all others lies below or above all of them.
    fn widen_and_add(&mut self, value: i64) {
        let width = width_of(value);
        let total = HEADER + (self.len() + 1) * width;
        let mut buf = Vec::with_capacity(size_class::size_class(total));
        buf.extend_from_slice(&(width as u32).to_le_bytes());
        buf.extend_from_slice(&[0; 4]);
        let bytes = value.to_le_bytes();
        if value < 0 {
            buf.extend_from_slice(&bytes[..width]);
        }
        for old in self.iter() {
            buf.extend_from_slice(&old.to_le_bytes()[..width]);
        }
        if value >= 0 {
            buf.extend_from_slice(&bytes[..width]);
        }
        self.buf = buf;
        self.write_len();
    }

    fn write_len(&mut self) {
        let len = u32::try_from(self.len()).expect("an intset holds under 2^32 elements");
        self.buf[4..8].copy_from_slice(&len.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn bytes_are_the_documented_ones() {
        let mut set = Intset::new();
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(set.add(5) && set.add(-1) && !set.add(5));
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 255, 255, 5, 0]);
        assert!(set.add(70_000));
        assert_eq!(
            set.as_bytes(),
            [
                4, 0, 0, 0, 3, 0, 0, 0, 255, 255, 255, 255, 5, 0, 0, 0, 0x70, 0x11, 1, 0
            ]
        );
        assert!(set.add(i64::MIN));
        assert_eq!(set.width(), 8);
        assert_eq!(set.min(), Some(i64::MIN));
        assert!(set.remove(i64::MIN));
        assert_eq!(set.width(), 8, "removal never narrows");
        assert_eq!(set.random(4), Some(5));
        assert_eq!(Intset::new().random(4), None);
    }

    #[test]
    fn broken_bytes_are_refused() {
        let check = |bytes: &[u8]| Intset::from_bytes(bytes.to_vec()).unwrap_err();
        assert!(matches!(check(&[2, 0, 0]), PackedError::TooShort { .. }));
        assert_eq!(
            check(&[3, 0, 0, 0, 0, 0, 0, 0]),
            PackedError::BadEncoding(3)
        );
        assert!(matches!(
            check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0]),
            PackedError::SizeMismatch { .. }
        ));
        assert!(matches!(
            check(&[8, 0, 0, 0, 255, 255, 255, 255]),
            PackedError::SizeMismatch { .. }
        ));
        for second in [1, 0] {
            assert_eq!(
                check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, second, 0]),
                PackedError::NotSorted { index: 1 }
            );
        }
    }

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            -20i64..20,
            any::<i16>().prop_map(i64::from),
            any::<i32>().prop_map(i64::from),
            any::<i64>(),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(ops in prop::collection::vec((any::<bool>(), value()), 0..200)) {
            let mut set = Intset::new();
            let mut model = BTreeSet::new();
            for (add, value) in ops {
                if add {
                    prop_assert_eq!(set.add(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert_eq!(set.find(value), model.contains(&value));
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            for (index, value) in model.iter().enumerate() {
                prop_assert_eq!(set.get(index), Some(*value));
            }
            prop_assert_eq!(Intset::from_bytes(set.as_bytes().to_vec()), Ok(set));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(set) = Intset::from_bytes(bytes) {
                prop_assert_eq!(set.iter().count(), set.len());
            }
        }
    }
}
