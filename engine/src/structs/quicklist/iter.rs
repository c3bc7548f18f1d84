//! Walking a quicklist from an index in either direction.

use super::QuickList;
use super::node::Node;
use super::tree::Slot;
use basalt_formats::packed::{Entry, listpack};

/// What is left of the current node.
#[derive(Debug, Clone)]
enum Rest<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

/// Iterator over elements, in the direction it was made for. Going on to the
/// next node is O(1) within a page of nodes, O(log n) between pages.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    list: &'a QuickList,
    forward: bool,
    /// Neighbouring nodes, and the index of the first of them.
    run: &'a [Slot],
    start: usize,
    /// Index of the current node.
    node: usize,
    rest: Rest<'a>,
}

impl<'a> Iter<'a> {
    pub(super) fn forward(list: &'a QuickList, index: usize) -> Self {
        Self::at(list, index, true)
    }

    pub(super) fn backward(list: &'a QuickList, index: usize) -> Self {
        Self::at(list, index, false)
    }

    fn at(list: &'a QuickList, index: usize, forward: bool) -> Self {
        let mut iter = Self {
            list,
            forward,
            run: &[],
            start: 0,
            node: 0,
            rest: Rest::Plain(None),
        };
        if let Some((node, at)) = list.seq.locate(index)
            && let Some(content) = iter.enter(node)
        {
            iter.rest = match content {
                Node::Plain(value) => Rest::Plain(Some(value)),
                Node::Packed(list) => {
                    let seek = |at: usize| list.seek(at as i64).unwrap_or(list.end());
                    Rest::Packed(if forward {
                        list.iter_from(seek(at))
                    } else {
                        list.iter_before(seek(at + 1))
                    })
                }
            };
        }
        iter
    }

    /// Makes a node current and gives its content.
    fn enter(&mut self, node: usize) -> Option<&'a Node> {
        let within = node.checked_sub(self.start);
        if within.is_none_or(|within| within >= self.run.len()) {
            (self.run, self.start) = self.list.seq.run_of(node)?;
        }
        self.node = node;
        self.run.get(node - self.start).map(|slot| &*slot.node)
    }

    /// Moves to the next node in our direction.
    fn advance(&mut self) -> Option<()> {
        let node = if self.forward {
            self.node + 1
        } else {
            self.node.checked_sub(1)?
        };
        self.rest = match self.enter(node)? {
            Node::Packed(list) => Rest::Packed(list.iter()),
            Node::Plain(value) => Rest::Plain(Some(value)),
        };
        Some(())
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = match &mut self.rest {
                Rest::Packed(entries) if self.forward => entries.next(),
                Rest::Packed(entries) => entries.next_back(),
                Rest::Plain(value) => value.take().map(Entry::Str),
            };
            if entry.is_some() {
                return entry;
            }
            self.advance()?;
        }
    }
}
