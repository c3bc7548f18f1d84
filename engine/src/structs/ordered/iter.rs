//! Walks over an [`OrderedMap`](super::OrderedMap) in either direction from any bound.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Bound;
use std::slice;

use smallvec::SmallVec;

use super::node::Node;

/// Entries in ascending order.
pub type Iter<'a, K, V> = Walk<'a, K, V, false>;
/// Entries in descending order.
pub type IterBack<'a, K, V> = Walk<'a, K, V, true>;

/// Entries in one direction, `BACK` meaning downwards. O(1) amortised for each.
#[derive(Clone)]
pub struct Walk<'a, K, V, const BACK: bool> {
    /// What is still to be visited on each level, the lowest last.
    levels: SmallVec<[slice::Iter<'a, Node<K, V>>; 6]>,
    keys: slice::Iter<'a, K>,
    values: slice::Iter<'a, V>,
}

impl<'a, K, V, const BACK: bool> Walk<'a, K, V, BACK> {
    pub(super) fn all(root: Option<&'a Node<K, V>>) -> Self {
        let mut walk = Walk {
            levels: SmallVec::new(),
            keys: [].iter(),
            values: [].iter(),
        };
        if let Some(root) = root {
            walk.enter(root);
        }
        walk
    }

    pub(super) fn from<Q>(root: Option<&'a Node<K, V>>, bound: Bound<&Q>) -> Self
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (key, included) = match bound {
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
            Bound::Unbounded => return Walk::all(root),
        };
        let mut walk = Walk::all(None);
        let mut next = root;
        while let Some(node) = next {
            match node {
                Node::Inner(inner) => {
                    let at = inner.locate(key);
                    let (before, rest) = inner.kids.split_at(at);
                    let Some((kid, after)) = rest.split_first() else {
                        break;
                    };
                    let others = if BACK { before } else { after };
                    walk.levels.push(others.iter());
                    next = Some(kid);
                }
                Node::Leaf(leaf) => {
                    // Downwards an equal key belongs to the part in front of the border.
                    let border = match leaf.search(key) {
                        Ok(at) => at + usize::from(included == BACK),
                        Err(at) => at,
                    };
                    let (keys, values) = if BACK {
                        (&leaf.keys[..border], &leaf.values[..border])
                    } else {
                        (&leaf.keys[border..], &leaf.values[border..])
                    };
                    walk.keys = keys.iter();
                    walk.values = values.iter();
                    next = None;
                }
            }
        }
        walk
    }

    fn step<T>(items: &mut slice::Iter<'a, T>) -> Option<&'a T> {
        if BACK {
            items.next_back()
        } else {
            items.next()
        }
    }

    /// Goes down from a node to the leaf at its near border.
    fn enter(&mut self, node: &'a Node<K, V>) {
        let mut next = Some(node);
        while let Some(node) = next {
            match node {
                Node::Leaf(leaf) => {
                    self.keys = leaf.keys.iter();
                    self.values = leaf.values.iter();
                    next = None;
                }
                Node::Inner(inner) => {
                    let mut kids = inner.kids.iter();
                    next = Self::step(&mut kids);
                    self.levels.push(kids);
                }
            }
        }
    }
}

impl<'a, K, V, const BACK: bool> Iterator for Walk<'a, K, V, BACK> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some(key) = Self::step(&mut self.keys) {
                return Some((key, Self::step(&mut self.values)?));
            }
            match Self::step(self.levels.last_mut()?) {
                Some(node) => self.enter(node),
                None => {
                    self.levels.pop();
                }
            }
        }
    }
}

impl<K, V, const BACK: bool> fmt::Debug for Walk<'_, K, V, BACK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").finish_non_exhaustive()
    }
}
