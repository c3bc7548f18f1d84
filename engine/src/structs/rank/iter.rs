//! Walks over a [`RankTree`](super::RankTree), in either direction and page by
//! page. A walk keeps the path to its leaf, so each step is O(1) amortised.

use smallvec::SmallVec;

use super::node::{Kid, Node};
use super::page::Page;

/// The path from the root to one leaf.
#[derive(Clone, Debug)]
struct Path<'a> {
    above: SmallVec<[(&'a [Kid], usize); 5]>,
    page: Option<&'a Page>,
}

impl<'a> Path<'a> {
    /// The path to the element at `rank` and its index in the leaf.
    fn to(root: Option<&'a Node>, mut rank: usize) -> (Path<'a>, usize) {
        let mut path = Path {
            above: SmallVec::new(),
            page: None,
        };
        let mut next = root;
        while let Some(node) = next {
            match node {
                Node::Leaf(page) => {
                    if rank < page.count() {
                        path.page = Some(page);
                    }
                    break;
                }
                Node::Inner(inner) => {
                    next = inner.child_at(rank).map(|(at, below)| {
                        rank = below;
                        path.above.push((&inner.kids, at));
                        &inner.kids[at].node
                    });
                }
            }
        }
        (path, rank)
    }

    fn enter(&mut self, mut node: &'a Node, from_end: bool) {
        loop {
            match node {
                Node::Leaf(page) => {
                    self.page = Some(page);
                    return;
                }
                Node::Inner(inner) => {
                    let at = if from_end { inner.kids.len() - 1 } else { 0 };
                    self.above.push((&inner.kids, at));
                    node = &inner.kids[at].node;
                }
            }
        }
    }

    fn next_page(&mut self) {
        self.page = None;
        while let Some((kids, at)) = self.above.pop() {
            if let Some(kid) = kids.get(at + 1) {
                self.above.push((kids, at + 1));
                return self.enter(&kid.node, false);
            }
        }
    }

    fn prev_page(&mut self) {
        self.page = None;
        while let Some((kids, at)) = self.above.pop() {
            if at > 0 {
                self.above.push((kids, at - 1));
                return self.enter(&kids[at - 1].node, true);
            }
        }
    }
}

/// Elements in ascending order; see [`RankTree::iter_from`](super::RankTree::iter_from).
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    path: Path<'a>,
    idx: usize,
    left: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(root: Option<&'a Node>, len: usize, rank: usize) -> Iter<'a> {
        let (path, idx) = Path::to(root, rank);
        Iter {
            path,
            idx,
            left: len.saturating_sub(rank),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut page = self.path.page?;
        if self.idx >= page.count() {
            self.path.next_page();
            self.idx = 0;
            page = self.path.page?;
        }
        let key = page.key(self.idx);
        self.idx += 1;
        self.left -= 1;
        Some((key.score, key.member))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Elements in descending order; see
/// [`RankTree::iter_back_from`](super::RankTree::iter_back_from).
#[derive(Clone, Debug)]
pub struct IterBack<'a> {
    path: Path<'a>,
    /// One past the index of the next element in the leaf.
    idx: usize,
    left: usize,
}

impl<'a> IterBack<'a> {
    pub(super) fn new(root: Option<&'a Node>, len: usize, rank: usize) -> IterBack<'a> {
        let rank = rank.min(len.saturating_sub(1));
        let (path, idx) = Path::to(root, rank);
        IterBack {
            path,
            idx: idx + 1,
            left: len.min(rank + 1),
        }
    }
}

impl<'a> Iterator for IterBack<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut page = self.path.page?;
        if self.idx == 0 {
            self.path.prev_page();
            page = self.path.page?;
            self.idx = page.count();
        }
        self.idx -= 1;
        self.left -= 1;
        let key = page.key(self.idx);
        Some((key.score, key.member))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for IterBack<'_> {}

/// One leaf of a tree, for serialising in slices of bounded size.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a>(&'a Page);

impl<'a> Leaf<'a> {
    /// Elements in the leaf; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a leaf is never empty")]
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// The elements in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, &'a [u8])> + use<'a> {
        let page = self.0;
        (0..page.count()).map(move |i| {
            let key = page.key(i);
            (key.score, key.member)
        })
    }

    /// True when both are the same page in memory: nothing in it changed
    /// between the two trees.
    pub fn same_page(&self, other: &Leaf<'_>) -> bool {
        self.0.shares_with(other.0)
    }
}

/// The leaves of a tree in ascending order.
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    path: Path<'a>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(root: Option<&'a Node>) -> Leaves<'a> {
        Leaves {
            path: Path::to(root, 0).0,
        }
    }
}

impl<'a> Iterator for Leaves<'a> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        let page = self.path.page?;
        self.path.next_page();
        Some(Leaf(page))
    }
}
