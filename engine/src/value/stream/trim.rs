//! Removing the oldest entries of a stream.
//!
//! Nodes all of whose entries go are removed whole; of the one in which the border lies,
//! entries are marked as deleted, unless only whole nodes may go.

use std::sync::Arc;

use super::id::StreamId;
use super::{Stream, StreamNode};

/// What is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries at most.
    MaxLen(u64),
    /// No entry below this ID.
    MinId(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is to be left.
    pub to: TrimTo,
    /// Only whole nodes go, so that more may be left.
    pub approx: bool,
    /// Most entries that may go; 0 for any number.
    pub limit: u64,
}

impl Stream {
    /// Trims the stream; how many entries went. O(nodes removed), and the size of a node.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let mut removed = 0u64;
        while let Some((&master, node)) = self.nodes.first() {
            if matches!(trim.to, TrimTo::MaxLen(max) if self.len() <= max) {
                break;
            }
            let live = node.live();
            if trim.limit > 0 && removed.saturating_add(live) > trim.limit {
                break;
            }
            if self.goes_whole(master, node, trim.to) {
                self.nodes.pop_first();
                self.extent.length = self.extent.length.saturating_sub(live);
                removed = removed.saturating_add(live);
                continue;
            }
            if !trim.approx {
                removed = removed.saturating_add(self.trim_first(trim.to));
            }
            break;
        }
        if self.is_empty() {
            self.extent.first_id = StreamId::MIN;
        } else if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Whether no entry of the first node is to be left.
    fn goes_whole(&self, master: StreamId, node: &StreamNode, to: TrimTo) -> bool {
        match to {
            TrimTo::MaxLen(max) => self.len().saturating_sub(node.live()) >= max,
            TrimTo::MinId(min) => node.last_id(master).unwrap_or_default() < min,
        }
    }

    /// Marks entries of the first node.
    fn trim_first(&mut self, to: TrimTo) -> u64 {
        let (limit, below) = match to {
            TrimTo::MaxLen(max) => (self.len().saturating_sub(max), None),
            TrimTo::MinId(min) => (u64::MAX, Some(min)),
        };
        let Some((master, node)) = self.nodes.first_mut() else {
            return 0;
        };
        // Nothing is copied for nothing.
        if below.is_some_and(|below| below <= master) {
            return 0;
        }
        let marked = Arc::make_mut(node).delete_front(master, limit, below);
        self.extent.length = self.extent.length.saturating_sub(marked);
        marked
    }
}
