//! Entries of a stream: their IDs and the nodes that hold runs of them.
//!
//! A node is a listpack. Its first entries, the *master entry*, give what the others are
//! written relative to; the ID the node is kept under, its *master ID*, is no part of it.
//!
//! ```text
//! node   = | live | deleted | n | field 1 | ... | field n | 0 | entry | entry | ...
//! entry  = | flags | ms - master ms | seq - master seq | content | count |
//! content = | value 1 | ... | value n |                              same fields as the master
//!         = | m | field 1 | value 1 | ... | field m | value m |      other fields
//! ```
//!
//! `count` is the number of elements of the entry in front of it, so that entries can be read
//! backwards; the 0 behind the master entry ends such a walk. Deleting an entry only sets a
//! flag and moves one from the first count to the second.
//!
//! Invariants: a node was built here or walked by [`StreamNode::from_bytes`], so that its
//! elements are the ones drawn above and there are as many entries as the two counts say. IDs
//! are not looked at: those of a foreign node may be in any order.

mod check;
mod entries;
mod id;
#[cfg(test)]
mod tests;

pub use entries::{Entries, Pairs, StreamEntry};
pub use id::{IdText, StreamId};

use super::PackedError;
use super::listpack::{Entry, Listpack, parse_int};

/// Flag of an entry that was deleted.
const DELETED: i64 = 1;
/// Flag of an entry whose fields are those of the master entry.
const SAME_FIELDS: i64 = 2;
/// Elements in front of the first field of the master entry.
const FIELDS_AT: usize = 3;
/// Elements of an entry in front of its content.
const HEAD: usize = 3;
/// Counts may take up so many bytes more in the life of a node.
const ROOM: usize = 32;

/// A run of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamNode {
    list: Listpack,
}

impl StreamNode {
    /// A node of one entry, whose ID is the master ID. `words` are its fields and values in
    /// turn.
    ///
    /// # Panics
    /// This and [`StreamNode::push`] panic when the node would pass 4 GiB; a caller bounds what
    /// it adds and starts a new node in time.
    pub fn new(words: &[&[u8]]) -> StreamNode {
        let mut list = Listpack::new();
        list.push_back_int(1);
        list.push_back_int(0);
        list.push_back_int(to_int(words.len() / 2));
        for field in words.iter().step_by(2) {
            list.push_back(field);
        }
        list.push_back_int(0);
        let mut node = StreamNode { list };
        node.write_entry(0, 0, words, true);
        node
    }

    /// Takes over untrusted bytes after walking every element. O(n).
    ///
    /// # Errors
    /// [`PackedError`]; [`PackedError::BadStreamNode`] for a sound listpack that is no node.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<StreamNode, PackedError> {
        if bytes.len() > u32::MAX as usize - ROOM {
            return Err(PackedError::SizeMismatch {
                expected: u64::from(u32::MAX) - ROOM as u64,
                found: bytes.len() as u64,
            });
        }
        let list = Listpack::from_bytes(bytes)?;
        check::check(&list)?;
        Ok(StreamNode { list })
    }

    /// The serialised form.
    pub fn as_bytes(&self) -> &[u8] {
        self.list.as_bytes()
    }

    /// Size of the serialised form.
    pub fn bytes(&self) -> usize {
        self.list.bytes()
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.list.heap_bytes()
    }

    /// Entries that are not deleted.
    pub fn live(&self) -> u64 {
        self.count(0)
    }

    /// Entries that are deleted.
    pub fn deleted(&self) -> u64 {
        self.count(1)
    }

    /// Appends an entry, whose ID is above all others. `words` are its fields and values in
    /// turn.
    pub fn push(&mut self, master: StreamId, id: StreamId, words: &[&[u8]]) {
        let same = self.same_fields(words);
        self.add_to_count(0, 1);
        self.write_entry(
            id.ms.wrapping_sub(master.ms) as i64,
            id.seq.wrapping_sub(master.seq) as i64,
            words,
            same,
        );
    }

    /// The entries, deleted ones too, from either end.
    pub fn entries(&self, master: StreamId) -> Entries<'_> {
        let (fields, first) = self.master_fields();
        Entries::new(&self.list, master, fields, first)
    }

    /// The ID of the last entry, deleted or not.
    pub fn last_id(&self, master: StreamId) -> Option<StreamId> {
        self.entries(master).next_back().map(|entry| entry.id)
    }

    /// Marks an entry of this node as deleted; `at` is its [`StreamEntry::at`].
    pub fn delete(&mut self, at: usize) {
        self.delete_all(&[at]);
    }

    /// Marks the first entries that are not deleted: as many as `limit` allows whose IDs are
    /// below `below`, where that is given. Gives how many.
    pub fn delete_front(&mut self, master: StreamId, limit: u64, below: Option<StreamId>) -> u64 {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let marked: Vec<usize> = self
            .entries(master)
            .take_while(|entry| below.is_none_or(|below| entry.id < below))
            .filter(|entry| !entry.deleted)
            .take(limit)
            .map(|entry| entry.at)
            .collect();
        self.delete_all(&marked);
        marked.len() as u64
    }

    /// Marks entries at ascending places.
    fn delete_all(&mut self, places: &[usize]) {
        // From the end, for what is in front of a change stays in its place.
        for &at in places.iter().rev() {
            let flags = self.int(at);
            self.list.replace_int(at, flags | DELETED);
        }
        // A foreign node may count fewer live entries than have no flag. The sum is what a walk goes
        // by: it stays.
        let count =
            to_int(places.len()).min(to_int(usize::try_from(self.live()).unwrap_or(usize::MAX)));
        self.add_to_count(1, count);
        self.add_to_count(0, -count);
    }

    /// Gives back spare memory, once the node is full.
    pub fn shrink_to_fit(&mut self) {
        self.list.shrink_to_fit();
    }

    fn write_entry(&mut self, ms: i64, seq: i64, words: &[&[u8]], same: bool) {
        let list = &mut self.list;
        let fields = words.len() / 2;
        list.push_back_int(if same { SAME_FIELDS } else { 0 });
        list.push_back_int(ms);
        list.push_back_int(seq);
        if same {
            for value in words.iter().skip(1).step_by(2) {
                list.push_back(value);
            }
            list.push_back_int(to_int(HEAD + fields));
        } else {
            list.push_back_int(to_int(fields));
            for word in words {
                list.push_back(word);
            }
            list.push_back_int(to_int(HEAD + 1 + 2 * fields));
        }
    }

    /// Whether the fields among `words` are those of the master entry.
    fn same_fields(&self, words: &[&[u8]]) -> bool {
        let mut elements = self.list.iter();
        let count = elements.nth(FIELDS_AT - 1).and_then(int_of);
        count == Some(to_int(words.len() / 2))
            && words.iter().step_by(2).all(|field| {
                elements
                    .next()
                    .is_some_and(|element| element.eq_bytes(field))
            })
    }

    /// Number and place of the fields of the master entry, and the place of the first entry.
    fn master_fields(&self) -> ((usize, usize), usize) {
        let mut elements = self.list.iter();
        let count = elements.nth(FIELDS_AT - 1).and_then(int_of).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0);
        let fields = elements.offset();
        elements.by_ref().take(count + 1).for_each(drop);
        ((count, fields), elements.offset())
    }

    fn count(&self, index: i64) -> u64 {
        self.list
            .get(index)
            .and_then(int_of)
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
    }

    fn add_to_count(&mut self, index: i64, change: i64) {
        if let Some(at) = self.list.seek(index) {
            let count = self.int(at).saturating_add(change).max(0);
            self.list.replace_int(at, count);
        }
    }

    fn int(&self, at: usize) -> i64 {
        int_of(self.list.entry(at)).unwrap_or(0)
    }
}

fn to_int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// An integer, however it is stored.
fn int_of(element: Entry<'_>) -> Option<i64> {
    match element {
        Entry::Int(value) => Some(value),
        Entry::Str(text) => parse_int(text),
    }
}
