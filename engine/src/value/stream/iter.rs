//! Walking the entries of a stream that are not deleted, in either direction.
//!
//! A walk begins in the node that may hold its first entry and ends with the first entry beyond
//! its other end.

use std::sync::Arc;

use basalt_formats::packed::stream::{Entries, StreamEntry, StreamNode};

use super::id::StreamId;
use crate::structs::ordered::{Iter, IterBack};

/// Entries by ascending ID.
pub struct Range<'a> {
    nodes: Iter<'a, StreamId, Arc<StreamNode>>,
    entries: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

/// Entries by descending ID.
pub struct RangeBack<'a> {
    nodes: IterBack<'a, StreamId, Arc<StreamNode>>,
    entries: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Range<'a> {
    pub(super) fn new(
        nodes: Iter<'a, StreamId, Arc<StreamNode>>,
        start: StreamId,
        end: StreamId,
    ) -> Range<'a> {
        Range {
            nodes,
            entries: None,
            start,
            end,
        }
    }
}

impl<'a> RangeBack<'a> {
    pub(super) fn new(
        nodes: IterBack<'a, StreamId, Arc<StreamNode>>,
        start: StreamId,
        end: StreamId,
    ) -> RangeBack<'a> {
        RangeBack {
            nodes,
            entries: None,
            start,
            end,
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let entries = match &mut self.entries {
                Some(entries) => entries,
                none => {
                    let (master, node) = self.nodes.next().filter(|(id, _)| **id <= self.end)?;
                    none.insert(node.entries(*master))
                }
            };
            let start = self.start;
            match entries.find(|entry| entry.id >= start && !entry.deleted) {
                Some(entry) if entry.id <= self.end => return Some(entry),
                Some(_) => {
                    self.end = StreamId::MIN;
                    self.start = StreamId::MAX;
                    return None;
                }
                None => self.entries = None,
            }
        }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let entries = match &mut self.entries {
                Some(entries) => entries,
                none => {
                    let (master, node) = self.nodes.next()?;
                    none.insert(node.entries(*master))
                }
            };
            let end = self.end;
            match entries.rfind(|entry| entry.id <= end && !entry.deleted) {
                Some(entry) if entry.id >= self.start => return Some(entry),
                Some(_) => {
                    self.end = StreamId::MIN;
                    self.start = StreamId::MAX;
                    return None;
                }
                None => self.entries = None,
            }
        }
    }
}
