//! The walk of a snapshot as a backup.

use std::io;

use basalt_backup::job::JobError;
use basalt_backup::job::create::{Creation, into_io};
use basalt_engine::keyspace::shard::SLOTS_PER_SHARD;
use basalt_engine::snapshot::{Note, SnapshotSink};

use crate::sched::{Background, step_back};

/// Hands entries to a [`Creation`].
pub struct BackupSink<'c> {
    /// The backup.
    pub creation: &'c mut Creation,
    /// Called now and then; may take its time or refuse.
    pub pace: &'c mut dyn FnMut() -> io::Result<()>,
    /// This thread leaves the processor to all others by now.
    pub stepped_back: bool,
}

fn place(db: usize, shard: usize) -> (u32, u16) {
    let slot = u16::try_from(shard * SLOTS_PER_SHARD).unwrap_or(u16::MAX);
    (u32::try_from(db).unwrap_or(u32::MAX), slot)
}

impl SnapshotSink for BackupSink<'_> {
    fn bytes(&mut self, _: usize, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("a backup needs to know the shard"))
    }

    fn visit(&mut self, db: usize, shard: usize) -> io::Result<()> {
        if !self.stepped_back {
            // The threads of the walk, which take locks, are there by now.
            step_back(Background::Works);
            self.stepped_back = true;
        }
        let (db, slot) = place(db, shard);
        self.creation.visit(db, slot).map_err(into_io)
    }

    fn shard_bytes(&mut self, db: usize, shard: usize, bytes: &[u8]) -> io::Result<()> {
        (self.pace)()?;
        let (db, slot) = place(db, shard);
        self.creation.entries(db, slot, bytes).map_err(into_io)
    }

    fn boundary(&mut self, _: u64, notes: &[Note]) -> io::Result<()> {
        self.creation.boundary(notes).map_err(into_io)
    }
}

/// The error behind one that a walk has passed on.
pub fn unwrap(error: io::Error) -> JobError {
    if error.kind() == io::ErrorKind::Interrupted {
        return JobError::Cancelled;
    }
    match error.downcast::<JobError>() {
        Ok(own) => own,
        Err(error) => JobError::Io(error),
    }
}
