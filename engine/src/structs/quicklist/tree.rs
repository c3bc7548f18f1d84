//! A persistent sequence of nodes: a B+tree by position.
//!
//! ```text
//!            Inner [ branch(nodes, elems), branch, ... ]
//!                     |
//!            Leaf  [ slot(node, count), slot, ... ]
//! ```
//!
//! Every branch knows how many nodes and elements lie below it, so finding
//! the node of an element takes one walk down. Cloning a branch clones an
//! `Arc`; a change copies only the shared pages on its path. Pages hold at
//! most [`WIDTH`] items. Small pages are merged with a neighbour when that
//! fits, but may stay small at the ends: depth only ever grows by splits, so
//! it stays logarithmic in the largest size the sequence had.

use super::node::Node;
use std::sync::Arc;

/// Most items on a page.
pub(super) const WIDTH: usize = 32;

/// Pages below this look for a neighbour to merge with.
const SMALL: usize = WIDTH / 4;

/// A node with its element count, kept beside it so that seeking does not
/// touch the node.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) node: Arc<Node>,
    pub(super) count: usize,
}

impl Slot {
    pub(super) fn new(node: Node) -> Self {
        let count = node.count();
        Self {
            node: Arc::new(node),
            count,
        }
    }

    /// Changes the node, copying it first when a snapshot shares it.
    pub(super) fn update<R>(&mut self, f: impl FnOnce(&mut Node) -> R) -> R {
        let node = Arc::make_mut(&mut self.node);
        let result = f(node);
        self.count = node.count();
        result
    }
}

#[derive(Debug, Clone)]
enum Page {
    Leaf(Vec<Slot>),
    Inner(Vec<Branch>),
}

/// A subtree with its totals. Never empty while it hangs in a parent.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    page: Arc<Page>,
    pub(super) nodes: usize,
    pub(super) elems: usize,
}

impl Branch {
    pub(super) fn leaf(slot: Slot) -> Self {
        Self::of(Page::Leaf(vec![slot]))
    }

    /// A root over two halves of a split one.
    pub(super) fn root(left: Branch, right: Branch) -> Self {
        Self::of(Page::Inner(vec![left, right]))
    }

    fn of(page: Page) -> Self {
        let (nodes, elems) = totals(&page);
        Self {
            page: Arc::new(page),
            nodes,
            elems,
        }
    }

    /// The leaf page holding node `at`, and the index of its first node.
    pub(super) fn leaf_of(&self, at: usize) -> (&[Slot], usize) {
        let mut page = &*self.page;
        let mut start = 0;
        loop {
            match page {
                Page::Leaf(slots) => return (slots, start),
                Page::Inner(branches) => {
                    let (index, rest) = position(branches, at - start, |branch| branch.nodes);
                    start = at - rest;
                    page = &branches[index].page;
                }
            }
        }
    }

    /// The node holding element `at`, and the element's index within it.
    pub(super) fn locate(&self, at: usize) -> (usize, usize) {
        let mut page = &*self.page;
        let mut before = 0;
        let mut at = at;
        loop {
            match page {
                Page::Leaf(slots) => {
                    let (index, rest) = position(slots, at, |slot| slot.count);
                    return (before + index, rest);
                }
                Page::Inner(branches) => {
                    let (index, rest) = position(branches, at, |branch| branch.elems);
                    before += branches[..index].iter().map(|b| b.nodes).sum::<usize>();
                    at = rest;
                    page = &branches[index].page;
                }
            }
        }
    }

    /// Changes the slot of node `at`.
    pub(super) fn update<R>(&mut self, at: usize, f: impl FnOnce(&mut Slot) -> R) -> R {
        match Arc::make_mut(&mut self.page) {
            Page::Leaf(slots) => {
                let slot = &mut slots[at];
                let before = slot.count;
                let result = f(slot);
                self.elems = self.elems - before + slot.count;
                result
            }
            Page::Inner(branches) => {
                let (index, rest) = position(branches, at, |branch| branch.nodes);
                let branch = &mut branches[index];
                let before = branch.elems;
                let result = branch.update(rest, f);
                self.elems = self.elems - before + branch.elems;
                result
            }
        }
    }

    /// Inserts before node `at` (or at the end). A full page gives its right
    /// part back as a new branch.
    pub(super) fn insert(&mut self, at: usize, slot: Slot) -> Option<Branch> {
        self.nodes += 1;
        self.elems += slot.count;
        let right = match Arc::make_mut(&mut self.page) {
            Page::Leaf(slots) => insert_or_split(slots, at, slot).map(Page::Leaf),
            Page::Inner(branches) => {
                // Nodes go to the branch they would extend at its end, so that
                // appending fills pages completely.
                let (index, rest) = match at.checked_sub(1) {
                    Some(before) => {
                        let (index, rest) = position(branches, before, |branch| branch.nodes);
                        (index, rest + 1)
                    }
                    None => (0, 0),
                };
                match branches[index].insert(rest, slot) {
                    Some(branch) => insert_or_split(branches, index + 1, branch).map(Page::Inner),
                    None => None,
                }
            }
        };
        let right = Branch::of(right?);
        self.nodes -= right.nodes;
        self.elems -= right.elems;
        Some(right)
    }

    /// Takes node `at` out.
    pub(super) fn remove(&mut self, at: usize) -> Slot {
        let slot = match Arc::make_mut(&mut self.page) {
            Page::Leaf(slots) => slots.remove(at),
            Page::Inner(branches) => {
                let (index, rest) = position(branches, at, |branch| branch.nodes);
                let slot = branches[index].remove(rest);
                settle(branches, index);
                slot
            }
        };
        self.nodes -= 1;
        self.elems -= slot.count;
        slot
    }

    /// Drops the nodes `from..to`.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let page = Arc::make_mut(&mut self.page);
        match page {
            Page::Leaf(slots) => drop(slots.drain(from..to)),
            Page::Inner(branches) => {
                let mut end = 0;
                branches.retain_mut(|branch| {
                    let start = end;
                    end += branch.nodes;
                    if from <= start && end <= to {
                        return false;
                    }
                    if from < end && start < to {
                        let from = from.saturating_sub(start);
                        branch.remove_range(from, to.min(end) - start);
                    }
                    true
                });
                for index in (0..branches.len()).rev() {
                    settle(branches, index);
                }
            }
        }
        (self.nodes, self.elems) = totals(page);
    }

    /// Drops roots that have become a mere link; `None` when empty.
    pub(super) fn trimmed(mut self) -> Option<Self> {
        loop {
            let only = match &*self.page {
                Page::Inner(branches) if branches.len() == 1 => branches[0].clone(),
                _ => break,
            };
            self = only;
        }
        (self.nodes > 0).then_some(self)
    }

    /// Items on the top page.
    fn width(&self) -> usize {
        match &*self.page {
            Page::Leaf(slots) => slots.len(),
            Page::Inner(branches) => branches.len(),
        }
    }

    /// Appends the page of the right neighbour, which has the same depth.
    fn absorb(&mut self, right: Branch) {
        self.nodes += right.nodes;
        self.elems += right.elems;
        match (
            Arc::make_mut(&mut self.page),
            Arc::unwrap_or_clone(right.page),
        ) {
            (Page::Leaf(left), Page::Leaf(right)) => left.extend(right),
            (Page::Inner(left), Page::Inner(right)) => left.extend(right),
            _ => unreachable!("neighbours have the same depth"),
        }
    }
}

/// Removes an emptied branch, or merges a small one with a neighbour.
fn settle(branches: &mut Vec<Branch>, index: usize) {
    let Some(branch) = branches.get(index) else {
        return;
    };
    let width = branch.width();
    if branch.nodes == 0 {
        branches.remove(index);
        return;
    }
    if width >= SMALL {
        return;
    }
    // Leave room, so that the next insertion does not split again.
    let fits =
        |other: Option<&Branch>| other.is_some_and(|other| other.width() + width <= WIDTH - SMALL);
    if fits(branches.get(index + 1)) {
        let right = branches.remove(index + 1);
        branches[index].absorb(right);
    } else if index > 0 && fits(branches.get(index - 1)) {
        let right = branches.remove(index);
        branches[index - 1].absorb(right);
    }
}

/// The item containing unit `at`, and what is left of `at` within it.
fn position<T>(items: &[T], at: usize, size: impl Fn(&T) -> usize) -> (usize, usize) {
    let mut rest = at;
    for (index, item) in items.iter().enumerate() {
        let size = size(item);
        if rest < size {
            return (index, rest);
        }
        rest -= size;
    }
    unreachable!("position {at} lies behind the last item")
}

fn totals(page: &Page) -> (usize, usize) {
    match page {
        Page::Leaf(slots) => (slots.len(), slots.iter().map(|slot| slot.count).sum()),
        Page::Inner(branches) => branches.iter().fold((0, 0), |(n, e), branch| {
            (n + branch.nodes, e + branch.elems)
        }),
    }
}

/// Inserts, or gives back the right half of a full page. At the ends the old
/// page stays full, because that is how lists grow.
fn insert_or_split<T>(items: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if items.len() < WIDTH {
        items.insert(at, item);
        None
    } else if at == items.len() {
        Some(vec![item])
    } else if at == 0 {
        Some(std::mem::replace(items, vec![item]))
    } else {
        let cut = WIDTH / 2;
        let mut right = items.split_off(cut);
        if at <= cut {
            items.insert(at, item);
        } else {
            right.insert(at - cut, item);
        }
        Some(right)
    }
}
