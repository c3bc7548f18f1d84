//! Writes the log's current file: appends, syncs, and what to do when the disk refuses.
//!
//! A state machine without threads, clock or locks of its own, so that tests can take it through
//! every fault. Its driver is one writer thread that owns it:
//!
//! ```text
//! push(batch) ...   commands hand in whole batches, in order; cheap
//! step(now)         writes what is there -> perhaps a SyncJob
//! job.run()         the fsync: here for `always`, on another thread for `everysec`
//! finish(done)      takes the result; durable() moves on, and whoever waits for it replies
//! ```
//!
//! **Group commit.** One append and one sync cover all batches that came in while the last sync
//! ran. A client under `always` waits until [`durable`](LogWriter::durable) reaches the end of
//! its batch; nobody else waits. Appends go on during a slow sync.
//!
//! **Offsets** count the bytes of all batches since the log began, across files.
//!
//! **An append fails** (no space, an I/O error). The batches that are whole in the file stay;
//! the rest of the last one is cut off, so that a crash finds no torn batch. What is not
//! written is kept, tried again from time to time, and goes on by itself when there is room.
//! Until then [`refusal`](LogWriter::refusal) says why writes are refused. Clients that already
//! wait go on waiting: their change is made and can't be undone, and it will be written.
//!
//! **A sync fails**, or a torn batch can't be cut off. The file is *condemned*: what the kernel
//! dropped is gone, another sync would say nothing about it, and bytes behind a hole can't be
//! read back. Nothing is appended to it or synced any more, and writes are refused. The way out
//! is a fresh base: a snapshot, and a rotation at its cut. When the manifest that names both is
//! durable, all offsets up to the cut are, by the base.
//!
//! **Rotation.** [`cut`](LogWriter::cut) costs nothing and belongs to the moment of a snapshot's
//! cut: batches behind it are for the next file. The writer finishes the current file up to
//! there, written and synced, and [`rotation`](LogWriter::rotation) says so. Then the owner
//! publishes a manifest that names the next file too, so that no file but the last one can have
//! a torn end, and gives that file to [`rotate`](LogWriter::rotate). With a condemned file there is
//! nothing to finish, and the manifest has to wait for the base ([`Rotation::Replace`]).
//!
//! Under `always` the condemned file is cut back to what was synced: nobody was promised the
//! rest, and a hole in it could look like damage. Under the other policies clients had
//! their replies, and if only the process dies the rest may still be read; so it stays.
//!
//! Invariants: `synced <= written <= accepted`; the file ends with a whole batch unless condemned;
//! `durable` never goes back.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use basalt_engine::env::disk::{DiskError, DiskFile};
use basalt_engine::fail_point;

use crate::config::text::os_reason;

/// `everysec`, in milliseconds.
const SYNC_EVERY_MS: u64 = 1000;
/// The first wait after an append that failed, and the longest.
const RETRY_MS: (u64, u64) = (100, 1000);
/// A buffer that grew beyond this is given back once written.
const KEEP_BUFFER: usize = 1 << 20;

/// `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Sync before anybody is answered.
    Always,
    /// Sync once a second.
    EverySec,
    /// Leave it to the kernel.
    No,
}

enum Health {
    Good,
    /// An append failed, and the file was cut back to whole batches.
    Retry {
        error: DiskError,
        at_ms: u64,
        wait_ms: u64,
    },
    /// Nothing behind `synced` can be relied on.
    Condemned {
        error: DiskError,
    },
}

/// Writes one file of the log after the other.
pub struct LogWriter {
    file: Arc<dyn DiskFile>,
    policy: Policy,
    health: Health,
    /// Counts files, so that a sync of an earlier one is told apart.
    generation: u64,
    /// Length of the file, up to its last whole batch.
    file_len: u64,
    /// Batches not written yet, and the offsets where they end.
    pending: Vec<u8>,
    ends: VecDeque<u64>,
    accepted: u64,
    written: u64,
    synced: u64,
    /// What was durable when a file was condemned, until a base makes up for it.
    held_at: Option<u64>,
    /// Up to where the fresh base goes that is being made for a condemned file.
    base_at: Option<u64>,
    /// Where the next file begins, once there is to be one.
    cut_at: Option<u64>,
    /// Synced up to here soon, whatever the policy.
    ahead: u64,
    syncing: bool,
    last_sync_ms: u64,
    delayed_at_ms: u64,
    delayed_syncs: u64,
}

/// A sync to be made, on whichever thread.
#[must_use]
pub struct SyncJob {
    file: Arc<dyn DiskFile>,
    covers: u64,
    generation: u64,
}

/// A sync that was made.
#[must_use]
pub struct SyncDone {
    result: Result<(), DiskError>,
    covers: u64,
    generation: u64,
}

impl SyncJob {
    /// Syncs the file; may take as long as the disk likes.
    pub fn run(self) -> SyncDone {
        SyncDone {
            result: fail_point!("aof.sync").and_then(|()| self.file.sync_data()),
            covers: self.covers,
            generation: self.generation,
        }
    }
}

/// A rotation that waits for its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The current file is finished and durable: name the next one behind it in the manifest,
    /// then hand it over.
    Append,
    /// The current file is condemned: hand over the next one, and name it in the manifest
    /// together with the base of the cut, in place of all others. Then call
    /// [`LogWriter::base_published`], or [`LogWriter::base_failed`].
    Replace,
}

impl LogWriter {
    /// Goes on with a file that is durable as it is, its last batch ending at offset `at`.
    ///
    /// # Errors
    /// When the file's length can't be told.
    pub fn new(
        file: Arc<dyn DiskFile>,
        at: u64,
        policy: Policy,
        now_ms: u64,
    ) -> Result<Self, DiskError> {
        Ok(LogWriter {
            file_len: file.len()?,
            file,
            policy,
            health: Health::Good,
            generation: 0,
            pending: Vec::new(),
            ends: VecDeque::new(),
            accepted: at,
            written: at,
            synced: at,
            held_at: None,
            base_at: None,
            cut_at: None,
            ahead: at,
            syncing: false,
            last_sync_ms: now_ms,
            delayed_at_ms: now_ms,
            delayed_syncs: 0,
        })
    }

    /// Takes in one whole batch, and gives the offset of its end. What is left in `batch` is memory.
    pub fn push(&mut self, batch: &mut Vec<u8>) -> u64 {
        self.accepted = self.accepted.saturating_add(batch.len() as u64);
        if self.pending.is_empty() {
            std::mem::swap(&mut self.pending, batch);
        } else {
            self.pending.extend_from_slice(batch);
        }
        batch.clear();
        self.ends.push_back(self.accepted);
        self.accepted
    }

    /// Memory that is free now, if all is written: the last to be touched, so the best to use again.
    pub fn spare(&mut self) -> Vec<u8> {
        if self.pending.is_empty() {
            std::mem::take(&mut self.pending)
        } else {
            Vec::new()
        }
    }

    /// The offset of all that was taken in.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The offset up to which everything survives the death of the process.
    pub fn written(&self) -> u64 {
        self.held_at.unwrap_or(self.written)
    }

    /// The offset up to which everything survives a power cut.
    pub fn durable(&self) -> u64 {
        self.held_at.unwrap_or(self.synced)
    }

    /// Length of the current file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Bytes taken in and not written: what back-pressure has to bound.
    pub fn backlog(&self) -> usize {
        self.pending.len()
    }

    /// How often a sync was due while the one before still ran (`aof_delayed_fsync`).
    pub fn delayed_syncs(&self) -> u64 {
        self.delayed_syncs
    }

    /// Why writes must be refused now, if they must.
    pub fn refusal(&self) -> Option<String> {
        match &self.health {
            Health::Good if self.held_at.is_some() => {
                Some("the log waits for a fresh base".to_owned())
            }
            Health::Good => None,
            Health::Retry { error, .. } | Health::Condemned { error } => {
                Some(os_reason(&error.source))
            }
        }
    }

    /// Whether the current file is condemned, so that a fresh base and another file are needed.
    pub fn is_condemned(&self) -> bool {
        matches!(self.health, Health::Condemned { .. })
    }

    /// Whether a snapshot must be taken, and a [`cut`](Self::cut) made with it, to get out of what
    /// a condemned file left behind.
    pub fn needs_base(&self) -> bool {
        self.held_at.is_some() && self.base_at.is_none() && self.cut_at.is_none()
    }

    /// `CONFIG SET appendfsync`.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Writes what is there, and says what is to be synced. To be called when batches came in,
    /// when a sync is finished, and at [`wake_ms`](Self::wake_ms). At most one sync runs at a
    /// time, and its result goes to [`finish`](Self::finish).
    pub fn step(&mut self, now_ms: u64) -> Option<SyncJob> {
        if self.may_write(now_ms) {
            self.write(now_ms);
        }
        if self.is_condemned() {
            return None;
        }
        self.due_sync(now_ms)
    }

    /// When to call [`step`](Self::step) next if nothing else happens.
    pub fn wake_ms(&self) -> Option<u64> {
        let retry = match &self.health {
            Health::Retry { at_ms, .. } => Some(*at_ms),
            Health::Condemned { .. } => return None,
            Health::Good => None,
        };
        let unsynced = self.policy == Policy::EverySec && self.synced < self.written;
        let second = unsynced.then(|| self.last_due_ms().saturating_add(SYNC_EVERY_MS));
        retry.into_iter().chain(second).min()
    }

    /// When a sync was last made or found to be late.
    fn last_due_ms(&self) -> u64 {
        self.last_sync_ms.max(self.delayed_at_ms)
    }

    fn may_write(&self, now_ms: u64) -> bool {
        match &self.health {
            Health::Good => true,
            Health::Retry { at_ms, .. } => now_ms >= *at_ms,
            Health::Condemned { .. } => false,
        }
    }

    fn write(&mut self, now_ms: u64) {
        let len = match self.cut_at {
            Some(cut) => (cut - self.written) as usize,
            None => self.pending.len(),
        };
        if len == 0 {
            return;
        }
        let failed = match self.file.append(&self.pending[..len]) {
            Ok(()) => {
                self.wrote(len);
                self.health = Health::Good;
                return;
            }
            Err(failed) => failed,
        };
        // What is whole stays; the file is cut behind it.
        let reached = self.written.saturating_add(failed.written as u64);
        let ends = self.ends.iter().take_while(|end| **end <= reached);
        let whole = ends.last().map_or(0, |end| end - self.written) as usize;
        self.wrote(whole);
        if failed.written > whole && self.file.truncate(self.file_len).is_err() {
            self.condemn(failed.error);
            return;
        }
        let wait_ms = match &self.health {
            Health::Retry { wait_ms, .. } if whole == 0 => (wait_ms * 2).min(RETRY_MS.1),
            _ => RETRY_MS.0,
        };
        self.health = Health::Retry {
            error: failed.error,
            at_ms: now_ms.saturating_add(wait_ms),
            wait_ms,
        };
    }

    /// The first `len` bytes of what is pending are whole batches, and in the file.
    fn wrote(&mut self, len: usize) {
        self.pending.drain(..len);
        if self.pending.is_empty() && self.pending.capacity() > KEEP_BUFFER {
            self.pending = Vec::new();
        }
        self.written = self.written.saturating_add(len as u64);
        self.file_len = self.file_len.saturating_add(len as u64);
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
        }
    }

    fn due_sync(&mut self, now_ms: u64) -> Option<SyncJob> {
        if self.synced >= self.written {
            return None;
        }
        let second = now_ms >= self.last_due_ms().saturating_add(SYNC_EVERY_MS);
        let due = match self.policy {
            // The last sync of a file is made under any policy.
            _ if self.cut_at == Some(self.written) => true,
            _ if self.synced < self.ahead => true,
            Policy::Always => true,
            Policy::EverySec => second,
            Policy::No => false,
        };
        if !due {
            return None;
        }
        if self.syncing {
            if second {
                self.delayed_at_ms = now_ms;
                self.delayed_syncs += 1;
            }
            return None;
        }
        self.last_sync_ms = now_ms;
        self.syncing = true;
        Some(SyncJob {
            file: self.file.clone(),
            covers: self.written,
            generation: self.generation,
        })
    }

    /// Takes the result of a sync.
    pub fn finish(&mut self, done: SyncDone) {
        if done.generation != self.generation {
            // Of a file that was given up since; a rotation made or waived its sync.
            return;
        }
        self.syncing = false;
        match done.result {
            Ok(()) if self.is_condemned() => {}
            Ok(()) => self.synced = self.synced.max(done.covers),
            Err(error) => self.condemn(error),
        }
    }

    /// Nothing may follow in the current file: the manifest on the disk may name another one
    /// behind it.
    pub fn give_up(&mut self, error: DiskError) {
        self.cut_at = None;
        self.condemn(error);
    }

    fn condemn(&mut self, error: DiskError) {
        if self.is_condemned() {
            return;
        }
        let durable = self.durable();
        if self.policy == Policy::Always && self.held_at.is_none() {
            let beyond = self.written.saturating_sub(self.synced);
            let trusted = self.file_len.saturating_sub(beyond);
            // Only tidies up: nothing is believed about this file in either case.
            if self.file.truncate(trusted).is_ok() {
                self.file_len = trusted;
                self.written = self.synced;
            }
        }
        self.held_at = Some(durable);
        // A base that is being made has this file behind it; another one is needed.
        self.base_at = None;
        self.health = Health::Condemned { error };
    }

    /// What comes in from now on is for the next file. Gives the offset; none if an earlier cut
    /// still waits for its file.
    pub fn cut(&mut self) -> Option<u64> {
        if self.cut_at.is_some() {
            return None;
        }
        self.cut_at = Some(self.accepted);
        self.cut_at
    }

    /// Takes a cut back that has not got its file: batches go on in the current one.
    pub fn cancel_cut(&mut self) {
        self.cut_at = None;
    }

    /// What was taken in so far is synced as soon as it can be, so that a cut that is to come
    /// finds little to sync. Nobody waits for that.
    pub fn sync_ahead(&mut self) {
        self.ahead = self.accepted;
    }

    /// Whether a cut now waits for its file, and how.
    pub fn rotation(&self) -> Option<Rotation> {
        let cut = self.cut_at?;
        if self.held_at.is_some() {
            // No manifest can name the current file before there is a base for what is missing
            // in front of it. The base of this cut will do.
            return Some(Rotation::Replace);
        }
        (self.synced == cut).then_some(Rotation::Append)
    }

    /// Goes on in another file, which is durable as it is, with what came in behind the cut.
    /// Only when [`rotation`](Self::rotation) waits for it; nothing happens otherwise.
    ///
    /// # Errors
    /// When the file's length can't be told. Nothing has changed then.
    pub fn rotate(&mut self, file: Arc<dyn DiskFile>, now_ms: u64) -> Result<(), DiskError> {
        let (Some(rotation), Some(cut)) = (self.rotation(), self.cut_at) else {
            return Ok(());
        };
        self.file_len = file.len()?;
        if rotation == Rotation::Replace {
            // The base has what was never written.
            let behind = (self.accepted - cut) as usize;
            self.pending.drain(..self.pending.len() - behind);
            self.ends.retain(|end| *end > cut);
            self.base_at = Some(cut);
        }
        self.cut_at = None;
        self.file = file;
        self.generation += 1;
        self.syncing = false;
        self.health = Health::Good;
        self.written = cut;
        self.synced = cut;
        self.last_sync_ms = now_ms;
        Ok(())
    }

    /// The base of the cut at `at` could not be made: another one is needed.
    pub fn base_failed(&mut self, at: u64) {
        if self.base_at == Some(at) {
            self.base_at = None;
        }
    }

    /// The manifest that names the base of the cut at `at`, and the file behind it, is durable.
    pub fn base_published(&mut self, at: u64) {
        if self.base_at == Some(at) {
            self.base_at = None;
            self.held_at = None;
        }
    }
}
