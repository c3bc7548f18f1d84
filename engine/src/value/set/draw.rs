//! Random choices from a set: one element, many distinct ones, popping.
//!
//! The caller brings the random numbers, so that a simulated run repeats. Ranks are
//! positions in stored order; every set of distinct ranks is equally likely.

use std::collections::HashSet;

use basalt_formats::packed::Listpack;

use super::{Element, Set, SetLimits};

/// `SPOP` builds a new set of what stays when this many times as many are popped.
const KEEP_FACTOR: usize = 5;

/// A number below `bound` (0 if that is 0), spread evenly over random 64-bit numbers.
pub fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

/// `count` distinct ranks below `len` (all of them if there are not more), ascending.
/// O(count log count) when they are few, else O(len).
pub fn distinct_ranks(len: usize, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<usize> {
    if count >= len {
        return (0..len).collect();
    }
    let mut ranks = Vec::with_capacity(count);
    if count > len / 3 {
        // Each rank is taken with the probability that is left to fill the need.
        for rank in 0..len {
            if ranks.len() == count {
                break;
            }
            if below(random(), len - rank) < count - ranks.len() {
                ranks.push(rank);
            }
        }
    } else {
        // Floyd: for each new upper end, a rank up to it, or the end itself if taken.
        let mut taken = HashSet::with_capacity(count);
        for end in len - count..len {
            let rank = below(random(), end + 1);
            let rank = if taken.insert(rank) { rank } else { end };
            taken.insert(rank);
            ranks.push(rank);
        }
        ranks.sort_unstable();
    }
    ranks
}

impl Set {
    /// The element at a rank in stored order. O(rank) in a listpack, O(log n) in a table.
    pub fn nth(&self, rank: usize) -> Option<Element<'_>> {
        match self {
            Set::Ints(ints) => ints.get(rank).map(Element::Int),
            Set::Packed(list) => list.get(i64::try_from(rank).ok()?),
            Set::Table(map) => map.nth(rank).map(|entry| Element::Str(entry.key)),
        }
    }

    /// The element a random number points to; all are equally likely.
    pub fn random(&self, random: u64) -> Option<Element<'_>> {
        self.nth(below(random, self.len()))
    }

    /// Calls `f` with the elements at ascending ranks, in one walk where many are asked
    /// for.
    pub fn at_ranks(&self, ranks: &[usize], f: &mut dyn FnMut(Element<'_>)) {
        let sparse = ranks.len() < self.len() / 3;
        match self {
            Set::Packed(list) => list.visit_sorted(ranks, |_, element| f(element)),
            Set::Table(map) if !sparse => {
                let mut wanted = ranks.iter().copied().peekable();
                for (rank, entry) in map.iter().enumerate() {
                    while wanted.next_if_eq(&rank).is_some() {
                        f(Element::Str(entry.key));
                    }
                    if wanted.peek().is_none() {
                        return;
                    }
                }
            }
            _ => ranks.iter().filter_map(|&rank| self.nth(rank)).for_each(f),
        }
    }

    /// Removes and returns the element a random number points to.
    pub fn pop_random(&mut self, random: u64) -> Option<Vec<u8>> {
        let rank = below(random, self.len());
        match self {
            Set::Packed(list) => {
                let at = list.seek(i64::try_from(rank).ok()?)?;
                let element = list.entry(at).to_vec();
                list.delete(at);
                Some(element)
            }
            _ => {
                let element = self.nth(rank)?.to_vec();
                self.remove(&element);
                Some(element)
            }
        }
    }

    /// Removes `count` random elements and calls `f` with each.
    ///
    /// When almost all go, those that stay move to a new set, as in Redis: it starts as a
    /// listpack (or as an intset after an intset), so that a table may become packed.
    /// `count` is below the number of elements; the caller deletes the key otherwise.
    pub fn pop_many(
        &mut self,
        count: usize,
        limits: &SetLimits,
        random: &mut dyn FnMut() -> u64,
        f: &mut dyn FnMut(Element<'_>),
    ) {
        let remaining = self.len().saturating_sub(count);
        if remaining.saturating_mul(KEEP_FACTOR) <= count {
            let kept = distinct_ranks(self.len(), remaining, random);
            return self.keep_only(&kept, limits, f);
        }
        match self {
            Set::Packed(list) => {
                let ranks = distinct_ranks(list.len(), count, random);
                let mut wanted = ranks.into_iter().peekable();
                let mut doomed = Vec::with_capacity(count);
                for (rank, offset) in list.offsets().enumerate() {
                    if wanted.next_if_eq(&rank).is_some() {
                        f(list.entry(offset));
                        doomed.push(offset);
                    }
                }
                list.delete_offsets(&doomed);
            }
            _ => {
                for _ in 0..count {
                    match self.pop_random(random()) {
                        Some(element) => f(Element::Str(&element)),
                        None => return,
                    }
                }
            }
        }
    }

    /// Moves the elements at these ranks to a new set and gives the others to `f`.
    fn keep_only(&mut self, kept: &[usize], limits: &SetLimits, f: &mut dyn FnMut(Element<'_>)) {
        let mut stays = match self {
            Set::Ints(_) => Set::default(),
            _ => Set::Packed(Listpack::new()),
        };
        let mut kept = kept.iter().copied().peekable();
        for (rank, element) in self.iter().enumerate() {
            if kept.next_if_eq(&rank).is_some() {
                stays.add_element(element, limits);
            } else {
                f(element);
            }
        }
        *self = stays;
    }
}
