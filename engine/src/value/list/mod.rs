//! The list type: a listpack while small, a quicklist beyond.
//!
//! The encoding is visible (`OBJECT ENCODING`, `DUMP`), so the moments of
//! conversion are Redis 7.2's, at the same places:
//!
//! - *before* elements are added, a listpack that would exceed one node's
//!   limits becomes a quicklist (also when the addition then fails);
//! - *after* elements went away, a quicklist of one packed node within half
//!   the limits becomes a listpack again;
//! - a list built as a whole (load, `SORT ... STORE`) takes the encoding its
//!   size asks for.
//!
//! Indexes count from the head, or from the tail when negative (-1 is last).

mod read;
#[cfg(test)]
mod tests;

pub use read::Iter;

use crate::structs::quicklist::{Node, QuickList, exceeds_limit, node_limit};
use basalt_formats::packed::{Entry, Listpack, Needle};

/// The settings lists obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListLimits {
    /// `list-max-listpack-size`.
    pub max_listpack_size: i32,
    /// `list-compress-depth`; accepted, without effect so far.
    pub compress_depth: i32,
    /// Elements of at least this many bytes get their own node in a
    /// quicklist; 0 is the default of 1 GiB. Only `DEBUG` changes it.
    pub packed_threshold: usize,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self {
            max_listpack_size: -2,
            compress_depth: 0,
            packed_threshold: 0,
        }
    }
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The head, index 0.
    Left,
    /// The tail, index -1.
    Right,
}

/// An element taken out of a list.
///
/// An integer element of a quicklist stays an integer on its way to another
/// list (`LMOVE`), which matters: it then does not count towards the size
/// limit of a listpack it is moved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Popped {
    /// An integer element of a quicklist.
    Int(i64),
    /// Any other element.
    Bytes(Vec<u8>),
}

impl Popped {
    /// The element's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Popped::Int(value) => Entry::Int(value).to_vec(),
            Popped::Bytes(bytes) => bytes,
        }
    }

    /// Calls `f` with the element's bytes.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Popped::Int(value) => Entry::Int(*value).with_bytes(f),
            Popped::Bytes(bytes) => f(bytes),
        }
    }

    /// What the element counts towards a listpack's size limit.
    fn counted_bytes(&self) -> usize {
        match self {
            Popped::Int(_) => 0,
            Popped::Bytes(bytes) => bytes.len(),
        }
    }
}

/// The value of a list key.
#[derive(Debug, Clone)]
pub enum List {
    /// All elements in one listpack.
    Packed(Listpack),
    /// Many nodes; cloning shares them.
    Quick(Box<QuickList>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list, to be filled at once: no key holds one.
    pub fn new() -> Self {
        List::Packed(Listpack::new())
    }

    /// A list built as a whole, in the encoding its size asks for.
    pub fn from_values<T: AsRef<[u8]>>(
        limits: &ListLimits,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut list = Self::quick_from_values(limits, values);
        list.convert_built(limits);
        list
    }

    /// A quicklist built as a whole, however short: what lists in the oldest packed form
    /// are loaded as.
    pub fn quick_from_values<T: AsRef<[u8]>>(
        limits: &ListLimits,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut quick = Box::new(new_quick(limits));
        for value in values {
            quick.push_back(value.as_ref());
        }
        List::Quick(quick)
    }

    /// A list of loaded nodes, in the encoding its size asks for. Empty nodes
    /// are left out; check [`List::is_empty`].
    pub fn from_nodes(limits: &ListLimits, nodes: impl IntoIterator<Item = Node>) -> Self {
        let mut quick = Box::new(new_quick(limits));
        for node in nodes {
            quick.push_node(node);
        }
        let mut list = List::Quick(quick);
        list.convert_built(limits);
        list
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            List::Packed(list) => list.len(),
            List::Quick(list) => list.len(),
        }
    }

    /// Whether there is no element; the key must then be deleted.
    pub fn is_empty(&self) -> bool {
        match self {
            List::Packed(list) => list.is_empty(),
            List::Quick(list) => list.is_empty(),
        }
    }

    /// The name `OBJECT ENCODING` gives.
    pub fn encoding(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Quick(_) => "quicklist",
        }
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        match self {
            List::Packed(list) => list.heap_bytes(),
            List::Quick(list) => size_of::<QuickList>() + list.heap_bytes(),
        }
    }

    /// How many allocations freeing it takes, roughly: one for a listpack, one
    /// for each node of a quicklist.
    pub fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(list) => list.node_count().max(1),
        }
    }

    /// Pushes the values one after the other at one end.
    pub fn push<T: AsRef<[u8]>>(&mut self, limits: &ListLimits, side: Side, values: &[T]) {
        let bytes = values.iter().fold(0usize, |sum, value| {
            sum.saturating_add(value.as_ref().len())
        });
        self.grow(limits, bytes, values.len());
        for value in values {
            self.push_one(side, value.as_ref());
        }
    }

    /// Pushes an element popped from a list (`LMOVE` and its kin).
    pub fn push_popped(&mut self, limits: &ListLimits, side: Side, value: &Popped) {
        self.grow(limits, value.counted_bytes(), 1);
        value.with_bytes(|bytes| self.push_one(side, bytes));
    }

    /// Takes the element at one end out.
    pub fn pop(&mut self, limits: &ListLimits, side: Side) -> Option<Popped> {
        let popped = self.take(side)?;
        self.shrink(limits);
        Some(popped)
    }

    /// Takes up to `count` elements out, from the end inwards, showing each
    /// to `f` first; gives how many.
    pub fn pop_many(
        &mut self,
        limits: &ListLimits,
        side: Side,
        count: usize,
        f: impl FnMut(Entry<'_>),
    ) -> usize {
        let len = self.len();
        let count = count.min(len);
        let Some(last) = count.checked_sub(1) else {
            return 0;
        };
        match side {
            Side::Left => {
                self.iter_from(0).take(count).for_each(f);
                self.delete_range(0, count);
            }
            Side::Right => {
                self.iter_back_from(len - 1).take(count).for_each(f);
                self.delete_range(len - 1 - last, count);
            }
        }
        self.shrink(limits);
        count
    }

    /// Moves an element from one end to an end of the same list (`LMOVE` with
    /// one key) and gives it; `None` when the list is empty.
    pub fn rotate(&mut self, limits: &ListLimits, from: Side, to: Side) -> Option<Popped> {
        let popped = self.take(from)?;
        self.push_popped(limits, to, &popped);
        self.shrink(limits);
        Some(popped)
    }

    /// Replaces the element at an index; false when there is none.
    pub fn set(&mut self, limits: &ListLimits, index: i64, value: &[u8]) -> bool {
        self.grow(limits, value.len(), 1);
        let done = match self {
            List::Packed(list) => match list.seek(index) {
                Some(offset) => {
                    list.replace(offset, value);
                    true
                }
                None => false,
            },
            List::Quick(list) => list.set(index, value),
        };
        if done {
            self.shrink(limits);
        }
        done
    }

    /// Inserts before or after the first element equal to `pivot`; false when
    /// there is none (the encoding may have changed all the same).
    pub fn insert(&mut self, limits: &ListLimits, pivot: &[u8], after: bool, value: &[u8]) -> bool {
        self.grow(limits, value.len(), 1);
        match self {
            List::Packed(list) => {
                let found = list.first().and_then(|first| list.find(first, pivot, 0));
                match found {
                    Some(offset) if after => {
                        list.insert_after(offset, value);
                    }
                    Some(offset) => list.insert_before(offset, value),
                    None => return false,
                }
                true
            }
            List::Quick(list) => list.insert(pivot, after, value),
        }
    }

    /// Removes elements equal to `value`: the first `count`, the last
    /// `-count`, or all for 0; gives how many.
    pub fn remove(&mut self, limits: &ListLimits, count: i64, value: &[u8]) -> usize {
        let removed = match self {
            List::Packed(list) => remove_packed(list, count, value),
            List::Quick(list) => list.remove(count, value),
        };
        if removed > 0 {
            self.shrink(limits);
        }
        removed
    }

    /// Keeps only the elements from index `start` to index `end`; gives how
    /// many were removed.
    pub fn trim(&mut self, limits: &ListLimits, start: i64, end: i64) -> usize {
        let len = self.len();
        match read::clamp_range(start, end, len) {
            Some((first, last)) => {
                self.delete_range(last + 1, len - 1 - last);
                self.delete_range(0, first);
            }
            None => *self = Self::new(),
        }
        self.shrink(limits);
        len - self.len()
    }

    /// Converts before growing by `count` elements of `bytes` in total.
    fn grow(&mut self, limits: &ListLimits, bytes: usize, count: usize) {
        match self {
            List::Packed(list) => {
                let total = list.bytes().saturating_add(bytes);
                if exceeds_limit(limits.max_listpack_size, total, list.len() + count) {
                    self.make_quick(limits);
                }
            }
            List::Quick(list) => list.set_packed_threshold(limits.packed_threshold),
        }
    }

    /// Converts after elements were removed. An empty list is left alone: it
    /// is about to be deleted.
    fn shrink(&mut self, limits: &ListLimits) {
        self.make_packed(limits, 2);
    }

    /// Converts a list that was built as a whole.
    fn convert_built(&mut self, limits: &ListLimits) {
        match self {
            List::Packed(_) => self.grow(limits, 0, 0),
            List::Quick(_) => self.make_packed(limits, 1),
        }
    }

    fn make_quick(&mut self, limits: &ListLimits) {
        if let List::Packed(list) = self {
            let mut quick = Box::new(new_quick(limits));
            quick.push_node(Node::Packed(std::mem::take(list)));
            *self = List::Quick(quick);
        }
    }

    /// Unpacks a quicklist of one packed node within `1/divisor` of the limit.
    fn make_packed(&mut self, limits: &ListLimits, divisor: usize) {
        let List::Quick(quick) = self else { return };
        let Some(only) = quick.single_listpack() else {
            return;
        };
        let (max_bytes, max_count) = node_limit(limits.max_listpack_size);
        if only.bytes() <= max_bytes / divisor
            && quick.len() <= max_count / divisor
            && let Some(list) = quick.take_single_listpack()
        {
            *self = List::Packed(list);
        }
    }

    fn push_one(&mut self, side: Side, value: &[u8]) {
        match (self, side) {
            (List::Packed(list), Side::Left) => list.push_front(value),
            (List::Packed(list), Side::Right) => list.push_back(value),
            (List::Quick(list), Side::Left) => list.push_front(value),
            (List::Quick(list), Side::Right) => list.push_back(value),
        }
    }

    /// Takes an element out without converting.
    fn take(&mut self, side: Side) -> Option<Popped> {
        match self {
            List::Packed(list) => {
                let offset = match side {
                    Side::Left => list.first(),
                    Side::Right => list.last(),
                }?;
                let bytes = list.entry(offset).to_vec();
                list.delete(offset);
                Some(Popped::Bytes(bytes))
            }
            List::Quick(list) => {
                let keep = |entry: Entry<'_>| match entry {
                    Entry::Int(value) => Popped::Int(value),
                    Entry::Str(bytes) => Popped::Bytes(bytes.to_vec()),
                };
                match side {
                    Side::Left => list.pop_front_with(keep),
                    Side::Right => list.pop_back_with(keep),
                }
            }
        }
    }

    fn delete_range(&mut self, start: usize, count: usize) {
        match self {
            List::Packed(list) => {
                if let Ok(start) = i64::try_from(start) {
                    list.delete_range(start, count);
                }
            }
            List::Quick(list) => {
                list.delete_range(start, count);
            }
        }
    }
}

fn new_quick(limits: &ListLimits) -> QuickList {
    let mut quick = QuickList::new(limits.max_listpack_size);
    quick.set_packed_threshold(limits.packed_threshold);
    quick
}

/// `LREM` on a listpack, in one pass.
fn remove_packed(list: &mut Listpack, count: i64, value: &[u8]) -> usize {
    let needle = Needle::new(value);
    let limit = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let offsets = list.match_offsets(&needle, limit, count >= 0);
    list.delete_offsets(&offsets);
    offsets.len()
}
