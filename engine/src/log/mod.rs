//! The one stream of effects: every change passes here once, in order, while the locks of the
//! shards it touched are held. The AOF, replicas and the archive are sinks of this stream.
//!
//! Effects of different shards are appended by different threads, so the stream has a lock of
//! its own: the order of indexes is the order in which every sink sees them, and what one
//! command did stays together. It is held for as long as the sinks take to copy the effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::session::OwnedArgs;

/// Receives effects in commit order. Called with shard locks held: it must only append to a
/// buffer, never block or call back into the engine.
pub trait LogSink: Send + Sync {
    /// One command that has the effect of what ran, on database `db`, with its commit index.
    fn effect(&self, index: u64, db: usize, args: &[&[u8]]);

    /// All that one command did, if that is more than one effect; whoever reads the sink must see
    /// it whole or not at all.
    fn group(&self, group: &Group<'_>) {
        group.for_each(|index, db, args| self.effect(index, db, args));
    }
}

/// The effects of one command, with `MULTI` and `EXEC` around them where they need it.
#[derive(Debug)]
pub struct Group<'a> {
    before: u64,
    effects: &'a [(usize, OwnedArgs)],
    wrapped: bool,
}

impl Group<'_> {
    /// The index of the last one.
    pub fn newest(&self) -> u64 {
        self.before + self.effects.len() as u64 + 2 * u64::from(self.wrapped)
    }

    /// Hands over one after the other: index, database, words.
    pub fn for_each(&self, mut take: impl FnMut(u64, usize, &[&[u8]])) {
        let first = self.effects.first().map_or(0, |(db, _)| *db);
        let mut index = self.before;
        let mut next = |db, args: &[&[u8]]| {
            index += 1;
            take(index, db, args);
        };
        if self.wrapped {
            next(first, &[b"MULTI"]);
        }
        for (db, args) in self.effects {
            next(*db, &args.slices());
        }
        if self.wrapped {
            next(first, &[b"EXEC"]);
        }
    }
}

/// Names an attached sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkId(u64);

#[derive(Default)]
struct Sinks {
    attached: Vec<(SinkId, Arc<dyn LogSink>)>,
    ids: u64,
}

/// The stream. With no sink attached, appending costs one load.
#[derive(Default)]
pub struct Log {
    active: AtomicBool,
    newest: AtomicU64,
    sinks: Mutex<Sinks>,
}

impl Log {
    /// Attaches a sink that gets every effect from now on.
    pub fn attach(&self, sink: Box<dyn LogSink>) -> SinkId {
        let mut sinks = self.sinks.lock();
        sinks.ids += 1;
        let id = SinkId(sinks.ids);
        sinks.attached.push((id, Arc::from(sink)));
        self.active.store(true, Ordering::Release);
        id
    }

    /// Takes a sink away: it gets nothing any more once this returns.
    pub fn detach(&self, id: SinkId) {
        let mut sinks = self.sinks.lock();
        sinks.attached.retain(|(attached, _)| *attached != id);
        self.active
            .store(!sinks.attached.is_empty(), Ordering::Release);
    }

    /// Whether anybody listens: effects need not be built otherwise.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Commit index of the newest effect.
    pub fn index(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Appends what one command did, wrapped in a transaction if wanted. Gives the index of the
    /// last effect, 0 if nobody listens.
    pub(crate) fn append_group(&self, effects: &[(usize, OwnedArgs)], wrapped: bool) -> u64 {
        if effects.is_empty() || !self.is_active() {
            return 0;
        }
        let sinks = self.sinks.lock();
        if sinks.attached.is_empty() {
            return 0;
        }
        let group = Group {
            before: self.newest.load(Ordering::Relaxed),
            effects,
            wrapped,
        };
        for (_, sink) in &sinks.attached {
            sink.group(&group);
        }
        self.newest.store(group.newest(), Ordering::Release);
        group.newest()
    }

    /// Appends one effect. Gives its index, 0 if nobody listens.
    pub(crate) fn append_one(&self, db: usize, args: &[&[u8]]) -> u64 {
        if !self.is_active() {
            return 0;
        }
        let sinks = self.sinks.lock();
        if sinks.attached.is_empty() {
            return 0;
        }
        let index = self.newest.load(Ordering::Relaxed) + 1;
        for (_, sink) in &sinks.attached {
            sink.effect(index, db, args);
        }
        self.newest.store(index, Ordering::Release);
        index
    }

    /// Appends one effect.
    pub fn append(&self, db: usize, args: &[&[u8]]) {
        self.append_one(db, args);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lines;

    #[test]
    fn sinks_come_and_go() {
        let log = Log::default();
        let (one, two) = (Lines::default(), Lines::default());
        log.append(0, &[b"DEL", b"unseen"]);
        assert_eq!((log.is_active(), log.index()), (false, 0));
        let first = log.attach(Box::new(one.clone()));
        log.append(0, &[b"DEL", b"a"]);
        let second = log.attach(Box::new(two.clone()));
        log.append(3, &[b"DEL", b"b"]);
        log.detach(first);
        log.append(0, &[b"DEL", b"c"]);
        log.detach(second);
        assert!(!log.is_active());
        log.append(0, &[b"DEL", b"unseen"]);
        assert_eq!(one.take(), ["DEL a", "3:DEL b"]);
        assert_eq!(two.take(), ["3:DEL b", "DEL c"]);
        assert_eq!(log.index(), 3);
    }

    /// Notes the groups it gets.
    struct Groups(Arc<Mutex<Vec<Vec<String>>>>);

    impl LogSink for Groups {
        fn effect(&self, _: u64, _: usize, _: &[&[u8]]) {}

        fn group(&self, group: &Group<'_>) {
            let mut lines = Vec::new();
            group.for_each(|index, db, args| {
                let words = String::from_utf8_lossy(&args.join(&b' ')).into_owned();
                lines.push(format!("{index} {db} {words}"));
            });
            self.0.lock().push(lines);
        }
    }

    #[test]
    fn a_group_is_handed_over_whole() {
        let log = Log::default();
        let groups = Arc::new(Mutex::new(Vec::new()));
        log.attach(Box::new(Groups(groups.clone())));
        let effect = |db, words: &[&[u8]]| (db, OwnedArgs::new(words));
        let two = [effect(2, &[b"DEL", b"a"]), effect(0, &[b"DEL", b"b"])];
        assert_eq!(log.append_group(&two, true), 4);
        assert_eq!(log.append_group(&two[..1], false), 5);
        assert_eq!(log.append_group(&[], true), 0);
        assert_eq!(
            *groups.lock(),
            [
                vec!["1 2 MULTI", "2 2 DEL a", "3 0 DEL b", "4 2 EXEC"],
                vec!["5 2 DEL a"]
            ]
        );
    }
}
