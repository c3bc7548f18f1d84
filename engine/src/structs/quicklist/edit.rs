//! Changes inside a quicklist, and what they do to node boundaries.
//!
//! - Inserting at the edge of a full node uses the neighbour's room, or makes
//!   a node of its own; inside a full node it splits the node and then merges
//!   what can be merged around the split.
//! - Deleting never merges; a node goes when its last element goes.
//! - A huge element takes a plain node, splitting the node it lands in.

use super::QuickList;
use super::node::Node;
use basalt_formats::packed::{Listpack, Needle};

/// Header, longest prefix and back length: what an entry adds at most.
const ENTRY_MAX_OVERHEAD: usize = 16;

impl QuickList {
    /// Replaces the element at an index; false when there is none.
    pub fn set(&mut self, index: i64, value: &[u8]) -> bool {
        let located = self.position(index).and_then(|at| self.seq.locate(at));
        let Some((node, at)) = located else {
            return false;
        };
        let large = self.rules.is_large(value.len());
        match self.seq.get(node) {
            Some(Node::Packed(list)) if !large && list.len() == 1 => {
                self.seq.replace(node, Node::packed(value));
            }
            Some(Node::Packed(list)) if !large && list.fits(value.len() + ENTRY_MAX_OVERHEAD) => {
                self.edit(node, |list| {
                    if let Some(offset) = list.seek(at as i64) {
                        list.replace(offset, value);
                    }
                });
            }
            Some(Node::Plain(_)) if large => self.seq.replace(node, Node::Plain(value.into())),
            Some(Node::Plain(_)) => {
                self.insert_at(node, at, value, true);
                self.seq.remove(node);
            }
            Some(Node::Packed(_)) => {
                // After the split the element to replace is the node's last.
                self.insert_plain(node, at, value, true);
                let last = self.seq.get(node).map_or(0, Node::count).saturating_sub(1);
                self.delete_at(node, last);
            }
            None => return false,
        }
        true
    }

    /// Inserts next to the first element equal to `pivot`; false when there
    /// is none.
    pub fn insert(&mut self, pivot: &[u8], after: bool, value: &[u8]) -> bool {
        let needle = Needle::new(pivot);
        let Some((node, at)) = self.find_first(&needle) else {
            return false;
        };
        self.insert_at(node, at, value, after);
        true
    }

    /// Removes elements equal to `value`: the first `count`, the last
    /// `-count`, or all for 0. Gives how many were removed.
    pub fn remove(&mut self, count: i64, value: &[u8]) -> usize {
        let needle = Needle::new(value);
        let limit = match usize::try_from(count.unsigned_abs()) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        let mut removed = 0;
        if count >= 0 {
            let mut node = 0;
            while node < self.seq.len() && removed < limit {
                let nodes = self.seq.len();
                removed += self.remove_in(node, &needle, limit - removed, true);
                node += usize::from(self.seq.len() == nodes);
            }
        } else {
            for node in (0..self.seq.len()).rev() {
                if removed == limit {
                    break;
                }
                removed += self.remove_in(node, &needle, limit - removed, false);
            }
        }
        removed
    }

    /// Removes up to `count` elements from position `start` on; gives how
    /// many. Whole nodes are dropped together, without visiting elements.
    pub fn delete_range(&mut self, start: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(start));
        let Some(last) = count.checked_sub(1).map(|rest| start + rest) else {
            return 0;
        };
        let (Some((first_node, from)), Some((last_node, to))) =
            (self.seq.locate(start), self.seq.locate(last))
        else {
            return 0;
        };
        if first_node == last_node {
            self.delete_run(first_node, from, count);
            return count;
        }
        let last_whole = self.seq.get(last_node).map(Node::count) == Some(to + 1);
        let whole_to = last_node + usize::from(last_whole);
        let whole_from = first_node + usize::from(from > 0);
        if !last_whole {
            self.delete_run(last_node, 0, to + 1);
        }
        self.seq.remove_range(whole_from, whole_to);
        if from > 0 {
            self.delete_run(first_node, from, usize::MAX);
        }
        count
    }

    /// Keeps the elements at positions `start..=end` only.
    pub fn trim(&mut self, start: usize, end: usize) {
        self.delete_range(end.saturating_add(1), usize::MAX);
        self.delete_range(0, start);
    }

    /// Removes one element.
    pub(super) fn delete_at(&mut self, node: usize, at: usize) {
        self.delete_run(node, at, 1);
    }

    /// Removes up to `count` elements of one node from its element `at` on.
    fn delete_run(&mut self, node: usize, at: usize, count: usize) {
        let len = self.seq.get(node).map_or(0, Node::count);
        if at == 0 && count >= len {
            self.seq.remove(node);
        } else if at < len {
            self.edit(node, |list| list.delete_range(at as i64, count));
        }
    }

    /// Removes up to `limit` matches from one node, nearest to the end the
    /// search comes from. A node without match is not copied.
    fn remove_in(
        &mut self,
        node: usize,
        needle: &Needle<'_>,
        limit: usize,
        forward: bool,
    ) -> usize {
        let matches = match self.seq.get(node) {
            Some(Node::Packed(list)) => list.match_offsets(needle, limit, forward),
            Some(Node::Plain(value)) if **value == *needle.bytes() => {
                self.seq.remove(node);
                return 1;
            }
            _ => return 0,
        };
        if matches.is_empty() {
            return 0;
        }
        if self.seq.get(node).map(Node::count) == Some(matches.len()) {
            self.seq.remove(node);
        } else {
            self.edit(node, |list| list.delete_offsets(&matches));
        }
        matches.len()
    }

    /// Node and index within it of the first match.
    fn find_first(&self, needle: &Needle<'_>) -> Option<(usize, usize)> {
        self.nodes().enumerate().find_map(|(node, content)| {
            let at = match content {
                Node::Packed(list) => list.iter().position(|entry| needle.matches(entry)),
                Node::Plain(value) => (**value == *needle.bytes()).then_some(0),
            };
            at.map(|at| (node, at))
        })
    }

    /// Inserts before or after element `at` of a node.
    fn insert_at(&mut self, node: usize, at: usize, value: &[u8], after: bool) {
        let bytes = value.len();
        if self.rules.is_large(bytes) {
            return self.insert_plain(node, at, value, after);
        }
        let beside = node + usize::from(after);
        if self.rules.allow_insert(self.seq.get(node), bytes) {
            self.edit(node, |list| {
                let at = at + usize::from(after);
                let offset = list.seek(at as i64).unwrap_or(list.end());
                list.insert_before(offset, value);
            });
        } else if !self.is_edge(node, at, after) {
            self.split_and_insert(node, at, value, after);
        } else if after && self.rules.allow_insert(self.seq.get(node + 1), bytes) {
            self.edit(node + 1, |list| list.push_front(value));
        } else if !after && node > 0 && self.rules.allow_insert(self.seq.get(node - 1), bytes) {
            self.edit(node - 1, |list| list.push_back(value));
        } else {
            self.seq.insert(beside, Node::packed(value));
        }
    }

    /// Inserts a plain node before or after element `at` of a node.
    fn insert_plain(&mut self, node: usize, at: usize, value: &[u8], after: bool) {
        if self.is_edge(node, at, after) {
            let beside = node + usize::from(after);
            self.seq.insert(beside, Node::Plain(value.into()));
        } else {
            self.split(node, at + usize::from(after));
            self.seq.insert(node + 1, Node::Plain(value.into()));
        }
    }

    /// Whether an insertion there falls between two nodes.
    fn is_edge(&self, node: usize, at: usize, after: bool) -> bool {
        if after {
            self.seq.get(node).is_none_or(|node| at + 1 >= node.count())
        } else {
            at == 0
        }
    }

    /// Splits a full node around the new element, then merges around the half
    /// that keeps the pivot.
    fn split_and_insert(&mut self, node: usize, at: usize, value: &[u8], after: bool) {
        self.split(node, at + usize::from(after));
        if after {
            self.edit(node + 1, |list| list.push_front(value));
            self.merge_around(node);
        } else {
            self.edit(node, |list| list.push_back(value));
            self.merge_around(node + 1);
        }
    }

    /// Cuts a packed node in two; the first part keeps `keep` elements.
    fn split(&mut self, node: usize, keep: usize) {
        let mut tail = Listpack::new();
        self.edit(node, |list| tail = list.split_off(keep));
        if !tail.is_empty() {
            self.seq.insert(node + 1, Node::Packed(tail));
        }
    }

    /// Merges neighbours of a node, then the node with its neighbours, as far
    /// as the limits allow. The order decides the result.
    fn merge_around(&mut self, mut center: usize) {
        if center >= 2 && self.merge_pair(center - 2) {
            center -= 1;
        }
        self.merge_pair(center + 1);
        if center >= 1 && self.merge_pair(center - 1) {
            center -= 1;
        }
        self.merge_pair(center);
    }

    /// Merges a node with the one after it if both together keep the limits.
    fn merge_pair(&mut self, node: usize) -> bool {
        let (left, right) = (self.seq.get(node), self.seq.get(node + 1));
        if !self.rules.allow_merge(left, right) {
            return false;
        }
        if let Some(Node::Packed(right)) = self
            .seq
            .remove(node + 1)
            .map(std::sync::Arc::unwrap_or_clone)
        {
            self.edit(node, |left| left.merge(right));
        }
        true
    }
}
