//! An ordered map that is cheap to snapshot: a B+tree whose nodes are behind `Arc`s.
//!
//! A clone is O(1) and shares everything; a writer copies only the nodes on its path that
//! somebody else still sees, so a map of millions never stalls anyone. Without a clone nothing
//! is ever copied. Streams keep their nodes, groups and pending entries in it: keys that mostly
//! arrive in ascending order, which fills leaves completely.
//!
//! ```text
//!            Inner { lows, kids }          lows[i] <= every key below kids[i]
//!           /         |          \                 <  lows[i + 1]
//!      Leaf { keys, values } ...           all leaves are equally deep
//! ```
//!
//! Keys and values lie in arrays of their own, so that a search touches keys only and a map to
//! `()` is a set that costs nothing more than its keys.

mod iter;
mod node;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Bound;

pub use iter::{Iter, IterBack, Walk};
use node::{Inserted, Node};

/// A map ordered by its keys, whose clones are O(1) and independent.
#[derive(Clone)]
pub struct OrderedMap<K, V> {
    root: Option<Node<K, V>>,
    len: usize,
}

impl<K, V> OrderedMap<K, V> {
    /// An empty map, which owns no memory.
    pub const fn new() -> OrderedMap<K, V> {
        OrderedMap { root: None, len: 0 }
    }

    /// Number of entries. O(1).
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the tree on the heap, nodes shared with clones counted in full; what keys and
    /// values own elsewhere is not included. O(nodes).
    pub fn heap_bytes(&self) -> usize {
        self.root.as_ref().map_or(0, Node::heap_bytes)
    }

    /// The entry with the lowest key. O(log n).
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the highest key. O(log n).
    pub fn last(&self) -> Option<(&K, &V)> {
        self.iter_back().next()
    }

    /// All entries in ascending order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Walk::all(self.root.as_ref())
    }

    /// All entries in descending order.
    pub fn iter_back(&self) -> IterBack<'_, K, V> {
        Walk::all(self.root.as_ref())
    }

    /// The keys in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in ascending order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The value of a key. O(log n).
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.root.as_ref()?.get(key)
    }

    /// Whether the key is there. O(log n).
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.get(key).is_some()
    }

    /// The entries from a lower bound on, in ascending order: `Included` seeks the first key at
    /// or above, `Excluded` the first above.
    pub fn iter_from<Q>(&self, bound: Bound<&Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        Walk::from(self.root.as_ref(), bound)
    }

    /// The entries from an upper bound down, in descending order: `Included` seeks the last key
    /// at or below, `Excluded` the last below.
    pub fn iter_back_from<Q>(&self, bound: Bound<&Q>) -> IterBack<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        Walk::from(self.root.as_ref(), bound)
    }

    /// The last entry whose key is at most `key`. O(log n).
    pub fn at_or_before<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.iter_back_from(Bound::Included(key)).next()
    }

    /// The first entry whose key is at least `key`. O(log n).
    pub fn at_or_after<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.iter_from(Bound::Included(key)).next()
    }
}

impl<K: Ord + Clone, V: Clone> OrderedMap<K, V> {
    /// Sets the value of a key; gives the one it had. O(log n), amortised O(1) copying.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Node::leaf(key, value));
            self.len = 1;
            return None;
        };
        match root.insert(key, value, true) {
            Inserted::Replaced(old) => return Some(old),
            Inserted::Added => {}
            Inserted::Split(low, right) => root.grow(low, right),
        }
        self.len += 1;
        None
    }

    /// The value of a key, to be changed. Copies nothing if the key is not there. O(log n).
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        if !self.contains_key(key) {
            return None;
        }
        self.root.as_mut()?.get_mut(key)
    }

    /// The value of the lowest key, to be changed.
    pub fn first_mut(&mut self) -> Option<(K, &mut V)> {
        let key = self.first()?.0.clone();
        let value = self.root.as_mut()?.get_mut(&key)?;
        Some((key, value))
    }

    /// The value of the highest key, to be changed.
    pub fn last_mut(&mut self) -> Option<(K, &mut V)> {
        let key = self.last()?.0.clone();
        let value = self.root.as_mut()?.get_mut(&key)?;
        Some((key, value))
    }

    /// Takes an entry out. Copies nothing if the key is not there. O(log n).
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        if !self.contains_key(key) {
            return None;
        }
        let root = self.root.as_mut()?;
        let value = root.remove(key)?;
        self.len -= 1;
        if self.len == 0 {
            self.root = None;
        } else {
            root.lower();
        }
        Some(value)
    }

    /// Takes the entry with the lowest key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = self.first()?.0.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }

    /// Takes the entry with the highest key out.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let key = self.last()?.0.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> OrderedMap<K, V> {
        OrderedMap::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrderedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for OrderedMap<K, V> {
    fn eq(&self, other: &OrderedMap<K, V>) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for OrderedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> OrderedMap<K, V> {
        let mut map = OrderedMap::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<'a, K, V> IntoIterator for &'a OrderedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}
