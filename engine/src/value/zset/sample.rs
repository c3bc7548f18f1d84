//! Random members, for `ZRANDMEMBER`. A uniform rank is a uniform member, so
//! the choice is among ranks and the caller's generator stays outside.

use std::collections::BTreeSet;

use basalt_formats::packed::listpack::Entry;

use super::{Zset, packed};

/// Draws a number below its argument, which is at least 1.
pub type Below<'a> = &'a mut dyn FnMut(u64) -> u64;

impl Zset {
    /// The member at a rank counted from zero. O(log n).
    pub fn nth(&self, rank: usize) -> Option<(Entry<'_>, f64)> {
        self.iter_span(rank..rank.checked_add(1)?, false).next()
    }

    /// Shows `count` members to `f`, each drawn anew from the whole set:
    /// `ZRANDMEMBER key -count`. Stops early when `f` returns false.
    pub fn sample(&self, count: u64, below: Below<'_>, f: &mut dyn FnMut(&[u8], f64) -> bool) {
        let len = self.len();
        if len == 0 {
            return;
        }
        // A listpack is walked once, not once per draw.
        let pairs: Vec<_> = match self {
            Zset::Packed(list) => packed::pairs(list).collect(),
            Zset::Tree(_) => Vec::new(),
        };
        for _ in 0..count {
            let rank = draw(len, below);
            let picked = match self {
                Zset::Packed(_) => pairs.get(rank).copied(),
                Zset::Tree(_) => self.nth(rank),
            };
            let Some((member, score)) = picked else {
                return;
            };
            if !member.with_bytes(|m| f(m, score)) {
                return;
            }
        }
    }

    /// Shows `count` distinct members to `f`, or all if there are no more:
    /// `ZRANDMEMBER key count`. Every choice of members is equally likely;
    /// they come in ascending order.
    pub fn sample_distinct(&self, count: usize, below: Below<'_>, f: &mut dyn FnMut(&[u8], f64)) {
        let len = self.len();
        if count >= len {
            return self.visit(0..len, false, f);
        }
        // Choose the smaller side: those to show or those to leave out.
        let leave_out = count > len / 2;
        let chosen = distinct(len, if leave_out { len - count } else { count }, below);
        if leave_out || matches!(self, Zset::Packed(_)) {
            for (rank, (member, score)) in self.iter().enumerate() {
                if chosen.contains(&rank) != leave_out {
                    member.with_bytes(|m| f(m, score));
                }
            }
            return;
        }
        for (member, score) in chosen.into_iter().filter_map(|rank| self.nth(rank)) {
            member.with_bytes(|m| f(m, score));
        }
    }
}

fn draw(len: usize, below: Below<'_>) -> usize {
    let drawn = below(len as u64);
    usize::try_from(drawn).unwrap_or(0).min(len - 1)
}

/// `count` distinct numbers below `len`, every combination equally likely
/// (Floyd's method: one draw per number).
fn distinct(len: usize, count: usize, below: Below<'_>) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for top in len - count..len {
        let pick = draw(top + 1, below);
        if !chosen.insert(pick) {
            chosen.insert(top);
        }
    }
    chosen
}
