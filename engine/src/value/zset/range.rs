//! Intervals of scores and of members, as `ZRANGEBYSCORE` and `ZRANGEBYLEX`
//! spell them, and the arithmetic from command arguments to spans of ranks.

use std::ops::Range;

/// An interval of scores; either end may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// Lowest score, or the one just outside if `min_exclusive`.
    pub min: f64,
    /// Leaves out scores equal to `min`.
    pub min_exclusive: bool,
    /// Highest score, or the one just outside if `max_exclusive`.
    pub max: f64,
    /// Leaves out scores equal to `max`.
    pub max_exclusive: bool,
}

impl ScoreRange {
    /// The closed interval between two scores.
    pub const fn closed(min: f64, max: f64) -> ScoreRange {
        ScoreRange {
            min,
            min_exclusive: false,
            max,
            max_exclusive: false,
        }
    }

    /// Parses two bounds such as `1.5`, `(1.5` (exclusive), `-inf` or `+inf`,
    /// with `number` reading what follows the parenthesis. None if either is
    /// no number or NaN.
    pub fn parse(
        min: &[u8],
        max: &[u8],
        number: impl Fn(&[u8]) -> Option<f64>,
    ) -> Option<ScoreRange> {
        let bound = |text: &[u8]| {
            let (exclusive, digits) = match text.strip_prefix(b"(") {
                Some(digits) => (true, digits),
                None => (false, text),
            };
            let value = number(digits).filter(|x| !x.is_nan())?;
            Some((value, exclusive))
        };
        let (min, min_exclusive) = bound(min)?;
        let (max, max_exclusive) = bound(max)?;
        Some(ScoreRange {
            min,
            min_exclusive,
            max,
            max_exclusive,
        })
    }

    /// True when no score can lie inside.
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_exclusive || self.max_exclusive))
    }

    /// Whether a score keeps to the lower bound.
    pub fn above_min(&self, score: f64) -> bool {
        score > self.min || (!self.min_exclusive && score == self.min)
    }

    /// Whether a score keeps to the upper bound.
    pub fn below_max(&self, score: f64) -> bool {
        score < self.max || (!self.max_exclusive && score == self.max)
    }
}

/// One end of an interval of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: after every member.
    Highest,
    /// `[member`: the member itself belongs to the interval.
    Inclusive(&'a [u8]),
    /// `(member`: the member itself does not.
    Exclusive(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// Parses `-`, `+`, `[member` or `(member`.
    pub fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        let (&first, rest) = text.split_first()?;
        match first {
            b'(' => Some(LexBound::Exclusive(rest)),
            b'[' => Some(LexBound::Inclusive(rest)),
            // Redis looks at the second byte as C does: a NUL ends the text.
            b'-' if matches!(rest.first(), None | Some(0)) => Some(LexBound::Lowest),
            b'+' if matches!(rest.first(), None | Some(0)) => Some(LexBound::Highest),
            _ => None,
        }
    }
}

/// An interval of members, meaningful while all scores are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Lower end.
    pub min: LexBound<'a>,
    /// Upper end.
    pub max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    /// Parses both bounds; see [`LexBound::parse`].
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange {
            min: LexBound::parse(min)?,
            max: LexBound::parse(max)?,
        })
    }

    /// True when no member can lie inside.
    pub fn is_empty(&self) -> bool {
        use LexBound::{Exclusive, Highest, Inclusive, Lowest};
        match (self.min, self.max) {
            (Highest, _) | (_, Lowest) => true,
            (Lowest, _) | (_, Highest) => false,
            (Inclusive(a), Inclusive(b)) => a > b,
            (Inclusive(a) | Exclusive(a), Inclusive(b) | Exclusive(b)) => a >= b,
        }
    }

    /// Whether a member keeps to the lower bound.
    pub fn above_min(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(bound) => member >= bound,
            LexBound::Exclusive(bound) => member > bound,
        }
    }

    /// Whether a member keeps to the upper bound.
    pub fn below_max(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member <= bound,
            LexBound::Exclusive(bound) => member < bound,
        }
    }
}

/// The span of ranks that `ZRANGE key start stop [REV]` names: negative indexes
/// count from the end, and under `reverse` index 0 is the highest rank. The
/// span is in ascending ranks either way, and empty when out of range.
pub fn index_span(len: usize, start: i64, stop: i64, reverse: bool) -> Range<usize> {
    let len_signed = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |index: i64| {
        if index < 0 {
            index.saturating_add(len_signed)
        } else {
            index
        }
    };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(len_signed - 1);
    if start > stop || start >= len_signed {
        return 0..0;
    }
    // Both lie in 0..len here, so they fit.
    let (start, end) = (start as usize, stop as usize + 1);
    if reverse {
        len - end..len - start
    } else {
        start..end
    }
}

/// Cuts a span down to `LIMIT offset count`, counted from the end where the
/// walk begins. A negative offset leaves nothing, a negative count everything.
pub fn limit_span(span: Range<usize>, offset: i64, count: i64, reverse: bool) -> Range<usize> {
    let Ok(offset) = usize::try_from(offset) else {
        return span.start..span.start;
    };
    let skip = offset.min(span.len());
    let keep = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(span.len() - skip);
    if reverse {
        let end = span.end - skip;
        end - keep..end
    } else {
        let start = span.start + skip;
        start..start + keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &[u8]) -> Option<f64> {
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    #[test]
    fn score_bounds_parse_as_redis_reads_them() {
        let range = ScoreRange::parse(b"(1.5", b"+inf", number).expect("valid");
        assert!(range.min_exclusive && !range.max_exclusive);
        assert_eq!((range.min, range.max), (1.5, f64::INFINITY));
        assert!(!range.above_min(1.5) && range.above_min(1.6) && range.below_max(f64::INFINITY));
        assert_eq!(ScoreRange::parse(b"nan", b"1", number), None);
        assert_eq!(ScoreRange::parse(b"((1", b"1", number), None);
        assert!(
            ScoreRange::parse(b"2", b"(2", number)
                .expect("valid")
                .is_empty()
        );
        assert!(!ScoreRange::closed(-0.0, 0.0).is_empty());
        assert!(!ScoreRange::closed(0.0, -0.0).is_empty());
    }

    #[test]
    fn lex_bounds_parse_as_redis_reads_them() {
        assert_eq!(LexBound::parse(b"-"), Some(LexBound::Lowest));
        assert_eq!(LexBound::parse(b"+"), Some(LexBound::Highest));
        assert_eq!(LexBound::parse(b"+a"), None);
        assert_eq!(LexBound::parse(b""), None);
        assert_eq!(LexBound::parse(b"a"), None);
        assert_eq!(LexBound::parse(b"["), Some(LexBound::Inclusive(b"")));
        let empty = |a: &[u8], b: &[u8]| LexRange::parse(a, b).expect("valid").is_empty();
        assert!(empty(b"-", b"-") && empty(b"+", b"+") && empty(b"+", b"[z"));
        assert!(empty(b"(a", b"[a") && empty(b"[b", b"[a") && empty(b"(a", b"(a"));
        assert!(!empty(b"[a", b"[a") && !empty(b"-", b"[") && !empty(b"(a", b"+"));
    }

    #[test]
    fn indexes_become_spans() {
        assert_eq!(index_span(5, 0, -1, false), 0..5);
        assert_eq!(index_span(5, 1, 2, true), 2..4);
        assert_eq!(index_span(5, -100, 1, false), 0..2);
        assert_eq!(index_span(5, 3, 100, true), 0..2);
        assert_eq!(index_span(5, 4, 3, false), 0..0);
        assert_eq!(index_span(5, 5, 9, false), 0..0);
        assert_eq!(index_span(0, 0, -1, false), 0..0);
        assert_eq!(index_span(5, i64::MIN, i64::MIN, false), 0..0);
        assert_eq!(index_span(5, i64::MIN, i64::MAX, false), 0..5);
    }

    #[test]
    fn limits_cut_spans_from_where_the_walk_begins() {
        assert_eq!(limit_span(2..8, 1, 2, false), 3..5);
        assert_eq!(limit_span(2..8, 1, 2, true), 5..7);
        assert_eq!(limit_span(2..8, 0, -1, true), 2..8);
        assert!(limit_span(2..8, -1, -1, false).is_empty());
        assert!(limit_span(2..8, 6, 1, false).is_empty());
        assert!(limit_span(2..8, 0, 0, true).is_empty());
        assert_eq!(limit_span(2..8, i64::MAX, i64::MAX, true).len(), 0);
    }
}
