//! Changing a listpack: inserting, replacing, deleting, splitting, merging.
//!
//! Each change moves the bytes behind it once, then fixes the header. Growth
//! goes by allocator size class; a buffer gives memory back only when less
//! than half of it is used.

use super::encoding::{EOF, Encoded};
use super::{COUNT_UNKNOWN, HEADER, Listpack, size_class};

impl Listpack {
    /// Appends an element.
    ///
    /// # Panics
    /// This and the other methods that add panic when the listpack would
    /// pass 4 GiB; ask [`Listpack::fits`] first.
    pub fn push_back(&mut self, value: &[u8]) {
        self.append(&Encoded::bytes(value));
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, value: i64) {
        self.append(&Encoded::int(value));
    }

    /// Prepends an element.
    pub fn push_front(&mut self, value: &[u8]) {
        self.insert_encoded(HEADER, &Encoded::bytes(value));
    }

    /// Prepends an integer.
    pub fn push_front_int(&mut self, value: i64) {
        self.insert_encoded(HEADER, &Encoded::int(value));
    }

    /// Inserts before the element at `offset` (or at [`Listpack::end`]); the
    /// new element then has that offset.
    pub fn insert_before(&mut self, offset: usize, value: &[u8]) {
        self.insert_encoded(offset, &Encoded::bytes(value));
    }

    /// Inserts an integer before the element at `offset`, or at the end.
    pub fn insert_int_before(&mut self, offset: usize, value: i64) {
        self.insert_encoded(offset, &Encoded::int(value));
    }

    /// Inserts after the element at `offset`; gives the new element's offset.
    pub fn insert_after(&mut self, offset: usize, value: &[u8]) -> usize {
        let at = offset + self.size_at(offset);
        self.insert_encoded(at, &Encoded::bytes(value));
        at
    }

    /// Replaces the element at `offset`, which keeps its offset. Nothing
    /// moves when the encoded size stays the same.
    pub fn replace(&mut self, offset: usize, value: &[u8]) {
        self.replace_encoded(offset, &Encoded::bytes(value));
    }

    /// Replaces the element at `offset` by an integer.
    pub fn replace_int(&mut self, offset: usize, value: i64) {
        self.replace_encoded(offset, &Encoded::int(value));
    }

    /// Deletes the element at `offset`. The element after it, if any, then
    /// has that offset, which is returned.
    pub fn delete(&mut self, offset: usize) -> Option<usize> {
        self.delete_run(offset, 1)
    }

    /// Deletes up to `count` elements from `offset` on; gives the offset of
    /// the element that follows, if any.
    pub fn delete_run(&mut self, offset: usize, count: usize) -> Option<usize> {
        let mut tail = offset;
        let mut deleted = 0;
        while deleted < count && tail < self.end() {
            tail += self.size_at(tail);
            deleted += 1;
        }
        self.close_gap(offset, tail);
        self.count_deleted(deleted);
        self.valid(offset)
    }

    /// Deletes up to `count` elements from an index on; -1 is the last.
    /// Cutting off a tail costs only the walk to its start.
    pub fn delete_range(&mut self, index: i64, count: usize) {
        if count == 0 {
            return;
        }
        let Some(offset) = self.seek(index) else {
            return;
        };
        let len = self.header_count();
        if len == COUNT_UNKNOWN {
            self.delete_run(offset, count);
            return;
        }
        let len = usize::from(len);
        let position = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => len.saturating_sub(index.unsigned_abs() as usize),
        };
        if len - position <= count {
            self.close_gap(offset, self.end());
            self.write_count(position);
        } else {
            self.delete_run(offset, count);
        }
    }

    /// Deletes the elements at these ascending offsets in one pass.
    pub fn delete_offsets(&mut self, offsets: &[usize]) {
        let Some(&first) = offsets.first() else {
            return;
        };
        let mut into = first;
        for (index, &offset) in offsets.iter().enumerate() {
            let keep_from = offset + self.size_at(offset);
            let keep_to = match offsets.get(index + 1) {
                Some(&next) => next,
                None => self.end(),
            };
            self.buf.copy_within(keep_from..keep_to, into);
            into += keep_to - keep_from;
        }
        self.close_gap(into, self.end());
        self.count_deleted(offsets.len());
    }

    /// Cuts the list in two before the element at an index; the result holds
    /// the elements from there on, `self` those before.
    pub fn split_off(&mut self, index: usize) -> Listpack {
        let mut tail = Listpack::new();
        let Some(offset) = i64::try_from(index).ok().and_then(|i| self.seek(i)) else {
            return tail;
        };
        let len = self.len();
        tail.replace_bytes(HEADER, HEADER, &self.buf[offset..self.end()]);
        tail.write_count(len - index);
        tail.write_total();
        self.close_gap(offset, self.end());
        self.write_count(index);
        tail
    }

    /// Appends all elements of another listpack, moving the smaller one.
    pub fn merge(&mut self, mut other: Listpack) {
        let count = self.len() + other.len();
        if self.bytes() >= other.bytes() {
            let end = self.end();
            self.replace_bytes(end, end, &other.buf[HEADER..other.end()]);
        } else {
            other.replace_bytes(HEADER, HEADER, &self.buf[HEADER..self.end()]);
            *self = other;
        }
        self.write_count(count);
        self.write_total();
    }

    /// Deletes everything, giving the memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Drops spare capacity beyond the size class in use.
    pub fn shrink_to_fit(&mut self) {
        self.buf.shrink_to(size_class::size_class(self.buf.len()));
    }

    fn append(&mut self, entry: &Encoded<'_>) {
        let end = self.end();
        size_class::reserve(&mut self.buf, end + entry.len() + 1);
        self.buf.truncate(end);
        entry.append_to(&mut self.buf);
        self.buf.push(EOF);
        self.count_inserted();
        self.write_total();
    }

    fn insert_encoded(&mut self, offset: usize, entry: &Encoded<'_>) {
        self.resize_slot(offset, 0, entry.len());
        entry.write_over(&mut self.buf[offset..offset + entry.len()]);
        self.count_inserted();
        self.write_total();
    }

    fn replace_encoded(&mut self, offset: usize, entry: &Encoded<'_>) {
        let old = self.size_at(offset);
        self.resize_slot(offset, old, entry.len());
        entry.write_over(&mut self.buf[offset..offset + entry.len()]);
        if old != entry.len() {
            self.write_total();
        }
    }

    /// Moves what follows so that `old` bytes at `offset` become `new`.
    fn resize_slot(&mut self, offset: usize, old: usize, new: usize) {
        let len = self.buf.len();
        if new > old {
            let grown = len + (new - old);
            size_class::reserve(&mut self.buf, grown);
            self.buf.resize(grown, 0);
            self.buf.copy_within(offset + old..len, offset + new);
        } else if new < old {
            self.buf.copy_within(offset + old.., offset + new);
            self.buf.truncate(len - (old - new));
            size_class::relax(&mut self.buf);
        }
    }

    /// Puts raw entry bytes in place of `from..to`; the caller fixes the
    /// header.
    fn replace_bytes(&mut self, from: usize, to: usize, entries: &[u8]) {
        self.resize_slot(from, to - from, entries.len());
        self.buf[from..from + entries.len()].copy_from_slice(entries);
    }

    /// Removes the bytes `from..to` and fixes the size in the header.
    fn close_gap(&mut self, from: usize, to: usize) {
        self.resize_slot(from, to - from, 0);
        self.write_total();
    }

    fn write_total(&mut self) {
        let total = u32::try_from(self.buf.len()).expect("a listpack stays under 4 GiB");
        self.buf[..4].copy_from_slice(&total.to_le_bytes());
    }

    fn count_inserted(&mut self) {
        let count = self.header_count();
        if count != COUNT_UNKNOWN {
            self.write_count(usize::from(count) + 1);
        }
    }

    fn count_deleted(&mut self, deleted: usize) {
        let count = self.header_count();
        if count != COUNT_UNKNOWN {
            self.write_count(usize::from(count).saturating_sub(deleted));
        }
    }
}
