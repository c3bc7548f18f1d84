//! Reading lists: by index, by range, by value, in either direction.

use super::List;
use crate::structs::quicklist;
use basalt_formats::packed::{Entry, Needle, listpack};

/// Elements of a list in one direction.
#[derive(Debug, Clone)]
pub enum Iter<'a> {
    /// A listpack towards the tail.
    Packed(listpack::Iter<'a>),
    /// A listpack towards the head.
    PackedBack(listpack::Iter<'a>),
    /// A quicklist, in the direction its iterator has.
    Quick(quicklist::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match self {
            Iter::Packed(entries) => entries.next(),
            Iter::PackedBack(entries) => entries.next_back(),
            Iter::Quick(entries) => entries.next(),
        }
    }
}

/// The first and last position of a range given by two indexes, as `LRANGE`
/// understands them; `None` when it is empty.
pub(super) fn clamp_range(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let len = i64::try_from(len).ok()?;
    let from_head = |index: i64| if index < 0 { index + len } else { index };
    let start = from_head(start).max(0);
    let end = from_head(end).min(len - 1);
    if start > end {
        return None;
    }
    Some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
}

impl List {
    /// The element at an index.
    pub fn get(&self, index: i64) -> Option<Entry<'_>> {
        match self {
            List::Packed(list) => list.get(index),
            List::Quick(list) => list.get(index),
        }
    }

    /// All elements, head to tail.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from position `start` towards the tail.
    pub fn iter_from(&self, start: usize) -> Iter<'_> {
        match self {
            List::Packed(list) => {
                let offset = i64::try_from(start).ok().and_then(|at| list.seek(at));
                Iter::Packed(list.iter_from(offset.unwrap_or(list.end())))
            }
            List::Quick(list) => Iter::Quick(list.iter_from(start)),
        }
    }

    /// The elements from position `start` towards the head.
    pub fn iter_back_from(&self, start: usize) -> Iter<'_> {
        match self {
            List::Packed(list) => {
                let offset = i64::try_from(start).ok().and_then(|at| list.seek(at));
                let behind = match offset {
                    Some(offset) => list.next(offset).unwrap_or(list.end()),
                    // Nothing lies before the first entry.
                    None => list.first().unwrap_or(list.end()),
                };
                Iter::PackedBack(list.iter_before(behind))
            }
            List::Quick(list) => Iter::Quick(list.iter_back_from(start)),
        }
    }

    /// How many elements `LRANGE start end` gives.
    pub fn range_len(&self, start: i64, end: i64) -> usize {
        clamp_range(start, end, self.len()).map_or(0, |(first, last)| last - first + 1)
    }

    /// The elements `LRANGE start end` gives.
    pub fn range(&self, start: i64, end: i64) -> impl Iterator<Item = Entry<'_>> {
        let (first, count) = match clamp_range(start, end, self.len()) {
            Some((first, last)) => (first, last - first + 1),
            None => (0, 0),
        };
        self.iter_from(first).take(count)
    }

    /// Positions of elements equal to `value`, as `LPOS` finds them.
    ///
    /// `rank` is the number of the first match wanted, counted from the tail
    /// when negative (0 finds nothing); at most `count` matches are given (0:
    /// all) and at most `max_len` elements looked at (0: all).
    pub fn positions(&self, value: &[u8], rank: i64, count: usize, max_len: usize) -> Vec<usize> {
        let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let len = self.len();
        let Some(last) = len.checked_sub(1) else {
            return Vec::new();
        };
        let Some(skip) = rank.unsigned_abs().checked_sub(1) else {
            return Vec::new();
        };
        let entries = if rank < 0 {
            self.iter_back_from(last)
        } else {
            self.iter_from(0)
        };
        let needle = Needle::new(value);
        entries
            .take(unlimited(max_len))
            .enumerate()
            .filter(|&(_, entry)| needle.matches(entry))
            .map(|(steps, _)| if rank < 0 { last - steps } else { steps })
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(unlimited(count))
            .collect()
    }
}
