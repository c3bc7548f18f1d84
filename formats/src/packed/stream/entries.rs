//! Walking the entries of a node.

use super::{DELETED, SAME_FIELDS, StreamId, int_of};
use crate::packed::listpack::{self, Entry, Listpack};

/// Entries of a node, deleted ones too, from either end.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    list: &'a Listpack,
    master: StreamId,
    /// Number and place of the fields of the master entry.
    fields: (usize, usize),
    /// The entry whose end is where `front` should be.
    passed: Option<StreamEntry<'a>>,
    front: usize,
    back: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(
        list: &'a Listpack,
        master: StreamId,
        fields: (usize, usize),
        first: usize,
    ) -> Entries<'a> {
        Entries {
            list,
            master,
            fields,
            passed: None,
            front: first,
            back: list.end(),
        }
    }

    /// The entry that begins at an offset.
    fn read(&self, at: usize) -> Option<StreamEntry<'a>> {
        let mut elements = self.list.iter_from(at);
        let flags = elements.next().and_then(int_of)?;
        let ms = elements.next().and_then(int_of)?;
        let seq = elements.next().and_then(int_of)?;
        let same = flags & SAME_FIELDS != 0;
        let (len, fields) = if same {
            (self.fields.0, Some(self.fields.1))
        } else {
            let count = elements.next().and_then(int_of)?;
            (usize::try_from(count).ok()?, None)
        };
        Some(StreamEntry {
            id: StreamId {
                ms: self.master.ms.wrapping_add_signed(ms),
                seq: self.master.seq.wrapping_add_signed(seq),
            },
            deleted: flags & DELETED != 0,
            at,
            list: self.list,
            len,
            fields,
            content: elements.offset(),
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        if let Some(passed) = self.passed.take() {
            self.front = passed.end();
        }
        if self.front >= self.back {
            return None;
        }
        let entry = self.read(self.front)?;
        self.passed = Some(entry);
        Some(entry)
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if let Some(passed) = self.passed.take() {
            self.front = passed.end();
        }
        if self.front >= self.back {
            return None;
        }
        let mut at = self.list.prev(self.back)?;
        let count = int_of(self.list.entry(at))?;
        for _ in 0..count {
            at = self.list.prev(at)?;
        }
        if at < self.front {
            return None;
        }
        self.back = at;
        self.read(at)
    }
}

/// One entry of a node.
#[derive(Debug, Clone, Copy)]
pub struct StreamEntry<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Its place in the node, good until the node changes.
    pub at: usize,
    list: &'a Listpack,
    len: usize,
    /// Place of the fields, if they are those of the master entry.
    fields: Option<usize>,
    /// Place of the values, or of fields and values in turn.
    content: usize,
}

impl<'a> StreamEntry<'a> {
    /// Number of fields, each with a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no field, which only a foreign entry can have.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its fields and values.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs {
            fields: self.fields.map(|at| self.list.iter_from(at)),
            content: self.list.iter_from(self.content),
            left: self.len,
        }
    }

    /// Where the entry after it begins.
    fn end(&self) -> usize {
        let mut elements = self.list.iter_from(self.content);
        let each = if self.fields.is_some() { 1 } else { 2 };
        // The count of elements comes last.
        elements.nth(self.len.saturating_mul(each));
        elements.offset()
    }
}

/// Fields and values of an entry.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    fields: Option<listpack::Iter<'a>>,
    content: listpack::Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Entry<'a>, Entry<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.fields {
            Some(fields) => fields.next()?,
            None => self.content.next()?,
        };
        Some((field, self.content.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
