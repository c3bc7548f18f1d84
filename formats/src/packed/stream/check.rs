//! Whether a listpack is a node: what is looked at before anything else may be.

use super::{HEAD, SAME_FIELDS, int_of};
use crate::packed::PackedError;
use crate::packed::listpack::{Iter, Listpack};

/// Checks that the elements of a listpack are those of a node. O(n), whatever they say.
pub(super) fn check(list: &Listpack) -> Result<(), PackedError> {
    let mut walk = Walk {
        elements: list.iter(),
    };
    let live = walk.count()?;
    let deleted = walk.count()?;
    let fields = walk.count()?;
    walk.skip(fields)?;
    if walk.int()? != 0 {
        return Err(walk.bad());
    }
    let mut left = live.saturating_add(deleted);
    while left > 0 {
        left -= 1;
        walk.entry(fields)?;
    }
    match walk.elements.next() {
        Some(_) => Err(walk.bad()),
        None => Ok(()),
    }
}

struct Walk<'a> {
    elements: Iter<'a>,
}

impl Walk<'_> {
    fn bad(&self) -> PackedError {
        PackedError::BadStreamNode {
            offset: self.elements.offset(),
        }
    }

    fn int(&mut self) -> Result<i64, PackedError> {
        let bad = self.bad();
        self.elements.next().and_then(int_of).ok_or(bad)
    }

    fn count(&mut self) -> Result<usize, PackedError> {
        let bad = self.bad();
        usize::try_from(self.int()?).map_err(|_| bad)
    }

    /// Passes over as many elements; the walk ends early where there are fewer.
    fn skip(&mut self, count: usize) -> Result<(), PackedError> {
        match count.checked_sub(1).map(|last| self.elements.nth(last)) {
            Some(None) => Err(self.bad()),
            _ => Ok(()),
        }
    }

    fn entry(&mut self, master_fields: usize) -> Result<(), PackedError> {
        let flags = self.int()?;
        self.int()?;
        self.int()?;
        let elements = if flags & SAME_FIELDS != 0 {
            self.skip(master_fields)?;
            HEAD.checked_add(master_fields)
        } else {
            let words = self.count()?.checked_mul(2).ok_or(self.bad())?;
            self.skip(words)?;
            words.checked_add(HEAD + 1)
        };
        if Some(self.count()?) != elements {
            return Err(self.bad());
        }
        Ok(())
    }
}
