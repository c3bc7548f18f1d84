//! The ordered side of a big sorted set: a counted B+tree of packed pages,
//! ordered by score and then by member bytes.
//!
//! It takes the place of Redis's skip list. Ranks come from per-child counts,
//! elements lie packed in leaves of at most 2 KiB (about 30 bytes each for
//! 17-byte members), and every node is behind an `Arc`: a clone is O(1) and a
//! writer copies only the page and path that it touches, so a snapshot of any
//! size never stalls anyone. Without a clone nothing is ever copied.
//!
//! Scores compare as numbers, so `-0.0` equals `0.0`; NaN is refused.

mod iter;
mod node;
mod page;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use iter::{Iter, IterBack, Leaf, Leaves};
use node::{Edge, Inner, Inserted, Kid, Node};
use page::{Key, Page, encode};

/// A set of (score, member) pairs in order, with ranks.
///
/// A pair may occur once; the same member may occur with several scores, and
/// whoever needs members to be unique keeps an index beside the tree.
#[derive(Clone, Debug, Default)]
pub struct RankTree {
    root: Option<Node>,
    len: usize,
}

impl RankTree {
    /// An empty tree, which owns no memory.
    pub const fn new() -> RankTree {
        RankTree { root: None, len: 0 }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a pair; false if it is there already or the score is NaN. O(log n).
    pub fn insert(&mut self, score: f64, member: &[u8]) -> bool {
        if score.is_nan() {
            return false;
        }
        let key = Key { score, member };
        let Some(root) = &mut self.root else {
            self.root = Some(Node::Leaf(Page::build(&[&encode(&key)])));
            self.len = 1;
            return true;
        };
        let edge = Edge {
            first: true,
            last: true,
        };
        match root.insert(&key, edge) {
            Inserted::Exists => return false,
            Inserted::Done => {}
            Inserted::Split(nodes) => {
                let first = root.clone();
                let kids = std::iter::once(first).chain(nodes).map(Kid::new).collect();
                *root = Node::Inner(Arc::new(Inner { kids }));
            }
        }
        self.len += 1;
        true
    }

    /// Takes out a pair; false if it is not there. O(log n).
    pub fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let Some(root) = &mut self.root else {
            return false;
        };
        if score.is_nan() || !root.remove(&Key { score, member }) {
            return false;
        }
        self.len -= 1;
        self.lower_root();
        true
    }

    /// Whether the pair is there. O(log n).
    pub fn contains(&self, score: f64, member: &[u8]) -> bool {
        self.rank(score, member).is_some()
    }

    /// How many elements come before the pair, if it is there. O(log n).
    pub fn rank(&self, score: f64, member: &[u8]) -> Option<usize> {
        if score.is_nan() {
            return None;
        }
        let key = Key { score, member };
        let mut node = self.root.as_ref()?;
        let mut before = 0;
        loop {
            match node {
                Node::Leaf(page) => return page.search(&key).ok().map(|i| before + i),
                Node::Inner(inner) => {
                    let at = inner.locate(&key).checked_sub(1)?;
                    before += inner.count_before(at);
                    node = &inner.kids[at].node;
                }
            }
        }
    }

    /// The element at a rank counted from zero. O(log n).
    pub fn nth(&self, mut rank: usize) -> Option<(f64, &[u8])> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(page) => {
                    return (rank < page.count()).then(|| {
                        let key = page.key(rank);
                        (key.score, key.member)
                    });
                }
                Node::Inner(inner) => {
                    let (at, below) = inner.child_at(rank)?;
                    rank = below;
                    node = &inner.kids[at].node;
                }
            }
        }
    }

    /// The lowest element.
    pub fn min(&self) -> Option<(f64, &[u8])> {
        self.nth(0)
    }

    /// The highest element.
    pub fn max(&self) -> Option<(f64, &[u8])> {
        self.nth(self.len.checked_sub(1)?)
    }

    /// How many elements score below `score`, or at most `score` if
    /// `inclusive`. O(log n).
    pub fn lower_rank_score(&self, score: f64, inclusive: bool) -> usize {
        self.partition(
            |inner| inner.locate_score(score, inclusive),
            |key| key.score < score || (inclusive && key.score == score),
        )
    }

    /// How many elements have a member below `member`, or equal to it too if
    /// `inclusive`: the rank of the first one at or above it (above it if
    /// `inclusive`). O(log n).
    ///
    /// Scores are ignored, which makes sense only while all are equal;
    /// otherwise the answer is some rank up to the length.
    pub fn lower_rank_lex(&self, member: &[u8], inclusive: bool) -> usize {
        self.partition(
            |inner| inner.locate_member(member, inclusive),
            |key| key.member < member || (inclusive && key.member == member),
        )
    }

    fn partition(&self, kids: impl Fn(&Inner) -> usize, pred: impl Fn(Key<'_>) -> bool) -> usize {
        let mut before = 0;
        let mut next = self.root.as_ref();
        while let Some(node) = next {
            match node {
                Node::Leaf(page) => return before + page.partition(pred),
                Node::Inner(inner) => {
                    next = kids(inner).checked_sub(1).map(|at| {
                        before += inner.count_before(at);
                        &inner.kids[at].node
                    });
                }
            }
        }
        before
    }

    /// All elements in ascending order.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from `rank` on in ascending order; none if `rank` is at or
    /// past the end.
    pub fn iter_from(&self, rank: usize) -> Iter<'_> {
        Iter::new(self.root.as_ref(), self.len, rank)
    }

    /// The elements from `rank` down to the lowest, in descending order; starts
    /// at the highest if `rank` is past the end.
    pub fn iter_back_from(&self, rank: usize) -> IterBack<'_> {
        IterBack::new(self.root.as_ref(), self.len, rank)
    }

    /// The leaves in ascending order, each at most 2 KiB unless it holds one
    /// long member.
    pub fn leaves(&self) -> Leaves<'_> {
        Leaves::new(self.root.as_ref())
    }

    /// Takes out the lowest element.
    pub fn pop_min(&mut self) -> Option<(f64, Vec<u8>)> {
        self.pop(0)
    }

    /// Takes out the highest element.
    pub fn pop_max(&mut self) -> Option<(f64, Vec<u8>)> {
        self.pop(self.len.checked_sub(1)?)
    }

    fn pop(&mut self, rank: usize) -> Option<(f64, Vec<u8>)> {
        let mut taken = None;
        self.remove_range_by_rank(rank, 1, &mut |score, member| {
            taken = Some((score, member.to_vec()));
        });
        taken
    }

    /// Removes up to `count` elements from rank `start` on, showing each to
    /// `f` in order; returns how many. O(log n + count), whole pages at once.
    pub fn remove_range_by_rank(
        &mut self,
        start: usize,
        count: usize,
        f: &mut dyn FnMut(f64, &[u8]),
    ) -> usize {
        let count = count.min(self.len.saturating_sub(start));
        if count == 0 {
            return 0;
        }
        if let Some(root) = &mut self.root {
            root.remove_range(start, count, f);
            self.len -= count;
            self.lower_root();
        }
        count
    }

    /// Drops root nodes that have only one child.
    fn lower_root(&mut self) {
        if self.len == 0 {
            self.root = None;
            return;
        }
        while let Some(Node::Inner(inner)) = &self.root
            && let [kid] = &inner.kids[..]
        {
            self.root = Some(kid.node.clone());
        }
    }

    /// Bytes on the heap, pages shared with clones counted in full. O(pages).
    pub fn heap_bytes(&self) -> usize {
        self.root.as_ref().map_or(0, Node::heap_bytes)
    }

    #[cfg(test)]
    fn check(&self) {
        match &self.root {
            None => assert_eq!(self.len, 0),
            Some(root) => {
                root.check();
                assert_eq!(root.count(), self.len);
            }
        }
        assert_eq!(self.iter().count(), self.len);
    }
}

impl<'a> IntoIterator for &'a RankTree {
    type Item = (f64, &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
