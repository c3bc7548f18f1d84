//! The tree above the pages.
//!
//! An inner node covers a span of hashes cut by separators: child `i` covers
//! `seps[i] ..` up to the next separator, and `seps[0]` is the low end of the
//! node's own span. Spans are handed down on the way from the root, so pages do
//! not store theirs. All pages are at the same depth.
//!
//! Invariants: every inner node has at least two children; `count` of a child is
//! the number of entries below it and `hint` a lower bound of theirs; `total` is
//! the sum of the counts.

use std::sync::Arc;

use super::page::{Done, Leaf, MAX_BYTES, Put, Removed};
use super::record::Span;
use super::{EntryMut, Schema};

/// Children after which an inner node splits.
pub(super) const MAX_FANOUT: usize = 64;
/// Children or entries below which a node is joined with a neighbour.
const LOW: usize = 16;
/// Most entries of a page made by joining two.
const JOINED: usize = 48;

/// A page or a subtree.
pub(super) enum Node<S: Schema> {
    Leaf(Leaf<S>),
    Inner(Arc<Inner<S>>),
}

impl<S: Schema> Clone for Node<S> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(leaf) => Node::Leaf(leaf.clone()),
            Node::Inner(inner) => Node::Inner(Arc::clone(inner)),
        }
    }
}

/// A child with what its parent knows about it.
pub(super) struct Kid<S: Schema> {
    pub node: Node<S>,
    pub count: u64,
    pub hint: u64,
}

impl<S: Schema> Clone for Kid<S> {
    fn clone(&self) -> Self {
        Kid {
            node: self.node.clone(),
            count: self.count,
            hint: self.hint,
        }
    }
}

impl<S: Schema> Kid<S> {
    fn of(node: Node<S>) -> Self {
        Kid {
            count: node.count(),
            hint: node.hint(),
            node,
        }
    }
}

/// An inner node.
pub(super) struct Inner<S: Schema> {
    pub seps: Vec<u64>,
    pub kids: Vec<Kid<S>>,
    pub total: u64,
}

impl<S: Schema> Clone for Inner<S> {
    fn clone(&self) -> Self {
        Inner {
            seps: self.seps.clone(),
            kids: self.kids.clone(),
            total: self.total,
        }
    }
}

impl<S: Schema> Node<S> {
    pub fn count(&self) -> u64 {
        match self {
            Node::Leaf(leaf) => leaf.len() as u64,
            Node::Inner(inner) => inner.total,
        }
    }

    pub fn hint(&self) -> u64 {
        match self {
            Node::Leaf(leaf) => leaf.hint(),
            Node::Inner(inner) => inner.hint(),
        }
    }

    pub fn has_objects(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.has_side(),
            Node::Inner(inner) => inner.kids.iter().any(|kid| kid.node.has_objects()),
        }
    }

    /// The page that covers `h`, and its span.
    #[inline]
    pub fn page(&self, h: u64) -> (&Leaf<S>, Span) {
        let (mut node, mut span) = (self, Span::FULL);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, span),
                Node::Inner(inner) => {
                    let i = inner.index(h);
                    span = inner.span(i, span);
                    node = &inner.kids[i].node;
                }
            }
        }
    }

    pub fn get_mut(&mut self, h: u64, key: &[u8]) -> Option<EntryMut<'_, S>> {
        let (mut node, mut span) = (self, Span::FULL);
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.get_mut(span, h, key),
                Node::Inner(inner) => {
                    let inner = Arc::make_mut(inner);
                    let i = inner.index(h);
                    span = inner.span(i, span);
                    node = &mut inner.kids[i].node;
                }
            }
        }
    }

    /// Puts below this node, which covers `span`; only a page answers `Full`.
    pub fn put(&mut self, span: Span, put: &mut Put<'_, S>) -> Done<S::Obj> {
        let inner = match self {
            Node::Leaf(leaf) => return leaf.put(span, put),
            Node::Inner(inner) => Arc::make_mut(inner),
        };
        let (i, old) = loop {
            let i = inner.index(put.hash);
            let below = inner.span(i, span);
            match inner.kids[i].node.put(below, put) {
                Done::Full => inner.split_page(i, below),
                Done::Put(old) => break (i, old),
            }
        };
        let added = u64::from(old.is_none());
        inner.total += added;
        let kid = &mut inner.kids[i];
        kid.count += added;
        kid.hint = match &kid.node {
            Node::Inner(below) if put.hint_raised => below.hint(),
            Node::Inner(_) => kid.hint.min(put.hint),
            Node::Leaf(_) => put.hint,
        };
        if let Node::Inner(below) = &kid.node
            && below.kids.len() > MAX_FANOUT
        {
            inner.split_inner(i);
        }
        Done::Put(old)
    }

    /// Removes below this node, which covers `span`.
    pub fn remove(&mut self, span: Span, h: u64, key: &[u8]) -> Option<Removed<S::Obj>> {
        let inner = match self {
            Node::Leaf(leaf) => return leaf.remove(span, h, key),
            Node::Inner(inner) => Arc::make_mut(inner),
        };
        let i = inner.index(h);
        let below = inner.span(i, span);
        let kid = &mut inner.kids[i];
        let removed = kid.node.remove(below, h, key)?;
        inner.total -= 1;
        kid.count -= 1;
        if kid.hint != u64::MAX {
            kid.hint = kid.node.hint();
        }
        if inner.is_low(i) {
            inner.join(i, span);
        }
        Some(removed)
    }

    /// Applies `f` to the page covering `h` and brings the hints above up to date.
    pub fn with_page(&mut self, h: u64, f: &mut dyn FnMut(&mut Leaf<S>)) {
        match self {
            Node::Leaf(leaf) => f(leaf),
            Node::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let i = inner.index(h);
                let kid = &mut inner.kids[i];
                kid.node.with_page(h, f);
                kid.hint = kid.node.hint();
            }
        }
    }

    /// Turns a full root into an inner node of two halves.
    pub fn grow_root(&mut self) {
        match self {
            Node::Leaf(leaf) => {
                let (sep, right) = leaf.split(Span::FULL);
                let left = Node::Leaf(leaf.clone());
                *self = Node::Inner(Arc::new(Inner::pair(left, sep, Node::Leaf(right))));
            }
            Node::Inner(arc) => {
                let (sep, right) = Arc::make_mut(arc).split();
                let left = Node::Inner(Arc::clone(arc));
                *self = Node::Inner(Arc::new(Inner::pair(
                    left,
                    sep,
                    Node::Inner(Arc::new(right)),
                )));
            }
        }
    }
}

impl<S: Schema> Inner<S> {
    fn pair(left: Node<S>, sep: u64, right: Node<S>) -> Self {
        let kids = vec![Kid::of(left), Kid::of(right)];
        Inner {
            seps: vec![0, sep],
            total: kids[0].count + kids[1].count,
            kids,
        }
    }

    fn hint(&self) -> u64 {
        self.kids.iter().map(|k| k.hint).min().unwrap_or(u64::MAX)
    }

    /// The child that covers `h`.
    #[inline]
    pub fn index(&self, h: u64) -> usize {
        self.seps[1..].partition_point(|sep| *sep <= h)
    }

    /// The span of child `i` of this node, itself covering `span`.
    #[inline]
    pub fn span(&self, i: usize, span: Span) -> Span {
        Span {
            lo: self.seps[i],
            hi: self.seps.get(i + 1).map_or(span.hi, |next| next - 1),
        }
    }

    fn insert_kid(&mut self, i: usize, sep: u64, kid: Kid<S>) {
        if self.kids.len() == self.kids.capacity() {
            let more = 2 + self.kids.len() / 8;
            self.kids.reserve_exact(more);
            self.seps.reserve_exact(more);
        }
        self.kids.insert(i, kid);
        self.seps.insert(i, sep);
    }

    fn split_page(&mut self, i: usize, span: Span) {
        let Node::Leaf(leaf) = &mut self.kids[i].node else {
            return;
        };
        let (sep, right) = leaf.split(span);
        self.kids[i].count = self.kids[i].node.count();
        self.kids[i].hint = self.kids[i].node.hint();
        self.insert_kid(i + 1, sep, Kid::of(Node::Leaf(right)));
    }

    fn split_inner(&mut self, i: usize) {
        let Node::Inner(arc) = &mut self.kids[i].node else {
            return;
        };
        let (sep, right) = Arc::make_mut(arc).split();
        self.kids[i].count = self.kids[i].node.count();
        self.kids[i].hint = self.kids[i].node.hint();
        self.insert_kid(i + 1, sep, Kid::of(Node::Inner(Arc::new(right))));
    }

    /// Cuts the upper half off.
    fn split(&mut self) -> (u64, Inner<S>) {
        let at = self.kids.len() / 2;
        let kids = self.kids.split_off(at);
        let seps = self.seps.split_off(at);
        self.kids.shrink_to_fit();
        self.seps.shrink_to_fit();
        let total = kids.iter().map(|k| k.count).sum();
        self.total -= total;
        (seps[0], Inner { seps, kids, total })
    }

    fn is_low(&self, i: usize) -> bool {
        match &self.kids[i].node {
            Node::Leaf(_) => self.kids[i].count < LOW as u64,
            Node::Inner(inner) => inner.kids.len() < LOW,
        }
    }

    /// Joins child `i` with a neighbour if both are small, or if it must be.
    fn join(&mut self, i: usize, span: Span) {
        let left = i.checked_sub(1);
        let right = Some(i).filter(|i| i + 1 < self.kids.len());
        // The neighbour with the longer common prefix keeps tags sharp.
        let sharp = |p: Option<usize>| p.map(|p| self.joint_span(p, span).common_bits());
        let order = if sharp(left) > sharp(right) {
            [left, right]
        } else {
            [right, left]
        };
        let pairs: Vec<usize> = order.into_iter().flatten().collect();
        if let Some(pair) = pairs.iter().copied().find(|p| self.is_joinable(*p)) {
            self.join_pair(pair, span);
        } else if self.must_join(i)
            && let Some(pair) = pairs.first()
        {
            self.join_pair(*pair, span);
        }
    }

    fn joint_span(&self, i: usize, span: Span) -> Span {
        Span {
            lo: self.seps[i],
            hi: self.span(i + 1, span).hi,
        }
    }

    /// Whether child `i` cannot stay: an empty page or a chain of one child.
    fn must_join(&self, i: usize) -> bool {
        match &self.kids[i].node {
            Node::Leaf(leaf) => leaf.len() == 0,
            Node::Inner(inner) => inner.kids.len() < 2,
        }
    }

    /// Whether children `i` and `i + 1` are small enough to be one.
    fn is_joinable(&self, i: usize) -> bool {
        if self.must_join(i) && matches!(self.kids[i].node, Node::Leaf(_)) {
            return true;
        }
        match (&self.kids[i].node, &self.kids[i + 1].node) {
            (Node::Leaf(a), Node::Leaf(b)) => {
                self.kids[i].count + self.kids[i + 1].count <= JOINED as u64
                    && a.needed() + b.needed() <= MAX_BYTES / 2
            }
            (Node::Inner(a), Node::Inner(b)) => a.kids.len() + b.kids.len() <= MAX_FANOUT * 3 / 4,
            _ => false,
        }
    }

    /// Joins children `i` and `i + 1`; inner nodes too big for one share evenly.
    fn join_pair(&mut self, i: usize, span: Span) {
        let joint = self.joint_span(i, span);
        let right = self.kids.remove(i + 1);
        self.seps.remove(i + 1);
        let kid = &mut self.kids[i];
        match (&mut kid.node, right.node) {
            (Node::Leaf(a), Node::Leaf(b)) => {
                *a = Leaf::merge(std::mem::replace(a, Leaf::empty()), b, joint);
            }
            (Node::Inner(a), Node::Inner(b)) => {
                let (a, b) = (Arc::make_mut(a), Arc::unwrap_or_clone(b));
                a.total += b.total;
                a.seps.extend(b.seps);
                a.kids.extend(b.kids);
            }
            _ => {}
        }
        kid.count = kid.node.count();
        kid.hint = kid.node.hint();
        if let Node::Inner(inner) = &kid.node
            && inner.kids.len() > MAX_FANOUT
        {
            self.split_inner(i);
        }
        if self.kids.len() * 2 < self.kids.capacity() {
            self.kids.shrink_to_fit();
            self.seps.shrink_to_fit();
        }
    }
}
