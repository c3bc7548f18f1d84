//! Nodes of an [`OrderedMap`](super::OrderedMap).
//!
//! Invariants: no node is empty; `lows[i]` is at most every key below `kids[i]` and above every
//! key below `kids[i - 1]`; all leaves are equally deep. A node that is full splits in halves,
//! except at the right border of the tree, where the new key starts a node of its own: ascending
//! keys leave full nodes behind. A node left with less than a quarter joins a neighbour if the
//! two then fill at most three quarters, so that neither border of that rule is met twice in
//! a row.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// Most entries of a leaf.
pub(super) const LEAF_MAX: usize = 64;
/// Most children of an inner node.
pub(super) const KIDS_MAX: usize = 64;

/// The two counters before the content of an `Arc`.
const ARC_HEADER: usize = 16;

#[derive(Clone)]
pub(super) struct Leaf<K, V> {
    pub keys: Vec<K>,
    pub values: Vec<V>,
}

#[derive(Clone)]
pub(super) struct Inner<K, V> {
    pub lows: Vec<K>,
    pub kids: Vec<Node<K, V>>,
}

pub(super) enum Node<K, V> {
    Leaf(Arc<Leaf<K, V>>),
    Inner(Arc<Inner<K, V>>),
}

/// What an insert did to a node.
pub(super) enum Inserted<K, V> {
    /// The key was there with this value.
    Replaced(V),
    /// The node holds one entry more.
    Added,
    /// So does the node together with this one, which follows it and begins at the key.
    Split(K, Node<K, V>),
}

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Node<K, V> {
        match self {
            Node::Leaf(leaf) => Node::Leaf(Arc::clone(leaf)),
            Node::Inner(inner) => Node::Inner(Arc::clone(inner)),
        }
    }
}

/// Inserts into an array that doubles its room up to `max` and not beyond.
fn put<T>(items: &mut Vec<T>, at: usize, item: T, max: usize) {
    if items.len() == items.capacity() {
        let room = (items.len() * 2).clamp(4, max.max(items.len() + 1));
        items.reserve_exact(room - items.len());
    }
    items.insert(at, item);
}

/// Gives back room when less than a quarter is used.
fn trim<T>(items: &mut Vec<T>) {
    if items.len() * 4 <= items.capacity() {
        items.shrink_to(items.len() * 2);
    }
}

/// Appends an array, taking no more room than that.
fn append<T>(items: &mut Vec<T>, more: Vec<T>) {
    items.reserve_exact(more.len());
    items.extend(more);
}

/// Where a full node of `max` items splits for a new one at `at`, the last of its level or not.
fn split_point(at: usize, max: usize, rightmost: bool) -> usize {
    if rightmost && at == max { max } else { max / 2 }
}

/// The array from `at` on, with room for as much again.
fn split_off<T>(items: &mut Vec<T>, at: usize) -> Vec<T> {
    let mut right = Vec::with_capacity(((items.len() - at) * 2).max(4));
    right.extend(items.drain(at..));
    right
}

impl<K, V> Leaf<K, V> {
    /// Position of a key, or where it belongs.
    pub fn search<Q>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.keys.binary_search_by(|probe| probe.borrow().cmp(key))
    }

    fn put(&mut self, at: usize, key: K, value: V) {
        put(&mut self.keys, at, key, LEAF_MAX);
        put(&mut self.values, at, value, LEAF_MAX);
    }
}

impl<K, V> Inner<K, V> {
    /// The child below which a key belongs.
    pub fn locate<Q>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.lows
            .partition_point(|low| low.borrow().cmp(key) != Ordering::Greater)
            .saturating_sub(1)
    }

    fn put(&mut self, at: usize, low: K, kid: Node<K, V>) {
        put(&mut self.lows, at, low, KIDS_MAX);
        put(&mut self.kids, at, kid, KIDS_MAX);
    }
}

impl<K, V> Node<K, V> {
    pub fn leaf(key: K, value: V) -> Node<K, V> {
        Node::Leaf(Arc::new(Leaf {
            keys: vec![key],
            values: vec![value],
        }))
    }

    /// Entries of a leaf, children of an inner node.
    fn size(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.keys.len(),
            Node::Inner(inner) => inner.kids.len(),
        }
    }

    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.values.get(leaf.search(key).ok()?),
                Node::Inner(inner) => node = inner.kids.get(inner.locate(key))?,
            }
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => {
                ARC_HEADER
                    + size_of::<Leaf<K, V>>()
                    + leaf.keys.capacity() * size_of::<K>()
                    + match size_of::<V>() {
                        0 => 0,
                        size => leaf.values.capacity() * size,
                    }
            }
            Node::Inner(inner) => {
                ARC_HEADER
                    + size_of::<Inner<K, V>>()
                    + inner.lows.capacity() * size_of::<K>()
                    + inner.kids.capacity() * size_of::<Node<K, V>>()
                    + inner.kids.iter().map(Node::heap_bytes).sum::<usize>()
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    /// Inserts; `rightmost` says that the node is the last of its level.
    pub fn insert(&mut self, key: K, value: V, rightmost: bool) -> Inserted<K, V> {
        match self {
            Node::Leaf(leaf) => Arc::make_mut(leaf).insert(key, value, rightmost),
            Node::Inner(inner) => Arc::make_mut(inner).insert(key, value, rightmost),
        }
    }

    /// Makes this root an inner node over what it was and the node that follows.
    pub fn grow(&mut self, low: K, right: Node<K, V>) {
        let first = match &*self {
            Node::Leaf(leaf) => leaf.keys.first(),
            Node::Inner(inner) => inner.lows.first(),
        };
        let Some(first) = first.cloned() else {
            *self = right;
            return;
        };
        *self = Node::Inner(Arc::new(Inner {
            lows: vec![first, low],
            kids: vec![self.clone(), right],
        }));
    }

    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let at = leaf.search(key).ok()?;
                    return Arc::make_mut(leaf).values.get_mut(at);
                }
                Node::Inner(inner) => {
                    let at = inner.locate(key);
                    node = Arc::make_mut(inner).kids.get_mut(at)?;
                }
            }
        }
    }

    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.search(key).ok()?;
                let leaf = Arc::make_mut(leaf);
                leaf.keys.remove(at);
                let value = leaf.values.remove(at);
                trim(&mut leaf.keys);
                trim(&mut leaf.values);
                Some(value)
            }
            Node::Inner(inner) => {
                let at = inner.locate(key);
                let inner = Arc::make_mut(inner);
                let value = inner.kids.get_mut(at)?.remove(key)?;
                inner.settle(at);
                Some(value)
            }
        }
    }

    /// Drops roots that have only one child.
    pub fn lower(&mut self) {
        while let Node::Inner(inner) = &*self
            && let [kid] = &inner.kids[..]
        {
            *self = kid.clone();
        }
    }

    /// Takes in the node that follows; both are of one kind.
    fn absorb(&mut self, next: Node<K, V>) {
        match (self, next) {
            (Node::Leaf(a), Node::Leaf(b)) => {
                let (a, b) = (Arc::make_mut(a), Arc::unwrap_or_clone(b));
                append(&mut a.keys, b.keys);
                append(&mut a.values, b.values);
            }
            (Node::Inner(a), Node::Inner(b)) => {
                let (a, b) = (Arc::make_mut(a), Arc::unwrap_or_clone(b));
                append(&mut a.lows, b.lows);
                append(&mut a.kids, b.kids);
            }
            _ => debug_assert!(false, "neighbours are equally deep"),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Leaf<K, V> {
    fn insert(&mut self, key: K, value: V, rightmost: bool) -> Inserted<K, V> {
        let at = match self.search(&key) {
            Ok(at) => return Inserted::Replaced(std::mem::replace(&mut self.values[at], value)),
            Err(at) => at,
        };
        if self.keys.len() < LEAF_MAX {
            self.put(at, key, value);
            return Inserted::Added;
        }
        let middle = split_point(at, LEAF_MAX, rightmost);
        let mut right = Leaf {
            keys: split_off(&mut self.keys, middle),
            values: split_off(&mut self.values, middle),
        };
        match at.checked_sub(middle) {
            Some(at) => right.put(at, key, value),
            None => self.put(at, key, value),
        }
        Inserted::Split(right.keys[0].clone(), Node::Leaf(Arc::new(right)))
    }
}

impl<K: Ord + Clone, V: Clone> Inner<K, V> {
    fn insert(&mut self, key: K, value: V, rightmost: bool) -> Inserted<K, V> {
        let at = self.locate(&key);
        if key < self.lows[at] {
            self.lows[at] = key.clone();
        }
        let last = at + 1 == self.kids.len();
        let (low, kid) = match self.kids[at].insert(key, value, rightmost && last) {
            Inserted::Split(low, kid) => (low, kid),
            done => return done,
        };
        let at = at + 1;
        if self.kids.len() < KIDS_MAX {
            self.put(at, low, kid);
            return Inserted::Added;
        }
        let middle = split_point(at, KIDS_MAX, rightmost);
        let mut right = Inner {
            lows: split_off(&mut self.lows, middle),
            kids: split_off(&mut self.kids, middle),
        };
        match at.checked_sub(middle) {
            Some(at) => right.put(at, low, kid),
            None => self.put(at, low, kid),
        }
        Inserted::Split(right.lows[0].clone(), Node::Inner(Arc::new(right)))
    }

    /// Restores the rules about the size of a child after an entry left it.
    fn settle(&mut self, at: usize) {
        let (size, max) = match &self.kids[at] {
            Node::Leaf(leaf) => (leaf.keys.len(), LEAF_MAX),
            Node::Inner(inner) => (inner.kids.len(), KIDS_MAX),
        };
        if size == 0 {
            self.kids.remove(at);
            self.lows.remove(at);
            trim(&mut self.kids);
            trim(&mut self.lows);
            return;
        }
        if size * 4 >= max {
            return;
        }
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            if let [a, b, ..] = &self.kids[left..]
                && (a.size() + b.size()) * 4 <= max * 3
            {
                let next = self.kids.remove(left + 1);
                self.lows.remove(left + 1);
                self.kids[left].absorb(next);
                return;
            }
        }
    }
}

#[cfg(test)]
impl<K: Ord + Clone + std::fmt::Debug, V: Clone> Node<K, V> {
    /// Asserts the invariants; gives the depth and the number of entries.
    pub fn check(&self, low: Option<&K>, high: Option<&K>) -> (usize, usize) {
        assert!(self.size() > 0, "no node is empty");
        let within = |key: &K| {
            assert!(low.is_none_or(|low| low <= key), "{key:?} below {low:?}");
            assert!(high.is_none_or(|high| key < high), "{key:?} past {high:?}");
        };
        match self {
            Node::Leaf(leaf) => {
                assert_eq!(leaf.keys.len(), leaf.values.len());
                assert!(leaf.keys.len() <= LEAF_MAX && leaf.keys.capacity() <= LEAF_MAX);
                assert!(leaf.keys.windows(2).all(|pair| pair[0] < pair[1]));
                leaf.keys.iter().for_each(within);
                (0, leaf.keys.len())
            }
            Node::Inner(inner) => {
                assert_eq!(inner.lows.len(), inner.kids.len());
                assert!(inner.kids.len() <= KIDS_MAX);
                inner.lows.iter().for_each(within);
                let mut depth = None;
                let mut len = 0;
                for (i, kid) in inner.kids.iter().enumerate() {
                    let high = inner.lows.get(i + 1).or(high);
                    let (below, count) = kid.check(Some(&inner.lows[i]), high);
                    assert_eq!(*depth.get_or_insert(below), below, "equally deep");
                    len += count;
                }
                (depth.unwrap_or(0) + 1, len)
            }
        }
    }
}
