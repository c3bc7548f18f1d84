//! Where batches end: the file's offsets on one side, commit indexes on the other.
//!
//! An entry is added for each batch and dropped when it is synced. Without syncs (`appendfsync
//! no`) the list is thinned out: then a position is reported somewhat later than it could be,
//! never too early.

use std::collections::VecDeque;

/// Entries above this are thinned out.
const MAX: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    newest: u64,
    batch: u64,
}

/// The ends of batches that are not synced yet.
#[derive(Debug)]
pub struct Marks {
    list: VecDeque<Mark>,
    written: u64,
    synced: (u64, u64),
    newest: u64,
}

impl Marks {
    /// All up to this effect is in the files, and the next batch has this index.
    pub fn new(newest: u64, next_batch: u64) -> Marks {
        Marks {
            list: VecDeque::new(),
            written: newest,
            synced: (newest, next_batch.saturating_sub(1)),
            newest,
        }
    }

    /// A batch ends at this offset, with this effect as its last.
    pub fn add(&mut self, offset: u64, newest: u64, batch: u64) {
        if self.list.len() >= MAX {
            let mut keep = false;
            self.list.retain(|_| {
                keep = !keep;
                !keep
            });
        }
        self.newest = newest;
        self.list.push_back(Mark {
            offset,
            newest,
            batch,
        });
    }

    /// The newest effect of all.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The newest effect that is written, when all bytes before `offset` are.
    pub fn written(&mut self, offset: u64) -> u64 {
        let reached = self.list.partition_point(|mark| mark.offset <= offset);
        let last = reached.checked_sub(1).and_then(|at| self.list.get(at));
        self.written = self.written.max(last.map_or(0, |mark| mark.newest));
        self.written
    }

    /// The newest effect and batch that are synced, when all bytes before `offset` are.
    pub fn synced(&mut self, offset: u64) -> (u64, u64) {
        while let Some(mark) = self.list.front().filter(|mark| mark.offset <= offset) {
            self.synced = (mark.newest, mark.batch);
            self.list.pop_front();
        }
        self.written = self.written.max(self.synced.0);
        self.synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_offsets() {
        let mut marks = Marks::new(7, 3);
        assert_eq!((marks.written(0), marks.synced(0)), (7, (7, 2)));
        marks.add(100, 9, 3);
        marks.add(150, 10, 4);
        assert_eq!((marks.written(99), marks.synced(0)), (7, (7, 2)));
        assert_eq!((marks.written(100), marks.synced(99)), (9, (7, 2)));
        assert_eq!((marks.written(400), marks.synced(100)), (10, (9, 3)));
        assert_eq!(marks.written(100), 10, "it never goes back");
        assert_eq!((marks.synced(150), marks.newest()), ((10, 4), 10));
    }

    #[test]
    fn without_syncs_the_list_stays_short_and_never_says_too_much() {
        let mut marks = Marks::new(0, 1);
        for at in 1..=100_000 {
            marks.add(at * 10, at, at);
            assert_eq!(marks.written(at * 10), at);
        }
        assert!(marks.list.len() <= MAX);
        for at in (1..=100_000).step_by(999) {
            let (synced, batch) = marks.synced(at * 10);
            assert!(synced <= at && batch <= at);
        }
        assert_eq!(marks.synced(1_000_000), (100_000, 100_000));
    }
}
