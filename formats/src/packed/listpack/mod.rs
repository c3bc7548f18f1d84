//! Listpack: a sequence of strings and integers in one allocation.
//!
//! ```text
//! +-----------------+---------------+---------+---------+-----+------+
//! | total bytes u32 | elements u16  | entry 0 | entry 1 | ... | 0xFF |
//! | LE, whole thing | LE, 65535 = ? |         |         |     |      |
//! +-----------------+---------------+---------+---------+-----+------+
//! ```
//!
//! The entries are described in `encoding.rs`. An *offset* is the position of
//! an entry's first byte; it comes from this listpack ([`Listpack::seek`],
//! [`Listpack::find`], ...) and stays good until the next change.
//!
//! Invariants: the buffer is always a well-formed listpack, because it was
//! built here or walked entirely by [`Listpack::from_bytes`]. The element
//! count is kept in the header while it is under 65535; from there on it is
//! unknown and counted by walking, as in Redis.

mod edit;
mod encoding;
#[cfg(test)]
mod tests;

use super::{PackedError, size_class};
use encoding::EOF;
pub use encoding::{Entry, Needle, parse_int};

const HEADER: usize = 6;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// No listpack may grow beyond this; callers ask [`Listpack::fits`] first.
pub const MAX_BYTES: usize = 1 << 30;

/// A listpack in Redis's exact bytes.
#[derive(PartialEq, Eq)]
pub struct Listpack {
    buf: Vec<u8>,
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self {
            buf: size_class::to_vec(&self.buf),
        }
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty listpack with room for `bytes` in total.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buf = Vec::with_capacity(size_class::size_class(bytes.max(HEADER + 1)));
        buf.extend_from_slice(&[HEADER as u8 + 1, 0, 0, 0, 0, 0, EOF]);
        Self { buf }
    }

    /// Takes over untrusted bytes after walking every entry. O(n).
    ///
    /// A count given as unknown although it would fit the header is repaired.
    ///
    /// # Errors
    /// The first fault found, see [`PackedError`].
    pub fn from_bytes(buf: Vec<u8>) -> Result<Self, PackedError> {
        let Some((&[a, b, c, d, e, f], entries)) = buf.split_first_chunk::<HEADER>() else {
            return Err(PackedError::TooShort {
                found: buf.len(),
                needed: HEADER + 1,
            });
        };
        let total = u32::from_le_bytes([a, b, c, d]);
        if u64::from(total) != buf.len() as u64 {
            return Err(PackedError::SizeMismatch {
                expected: u64::from(total),
                found: buf.len() as u64,
            });
        }
        let count = walk(entries)?;
        let announced = u16::from_le_bytes([e, f]);
        if announced != COUNT_UNKNOWN && usize::from(announced) != count {
            return Err(PackedError::CountMismatch {
                expected: u64::from(announced),
                found: count as u64,
            });
        }
        let mut list = Self { buf };
        list.write_count(count);
        Ok(list)
    }

    /// The serialised form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The serialised form, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// Size of the serialised form.
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.buf.capacity()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.buf.len() == HEADER + 1
    }

    /// Number of elements. O(1) below 65535 elements, else O(n).
    pub fn len(&self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.offsets().count(),
            count => usize::from(count),
        }
    }

    /// Number of elements, put back into the header when deletions made it
    /// fit again, so that [`Listpack::len`] is O(1) from then on.
    pub fn settle_len(&mut self) -> usize {
        let count = self.len();
        self.write_count(count);
        count
    }

    /// Whether `add` more bytes keep the listpack within [`MAX_BYTES`].
    pub fn fits(&self, add: usize) -> bool {
        self.buf
            .len()
            .checked_add(add)
            .is_some_and(|total| total <= MAX_BYTES)
    }

    /// Offset of the first element.
    pub fn first(&self) -> Option<usize> {
        self.valid(HEADER)
    }

    /// Offset of the last element.
    pub fn last(&self) -> Option<usize> {
        self.prev(self.end())
    }

    /// Offset of the element after the one at `offset`.
    pub fn next(&self, offset: usize) -> Option<usize> {
        self.valid(offset + self.size_at(offset))
    }

    /// Offset of the element before `offset`, which may be [`Listpack::end`].
    pub fn prev(&self, offset: usize) -> Option<usize> {
        if offset <= HEADER {
            return None;
        }
        let len = encoding::read_backlen(&self.buf[..offset]);
        Some(offset - len - encoding::backlen_size(len))
    }

    /// Offset just behind the last element: where appending happens.
    pub fn end(&self) -> usize {
        self.buf.len() - 1
    }

    /// The element at an offset.
    ///
    /// # Panics
    /// May panic when `offset` is not one of this listpack's offsets.
    pub fn entry(&self, offset: usize) -> Entry<'_> {
        encoding::decode(&self.buf[offset..]).0
    }

    /// Offset of the element at an index; -1 is the last one. Walks from the
    /// nearer end.
    pub fn seek(&self, index: i64) -> Option<usize> {
        let steps_back = |steps: u64| {
            let mut at = self.last();
            for _ in 0..steps {
                at = self.prev(at?);
            }
            at
        };
        let steps_on = |steps: u64| {
            let mut at = self.first();
            for _ in 0..steps {
                at = self.next(at?);
            }
            at
        };
        match (self.header_count(), index) {
            (COUNT_UNKNOWN, 0..) => steps_on(index.unsigned_abs()),
            (COUNT_UNKNOWN, _) => steps_back(index.unsigned_abs() - 1),
            (count, _) => {
                let count = i64::from(count);
                let index = if index < 0 { index + count } else { index };
                if !(0..count).contains(&index) {
                    None
                } else if index > count / 2 {
                    steps_back((count - 1 - index).unsigned_abs())
                } else {
                    steps_on(index.unsigned_abs())
                }
            }
        }
    }

    /// The element at an index; -1 is the last one.
    pub fn get(&self, index: i64) -> Option<Entry<'_>> {
        self.seek(index).map(|offset| self.entry(offset))
    }

    /// Calls `f(position in indexes, element)` for every index, in one walk.
    /// `indexes` must ascend (repetition allowed); those past the end are
    /// left out.
    pub fn visit_sorted(&self, indexes: &[usize], mut f: impl FnMut(usize, Entry<'_>)) {
        let mut entries = self.iter();
        let mut current = None;
        let mut passed = 0;
        for (position, &index) in indexes.iter().enumerate() {
            while passed <= index {
                current = entries.next();
                passed += 1;
            }
            match current {
                Some(entry) => f(position, entry),
                None => return,
            }
        }
    }

    /// First element equal to `value` at or after `offset`, looking at one
    /// element and leaving out the next `skip`, and so on.
    pub fn find(&self, offset: usize, value: &[u8], skip: usize) -> Option<usize> {
        let needle = Needle::new(value);
        let mut at = self.valid(offset)?;
        loop {
            let (entry, len) = encoding::decode(&self.buf[at..]);
            if needle.matches(entry) {
                return Some(at);
            }
            at = self.valid(at + len + encoding::backlen_size(len))?;
            for _ in 0..skip {
                at = self.next(at)?;
            }
        }
    }

    /// Ascending offsets of up to `limit` matches: the first ones, or the last
    /// ones when not `forward`.
    pub fn match_offsets(&self, needle: &Needle<'_>, limit: usize, forward: bool) -> Vec<usize> {
        let mut offsets = Vec::new();
        let mut entries = self.iter();
        while offsets.len() < limit {
            let next = if forward {
                entries.next_at()
            } else {
                entries.next_back_at()
            };
            match next {
                Some((offset, entry)) if needle.matches(entry) => offsets.push(offset),
                Some(_) => {}
                None => break,
            }
        }
        if !forward {
            offsets.reverse();
        }
        offsets
    }

    /// The elements; also backwards.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            list: self,
            front: HEADER,
            back: self.end(),
        }
    }

    /// The elements from `offset` on.
    pub fn iter_from(&self, offset: usize) -> Iter<'_> {
        Iter {
            list: self,
            front: offset,
            back: self.end(),
        }
    }

    /// The elements before `offset`, usually taken backwards.
    pub fn iter_before(&self, offset: usize) -> Iter<'_> {
        Iter {
            list: self,
            front: HEADER,
            back: offset,
        }
    }

    /// The offsets of all elements.
    pub fn offsets(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.first(), |&offset| self.next(offset))
    }

    /// `offset` unless it is the end.
    fn valid(&self, offset: usize) -> Option<usize> {
        (offset < self.end()).then_some(offset)
    }

    /// Size of the entry at an offset, with its back length.
    fn size_at(&self, offset: usize) -> usize {
        let len = encoding::entry_len(&self.buf[offset..]).unwrap_or(0);
        len + encoding::backlen_size(len)
    }

    fn header_count(&self) -> u16 {
        u16::from_le_bytes([self.buf[4], self.buf[5]])
    }

    fn write_count(&mut self, count: usize) {
        let field = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.buf[4..HEADER].copy_from_slice(&field.to_le_bytes());
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Entry<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Checks the entries behind the header and counts them.
fn walk(entries: &[u8]) -> Result<usize, PackedError> {
    let Some((&EOF, entries)) = entries.split_last() else {
        return Err(PackedError::BadTerminator {
            offset: HEADER + entries.len().saturating_sub(1),
        });
    };
    let mut rest = entries;
    let mut count = 0;
    while let Some(&first) = rest.first() {
        let offset = HEADER + entries.len() - rest.len();
        if first == EOF {
            return Err(PackedError::BadTerminator { offset });
        }
        let len = encoding::entry_len(rest).ok_or(PackedError::BadEntry { offset })?;
        let behind = rest.get(len..).ok_or(PackedError::BadEntry { offset })?;
        let (back, size) = encoding::backlen(len);
        rest = behind
            .strip_prefix(&back[..size])
            .ok_or(PackedError::BadBacklen { offset })?;
        count += 1;
    }
    Ok(count)
}

/// Iterator over the elements of a [`Listpack`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    list: &'a Listpack,
    front: usize,
    back: usize,
}

impl<'a> Iter<'a> {
    /// Offset of the next element, or where the elements end.
    pub fn offset(&self) -> usize {
        self.front
    }

    /// The next element and its offset.
    pub fn next_at(&mut self) -> Option<(usize, Entry<'a>)> {
        if self.front >= self.back {
            return None;
        }
        let offset = self.front;
        let (entry, len) = encoding::decode(&self.list.buf[offset..]);
        self.front += len + encoding::backlen_size(len);
        Some((offset, entry))
    }

    /// The next element from the back, and its offset.
    pub fn next_back_at(&mut self) -> Option<(usize, Entry<'a>)> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.list.prev(self.back)?;
        Some((self.back, self.list.entry(self.back)))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.next_at().map(|(_, entry)| entry)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.next_back_at().map(|(_, entry)| entry)
    }
}
