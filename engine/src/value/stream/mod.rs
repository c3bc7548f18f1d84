//! Streams: entries in order of their IDs, and the groups that consume them.
//!
//! Entries lie in nodes of some dozens, each in Redis's own bytes and kept under the ID of its
//! first entry. Adding goes to the last node, trimming removes whole nodes from the front and
//! marks entries of the next one, deleting marks entries. Nodes are shared by clones of the
//! stream until a write copies the one it touches.
//!
//! Invariants, unless a foreign stream came without them: nodes and their entries ascend by ID,
//! the greatest is at most `last_id`; `length` is the number of entries not deleted, `first_id`
//! the first of them.

pub mod group;
pub mod id;
mod iter;
pub mod pel;
mod saved;
#[cfg(test)]
mod tests;
mod trim;

use std::ops::Bound;
use std::sync::Arc;

use basalt_formats::packed::stream::StreamNode;

use crate::structs::ordered::OrderedMap;

pub use basalt_formats::packed::stream::StreamEntry;
pub use group::{Extent, Group, Groups};
pub use id::StreamId;
pub use iter::{Range, RangeBack};
pub use pel::{Consumer, ConsumerId, Nack, Pending};
pub use trim::{Trim, TrimTo};

/// Most bytes of the fields and values of one entry, and of a node that gets another one.
pub const MAX_BYTES: usize = 1 << 30;

/// The directives that say when a node is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// `stream-node-max-bytes`; 0 for no limit but [`MAX_BYTES`].
    pub node_max_bytes: usize,
    /// `stream-node-max-entries`; 0 for no limit.
    pub node_max_entries: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            node_max_bytes: 4096,
            node_max_entries: 100,
        }
    }
}

/// A stream. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    nodes: OrderedMap<StreamId, Arc<StreamNode>>,
    extent: Extent,
    /// Its consumer groups.
    pub groups: Groups,
}

impl Stream {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.extent.length
    }

    /// Whether there is no entry. An empty stream is a value like others.
    pub fn is_empty(&self) -> bool {
        self.extent.length == 0
    }

    /// The greatest ID ever given.
    pub fn last_id(&self) -> StreamId {
        self.extent.last_id
    }

    /// Its counters and the ends of its IDs.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes with their master IDs, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &StreamNode)> {
        self.nodes.iter().map(|(master, node)| (*master, &**node))
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Appends an entry. `words` are its fields and values in turn. The caller made sure that
    /// the ID is above [`Stream::last_id`] and that the words take no more than [`MAX_BYTES`].
    pub fn add(&mut self, limits: &StreamLimits, id: StreamId, words: &[&[u8]]) {
        let size: usize = words.iter().map(|word| word.len()).sum();
        match self.nodes.last_mut() {
            Some((master, node)) if has_room(node, limits, size) => {
                Arc::make_mut(node).push(master, id, words);
            }
            _ => {
                self.nodes.insert(id, Arc::new(StreamNode::new(words)));
            }
        }
        let extent = &mut self.extent;
        extent.length = extent.length.saturating_add(1);
        extent.entries_added = extent.entries_added.wrapping_add(1);
        extent.last_id = id;
        if extent.length == 1 {
            extent.first_id = id;
        }
    }

    /// Deletes the entries with these IDs; how many of them were there. O(log n) each.
    pub fn delete(&mut self, ids: &[StreamId]) -> u64 {
        let (mut deleted, mut first) = (0, false);
        for &id in ids {
            if self.delete_one(id) {
                deleted += 1;
                first |= id == self.extent.first_id;
                self.extent.max_deleted_id = self.extent.max_deleted_id.max(id);
            }
        }
        if deleted > 0 && self.is_empty() {
            self.extent.first_id = StreamId::MIN;
        } else if first {
            self.find_first();
        }
        deleted
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let Some((&master, node)) = self.nodes.at_or_before(&id) else {
            return false;
        };
        let found = node
            .entries(master)
            .find(|entry| entry.id == id && !entry.deleted);
        let Some(at) = found.map(|entry| entry.at) else {
            return false;
        };
        if node.live() <= 1 {
            self.nodes.remove(&master);
        } else if let Some(node) = self.nodes.get_mut(&master) {
            Arc::make_mut(node).delete(at);
        }
        self.extent.length = self.extent.length.saturating_sub(1);
        true
    }

    /// Looks for the first entry. One that is counted and cannot be found is at the end.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.extent.first_id = first.map_or(StreamId::MAX, |entry| entry.id);
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let from = self.nodes.at_or_before(&start).map_or(start, |(id, _)| *id);
        Range::new(self.nodes.iter_from(Bound::Included(&from)), start, end)
    }

    /// The entries from `end` down to `start`, both included.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack::new(self.nodes.iter_back_from(Bound::Included(&end)), start, end)
    }

    /// The entry with an ID.
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.range(id, id).next()
    }

    /// The first entry.
    pub fn first(&self) -> Option<StreamEntry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<StreamEntry<'_>> {
        self.range_back(StreamId::MIN, StreamId::MAX).next()
    }

    /// The ID of the first entry, be it deleted; the greatest ID if there is none.
    pub fn first_id_with_deleted(&self) -> StreamId {
        self.nodes()
            .find_map(|(master, node)| node.entries(master).next())
            .map_or(StreamId::MAX, |entry| entry.id)
    }

    /// Whether there is an entry after an ID.
    pub fn has_after(&self, id: StreamId) -> bool {
        !self.is_empty() && self.last().is_some_and(|last| last.id > id)
    }

    /// Sets what `XSETID` sets; the caller compared it with what is there.
    pub fn set_ids(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) {
        self.extent.last_id = last_id;
        if let Some(added) = entries_added {
            self.extent.entries_added = added;
        }
        if let Some(deleted) = max_deleted_id {
            self.extent.max_deleted_id = deleted;
        }
    }

    /// How many allocations freeing it takes, roughly.
    pub fn free_effort(&self) -> usize {
        let groups = self.groups.iter();
        self.nodes.len()
            + groups
                .map(|(_, group)| 1 + group.pending.len())
                .sum::<usize>()
    }

    /// Heap bytes held. O(nodes).
    pub fn heap_bytes(&self) -> usize {
        const SHARED: usize = 16;
        let nodes = self.nodes.values();
        self.nodes.heap_bytes()
            + nodes
                .map(|node| SHARED + size_of::<StreamNode>() + node.heap_bytes())
                .sum::<usize>()
            + self.groups.heap_bytes()
    }
}

/// Whether a node takes one more entry of so many bytes of fields and values.
fn has_room(node: &StreamNode, limits: &StreamLimits, size: usize) -> bool {
    let max_bytes = match limits.node_max_bytes {
        0 => MAX_BYTES,
        bytes => bytes.min(MAX_BYTES),
    };
    node.bytes().saturating_add(size) < max_bytes
        && (limits.node_max_entries == 0
            || node.live().saturating_add(node.deleted()) < limits.node_max_entries)
}
