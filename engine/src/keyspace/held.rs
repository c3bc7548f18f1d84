//! The shard locks a command holds while it runs.

use parking_lot::MutexGuard;

use std::time::Duration;

use super::shard::{SHARDS, Shard, ShardCell};
use crate::script::running::Running;

/// Between two looks at whether a script that holds a lock has become slow.
const PATIENCE: Duration = Duration::from_millis(5);

/// Locks a shard. `None` when a slow script holds it: whoever asks is told instead of waiting.
#[inline]
fn lock<'e>(cell: &'e ShardCell, running: &Running) -> Option<MutexGuard<'e, Shard>> {
    cell.lock.try_lock().or_else(|| lock_late(cell, running))
}

#[cold]
fn lock_late<'e>(cell: &'e ShardCell, running: &Running) -> Option<MutexGuard<'e, Shard>> {
    loop {
        if let Some(guard) = cell.lock.try_lock_for(PATIENCE) {
            return Some(guard);
        }
        if running.busy().is_some() {
            return None;
        }
    }
}

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
    /// Locks one shard, unless a slow script holds it.
    #[inline]
    pub fn one(shards: &'e [ShardCell], index: usize, running: &Running) -> Option<Held<'e>> {
        Some(Held::One(index, lock(&shards[index], running)?))
    }

    /// Locks one shard if nobody holds it for long.
    pub fn try_one(shards: &'e [ShardCell], index: usize) -> Option<Held<'e>> {
        let guard = shards[index].lock.try_lock_for(PATIENCE)?;
        Some(Held::One(index, guard))
    }

    /// Locks the shards with these indexes, in ascending order whatever order they are given in,
    /// unless a slow script holds one.
    pub fn these(
        shards: &'e [ShardCell],
        indexes: &mut Vec<usize>,
        running: &Running,
    ) -> Option<Held<'e>> {
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [] => Some(Held::Nothing),
            [one] => Held::one(shards, *one, running),
            many => {
                let locked = many.iter().map(|&i| Some((i, lock(&shards[i], running)?)));
                Some(Held::Some(locked.collect::<Option<_>>()?))
            }
        }
    }

    /// Locks every shard, unless a slow script holds them.
    pub fn every(shards: &'e [ShardCell], running: &Running) -> Option<Held<'e>> {
        let mut locked = Vec::with_capacity(shards.len());
        for cell in shards {
            locked.push(lock(cell, running)?);
        }
        Some(Held::All(locked))
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
