//! What BITCOUNT and BITPOS share: a range of bytes or bits, and bit offsets in requests.

use basalt_formats::num;

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::error::ReplyError;

/// What the numbers of a range count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// `BYTE` or `BIT`.
    ///
    /// # Errors
    /// Syntax.
    pub(super) fn parse(word: &[u8]) -> Result<Unit, ReplyError> {
        if args::is(word, "bit") {
            Ok(Unit::Bit)
        } else if args::is(word, "byte") {
            Ok(Unit::Byte)
        } else {
            Err(ReplyError::SYNTAX)
        }
    }

    /// The first and last bit from `start` to `end` (both included, negative ones from the end)
    /// of a string of `len` bytes; `None` if there are none.
    pub(super) fn bits(self, len: usize, start: i64, end: i64) -> Option<(usize, usize)> {
        let size = match self {
            Unit::Byte => len,
            Unit::Bit => len.checked_mul(8)?,
        };
        let total = i64::try_from(size).ok()?;
        let absolute = |at: i64| if at < 0 { (total + at).max(0) } else { at };
        let start = usize::try_from(absolute(start)).ok()?;
        let end = usize::try_from(absolute(end).min(total - 1)).ok()?;
        match self {
            _ if start > end => None,
            Unit::Byte => Some((start.checked_mul(8)?, end.checked_mul(8)?.checked_add(7)?)),
            Unit::Bit => Some((start, end)),
        }
    }
}

/// A bit offset within the longest string allowed. With a `width`, `#n` is the offset of the
/// n-th integer of that width.
///
/// # Errors
/// Not an integer, negative, or beyond `proto-max-bulk-len` bytes.
pub(super) fn offset(ctx: &Ctx<'_>, word: &[u8], width: Option<u32>) -> Result<usize, ReplyError> {
    let parsed = match (width, word.strip_prefix(b"#")) {
        (Some(width), Some(index)) => {
            num::parse_i64(index).and_then(|index| index.checked_mul(i64::from(width)))
        }
        _ => num::parse_i64(word),
    };
    parsed
        .and_then(|offset| usize::try_from(offset).ok())
        .filter(|offset| offset / 8 < ctx.engine().settings.max_string())
        .ok_or_else(|| ReplyError::err("bit offset is not an integer or out of range"))
}

#[cfg(test)]
mod tests {
    use super::Unit::{Bit, Byte};

    #[test]
    fn ranges() {
        assert_eq!(Byte.bits(3, 0, -1), Some((0, 23)));
        assert_eq!(Byte.bits(3, 1, 1), Some((8, 15)));
        assert_eq!(Byte.bits(3, -1, 100), Some((16, 23)));
        assert_eq!(Byte.bits(3, -100, -100), Some((0, 7)));
        assert_eq!(Byte.bits(3, 3, 9), None);
        assert_eq!(Byte.bits(3, 2, 1), None);
        assert_eq!(Byte.bits(0, 0, -1), None);
        assert_eq!(Bit.bits(3, 5, -5), Some((5, 19)));
        assert_eq!(Bit.bits(3, 24, 30), None);
        assert_eq!(Bit.bits(3, i64::MIN, i64::MAX), Some((0, 23)));
        assert_eq!(Bit.bits(0, 0, 0), None);
    }
}
