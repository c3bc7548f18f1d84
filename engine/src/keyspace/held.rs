//! The shard locks a command holds while it runs.
//!
//! Who takes several locks could meet another who takes them in a different order. Commands know
//! theirs beforehand and take them in ascending order. A script does not: it takes each when it
//! first touches it, and keeps all until it ends. So that this cannot end in a circle there is
//! a gate: a script passes it alone; whoever else takes more than one lock shares it while
//! doing so. Who takes one lock and waits for nothing then needs no gate.

use std::cell::OnceCell;
use std::time::Duration;

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

use super::shard::{SHARDS, Shard, ShardCell, Shards};
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

/// Passes the gate with others. `None` when a slow script holds it.
fn share<'e>(shards: &'e Shards, running: &Running) -> Option<RwLockReadGuard<'e, ()>> {
    loop {
        if let Some(pass) = shards.gate.try_read_for(PATIENCE) {
            return Some(pass);
        }
        if running.busy().is_some() {
            return None;
        }
    }
}

/// Shards in a row of [`Touched`].
const ROW: usize = 16;

type Row<'e> = [OnceCell<MutexGuard<'e, Shard>>; ROW];

/// The shards of a script: each is locked when it is first touched.
pub struct Touched<'e> {
    cells: &'e [ShardCell],
    rows: [OnceCell<Box<Row<'e>>>; SHARDS / ROW],
    // Dropped last: who passes the gate next finds the shards free.
    _gate: RwLockWriteGuard<'e, ()>,
}

impl<'e> Touched<'e> {
    /// # Panics
    /// When there is no shard of that index.
    #[inline]
    fn cell(&self, index: usize) -> &OnceCell<MutexGuard<'e, Shard>> {
        &self.rows[index / ROW].get_or_init(Box::default)[index % ROW]
    }

    #[inline]
    fn shard(&self, index: usize) -> &Shard {
        let lock = || self.cells[index].lock.lock();
        self.cell(index).get_or_init(lock)
    }

    #[inline]
    fn shard_mut(&mut self, index: usize) -> &mut Shard {
        self.shard(index);
        let row = self.rows[index / ROW].get_mut();
        let guard = row.and_then(|row| row[index % ROW].get_mut());
        guard.expect("it was locked just now")
    }

    /// One that is locked.
    fn any(&self) -> usize {
        let locked = |index: &usize| {
            let row = self.rows[index / ROW].get();
            row.is_some_and(|row| row[index % ROW].get().is_some())
        };
        (0..SHARDS).find(locked).unwrap_or_else(|| {
            self.shard(0);
            0
        })
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
    /// All of them; scripts are kept out.
    All(Vec<MutexGuard<'e, Shard>>, RwLockReadGuard<'e, ()>),
    /// Those that were touched, and any other as soon as it is.
    Touched(Box<Touched<'e>>),
}

impl<'e> Held<'e> {
    /// Locks one shard, unless a slow script holds it.
    #[inline]
    pub fn one(shards: &'e Shards, index: usize, running: &Running) -> Option<Held<'e>> {
        Some(Held::One(index, lock(&shards[index], running)?))
    }

    /// Locks one shard if nobody holds it for long, and no script runs for long.
    pub fn try_one(shards: &'e Shards, index: usize) -> Option<Held<'e>> {
        // A script sees one moment: nothing expires before it comes to it.
        let pass = shards.gate.try_read_for(PATIENCE)?;
        let guard = shards[index].lock.try_lock_for(PATIENCE)?;
        drop(pass);
        Some(Held::One(index, guard))
    }

    /// Locks the shards with these indexes, in ascending order whatever order they are given in,
    /// unless a slow script holds one.
    pub fn these(
        shards: &'e Shards,
        indexes: &mut Vec<usize>,
        running: &Running,
    ) -> Option<Held<'e>> {
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [] => Some(Held::Nothing),
            [one] => Held::one(shards, *one, running),
            many => {
                let _pass = share(shards, running)?;
                let locked = many.iter().map(|&i| Some((i, lock(&shards[i], running)?)));
                Some(Held::Some(locked.collect::<Option<_>>()?))
            }
        }
    }

    /// Locks every shard, unless a slow script holds them.
    pub fn every(shards: &'e Shards, running: &Running) -> Option<Held<'e>> {
        let pass = share(shards, running)?;
        let mut locked = Vec::with_capacity(shards.len());
        for cell in shards.iter() {
            locked.push(lock(cell, running)?);
        }
        Some(Held::All(locked, pass))
    }

    /// Locks every shard.
    pub fn all(shards: &'e Shards) -> Held<'e> {
        let pass = shards.gate.read();
        let locked = shards.iter().map(|cell| cell.lock.lock()).collect();
        Held::All(locked, pass)
    }

    /// For a script: locks shards as they are touched, unless a slow script runs.
    pub fn touched(shards: &'e Shards, running: &Running) -> Option<Held<'e>> {
        let gate = loop {
            if let Some(gate) = shards.gate.try_write_for(PATIENCE) {
                break gate;
            }
            if running.busy().is_some() {
                return None;
            }
        };
        Some(Held::Touched(Box::new(Touched {
            cells: shards,
            rows: Default::default(),
            _gate: gate,
        })))
    }

    /// Locks the shards of a script that it has not touched yet.
    pub fn complete(&self) {
        if let Held::Touched(touched) = self {
            (0..SHARDS).for_each(|index| {
                touched.shard(index);
            });
        }
    }

    /// Whether the shard is among them.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Held::Nothing => false,
            Held::One(i, _) => *i == index,
            Held::Some(list) => list.iter().any(|(i, _)| *i == index),
            Held::All(..) | Held::Touched(_) => true,
        }
    }

    /// Whether every shard is locked, or will be when it is touched.
    pub fn is_all(&self) -> bool {
        matches!(self, Held::All(..) | Held::Touched(_))
    }

    /// The index of one that is locked.
    pub fn any(&self) -> Option<usize> {
        match self {
            Held::Nothing => None,
            Held::One(index, _) => Some(*index),
            Held::Some(list) => list.first().map(|(index, _)| *index),
            Held::All(..) => Some(0),
            Held::Touched(touched) => Some(touched.any()),
        }
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
            Held::All(guards, _) => &guards[index],
            Held::Touched(touched) => touched.shard(index),
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
            Held::All(guards, _) => &mut guards[index],
            Held::Touched(touched) => touched.shard_mut(index),
            Held::Some(list) => {
                let found = list.iter_mut().find(|(i, _)| *i == index);
                &mut found.expect("a command touches only keys its spec names").1
            }
            _ => panic!("a command touches only keys its spec names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn is_free(shards: &Shards, index: usize) -> bool {
        shards[index].lock.try_lock().is_some()
    }

    #[test]
    fn a_script_locks_what_it_touches_until_it_ends() {
        let (shards, running) = (Shards::new(1), Running::default());
        let mut held = Held::touched(&shards, &running).expect("nobody else is there");
        assert!(held.is_all() && held.has(127));
        assert!(is_free(&shards, 3) && is_free(&shards, 127));
        held.shard_mut(3).db_or_create(0);
        assert!(held.shard(3).db(0).is_some());
        assert!(!is_free(&shards, 3) && is_free(&shards, 127));
        assert_eq!(held.any(), Some(3));
        // Whoever wants one lock gets it; what is timed waits.
        assert!(Held::one(&shards, 127, &running).is_some());
        assert!(Held::try_one(&shards, 127).is_none());
        held.complete();
        assert!((0..SHARDS).all(|index| !is_free(&shards, index)));
        drop(held);
        assert!((0..SHARDS).all(|index| is_free(&shards, index)));
        assert!(Held::try_one(&shards, 127).is_some());
    }

    #[test]
    fn scripts_and_those_who_lock_several_do_not_end_in_a_circle() {
        let (shards, running) = (Arc::new(Shards::new(1)), Arc::new(Running::default()));
        let inside = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (shards, running) = (shards.clone(), running.clone());
                let inside = inside.clone();
                std::thread::spawn(move || {
                    for round in 0..300 {
                        let (a, b) = (round % SHARDS, (round * 7 + 1) % SHARDS);
                        if thread < 2 {
                            let mut held = Held::touched(&shards, &running).expect("not slow");
                            assert!(!inside.swap(true, Ordering::SeqCst));
                            for index in [b, a, 127 - a] {
                                held.shard_mut(index).db_or_create(0);
                            }
                            inside.store(false, Ordering::SeqCst);
                        } else if thread == 2 {
                            drop(Held::these(&shards, &mut vec![a, b], &running));
                        } else {
                            let held = Held::every(&shards, &running).expect("not slow");
                            assert!(!inside.load(Ordering::SeqCst));
                            drop(held);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no thread fails");
        }
    }
}
