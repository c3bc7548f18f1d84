//! Walking a map in hash order: iteration, ranks, SCAN and expiry.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::node::{Kid, Node};
use super::page::Leaf;
use super::record::Span;
use super::{Entry, Schema};

/// Iterator over the entries of a map in hash order.
pub struct Iter<'a, S: Schema> {
    stack: SmallVec<[std::slice::Iter<'a, Kid<S>>; 3]>,
    page: Option<&'a Leaf<S>>,
    at: usize,
    len: usize,
    left: u64,
}

impl<'a, S: Schema> Iter<'a, S> {
    pub(super) fn new(root: Option<&'a Node<S>>) -> Self {
        let mut iter = Iter {
            stack: SmallVec::new(),
            page: None,
            at: 0,
            len: 0,
            left: root.map_or(0, Node::count),
        };
        if let Some(root) = root {
            iter.descend(root);
        }
        iter
    }

    fn descend(&mut self, mut node: &'a Node<S>) {
        loop {
            match node {
                Node::Leaf(leaf) => {
                    self.page = Some(leaf);
                    self.at = 0;
                    self.len = leaf.len();
                    return;
                }
                Node::Inner(inner) => {
                    let mut kids = inner.kids.iter();
                    let Some(first) = kids.next() else { return };
                    self.stack.push(kids);
                    node = &first.node;
                }
            }
        }
    }
}

impl<'a, S: Schema> Iterator for Iter<'a, S> {
    type Item = Entry<'a, S>;

    fn next(&mut self) -> Option<Entry<'a, S>> {
        while self.at == self.len {
            let kids = self.stack.last_mut()?;
            match kids.next() {
                Some(kid) => self.descend(&kid.node),
                None => {
                    self.stack.pop();
                }
            }
        }
        let entry = self.page?.entry(self.at);
        self.at += 1;
        self.left -= 1;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<S: Schema> ExactSizeIterator for Iter<'_, S> {}

/// The entry of this rank in hash order.
pub(super) fn nth<S: Schema>(mut node: &Node<S>, mut rank: u64) -> Option<Entry<'_, S>> {
    loop {
        match node {
            Node::Leaf(leaf) => {
                return (rank < leaf.len() as u64).then(|| leaf.entry(rank as usize));
            }
            Node::Inner(inner) => {
                let kid = inner.kids.iter().find(|kid| {
                    let here = rank < kid.count;
                    if !here {
                        rank -= kid.count;
                    }
                    here
                })?;
                node = &kid.node;
            }
        }
    }
}

/// A scan on its way: see [`super::PagedMap::scan`].
pub(super) struct Scan<'f, 'm, S: Schema> {
    pub from: u64,
    /// Hashes are of one group when equal without this many low bits.
    pub shift: u32,
    pub left: usize,
    /// The group of the entry visited last.
    pub group: u64,
    #[allow(clippy::type_complexity)]
    pub f: &'f mut dyn FnMut(u64, Entry<'m, S>),
}

impl<'m, S: Schema> Scan<'_, 'm, S> {
    fn group_of(&self, h: u64) -> u64 {
        h.checked_shr(self.shift).unwrap_or(0)
    }

    /// Visits the entries below `node`; breaks with the hash to go on from.
    pub fn run(&mut self, node: &'m Node<S>, span: Span) -> ControlFlow<u64> {
        match node {
            Node::Inner(inner) => {
                for i in inner.index(self.from.max(span.lo))..inner.kids.len() {
                    self.run(&inner.kids[i].node, inner.span(i, span))?;
                }
            }
            Node::Leaf(leaf) => {
                for i in leaf.seek(span, self.from)..leaf.len() {
                    let h = leaf.hash_at(i);
                    let group = self.group_of(h);
                    if self.left == 0 && group != self.group {
                        return ControlFlow::Break(group.checked_shl(self.shift).unwrap_or(0));
                    }
                    self.left = self.left.saturating_sub(1);
                    self.group = group;
                    (self.f)(h, leaf.entry(i));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// A search for due pages: see [`super::PagedMap::pages_due`].
pub(super) struct Due<'f, 'm, S: Schema> {
    pub from: u64,
    pub limit: u64,
    pub left: usize,
    pub f: &'f mut dyn FnMut(Entry<'m, S>),
}

impl<'m, S: Schema> Due<'_, 'm, S> {
    /// Visits the due pages below `node`; breaks with the hash to go on from.
    pub fn run(&mut self, node: &'m Node<S>, span: Span) -> ControlFlow<u64> {
        match node {
            Node::Inner(inner) => {
                for i in inner.index(self.from.max(span.lo))..inner.kids.len() {
                    if inner.kids[i].hint <= self.limit {
                        self.run(&inner.kids[i].node, inner.span(i, span))?;
                    }
                }
            }
            Node::Leaf(leaf) if leaf.hint() <= self.limit => {
                if self.left == 0 {
                    return ControlFlow::Break(span.lo);
                }
                self.left -= 1;
                for i in 0..leaf.len() {
                    (self.f)(leaf.entry(i));
                }
            }
            Node::Leaf(_) => {}
        }
        ControlFlow::Continue(())
    }
}
