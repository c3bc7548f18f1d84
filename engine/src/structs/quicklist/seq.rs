//! The node sequence of a quicklist: both end nodes at hand, the rest in a
//! tree.
//!
//! Queues and stacks work at the ends, so the first and the last node are
//! kept outside the tree: a push or pop touches one node and three counters,
//! and a list of one node has no tree at all.
//!
//! Invariants: `first` is present unless the sequence is empty; `last` is
//! present when there are two nodes or more; no node is empty; the totals are
//! those of all nodes.

use super::node::Node;
use super::tree::{Branch, Slot};
use std::sync::Arc;

/// Heap bytes of a node beside its content: the shared allocation with its
/// two counters, and its place on a page.
const NODE_OVERHEAD: usize = size_of::<Node>() + 2 * size_of::<usize>() + size_of::<Slot>();

#[derive(Debug, Clone, Default)]
pub(super) struct NodeSeq {
    first: Option<Slot>,
    middle: Option<Branch>,
    last: Option<Slot>,
    elems: usize,
    bytes: usize,
    heap: usize,
}

impl NodeSeq {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.middle_len() + usize::from(self.last.is_some())
    }

    /// Number of elements.
    pub(super) fn elems(&self) -> usize {
        self.elems
    }

    /// Serialised bytes of all nodes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Heap bytes of all nodes and of what holds them.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap + self.len() * NODE_OVERHEAD
    }

    pub(super) fn first(&self) -> Option<&Node> {
        self.first.as_ref().map(|slot| &*slot.node)
    }

    pub(super) fn last(&self) -> Option<&Node> {
        let slot = self.last.as_ref().or(self.first.as_ref());
        slot.map(|slot| &*slot.node)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Node> {
        let (slots, start) = self.run_of(at)?;
        slots.get(at - start).map(|slot| &*slot.node)
    }

    /// Neighbouring slots among which node `at` is, and the index of the
    /// first of them.
    pub(super) fn run_of(&self, at: usize) -> Option<(&[Slot], usize)> {
        let middle = self.middle_len();
        if at == 0 {
            self.first
                .as_ref()
                .map(|slot| (std::slice::from_ref(slot), 0))
        } else if at <= middle {
            let (slots, start) = self.middle.as_ref()?.leaf_of(at - 1);
            Some((slots, start + 1))
        } else if at == middle + 1 {
            self.last
                .as_ref()
                .map(|slot| (std::slice::from_ref(slot), at))
        } else {
            None
        }
    }

    /// The node holding element `at`, and the element's index within it.
    pub(super) fn locate(&self, at: usize) -> Option<(usize, usize)> {
        if at >= self.elems {
            return None;
        }
        let first = self.first.as_ref()?.count;
        if at < first {
            return Some((0, at));
        }
        let (inner, rest) = match &self.middle {
            Some(middle) if at - first < middle.elems => {
                let (node, rest) = middle.locate(at - first);
                return Some((node + 1, rest));
            }
            Some(middle) => (middle.nodes, at - first - middle.elems),
            None => (0, at - first),
        };
        Some((inner + 1, rest))
    }

    /// Changes node `at`, which must exist and stay non-empty.
    pub(super) fn update<R>(&mut self, at: usize, f: impl FnOnce(&mut Node) -> R) -> R {
        let (elems, bytes, heap) = (&mut self.elems, &mut self.bytes, &mut self.heap);
        let change = |slot: &mut Slot| {
            *elems -= slot.count;
            *bytes -= slot.node.bytes();
            *heap -= slot.node.heap_bytes();
            let result = slot.update(f);
            // The copy of a shared node may have another capacity.
            *heap += slot.node.heap_bytes();
            *bytes += slot.node.bytes();
            *elems += slot.count;
            result
        };
        let middle = self.middle.as_ref().map_or(0, |branch| branch.nodes);
        match (at, &mut self.first, &mut self.middle, &mut self.last) {
            (0, Some(first), _, _) => change(first),
            (_, _, Some(branch), _) if at <= middle => branch.update(at - 1, change),
            (_, _, _, Some(last)) if at == middle + 1 => change(last),
            _ => unreachable!("no node {at}"),
        }
    }

    /// Puts another node in place of node `at`, which must exist.
    pub(super) fn replace(&mut self, at: usize, node: Node) {
        self.remove(at);
        self.insert(at, node);
    }

    /// Inserts before node `at`, or at the end when `at` is the length.
    pub(super) fn insert(&mut self, at: usize, node: Node) {
        let slot = Slot::new(node);
        self.elems += slot.count;
        self.bytes += slot.node.bytes();
        self.heap += slot.node.heap_bytes();
        let len = self.len();
        if len == 0 {
            self.first = Some(slot);
        } else if at == 0 {
            if let Some(old) = self.first.replace(slot) {
                self.second_slot(old);
            }
        } else if at >= len {
            if let Some(old) = self.last.replace(slot) {
                self.insert_middle(self.middle_len(), old);
            }
        } else {
            self.insert_middle(at - 1, slot);
        }
    }

    /// Takes node `at` out; `None` when there is none.
    pub(super) fn remove(&mut self, at: usize) -> Option<Arc<Node>> {
        let len = self.len();
        let slot = if at == 0 {
            self.first.take()
        } else if at + 1 == len {
            self.last.take()
        } else if at < len {
            self.remove_middle(at - 1)
        } else {
            None
        }?;
        self.refill_ends();
        self.elems -= slot.count;
        self.bytes -= slot.node.bytes();
        self.heap -= slot.node.heap_bytes();
        Some(slot.node)
    }

    /// Drops the nodes `from..to`.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        let len = self.len();
        let to = to.min(len);
        if from >= to {
            return;
        }
        if from == 0 && to == len {
            *self = Self::default();
            return;
        }
        let (elems, bytes, heap) = self.totals(from, to);
        self.elems -= elems;
        self.bytes -= bytes;
        self.heap -= heap;
        if let Some(mut middle) = self.middle.take() {
            let nodes = middle.nodes;
            middle.remove_range(from.max(1) - 1, (to - 1).min(nodes));
            self.middle = middle.trimmed();
        }
        if from == 0 {
            self.first = None;
        }
        if to == len {
            self.last = None;
        }
        self.refill_ends();
    }

    /// Elements, bytes and heap bytes of the nodes `from..to`.
    fn totals(&self, from: usize, to: usize) -> (usize, usize, usize) {
        let (mut elems, mut bytes, mut heap) = (0, 0, 0);
        let mut at = from;
        while at < to {
            let Some((slots, start)) = self.run_of(at) else {
                break;
            };
            let end = (start + slots.len()).min(to);
            for slot in &slots[at - start..end - start] {
                elems += slot.count;
                bytes += slot.node.bytes();
                heap += slot.node.heap_bytes();
            }
            at = end;
        }
        (elems, bytes, heap)
    }

    fn middle_len(&self) -> usize {
        self.middle.as_ref().map_or(0, |branch| branch.nodes)
    }

    /// A slot that was first and now comes second.
    fn second_slot(&mut self, slot: Slot) {
        if self.last.is_none() {
            self.last = Some(slot);
        } else {
            self.insert_middle(0, slot);
        }
    }

    fn insert_middle(&mut self, at: usize, slot: Slot) {
        self.middle = Some(match self.middle.take() {
            None => Branch::leaf(slot),
            Some(mut root) => match root.insert(at, slot) {
                Some(right) => Branch::root(root, right),
                None => root,
            },
        });
    }

    fn remove_middle(&mut self, at: usize) -> Option<Slot> {
        let mut middle = self.middle.take()?;
        let slot = middle.remove(at);
        self.middle = middle.trimmed();
        Some(slot)
    }

    /// Restores the end nodes after removals.
    fn refill_ends(&mut self) {
        if self.first.is_none() {
            self.first = match self.middle_len() {
                0 => self.last.take(),
                _ => self.remove_middle(0),
            };
        }
        if self.last.is_none() {
            self.last = match self.middle_len() {
                0 => None,
                nodes => self.remove_middle(nodes - 1),
            };
        }
    }

    /// Panics unless all invariants hold.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut nodes, mut elems, mut bytes, mut heap) = (0, 0, 0, 0);
        while let Some((slots, start)) = self.run_of(nodes) {
            assert_eq!(start, nodes);
            for slot in slots {
                assert_eq!(slot.count, slot.node.count());
                assert!(slot.count > 0);
                assert_eq!(self.locate(elems), Some((nodes, 0)));
                let end = elems + slot.count;
                assert_eq!(self.locate(end - 1), Some((nodes, slot.count - 1)));
                nodes += 1;
                elems = end;
                bytes += slot.node.bytes();
                heap += slot.node.heap_bytes();
            }
        }
        assert_eq!(
            (nodes, elems, bytes, heap),
            (self.len(), self.elems, self.bytes, self.heap)
        );
        assert_eq!(self.first.is_some(), nodes > 0);
        assert_eq!(self.last.is_some(), nodes > 1);
        assert_eq!(self.locate(elems), None);
    }
}
