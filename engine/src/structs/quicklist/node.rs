//! One node of a quicklist, and the rule for how much it may hold.
//!
//! The limits decide where node boundaries fall, hence the bytes of `DUMP`
//! and the numbers of `DEBUG OBJECT`; they are Redis's to the byte.

use basalt_formats::packed::{Listpack, listpack};

/// Size limits that the fill factors -1 to -5 stand for.
const SIZE_LEVELS: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Largest node of several elements when the fill factor counts elements.
const COUNTED_NODE_BYTES: usize = 8192;

/// What one more element is assumed to cost beyond its own bytes.
const ENTRY_OVERHEAD: usize = 8;

/// Bytes of a listpack that merging two of them saves.
const LISTPACK_FRAME: usize = 7;

/// Longest fill factor a quicklist remembers.
const FILL_MAX: i32 = 32_767;

/// Elements of at least this size get a node of their own.
pub const DEFAULT_PACKED_THRESHOLD: usize = 1 << 30;

/// A run of elements, or one huge element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Elements packed together.
    Packed(Listpack),
    /// One element, too large to be moved around with others.
    Plain(Box<[u8]>),
}

impl Node {
    /// A packed node of one element.
    pub(super) fn packed(value: &[u8]) -> Self {
        let mut list = Listpack::new();
        list.push_back(value);
        Node::Packed(list)
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        match self {
            Node::Packed(list) => list.len(),
            Node::Plain(_) => 1,
        }
    }

    /// Serialised size.
    pub fn bytes(&self) -> usize {
        match self {
            Node::Packed(list) => list.bytes(),
            Node::Plain(value) => value.len(),
        }
    }

    /// Heap bytes behind the node.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Node::Packed(list) => list.heap_bytes(),
            Node::Plain(value) => value.len(),
        }
    }
}

/// The size and count limits of a node under a fill factor; one of the two
/// is always unlimited.
pub fn node_limit(fill: i32) -> (usize, usize) {
    match usize::try_from(fill) {
        Ok(count) => (usize::MAX, count.max(1)),
        Err(_) => {
            let level = fill.unsigned_abs() as usize - 1;
            (SIZE_LEVELS[level.min(SIZE_LEVELS.len() - 1)], usize::MAX)
        }
    }
}

/// Whether a listpack of this size and count is over the limit.
pub fn exceeds_limit(fill: i32, bytes: usize, count: usize) -> bool {
    let (max_bytes, max_count) = node_limit(fill);
    if max_count == usize::MAX {
        bytes > max_bytes
    } else {
        bytes > COUNTED_NODE_BYTES || count > max_count
    }
}

/// The node rules of one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) fill: i32,
    pub(super) packed_threshold: usize,
}

impl Rules {
    pub(super) fn new(fill: i32) -> Self {
        Self {
            fill: fill.clamp(-(SIZE_LEVELS.len() as i32), FILL_MAX),
            packed_threshold: DEFAULT_PACKED_THRESHOLD,
        }
    }

    /// Whether an element needs a plain node.
    pub(super) fn is_large(&self, bytes: usize) -> bool {
        bytes >= self.packed_threshold || bytes >= listpack::MAX_BYTES
    }

    /// Whether a packed node takes one more element of `bytes`.
    pub(super) fn allow_insert(&self, node: Option<&Node>, bytes: usize) -> bool {
        match node {
            Some(Node::Packed(list)) if !self.is_large(bytes) => {
                let grown = list.bytes() + bytes + ENTRY_OVERHEAD;
                !exceeds_limit(self.fill, grown, list.len() + 1)
            }
            _ => false,
        }
    }

    /// Whether two neighbours may become one node.
    pub(super) fn allow_merge(&self, a: Option<&Node>, b: Option<&Node>) -> bool {
        match (a, b) {
            (Some(Node::Packed(a)), Some(Node::Packed(b))) => {
                let merged = a.bytes() + b.bytes() - LISTPACK_FRAME;
                !exceeds_limit(self.fill, merged, a.len() + b.len())
            }
            _ => false,
        }
    }
}
