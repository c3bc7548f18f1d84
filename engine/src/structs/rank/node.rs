//! Nodes of a [`RankTree`](super::RankTree): leaves are pages, inner nodes hold
//! for each child its element count and its lowest key.
//!
//! The lowest key is kept as the score and the first eight bytes of the member,
//! zero-padded. Different prefixes decide a comparison at once; equal ones say
//! nothing ("a" and "a\0" share theirs), and then the first record of the child
//! is looked up. All leaves are equally deep and no node below the root is empty.

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

use super::page::{
    ARC_HEADER, Key, PAGE_MAX, PAGE_RECORDS, Page, cmp_score, encode, pack, size_class,
};

/// Most children of an inner node.
pub(super) const FANOUT: usize = 64;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Page),
    Inner(Arc<Inner>),
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub kids: Vec<Kid>,
}

#[derive(Clone, Debug)]
pub(super) struct Kid {
    low: Low,
    pub count: usize,
    pub node: Node,
}

const _: () = assert!(size_of::<Node>() == 16 && size_of::<Kid>() == 40);

/// The lowest key below a child, abridged.
#[derive(Clone, Copy, Debug)]
struct Low {
    score: f64,
    prefix: u64,
}

fn prefix(member: &[u8]) -> u64 {
    let mut be = [0; 8];
    let len = member.len().min(8);
    be[..len].copy_from_slice(&member[..len]);
    u64::from_be_bytes(be)
}

impl Low {
    fn of(key: Key<'_>) -> Low {
        Low {
            score: key.score,
            prefix: prefix(key.member),
        }
    }
}

/// Whether a node lies on the left or right border of the tree.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub first: bool,
    pub last: bool,
}

/// What an insert did to the node.
pub(super) enum Inserted {
    Exists,
    Done,
    /// Done, and these nodes now follow on the same level.
    Split(SmallVec<[Node; 4]>),
}

impl Kid {
    pub fn new(node: Node) -> Kid {
        Kid {
            low: node.low(),
            count: node.count(),
            node,
        }
    }

    fn cmp_member(&self, member: &[u8], member_prefix: u64) -> Ordering {
        self.low
            .prefix
            .cmp(&member_prefix)
            .then_with(|| self.node.first().member.cmp(member))
    }

    fn cmp_key(&self, key: &Key<'_>, key_prefix: u64) -> Ordering {
        cmp_score(self.low.score, key.score).then_with(|| self.cmp_member(key.member, key_prefix))
    }
}

impl Inner {
    /// How many children begin at or before `key`.
    pub fn locate(&self, key: &Key<'_>) -> usize {
        let p = prefix(key.member);
        self.kids
            .partition_point(|kid| kid.cmp_key(key, p) != Ordering::Greater)
    }

    /// How many children begin before `score`, or at it too if `inclusive`.
    pub fn locate_score(&self, score: f64, inclusive: bool) -> usize {
        self.kids
            .partition_point(|kid| kid.low.score < score || (inclusive && kid.low.score == score))
    }

    /// How many children begin before `member`, or at it too if `inclusive`,
    /// scores ignored.
    pub fn locate_member(&self, member: &[u8], inclusive: bool) -> usize {
        let p = prefix(member);
        self.kids.partition_point(|kid| {
            let order = kid.cmp_member(member, p);
            order == Ordering::Less || (inclusive && order == Ordering::Equal)
        })
    }

    /// Elements below the first `kids` children.
    pub fn count_before(&self, kids: usize) -> usize {
        self.kids[..kids].iter().map(|kid| kid.count).sum()
    }

    /// The child holding the element at `rank`, and the rank inside it.
    pub fn child_at(&self, mut rank: usize) -> Option<(usize, usize)> {
        for (i, kid) in self.kids.iter().enumerate() {
            if rank < kid.count {
                return Some((i, rank));
            }
            rank -= kid.count;
        }
        None
    }

    fn insert_kids(&mut self, at: usize, nodes: SmallVec<[Node; 4]>) {
        let need = self.kids.len() + nodes.len();
        if need > self.kids.capacity() {
            let room = size_class(need * size_of::<Kid>()) / size_of::<Kid>();
            self.kids.reserve_exact(room - self.kids.len());
        }
        for (i, node) in nodes.into_iter().enumerate() {
            self.kids.insert(at + i, Kid::new(node));
        }
    }

    /// Restores the entry of a child after elements left it: drops it if empty,
    /// refreshes its lowest key, joins it with a neighbour if both are small.
    fn settle(&mut self, at: usize) {
        let Some(kid) = self.kids.get_mut(at) else {
            return;
        };
        if kid.count == 0 {
            self.kids.remove(at);
            return;
        }
        kid.low = kid.node.low();
        if !kid.node.is_small() {
            return;
        }
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            if let [a, b, ..] = &mut self.kids[left..]
                && a.node.absorb(&b.node)
            {
                a.count += b.count;
                self.kids.remove(left + 1);
                return;
            }
        }
    }
}

impl Node {
    pub fn count(&self) -> usize {
        match self {
            Node::Leaf(page) => page.count(),
            Node::Inner(inner) => inner.count_before(inner.kids.len()),
        }
    }

    fn low(&self) -> Low {
        match self {
            Node::Leaf(page) => Low::of(page.key(0)),
            Node::Inner(inner) => inner.kids[0].low,
        }
    }

    /// The first element; the node must not be empty.
    fn first(&self) -> Key<'_> {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(page) => return page.key(0),
                Node::Inner(inner) => node = &inner.kids[0].node,
            }
        }
    }

    pub fn insert(&mut self, key: &Key<'_>, edge: Edge) -> Inserted {
        match self {
            Node::Leaf(page) => insert_in_page(page, key, edge),
            Node::Inner(inner) => insert_in_inner(inner, key, edge),
        }
    }

    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        match self {
            Node::Leaf(page) => match page.search(key) {
                Ok(idx) => {
                    page.remove(idx);
                    true
                }
                Err(_) => false,
            },
            Node::Inner(inner) => {
                let Some(at) = inner.locate(key).checked_sub(1) else {
                    return false;
                };
                let inner = Arc::make_mut(inner);
                let kid = &mut inner.kids[at];
                if !kid.node.remove(key) {
                    return false;
                }
                kid.count -= 1;
                inner.settle(at);
                true
            }
        }
    }

    /// Removes `count` elements from rank `start` on, showing each to `f`.
    pub fn remove_range(&mut self, start: usize, count: usize, f: &mut dyn FnMut(f64, &[u8])) {
        let inner = match self {
            Node::Leaf(page) => {
                for i in start..start + count {
                    let key = page.key(i);
                    f(key.score, key.member);
                }
                return page.remove_range(start, count);
            }
            Node::Inner(inner) => Arc::make_mut(inner),
        };
        let end = start + count;
        let mut base = 0;
        let mut touched = inner.kids.len();
        for (i, kid) in inner.kids.iter_mut().enumerate() {
            let next = base + kid.count;
            if next > start && base < end {
                touched = touched.min(i);
                let from = start.max(base) - base;
                let taken = end.min(next) - base - from;
                if taken == kid.count {
                    kid.node.visit(f);
                } else {
                    kid.node.remove_range(from, taken, f);
                }
                kid.count -= taken;
            }
            base = next;
            if base >= end {
                break;
            }
        }
        inner.kids.retain(|kid| kid.count > 0);
        inner.settle(touched + 1);
        inner.settle(touched);
    }

    fn visit(&self, f: &mut dyn FnMut(f64, &[u8])) {
        match self {
            Node::Leaf(page) => {
                for i in 0..page.count() {
                    let key = page.key(i);
                    f(key.score, key.member);
                }
            }
            Node::Inner(inner) => inner.kids.iter().for_each(|kid| kid.node.visit(f)),
        }
    }

    fn is_small(&self) -> bool {
        match self {
            Node::Leaf(page) => page.live_bytes() < PAGE_MAX / 3,
            Node::Inner(inner) => inner.kids.len() < FANOUT / 4,
        }
    }

    /// Takes over everything from the following node if the two are together
    /// well below a full node; the gap keeps them from splitting again soon.
    fn absorb(&mut self, next: &Node) -> bool {
        match (self, next) {
            (Node::Leaf(a), Node::Leaf(b)) => {
                if a.live_bytes() + b.live_bytes() > PAGE_MAX * 3 / 4
                    || a.count() + b.count() > PAGE_RECORDS * 3 / 4
                {
                    return false;
                }
                let mut records = a.raws();
                records.extend(b.raws());
                let joined = Page::build(&records);
                drop(records);
                *a = joined;
                true
            }
            (Node::Inner(a), Node::Inner(b)) => {
                if a.kids.len() + b.kids.len() > FANOUT * 3 / 4 {
                    return false;
                }
                Arc::make_mut(a).kids.extend(b.kids.iter().cloned());
                true
            }
            _ => false,
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(page) => page.heap_bytes(),
            Node::Inner(inner) => {
                let own =
                    ARC_HEADER + size_of::<Inner>() + inner.kids.capacity() * size_of::<Kid>();
                own + inner
                    .kids
                    .iter()
                    .map(|kid| kid.node.heap_bytes())
                    .sum::<usize>()
            }
        }
    }

    /// Checks order, counts, lowest keys and depth; returns the depth.
    #[cfg(test)]
    pub fn check(&self) -> usize {
        match self {
            Node::Leaf(page) => {
                page.check();
                assert!(page.count() > 0);
                0
            }
            Node::Inner(inner) => {
                assert!(!inner.kids.is_empty() && inner.kids.len() <= FANOUT);
                let mut depth = None;
                for kid in &inner.kids {
                    assert_eq!(kid.count, kid.node.count());
                    let first = kid.node.first();
                    assert_eq!(kid.low.score, first.score);
                    assert_eq!(kid.low.prefix, prefix(first.member));
                    let below = kid.node.check();
                    assert_eq!(*depth.get_or_insert(below), below);
                }
                depth.map_or(0, |d| d + 1)
            }
        }
    }
}

fn insert_in_page(page: &mut Page, key: &Key<'_>, edge: Edge) -> Inserted {
    let Err(idx) = page.search(key) else {
        return Inserted::Exists;
    };
    let record = encode(key);
    if page.insert(idx, &record) {
        return Inserted::Done;
    }
    // Growth at either end of the tree begins a page of its own, so that
    // elements arriving in order leave full pages behind. A page with one huge
    // record is never touched.
    if idx == page.count() && (edge.last || page.is_oversize()) {
        let next = Page::build(&[&record]);
        return Inserted::Split(SmallVec::from_iter([Node::Leaf(next)]));
    }
    if idx == 0 && (edge.first || page.is_oversize()) {
        let old = std::mem::replace(page, Page::build(&[&record]));
        return Inserted::Split(SmallVec::from_iter([Node::Leaf(old)]));
    }
    let mut records = page.raws();
    records.insert(idx, &record);
    let mut pages = SmallVec::new();
    pack(&records, &mut pages);
    drop(records);
    let mut pages = pages.into_iter();
    if let Some(first) = pages.next() {
        *page = first;
    }
    Inserted::Split(pages.map(Node::Leaf).collect())
}

fn insert_in_inner(inner: &mut Arc<Inner>, key: &Key<'_>, edge: Edge) -> Inserted {
    let located = inner.locate(key);
    let at = located.saturating_sub(1);
    let inner = Arc::make_mut(inner);
    let last = at + 1 == inner.kids.len();
    let kid_edge = Edge {
        first: edge.first && at == 0,
        last: edge.last && last,
    };
    let kid = &mut inner.kids[at];
    match kid.node.insert(key, kid_edge) {
        Inserted::Exists => Inserted::Exists,
        Inserted::Done => {
            kid.count += 1;
            if located == 0 {
                kid.low = Low::of(*key);
            }
            Inserted::Done
        }
        Inserted::Split(nodes) => {
            kid.count = kid.node.count();
            kid.low = kid.node.low();
            inner.insert_kids(at + 1, nodes);
            if inner.kids.len() <= FANOUT {
                return Inserted::Done;
            }
            let cut = if edge.last && last {
                FANOUT
            } else {
                inner.kids.len() / 2
            };
            let right = Inner {
                kids: inner.kids.split_off(cut),
            };
            inner.kids.shrink_to(cut);
            Inserted::Split(SmallVec::from_iter([Node::Inner(Arc::new(right))]))
        }
    }
}
