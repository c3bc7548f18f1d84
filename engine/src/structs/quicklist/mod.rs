//! Quicklist: the container of long lists.
//!
//! A sequence of nodes, each a [`Listpack`] of a few kilobytes or one huge
//! element. Where Redis links its nodes in a ring of pointers, here they hang
//! in a persistent tree of `Arc`s (`seq.rs`, `tree.rs`), which gives
//!
//! - `clone` in O(1): a snapshot; a later write copies only the node it
//!   touches and the pages above it, never the list;
//! - an element by index in O(log n) and the count in O(1);
//! - pushes and pops that touch one end node and nothing else.
//!
//! Node boundaries follow Redis 7.2 exactly (`node.rs` has the limits,
//! `edit.rs` the rules for splitting and merging), because `DUMP` shows them.
//! Compression of inner nodes is not done: no reply depends on it.

mod edit;
mod iter;
mod node;
mod seq;
#[cfg(test)]
mod tests;
mod tree;

pub use iter::Iter;
pub use node::{DEFAULT_PACKED_THRESHOLD, Node, exceeds_limit, node_limit};

use basalt_formats::packed::{Entry, Listpack};
use node::Rules;
use seq::NodeSeq;
use std::sync::Arc;

/// A list of byte strings in nodes, cheap to clone.
#[derive(Debug, Clone)]
pub struct QuickList {
    seq: NodeSeq,
    rules: Rules,
}

impl QuickList {
    /// An empty list. `fill` is `list-max-listpack-size`: -1 to -5 for 4 to
    /// 64 KiB per node, or a number of elements per node.
    pub fn new(fill: i32) -> Self {
        Self {
            seq: NodeSeq::default(),
            rules: Rules::new(fill),
        }
    }

    /// A list whose only node is this listpack (no node if it is empty).
    pub fn from_listpack(list: Listpack, fill: i32) -> Self {
        let mut quick = Self::new(fill);
        quick.push_node(Node::Packed(list));
        quick
    }

    /// The only node, if there is exactly one and it is packed.
    pub fn single_listpack(&self) -> Option<&Listpack> {
        match (self.node_count(), self.seq.first()) {
            (1, Some(Node::Packed(list))) => Some(list),
            _ => None,
        }
    }

    /// Takes the listpack of [`QuickList::single_listpack`] out; copies it
    /// when a clone of the list shares it. The list is empty afterwards.
    pub fn take_single_listpack(&mut self) -> Option<Listpack> {
        self.single_listpack()?;
        match Arc::unwrap_or_clone(self.seq.remove(0)?) {
            Node::Packed(list) => Some(list),
            Node::Plain(_) => None,
        }
    }

    /// Appends a whole node as it comes, for loading; an empty listpack is
    /// left out.
    pub fn push_node(&mut self, node: Node) {
        if node.count() > 0 {
            self.seq.insert(self.seq.len(), node);
        }
    }

    /// Elements of at least this many bytes get nodes of their own from now
    /// on; 0 stands for the default.
    pub fn set_packed_threshold(&mut self, bytes: usize) {
        self.rules.packed_threshold = match bytes {
            0 => DEFAULT_PACKED_THRESHOLD,
            bytes => bytes,
        };
    }

    /// The fill factor in use.
    pub fn fill(&self) -> i32 {
        self.rules.fill
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        self.seq.elems()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of nodes (`ql_nodes` of `DEBUG OBJECT`). O(1).
    pub fn node_count(&self) -> usize {
        self.seq.len()
    }

    /// Serialised bytes of all nodes (`ql_uncompressed_size`). O(1).
    pub fn node_bytes(&self) -> usize {
        self.seq.bytes()
    }

    /// Heap bytes held, shared ones included. O(1), page slack estimated.
    pub fn heap_bytes(&self) -> usize {
        self.seq.heap_bytes()
    }

    /// Appends an element.
    pub fn push_back(&mut self, value: &[u8]) {
        let nodes = self.seq.len();
        if self.rules.is_large(value.len()) {
            self.seq.insert(nodes, Node::Plain(value.into()));
        } else if self.rules.allow_insert(self.seq.last(), value.len()) {
            self.edit(nodes - 1, |list| list.push_back(value));
        } else {
            self.seq.insert(nodes, Node::packed(value));
        }
    }

    /// Prepends an element.
    pub fn push_front(&mut self, value: &[u8]) {
        if self.rules.is_large(value.len()) {
            self.seq.insert(0, Node::Plain(value.into()));
        } else if self.rules.allow_insert(self.seq.first(), value.len()) {
            self.edit(0, |list| list.push_front(value));
        } else {
            self.seq.insert(0, Node::packed(value));
        }
    }

    /// Removes the first element after showing it to `f`.
    pub fn pop_front_with<R>(&mut self, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let result = f(self.get(0)?);
        self.delete_at(0, 0);
        Some(result)
    }

    /// Removes the last element after showing it to `f`.
    pub fn pop_back_with<R>(&mut self, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let node = self.seq.last()?;
        let result = f(match node {
            Node::Packed(list) => list.get(-1)?,
            Node::Plain(value) => Entry::Str(value),
        });
        let at = node.count() - 1;
        self.delete_at(self.seq.len() - 1, at);
        Some(result)
    }

    /// Removes the first element.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.pop_front_with(|entry| entry.to_vec())
    }

    /// Removes the last element.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        self.pop_back_with(|entry| entry.to_vec())
    }

    /// The element at an index; -1 is the last. O(log n) and a walk in a node.
    pub fn get(&self, index: i64) -> Option<Entry<'_>> {
        let (node, at) = self.seq.locate(self.position(index)?)?;
        match self.seq.get(node)? {
            Node::Packed(list) => list.get(i64::try_from(at).ok()?),
            Node::Plain(value) => Some(Entry::Str(value)),
        }
    }

    /// All elements, head to tail.
    pub fn iter(&self) -> Iter<'_> {
        Iter::forward(self, 0)
    }

    /// The elements from `index` towards the tail.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter::forward(self, index)
    }

    /// The elements from `index` towards the head, `index` first.
    pub fn iter_back_from(&self, index: usize) -> Iter<'_> {
        Iter::backward(self, index)
    }

    /// The nodes, head to tail, for serialising.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> + '_ {
        let runs = std::iter::successors(self.seq.run_of(0), |(slots, start)| {
            self.seq.run_of(start + slots.len())
        });
        runs.flat_map(|(slots, _)| slots.iter().map(|slot| &*slot.node))
    }

    /// The position an index from either end means.
    fn position(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let position = match usize::try_from(index) {
            Ok(position) => position,
            Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (position < len).then_some(position)
    }

    /// Changes a packed node; a plain one is left alone.
    fn edit(&mut self, node: usize, f: impl FnOnce(&mut Listpack)) {
        self.seq.update(node, |node| {
            if let Node::Packed(list) = node {
                f(list);
            }
        });
    }
}
