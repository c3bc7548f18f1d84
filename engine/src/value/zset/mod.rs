//! Sorted sets: members with a score each, in order of score and then member.
//!
//! Small ones are a listpack in Redis's bytes, big ones an index and a tree;
//! what decides, and when, is as in Redis: `zset-max-listpack-entries` and
//! `zset-max-listpack-value` are looked at when a member is added, and nothing
//! is converted back except the result of a `STORE` command.
//!
//! Ranges of every kind come down to spans of ascending ranks: ask for a span
//! ([`Zset::index_span`], [`Zset::score_span`], [`Zset::lex_span`]), cut it
//! with [`limit_span`], then count it, walk it or remove it.

mod drain;
mod index;
mod packed;
mod range;
mod sample;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::ops::Range;

use basalt_formats::packed::listpack::{Entry, Listpack, MAX_BYTES};

use crate::structs::rank;
pub(crate) use drain::ZsetDrain;
pub use range::{LexBound, LexRange, ScoreRange, index_span, limit_span};
pub use sample::Below;
pub use tree::Tree;

/// The directives that bound the listpack encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZsetLimits {
    /// `zset-max-listpack-entries`: most members.
    pub max_listpack_entries: usize,
    /// `zset-max-listpack-value`: longest member in bytes.
    pub max_listpack_value: usize,
}

impl Default for ZsetLimits {
    fn default() -> Self {
        ZsetLimits {
            max_listpack_entries: 128,
            max_listpack_value: 64,
        }
    }
}

/// The options of `ZADD` that change what an addition does. Which of them
/// exclude each other is for the command to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddFlags {
    /// The score is added to the present one (to 0 if there is none).
    pub incr: bool,
    /// Never change a member that is there.
    pub nx: bool,
    /// Never add a member that is not there.
    pub xx: bool,
    /// Change a score only to a greater one.
    pub gt: bool,
    /// Change a score only to a lesser one.
    pub lt: bool,
}

/// What an addition did; scores are the member's score afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AddOutcome {
    /// The member is new.
    Added(f64),
    /// The member has another score now.
    Updated(f64),
    /// The member had this very score.
    Unchanged(f64),
    /// A flag forbade it.
    Nop,
    /// The given score, or the sum, is not a number; nothing changed.
    Nan,
}

/// Why bytes from outside are no sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZsetError {
    /// A member without a score, or a score that is not a number.
    #[error("listpack of a sorted set with a broken pair")]
    BrokenPair,
    /// The same member twice.
    #[error("listpack of a sorted set repeats a member")]
    DuplicateMember,
}

/// A sorted set in one of its two encodings.
#[derive(Clone, Debug)]
pub enum Zset {
    /// Member, score, member, score, ... in order.
    Packed(Listpack),
    /// An index and a tree.
    Tree(Box<Tree>),
}

impl Default for Zset {
    fn default() -> Self {
        Zset::new()
    }
}

impl Zset {
    /// An empty set in the compact encoding.
    pub fn new() -> Zset {
        Zset::Packed(Listpack::new())
    }

    /// An empty set in the encoding that suits about `len` members of about
    /// `member_len` bytes; zero when unknown.
    pub fn for_size(len: usize, member_len: usize, limits: &ZsetLimits) -> Zset {
        if len <= limits.max_listpack_entries && member_len <= limits.max_listpack_value {
            Zset::new()
        } else {
            Zset::new_tree()
        }
    }

    /// An empty set in the big encoding, as results of `STORE` commands begin;
    /// see [`Zset::pack_if_small`].
    pub fn new_tree() -> Zset {
        Zset::Tree(Box::default())
    }

    /// Takes over a listpack from an RDB file or a `DUMP` payload. Pairs out of
    /// order are put in order. As in Redis only the limit on entries is looked
    /// at, not that on lengths. O(n log n).
    ///
    /// # Errors
    /// [`ZsetError`] if it is not made of distinct members with a number each.
    pub fn from_listpack(list: Listpack, limits: &ZsetLimits) -> Result<Zset, ZsetError> {
        let ordered = packed::inspect(&list).ok_or(ZsetError::BrokenPair)?;
        let len = packed::len(&list);
        let mut seen = BTreeSet::new();
        for (member, _) in packed::pairs(&list) {
            if !seen.insert(member.to_vec()) {
                return Err(ZsetError::DuplicateMember);
            }
        }
        let small = len <= limits.max_listpack_entries;
        let mut set = Zset::Packed(list);
        if !ordered || !small {
            set.convert_to_tree();
        }
        if small {
            set.convert_to_packed();
        }
        Ok(set)
    }

    /// The name `OBJECT ENCODING` gives.
    pub fn encoding(&self) -> &'static str {
        match self {
            Zset::Packed(_) => "listpack",
            Zset::Tree(_) => "skiplist",
        }
    }

    /// Number of members. O(1).
    pub fn len(&self) -> usize {
        match self {
            Zset::Packed(list) => packed::len(list),
            Zset::Tree(tree) => tree.len(),
        }
    }

    /// True when there is no member; such a set does not stay in a keyspace.
    pub fn is_empty(&self) -> bool {
        match self {
            Zset::Packed(list) => list.is_empty(),
            Zset::Tree(tree) => tree.len() == 0,
        }
    }

    /// Adds a member or changes its score; NX, XX, GT, LT and INCR per `flags`.
    /// May move to the big encoding.
    pub fn add(
        &mut self,
        limits: &ZsetLimits,
        score: f64,
        member: &[u8],
        flags: AddFlags,
    ) -> AddOutcome {
        if score.is_nan() {
            return AddOutcome::Nan;
        }
        // The offset of the member spares the compact encoding a second walk.
        let (old, offset) = match self {
            Zset::Packed(list) => match packed::find(list, member) {
                Some(offset) => (Some(packed::score_after(list, offset)), offset),
                None => (None, 0),
            },
            Zset::Tree(tree) => (tree.score(member), 0),
        };
        let Some(old) = old else {
            if flags.xx {
                return AddOutcome::Nop;
            }
            self.insert_new(limits, score, member);
            return AddOutcome::Added(score);
        };
        if flags.nx {
            return AddOutcome::Nop;
        }
        let score = if flags.incr { old + score } else { score };
        if score.is_nan() {
            return AddOutcome::Nan;
        }
        if (flags.lt && score >= old) || (flags.gt && score <= old) {
            return AddOutcome::Nop;
        }
        if score == old {
            return AddOutcome::Unchanged(score);
        }
        match self {
            Zset::Packed(list) => {
                packed::delete(list, offset);
                packed::insert(list, score, member);
            }
            Zset::Tree(tree) => tree.update(old, score, member),
        }
        AddOutcome::Updated(score)
    }

    fn insert_new(&mut self, limits: &ZsetLimits, score: f64, member: &[u8]) {
        if let Zset::Packed(list) = self {
            if packed::len(list) < limits.max_listpack_entries
                && member.len() <= limits.max_listpack_value
                && list.fits(member.len())
            {
                return packed::insert(list, score, member);
            }
            self.convert_to_tree();
        }
        if let Zset::Tree(tree) = self {
            tree.insert(score, member);
        }
    }

    /// Takes a member out and gives its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(list) => {
                let offset = packed::find(list, member)?;
                let score = packed::score_after(list, offset);
                packed::delete(list, offset);
                Some(score)
            }
            Zset::Tree(tree) => tree.remove(member),
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(list) => {
                packed::find(list, member).map(|offset| packed::score_after(list, offset))
            }
            Zset::Tree(tree) => tree.score(member),
        }
    }

    /// How many members come before this one (after it, if `reverse`), and
    /// its score.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match self {
            Zset::Packed(list) => packed::pairs(list)
                .enumerate()
                .find(|(_, (own, _))| own.eq_bytes(member))
                .map(|(rank, (_, score))| (rank, score))?,
            Zset::Tree(tree) => {
                let score = tree.score(member)?;
                (tree.order().rank(score, member)?, score)
            }
        };
        let rank = if reverse { self.len() - 1 - rank } else { rank };
        Some((rank, score))
    }

    /// The span of ranks for `start stop` as in `ZRANGE`; see [`index_span`].
    pub fn index_span(&self, start: i64, stop: i64, reverse: bool) -> Range<usize> {
        index_span(self.len(), start, stop, reverse)
    }

    /// The span of ranks of the members with a score in `range`. Its length is
    /// what `ZCOUNT` counts.
    pub fn score_span(&self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self {
            Zset::Packed(list) => packed::span(
                list,
                false,
                |_, score| range.above_min(score),
                |_, score| range.below_max(score),
            ),
            Zset::Tree(tree) => tree.score_span(range),
        }
    }

    /// The span of ranks of the members in `range`. Its length is what
    /// `ZLEXCOUNT` counts.
    ///
    /// Meaningful while all scores are equal. If they are not, the compact
    /// encoding answers as Redis does, where a reverse walk may see others than
    /// a forward one; the big one gives some span, as it does in Redis.
    pub fn lex_span(&self, range: &LexRange<'_>, reverse: bool) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self {
            Zset::Packed(list) => packed::span(
                list,
                reverse,
                |member, _| member.with_bytes(|m| range.above_min(m)),
                |member, _| member.with_bytes(|m| range.below_max(m)),
            ),
            Zset::Tree(tree) => tree.lex_span(range),
        }
    }

    /// All members in ascending order.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_span(0..self.len(), false)
    }

    /// The members at a span of ranks, from its end if `reverse`. Starting is
    /// O(log n), each step O(1). Ranks past the end are left out.
    pub fn iter_span(&self, span: Range<usize>, reverse: bool) -> Iter<'_> {
        let end = span.end.min(self.len());
        let left = end.saturating_sub(span.start);
        let walk = match self {
            _ if left == 0 => Walk::Nothing,
            Zset::Packed(list) if reverse => Walk::PackedBack(packed::pairs_before(list, end)),
            Zset::Packed(list) => Walk::Packed(packed::pairs_from(list, span.start)),
            Zset::Tree(tree) if reverse => Walk::TreeBack(tree.order().iter_back_from(end - 1)),
            Zset::Tree(tree) => Walk::Tree(tree.order().iter_from(span.start)),
        };
        Iter { walk, left }
    }

    /// Shows the members at a span of ranks to `f`, from its end if `reverse`.
    pub fn visit(&self, span: Range<usize>, reverse: bool, f: &mut dyn FnMut(&[u8], f64)) {
        for (member, score) in self.iter_span(span, reverse) {
            member.with_bytes(|m| f(m, score));
        }
    }

    /// Removes the members at a span of ranks, showing each to `f` in
    /// ascending order; returns how many.
    pub fn remove_span(&mut self, span: Range<usize>, f: &mut dyn FnMut(&[u8], f64)) -> usize {
        let span = span.start..span.end.min(self.len());
        if span.is_empty() {
            return 0;
        }
        match self {
            Zset::Packed(_) => {
                self.visit(span.clone(), false, f);
                if let Zset::Packed(list) = self {
                    packed::delete_span(list, &span);
                }
            }
            Zset::Tree(tree) => tree.remove_span(span.clone(), f),
        }
        span.len()
    }

    /// Removes up to `count` members with the lowest scores, lowest first.
    pub fn pop_min(&mut self, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> usize {
        self.remove_span(0..count, f)
    }

    /// Removes up to `count` members with the highest scores, highest first.
    pub fn pop_max(&mut self, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> usize {
        let len = self.len();
        let span = len.saturating_sub(count)..len;
        self.visit(span.clone(), true, f);
        self.remove_span(span, &mut |_, _| {})
    }

    /// One step of `ZSCAN`: shows members to `f` and gives the next cursor,
    /// 0 at the end. A small set is shown whole; a big one about `count` at a
    /// time in an order of its own, and a member that stays throughout is
    /// shown at least once.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8], f64)) -> u64 {
        match self {
            Zset::Packed(_) => {
                self.visit(0..self.len(), false, f);
                0
            }
            Zset::Tree(tree) => tree.scan(cursor, count, f),
        }
    }

    /// Moves to the big encoding if about to grow past the limit on entries.
    pub fn reserve(&mut self, len: usize, limits: &ZsetLimits) {
        if len > limits.max_listpack_entries {
            self.convert_to_tree();
        }
    }

    /// Moves the finished result of a `STORE` command to the compact encoding
    /// if it keeps to the limits; `longest` and `total` are the bytes of its
    /// longest member and of all.
    pub fn pack_if_small(&mut self, longest: usize, total: usize, limits: &ZsetLimits) {
        if self.len() <= limits.max_listpack_entries
            && longest <= limits.max_listpack_value
            && total <= MAX_BYTES
        {
            self.convert_to_packed();
        }
    }

    /// Moves to the big encoding.
    pub fn convert_to_tree(&mut self) {
        if let Zset::Packed(list) = self {
            let mut tree = Box::<Tree>::default();
            for (member, score) in packed::pairs(list) {
                member.with_bytes(|m| tree.insert(score, m));
            }
            *self = Zset::Tree(tree);
        }
    }

    fn convert_to_packed(&mut self) {
        if let Zset::Tree(tree) = self {
            let mut list = Listpack::new();
            for (score, member) in tree.order() {
                packed::push(&mut list, score, member);
            }
            *self = Zset::Packed(list);
        }
    }

    /// Bytes on the heap. Big sets are walked page by page.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Zset::Packed(list) => list.heap_bytes(),
            Zset::Tree(tree) => tree.heap_bytes(),
        }
    }

    #[cfg(test)]
    fn check(&self) {
        if let Zset::Tree(tree) = self {
            tree.check();
        }
    }
}

/// Members with their scores; see [`Zset::iter_span`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    walk: Walk<'a>,
    left: usize,
}

#[derive(Clone, Debug)]
enum Walk<'a> {
    Nothing,
    Packed(packed::Pairs<'a>),
    PackedBack(packed::Pairs<'a>),
    Tree(rank::Iter<'a>),
    TreeBack(rank::IterBack<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Entry<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let bytes = |(score, member)| (Entry::Str(member), score);
        match &mut self.walk {
            Walk::Nothing => None,
            Walk::Packed(pairs) => pairs.next(),
            Walk::PackedBack(pairs) => pairs.next_back(),
            Walk::Tree(iter) => iter.next().map(bytes),
            Walk::TreeBack(iter) => iter.next().map(bytes),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
