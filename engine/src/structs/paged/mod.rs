//! A persistent hash map of packed pages: the one container behind keyspace
//! slots, big hashes, big sets and the member index of sorted sets.
//!
//! ```text
//!                     inner (separators, counts, hints)
//!                    /              |               \
//!            page 0x00..      page 0x40..      page 0x80..      ordered by hash
//!   [header|tags|offsets|records]    ...              ...
//! ```
//!
//! A B+tree ordered by the 64-bit hash of the key, with leaves of up to 80
//! entries packed into one allocation each (`record.rs` has the bytes). Why so:
//!
//! - growth splits one page and never rehashes the whole;
//! - nodes are shared by reference counts: `clone()` is O(1), and a writer after
//!   it copies only the page and the path it touches, which is all a snapshot
//!   needs. An unshared map is changed in place;
//! - an order by hash makes SCAN's promise trivial: a cursor is a hash, and
//!   entries below it have been visited, whatever splits or merges in between;
//! - pages end at bit boundaries of the hash where they can, so that 8-bit tags
//!   taken below the common prefix are spread evenly *and* sorted.
//!
//! Bytes per entry beyond key and payload: 2 of record head, 3 of index, and the
//! slack of the arena, which follows the allocator's size classes (`size.rs`).
//!
//! Keys and payloads longer than 512 bytes are boxed beside the page; an entry
//! may also carry one object of [`Schema::Obj`], kept beside it as well.

mod drain;
mod node;
mod page;
mod record;
mod repack;
mod side;
mod size;
#[cfg(test)]
mod tests;
mod walk;
mod watch;

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

use self::node::{MAX_FANOUT, Node};
use self::page::{Done, Leaf, Put};
use self::record::Span;
use self::walk::{Due, Scan};
use super::hash;
use super::prefetch::prefetch;

pub use self::drain::Drain;
pub use self::walk::Iter;
pub use self::watch::{Copied, Watched, Watcher, Watching, watch, write_to_slot};

/// A removed payload.
pub type Payload = SmallVec<[u8; 48]>;

/// What a map holds besides keys and payload bytes, and how it reads payloads.
pub trait Schema: 'static {
    /// The out-of-line object an entry may carry; cloned when a shared page is
    /// about to be changed, so its `clone` should be cheap.
    type Obj: Clone;

    /// Whether [`Watcher`]s are told when a shared page is copied.
    const WATCHED: Watched = Watched::No;

    /// A number to find entries by page, such as an expiry time; `u64::MAX` says
    /// none. Pages and subtrees know a lower bound of the hints below them.
    #[inline]
    fn hint(payload: &[u8]) -> u64 {
        let _ = payload;
        u64::MAX
    }

    /// The hash of a key. The `_hashed` methods must be given this very number.
    #[inline]
    fn hash(key: &[u8]) -> u64 {
        hash::hash(key)
    }
}

/// An entry of a map.
pub struct Entry<'a, S: Schema> {
    /// The key.
    pub key: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The out-of-line object, if the entry has one.
    pub obj: Option<&'a S::Obj>,
}

impl<S: Schema> Clone for Entry<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Schema> Copy for Entry<'_, S> {}

/// An entry opened for change in place. The payload keeps its length.
///
/// Changing the payload so that [`Schema::hint`] gets *lower* must be followed by
/// [`PagedMap::lower_hint`] (or be done with `put`), else expiry may miss it.
pub struct EntryMut<'a, S: Schema> {
    /// The payload.
    pub payload: &'a mut [u8],
    /// The out-of-line object, if the entry has one.
    pub obj: Option<&'a mut S::Obj>,
}

/// What a put replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct Old<O> {
    /// The object of the replaced entry.
    pub obj: Option<O>,
}

/// A map from byte strings to payload bytes and an optional object; see the
/// module's head.
pub struct PagedMap<S: Schema> {
    root: Option<Node<S>>,
}

impl<S: Schema> Clone for PagedMap<S> {
    /// Shares all pages with the copy: O(1).
    fn clone(&self) -> Self {
        PagedMap {
            root: self.root.clone(),
        }
    }
}

impl<S: Schema> Default for PagedMap<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Schema> PagedMap<S> {
    /// An empty map; allocates nothing.
    pub const fn new() -> Self {
        PagedMap { root: None }
    }

    /// The number of entries: O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.root.as_ref().map_or(0, Node::count) as usize
    }

    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Bytes allocated by the map, not counting what objects own; shared pages
    /// count in full. O(pages).
    pub fn heap_bytes(&self) -> usize {
        self.root.as_ref().map_or(0, |root| measure(root).0)
    }

    /// Whether an entry has an object, or a key or payload beside its page. O(pages).
    pub fn has_objects(&self) -> bool {
        self.root.as_ref().is_some_and(Node::has_objects)
    }

    /// The number of pages. O(pages).
    pub fn page_count(&self) -> usize {
        self.root.as_ref().map_or(0, |root| measure(root).1)
    }

    /// Looks a key up.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Entry<'_, S>> {
        self.get_hashed(S::hash(key), key)
    }

    /// Looks a key up whose hash is known.
    #[inline]
    pub fn get_hashed(&self, h: u64, key: &[u8]) -> Option<Entry<'_, S>> {
        debug_assert_eq!(h, S::hash(key));
        let (page, span) = self.root.as_ref()?.page(h);
        page.get(span, h, key)
    }

    /// Asks the processor for what a look-up reads first.
    #[inline]
    pub fn prefetch(&self) {
        match &self.root {
            Some(Node::Leaf(leaf)) => leaf.prefetch(),
            Some(Node::Inner(inner)) => prefetch(Arc::as_ptr(inner)),
            None => {}
        }
    }

    /// Asks the processor for what a put writes, of a map that was asked for with [`Self::prefetch`] some time before.
    #[inline]
    pub fn prefetch_end(&self) {
        if let Some(Node::Leaf(leaf)) = &self.root {
            leaf.prefetch_end();
        }
    }

    /// Opens an entry for change in place; see [`EntryMut`] about hints.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, S>> {
        self.get_mut_hashed(S::hash(key), key)
    }

    /// Like [`Self::get_mut`] with a known hash.
    pub fn get_mut_hashed(&mut self, h: u64, key: &[u8]) -> Option<EntryMut<'_, S>> {
        debug_assert_eq!(h, S::hash(key));
        if self.shared_without(h, key) {
            return None;
        }
        self.root.as_mut()?.get_mut(h, key)
    }

    /// Whether the tree is shared and lacks the key: then looking it up for change
    /// would copy nodes for nothing.
    fn shared_without(&self, h: u64, key: &[u8]) -> bool {
        match &self.root {
            Some(Node::Inner(root)) => {
                Arc::strong_count(root) > 1 && self.get_hashed(h, key).is_none()
            }
            _ => false,
        }
    }

    /// Inserts an entry or replaces it whole (payload and object). The payload is
    /// the concatenation of `payload_parts`.
    pub fn put_hashed(
        &mut self,
        h: u64,
        key: &[u8],
        payload_parts: &[&[u8]],
        obj: Option<S::Obj>,
    ) -> Option<Old<S::Obj>> {
        self.put_expecting(h, key, payload_parts, obj, (0, 0))
    }

    /// Like [`Self::put_hashed`]; an empty map gets room for the entries that are expected: so many, with so many bytes of keys
    /// and payloads. They need not come, but room that is not used is lost until the map is written to again and again.
    pub(crate) fn put_expecting(
        &mut self,
        h: u64,
        key: &[u8],
        payload_parts: &[&[u8]],
        obj: Option<S::Obj>,
        (entries, bytes): (usize, usize),
    ) -> Option<Old<S::Obj>> {
        debug_assert_eq!(h, S::hash(key));
        let mut put = Put {
            hash: h,
            key,
            parts: payload_parts,
            pay_len: payload_parts.iter().map(|part| part.len()).sum(),
            obj,
            hint: u64::MAX,
            hint_raised: false,
        };
        let root = self.root.get_or_insert_with(|| {
            Node::Leaf(match entries {
                0 => Leaf::empty(),
                _ => Leaf::with_room(entries, bytes.saturating_add(entries.saturating_mul(2))),
            })
        });
        loop {
            match root.put(Span::FULL, &mut put) {
                Done::Full => root.grow_root(),
                Done::Put(old) => {
                    if let Node::Inner(inner) = root
                        && inner.kids.len() > MAX_FANOUT
                    {
                        root.grow_root();
                    }
                    return old;
                }
            }
        }
    }

    /// Inserts an entry or replaces it whole.
    pub fn put(&mut self, key: &[u8], payload: &[u8], obj: Option<S::Obj>) -> Option<Old<S::Obj>> {
        self.put_hashed(S::hash(key), key, &[payload], obj)
    }

    /// Removes an entry and returns its payload and object.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Payload, Option<S::Obj>)> {
        self.remove_hashed(S::hash(key), key)
    }

    /// Like [`Self::remove`] with a known hash.
    pub fn remove_hashed(&mut self, h: u64, key: &[u8]) -> Option<(Payload, Option<S::Obj>)> {
        debug_assert_eq!(h, S::hash(key));
        if self.shared_without(h, key) {
            return None;
        }
        let root = self.root.as_mut()?;
        let removed = root.remove(Span::FULL, h, key)?;
        if root.count() == 0 {
            self.root = None;
        } else {
            while let Node::Inner(inner) = root
                && inner.kids.len() == 1
            {
                let only = inner.kids[0].node.clone();
                *root = only;
            }
        }
        Some((removed.payload, removed.obj))
    }

    /// Visits entries in hash order whose hash is at least `from_hash`: `count` of
    /// them (at least one) if there are that many, and then those whose hash agrees
    /// with the last one's in the top `align_bits` bits.
    ///
    /// Returns the `from_hash` to go on with, its low `64 - align_bits` bits zero,
    /// or `None` at the end. Every entry with a smaller hash has been visited, so a
    /// series of calls meets each entry present throughout, whatever is put or
    /// removed between them. A `from_hash` with low bits set is taken as it is.
    pub fn scan<'a>(
        &'a self,
        from_hash: u64,
        align_bits: u32,
        count: usize,
        f: &mut dyn FnMut(u64, Entry<'a, S>),
    ) -> Option<u64> {
        let mut scan = Scan {
            from: from_hash,
            shift: 64 - align_bits.min(64),
            left: count.max(1),
            group: 0,
            f,
        };
        match scan.run(self.root.as_ref()?, Span::FULL) {
            ControlFlow::Break(next) => Some(next),
            ControlFlow::Continue(()) => None,
        }
    }

    /// Iterates over the entries in hash order.
    pub fn iter(&self) -> Iter<'_, S> {
        Iter::new(self.root.as_ref())
    }

    /// The entry of this rank in hash order: O(log n).
    pub fn nth(&self, rank: usize) -> Option<Entry<'_, S>> {
        walk::nth(self.root.as_ref()?, rank as u64)
    }

    /// Visits all entries of up to `max_pages` pages that may hold an entry with a
    /// hint of at most `limit_hint`, from the page covering `from_hash` on.
    ///
    /// Returns the hash to go on with, or `None` after the last such page. Subtrees
    /// without due pages are passed over unseen.
    pub fn pages_due<'a>(
        &'a self,
        from_hash: u64,
        limit_hint: u64,
        max_pages: usize,
        f: &mut dyn FnMut(Entry<'a, S>),
    ) -> Option<u64> {
        let mut due = Due {
            from: from_hash,
            limit: limit_hint,
            left: max_pages.max(1),
            f,
        };
        match due.run(self.root.as_ref()?, Span::FULL) {
            ControlFlow::Break(next) => Some(next),
            ControlFlow::Continue(()) => None,
        }
    }

    /// A lower bound of all hints, `u64::MAX` if there are none. At most one node
    /// is read.
    pub fn min_hint(&self) -> u64 {
        self.root.as_ref().map_or(u64::MAX, Node::hint)
    }

    /// Makes the bounds above the page of hash `h` hold for an entry of this hint;
    /// to be called after [`Self::get_mut`] lowered one.
    pub fn lower_hint(&mut self, h: u64, hint: u64) {
        if let Some(root) = &mut self.root {
            root.with_page(h, &mut |page| page.lower_hint(hint));
        }
    }

    /// Computes the bound of the page of hash `h` anew, so that it gets exact after
    /// [`Self::get_mut`] changed hints in either direction. Puts and removals do
    /// this themselves.
    pub fn refresh_hint(&mut self, h: u64) {
        if let Some(root) = &mut self.root {
            root.with_page(h, &mut Leaf::recompute_hint);
        }
    }
}

impl<S: Schema> PagedMap<S> {
    /// Gives back what the page of hash `h` has too much, down to the allocator's size class.
    /// Removals leave some room for later entries; this is for when memory is short.
    pub fn trim(&mut self, h: u64) {
        if let Some(root) = &mut self.root {
            root.with_page(h, &mut Leaf::trim);
        }
    }
}

impl<'a, S: Schema> IntoIterator for &'a PagedMap<S> {
    type Item = Entry<'a, S>;
    type IntoIter = Iter<'a, S>;

    fn into_iter(self) -> Iter<'a, S> {
        self.iter()
    }
}

/// Heap bytes and pages below a node.
fn measure<S: Schema>(node: &Node<S>) -> (usize, usize) {
    match node {
        Node::Leaf(leaf) => (leaf.heap_bytes(), 1),
        Node::Inner(inner) => {
            let own = size_of::<node::Inner<S>>()
                + size::ARC_HEADER
                + inner.seps.capacity() * size_of::<u64>()
                + inner.kids.capacity() * size_of::<node::Kid<S>>();
            inner
                .kids
                .iter()
                .map(|kid| measure(&kid.node))
                .fold((own, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        }
    }
}
