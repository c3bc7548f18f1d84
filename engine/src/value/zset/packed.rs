//! Sorted sets in one listpack: member, score, member, score, ... in order.
//!
//! Scores are stored as Redis stores them: whole numbers in the range where a
//! conversion to 64 bits is exact as integers (so `-0` becomes 0), others as
//! shortest text. Every operation is a walk; the encoding is for small sets.

use std::cmp::Ordering;
use std::ops::Range;

use basalt_formats::num::{MAX_F64_CHARS, format_f64, parse_f64};
use basalt_formats::packed::listpack::{Entry, Iter, Listpack};

/// The largest magnitude that Redis stores as an integer: half of 2^63.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// The integer a score is stored as, if it is.
fn whole(score: f64) -> Option<i64> {
    if !(-WHOLE_MAX..=WHOLE_MAX).contains(&score) {
        return None;
    }
    let int = score as i64;
    (int as f64 == score).then_some(int)
}

/// The text of a score that is no such integer.
fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(MAX_F64_CHARS);
    format_f64(score, &mut text);
    text
}

/// The number a stored score stands for; text that is no number counts as 0.
fn score_of(entry: Entry<'_>) -> f64 {
    match entry {
        Entry::Int(value) => value as f64,
        Entry::Str(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// Members and scores in order, from either end.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a>(Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Entry<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.0.next()?;
        Some((member, score_of(self.0.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = self.0.next_back()?;
        Some((self.0.next_back()?, score_of(score)))
    }
}

pub(super) fn pairs(list: &Listpack) -> Pairs<'_> {
    Pairs(list.iter())
}

/// The pairs from `rank` on, to be taken forwards.
pub(super) fn pairs_from(list: &Listpack, rank: usize) -> Pairs<'_> {
    Pairs(list.iter_from(offset_of(list, rank)))
}

/// The pairs before `rank`, to be taken backwards.
pub(super) fn pairs_before(list: &Listpack, rank: usize) -> Pairs<'_> {
    Pairs(list.iter_before(offset_of(list, rank)))
}

/// Offset of the member at a rank, or the end.
fn offset_of(list: &Listpack, rank: usize) -> usize {
    i64::try_from(rank)
        .ok()
        .and_then(|rank| list.seek(rank.checked_mul(2)?))
        .unwrap_or(list.end())
}

pub(super) fn len(list: &Listpack) -> usize {
    list.len() / 2
}

/// Offset of a member.
pub(super) fn find(list: &Listpack, member: &[u8]) -> Option<usize> {
    list.find(list.first()?, member, 1)
}

/// The score behind the member at an offset.
pub(super) fn score_after(list: &Listpack, offset: usize) -> f64 {
    list.next(offset).map_or(0.0, |at| score_of(list.entry(at)))
}

pub(super) fn cmp_member(entry: &Entry<'_>, member: &[u8]) -> Ordering {
    entry.with_bytes(|own| own.cmp(member))
}

/// Inserts a member that is not there yet.
pub(super) fn insert(list: &mut Listpack, score: f64, member: &[u8]) {
    let mut at = list.first();
    while let Some(offset) = at {
        let Some(score_at) = list.next(offset) else {
            break;
        };
        let own = score_of(list.entry(score_at));
        if own > score
            || (own == score && cmp_member(&list.entry(offset), member) == Ordering::Greater)
        {
            break;
        }
        at = list.next(score_at);
    }
    let offset = at.unwrap_or(list.end());
    match whole(score) {
        Some(int) => list.insert_int_before(offset, int),
        None => list.insert_before(offset, &score_text(score)),
    }
    list.insert_before(offset, member);
}

/// Appends a pair that belongs at the end.
pub(super) fn push(list: &mut Listpack, score: f64, member: &[u8]) {
    list.push_back(member);
    match whole(score) {
        Some(int) => list.push_back_int(int),
        None => list.push_back(&score_text(score)),
    }
}

/// Removes the pair at an offset.
pub(super) fn delete(list: &mut Listpack, offset: usize) {
    list.delete_run(offset, 2);
}

/// Removes the pairs at a span of ranks.
pub(super) fn delete_span(list: &mut Listpack, span: &Range<usize>) {
    if let Ok(index) = i64::try_from(span.start * 2) {
        list.delete_range(index, span.len() * 2);
    }
}

/// The ranks from the first pair that is `from` on while pairs are `to`, or
/// the same from the other end if `reverse`. The two directions differ only
/// when the order of the list is not that of the predicates, as for an
/// interval of members over unequal scores; this is how Redis answers then.
pub(super) fn span(
    list: &Listpack,
    reverse: bool,
    from: impl Fn(&Entry<'_>, f64) -> bool,
    to: impl Fn(&Entry<'_>, f64) -> bool,
) -> Range<usize> {
    let nothing = 0..0;
    // A list whose ends lie outside has nothing inside.
    let (Some((first, low)), Some((last, high))) = (pairs(list).next(), pairs(list).next_back())
    else {
        return nothing;
    };
    if !from(&last, high) || !to(&first, low) {
        return nothing;
    }
    if reverse {
        let after = pairs(list).rev().take_while(|(m, s)| !to(m, *s)).count();
        let run = pairs(list).rev().skip(after);
        let end = len(list) - after;
        end - run.take_while(|(m, s)| from(m, *s)).count()..end
    } else {
        let start = pairs(list).take_while(|(m, s)| !from(m, *s)).count();
        let run = pairs(list).skip(start).take_while(|(m, s)| to(m, *s));
        start..start + run.count()
    }
}

/// Checks a listpack that came from outside: whole pairs, scores that are
/// numbers, in ascending order. None if a pair or number is broken.
pub(super) fn inspect(list: &Listpack) -> Option<bool> {
    let mut entries = list.iter();
    let mut previous: Option<(Entry<'_>, f64)> = None;
    let mut ordered = true;
    while let Some(member) = entries.next() {
        let score = match entries.next()? {
            Entry::Int(value) => value as f64,
            Entry::Str(text) => parse_f64(text)?,
        };
        if let Some((before, low)) = previous {
            let ties = || before.with_bytes(|b| cmp_member(&member, b)) == Ordering::Greater;
            ordered &= low < score || (low == score && ties());
        }
        previous = Some((member, score));
    }
    Some(ordered)
}
