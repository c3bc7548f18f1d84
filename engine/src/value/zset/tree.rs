//! Big sorted sets: an index from member to score beside a tree in order.
//!
//! Invariant: both hold the same pairs, bit for bit the same scores.

use std::ops::Range;

use super::index::ScoreIndex;
use super::range::{LexBound, LexRange, ScoreRange};
use crate::structs::rank::RankTree;

/// Both sides of a big sorted set. Cloning is O(1); a writer copies only the
/// pages it touches.
#[derive(Clone, Default)]
pub struct Tree {
    index: ScoreIndex,
    order: RankTree,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.order.iter()).finish()
    }
}

impl Tree {
    /// Its two sides.
    pub(super) fn into_parts(self) -> (ScoreIndex, RankTree) {
        (self.index, self.order)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The elements in order.
    pub fn order(&self) -> &RankTree {
        &self.order
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.index.get(member)
    }

    /// Adds a member that is not there yet.
    pub(super) fn insert(&mut self, score: f64, member: &[u8]) {
        self.index.put(member, score);
        self.order.insert(score, member);
    }

    /// Moves a member from its score to another.
    pub(super) fn update(&mut self, old: f64, score: f64, member: &[u8]) {
        self.index.put(member, score);
        self.order.remove(old, member);
        self.order.insert(score, member);
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.index.remove(member)?;
        self.order.remove(score, member);
        Some(score)
    }

    pub(super) fn remove_span(&mut self, span: Range<usize>, f: &mut dyn FnMut(&[u8], f64)) {
        let index = &mut self.index;
        self.order
            .remove_range_by_rank(span.start, span.len(), &mut |score, member| {
                index.remove(member);
                f(member, score);
            });
    }

    pub(super) fn score_span(&self, range: &ScoreRange) -> Range<usize> {
        let start = self.order.lower_rank_score(range.min, range.min_exclusive);
        let end = self.order.lower_rank_score(range.max, !range.max_exclusive);
        start..end.max(start)
    }

    pub(super) fn lex_span(&self, range: &LexRange<'_>) -> Range<usize> {
        let before = |bound, exclusive_counts: bool| match bound {
            LexBound::Lowest => 0,
            LexBound::Highest => self.len(),
            LexBound::Inclusive(member) => self.order.lower_rank_lex(member, !exclusive_counts),
            LexBound::Exclusive(member) => self.order.lower_rank_lex(member, exclusive_counts),
        };
        let start = before(range.min, true);
        start..before(range.max, false).max(start)
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.index.scan(cursor, count, f)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Tree>() + self.index.heap_bytes() + self.order.heap_bytes()
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.index.len(), self.order.len());
        for (score, member) in self.order.iter() {
            let indexed = self.index.get(member).expect("member is indexed");
            assert_eq!(indexed.to_bits(), score.to_bits());
        }
    }
}
