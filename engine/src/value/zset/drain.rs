//! Reading a big sorted set once, letting go of what has been read.
//!
//! Highest first while nobody writes to it, which suits loaders. Once a writer has copied one of
//! its pages, the tree is let go of, for every write costs pages of it, and what is left is read
//! by the pages of the index, those that writers copied first.

use super::index::{Scores, decode};
use super::tree::Tree;
use crate::structs::paged::{Copied, Drain, Entry};
use crate::structs::rank::RankTree;

/// Elements shown in one step while the tree is read.
const STEP: usize = 128;

/// A sorted set that is being read out; see the module's head.
pub(crate) struct ZsetDrain {
    index: Drain<Scores>,
    /// The tree and how many of its highest elements have been shown.
    order: Option<(RankTree, usize)>,
    /// The lowest element that was shown from the tree.
    shown: Option<(f64, Vec<u8>)>,
}

impl ZsetDrain {
    /// Begins to read a set out.
    pub(crate) fn new(tree: Tree) -> ZsetDrain {
        let (index, order) = tree.into_parts();
        ZsetDrain {
            index: Drain::new(index.0),
            order: Some((order, 0)),
            shown: None,
        }
    }

    /// Shows some more elements; false if there are none.
    pub(crate) fn next(&mut self, f: &mut dyn FnMut(&[u8], f64)) -> bool {
        let Some((order, done)) = &mut self.order else {
            let shown = &self.shown;
            return self
                .index
                .next_page(&mut |entry| show(entry, shown.as_ref(), f));
        };
        let left = order.len() - *done;
        let step = STEP.min(left);
        let mut lowest = None;
        if let Some(highest) = left.checked_sub(1) {
            for (score, member) in order.iter_back_from(highest).take(step) {
                f(member, score);
                lowest = Some((score, member));
            }
        }
        self.shown = lowest
            .map(|(score, member)| (score, member.to_vec()))
            .or(self.shown.take());
        *done += step;
        step > 0
    }

    /// Shows the elements of a page that a writer has copied; false if it is none of ours, or
    /// was shown before.
    pub(crate) fn copied(&mut self, copied: &Copied, f: &mut dyn FnMut(&[u8], f64)) -> bool {
        let shown = &self.shown;
        let ours = self
            .index
            .copied(copied, &mut |entry| show(entry, shown.as_ref(), f));
        if ours {
            self.order = None;
        }
        ours
    }
}

/// Shows an entry of the index unless it was shown from the tree.
fn show(entry: Entry<'_, Scores>, shown: Option<&(f64, Vec<u8>)>, f: &mut dyn FnMut(&[u8], f64)) {
    let score = decode(entry.payload);
    let below = shown.is_none_or(|(lowest, member)| {
        score < *lowest || (score == *lowest && entry.key < member.as_slice())
    });
    if below {
        f(entry.key, score);
    }
}
