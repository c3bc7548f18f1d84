//! The shard locks a command holds while it runs.

use parking_lot::MutexGuard;

use super::shard::{SHARDS, Shard, ShardCell};

/// A set of locked shards.
pub enum Held<'e> {
    /// None.
    Nothing,
    /// One, by index.
    One(usize, MutexGuard<'e, Shard>),
    /// Several, in ascending order of index.
    Some(Vec<(usize, MutexGuard<'e, Shard>)>),
    /// All of them.
    All(Vec<MutexGuard<'e, Shard>>),
}

impl<'e> Held<'e> {
    /// Locks one shard.
    #[inline]
    pub fn one(shards: &'e [ShardCell], index: usize) -> Held<'e> {
        Held::One(index, shards[index].lock.lock())
    }

    /// Locks the shards with these indexes, in ascending order whatever order they are given in.
    pub fn these(shards: &'e [ShardCell], indexes: &mut Vec<usize>) -> Held<'e> {
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [] => Held::Nothing,
            [one] => Held::one(shards, *one),
            many => Held::Some(many.iter().map(|&i| (i, shards[i].lock.lock())).collect()),
        }
    }

    /// Locks every shard.
    pub fn all(shards: &'e [ShardCell]) -> Held<'e> {
        Held::All(shards.iter().map(|cell| cell.lock.lock()).collect())
    }

    /// Whether the shard is among them.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Held::Nothing => false,
            Held::One(i, _) => *i == index,
            Held::Some(list) => list.iter().any(|(i, _)| *i == index),
            Held::All(_) => true,
        }
    }

    /// Whether every shard is locked.
    pub fn is_all(&self) -> bool {
        matches!(self, Held::All(_))
    }

    /// A held shard.
    ///
    /// # Panics
    /// When the shard is not held: the dispatcher locks the shards of all keys a command's
    /// spec names, and everything when they cannot be told, so this is a bug in a spec row.
    #[inline]
    pub fn shard(&self, index: usize) -> &Shard {
        match self {
            Held::One(i, guard) if *i == index => guard,
            Held::All(guards) => &guards[index],
            Held::Some(list) => {
                let found = list.iter().find(|(i, _)| *i == index);
                &found.expect("a command touches only keys its spec names").1
            }
            _ => panic!("a command touches only keys its spec names"),
        }
    }

    /// A held shard, for writing.
    ///
    /// # Panics
    /// As [`Held::shard`].
    #[inline]
    pub fn shard_mut(&mut self, index: usize) -> &mut Shard {
        match self {
            Held::One(i, guard) if *i == index => guard,
            Held::All(guards) => &mut guards[index],
            Held::Some(list) => {
                let found = list.iter_mut().find(|(i, _)| *i == index);
                &mut found.expect("a command touches only keys its spec names").1
            }
            _ => panic!("a command touches only keys its spec names"),
        }
    }

    /// Indexes of the held shards.
    pub fn indexes(&self) -> Vec<usize> {
        match self {
            Held::Nothing => Vec::new(),
            Held::One(i, _) => vec![*i],
            Held::Some(list) => list.iter().map(|(i, _)| *i).collect(),
            Held::All(_) => (0..SHARDS).collect(),
        }
    }
}
