//! A disk in memory that does what real ones do at the worst moment, chosen by a seed.
//!
//! - A [`crash`](SimDisk::crash) (power cut) drops, keeps, tears or garbles what was not synced:
//!   each file for itself, so that what was written to two files survives in any order. Names
//!   that were not synced with their directory come, or not, in any order ([`NameOrder`]).
//! - A [`kill`](SimDisk::kill) (death of the process) keeps all that was written.
//! - [`Fault`]s make the k-th call fail, cut an append short, or cut the power in it.
//! - After a failed sync what it covered is gone for good, while reads still show it and the next
//!   sync succeeds: a writer that tries again and believes it loses data here, as it does on Linux.
//! - [`set_capacity`](SimDisk::set_capacity) gives the disk a size.
//! - [`trace`](SimDisk::trace) tells what was called, to print with the seed of a run that failed.
//!
//! Clones are handles of one disk. Handles of files from before a crash or kill are dead.

mod fault;
mod image;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::fault::{Faults, changes};
use self::image::{Image, Inode, Node};
use super::{AppendError, Disk, DiskError, DiskFile, DiskOp, FileMeta, Result, parent};
use crate::env::Dice;

pub use self::fault::{Fault, FaultKind};

/// How many calls the trace keeps.
const TRACE_LEN: usize = 2000;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Whatever the dice say.
    Seeded,
    /// Of each file a part of what was not synced, cut at any byte, in the order it was written:
    /// what a file that only grows looks like on file systems that write its data first.
    Ordered,
    /// As ordered, but of what was not synced any block of the file may be zeros: what file systems
    /// leave that write blocks in any order.
    Blocks,
    /// Nothing.
    DropAll,
    /// All but what failed syncs lost.
    KeepAll,
}

/// In which order names get to the medium when nobody syncs their directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// In any order, as POSIX has it; a removal may survive when the rename before it does not.
    Any,
    /// In the order they were made, as with the journals of ext4 and xfs.
    Journal,
}

/// A simulated disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

type SyncHook = Arc<dyn Fn(&Path) + Send + Sync>;

struct State {
    image: Image,
    faults: Faults,
    dice: Dice,
    order: NameOrder,
    capacity: Option<u64>,
    powered: bool,
    /// Counts crashes and kills.
    life: u64,
    changes: u64,
    now_ms: u64,
    on_sync: Option<SyncHook>,
    trace: VecDeque<String>,
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: Inode,
    life: u64,
}

impl SimDisk {
    /// An empty disk, with the directories `.` and `/`.
    pub fn new(seed: u64) -> Self {
        SimDisk {
            state: Arc::new(Mutex::new(State {
                image: Image::default(),
                faults: Faults::default(),
                dice: Dice::new(seed),
                order: NameOrder::Any,
                capacity: None,
                powered: true,
                life: 0,
                changes: 0,
                now_ms: 1,
                on_sync: None,
                trace: VecDeque::new(),
            })),
        }
    }

    /// Chooses what a crash may do to names.
    #[must_use]
    pub fn with_name_order(self, order: NameOrder) -> Self {
        self.state.lock().order = order;
        self
    }

    /// Makes a directory, durable.
    pub fn put_dir(&self, path: impl AsRef<Path>) {
        let mut state = self.state.lock();
        state.image.add_dir(path.as_ref());
        state.image.settle_names();
    }

    /// Makes a file with this content, durable, or gives an existing one this content.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let mut state = self.state.lock();
        let path = path.as_ref();
        let inode = match state.image.inode(path) {
            Some(inode) => inode,
            None => state.image.add_file(path),
        };
        state.image.file(inode).put(bytes);
        state.stamp(inode);
        state.image.settle_names();
    }

    /// What a live file holds, without a call that counts.
    pub fn peek(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let inode = state.image.inode(path.as_ref())?;
        Some(state.image.file(inode).live.clone())
    }

    /// What is certain to be in a live file after a power cut, if its name is.
    pub fn peek_durable(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let inode = state.image.inode(path.as_ref())?;
        Some(state.image.file(inode).durable().to_vec())
    }

    /// Gives the disk a size in bytes, or none; it may be below what is used.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Sets the clock that stamps files.
    pub fn set_clock_ms(&self, now_ms: u64) {
        self.state.lock().now_ms = now_ms;
    }

    /// Calls `hook` in each sync of a file, with nothing locked: it may sleep, or wait.
    pub fn on_sync(&self, hook: impl Fn(&Path) + Send + Sync + 'static) {
        self.state.lock().on_sync = Some(Arc::new(hook));
    }

    /// Has a call fail that is to come.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// How many faults have not yet come. In a loop over the k-th call, one that waits still
    /// says that there are fewer than k.
    pub fn faults_waiting(&self) -> usize {
        self.state.lock().faults.waiting()
    }

    /// Takes back all faults.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// How many calls were made that change something.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Whether the power is on: false from a [`FaultKind::PowerCut`] to the crash or kill.
    pub fn is_powered(&self) -> bool {
        self.state.lock().powered
    }

    /// Cuts the power now; calls fail until the crash or kill.
    pub fn cut_power(&self) {
        self.state.lock().powered = false;
    }

    /// The power goes and comes back: the disk holds what was synced, and of the rest what chance
    /// has brought to the medium. Faults are gone.
    pub fn crash(&self, crash: Crash) {
        let state = &mut *self.state.lock();
        state.image.crash(crash, state.order, &mut state.dice);
        state.restart("power cut");
    }

    /// The process dies and comes back: all that was written is there. Faults are gone.
    pub fn kill(&self) {
        let state = &mut *self.state.lock();
        state.image.kill(&mut state.dice);
        state.restart("kill");
    }

    /// The last calls, one in a line, and the names there are now.
    pub fn trace(&self) -> String {
        let state = &mut *self.state.lock();
        let mut text = String::new();
        for line in &state.trace {
            let _ = writeln!(text, "{line}");
        }
        for (path, node) in state.image.names.clone() {
            let _ = match node {
                Node::Dir => writeln!(text, "{}/", path.display()),
                Node::File(inode) => {
                    let file = state.image.file(inode);
                    let (live, durable) = (file.live.len(), file.durable().len());
                    writeln!(text, "{}: {live} bytes, {durable} synced", path.display())
                }
            };
        }
        text
    }

    /// Counts a call and decides about it.
    fn begin<'a>(&self, state: &'a mut State, op: DiskOp, path: &Path) -> Result<Go<'a>> {
        if !state.powered {
            return Err(DiskError::new(op, path, FaultKind::PowerCut.error()));
        }
        if changes(op) {
            state.changes += 1;
        }
        let fault = state.faults.due(op);
        let count = state.changes;
        let outcome = fault.map_or(String::new(), |kind| format!(" -> {kind:?}"));
        if changes(op) || fault.is_some() {
            state.note(format!("#{count} {op} {}{outcome}", path.display()));
        }
        if fault == Some(FaultKind::PowerCut) {
            state.powered = false;
        }
        Ok(Go { state, fault })
    }

    /// A call that has its effect or not, and nothing between.
    fn call<T>(
        &self,
        op: DiskOp,
        path: &Path,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T> {
        let mut state = self.state.lock();
        let Go { state, fault } = self.begin(&mut state, op, path)?;
        let done = match fault {
            None => effect(state),
            Some(kind) => {
                if kind == FaultKind::PowerCut && op != DiskOp::SyncDir {
                    // Not on the medium, but perhaps on its way there.
                    let _ = effect(state);
                }
                Err(kind.error())
            }
        };
        done.map_err(|error| DiskError::new(op, path, error))
    }

    fn open(&self, path: &Path, inode: Inode, life: u64) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            life,
        })
    }
}

/// A call that goes on.
struct Go<'a> {
    state: &'a mut State,
    fault: Option<FaultKind>,
}

impl State {
    fn note(&mut self, line: String) {
        if self.trace.len() == TRACE_LEN {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn restart(&mut self, what: &str) {
        self.life += 1;
        self.powered = true;
        self.faults.clear();
        self.note(format!("--- {what} ---"));
    }

    fn existing(&self, path: &Path) -> io::Result<Inode> {
        match self.image.node(path) {
            Some(Node::File(inode)) => Ok(inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_of(&self, path: &Path) -> io::Result<()> {
        if self.image.is_dir(parent(path)) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Stamps a file whose content was written.
    fn stamp(&mut self, inode: Inode) {
        let now_ms = self.now_ms;
        let file = self.image.file(inode);
        file.modified_ms = now_ms;
        file.changed_ms = now_ms;
    }

    /// How many bytes fit.
    fn room(&self) -> usize {
        let Some(capacity) = self.capacity else {
            return usize::MAX;
        };
        usize::try_from(capacity.saturating_sub(self.image.used())).unwrap_or(usize::MAX)
    }
}

impl Disk for SimDisk {
    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let (inode, life) = self.call(DiskOp::Open, path, |state| {
            Ok((state.existing(path)?, state.life))
        })?;
        Ok(self.open(path, inode, life))
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let (inode, life) = self.call(DiskOp::Create, path, |state| {
            state.dir_of(path)?;
            if state.image.node(path).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.image.add_file(path);
            state.stamp(inode);
            Ok((inode, state.life))
        })?;
        Ok(self.open(path, inode, life))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn Read + Send>> {
        let bytes = self.call(DiskOp::Read, path, |state| {
            let inode = state.existing(path)?;
            Ok(state.image.file(inode).live.clone())
        })?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.call(DiskOp::Read, path, |state| {
            let inode = state.existing(path)?;
            let live = &state.image.file(inode).live;
            let start = usize::try_from(offset).map_or(live.len(), |at| at.min(live.len()));
            let end = live.len().min(start.saturating_add(len));
            Ok(live[start..end].to_vec())
        })
    }

    fn stat(&self, path: &Path) -> Result<Option<FileMeta>> {
        self.call(DiskOp::Stat, path, |state| {
            Ok(match state.image.node(path) {
                _ if state.image.is_dir(path) => Some(FileMeta {
                    len: 0,
                    modified_ms: 0,
                    changed_ms: 0,
                    is_dir: true,
                }),
                Some(Node::File(inode)) => {
                    let file = state.image.file(inode);
                    Some(FileMeta {
                        len: file.live.len() as u64,
                        modified_ms: file.modified_ms,
                        changed_ms: file.changed_ms,
                        is_dir: false,
                    })
                }
                _ => None,
            })
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(DiskOp::Rename, from, |state| {
            let inode = state.existing(from)?;
            state.dir_of(to)?;
            if state.image.is_dir(to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if from != to {
                let set = Some((to.to_owned(), Node::File(inode)));
                state.image.change_name(set, Some(from.to_owned()));
            }
            let now_ms = state.now_ms;
            state.image.file(inode).changed_ms = now_ms;
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.call(DiskOp::Remove, path, |state| {
            state.existing(path)?;
            state.image.change_name(None, Some(path.to_owned()));
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.call(DiskOp::List, dir, |state| {
            if !state.image.is_dir(dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let inside = state.image.names.keys().filter(|path| parent(path) == dir);
            Ok(inside
                .filter_map(|path| path.file_name().map(PathBuf::from))
                .collect())
        })
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        self.call(DiskOp::CreateDir, dir, |state| {
            state.dir_of(dir)?;
            match state.image.node(dir) {
                Some(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
                Some(Node::Dir) => Ok(()),
                None => {
                    state.image.add_dir(dir);
                    Ok(())
                }
            }
        })
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut state = self.state.lock();
        let Go { state, fault } = self.begin(&mut state, DiskOp::SyncDir, dir)?;
        let failed = |error| Err(DiskError::new(DiskOp::SyncDir, dir, error));
        match fault {
            None if state.image.is_dir(dir) => {
                state.image.sync_dir(dir);
                Ok(())
            }
            None => failed(io::ErrorKind::NotFound.into()),
            Some(kind) => {
                if kind != FaultKind::PowerCut {
                    state.image.lose_dir(dir);
                }
                failed(kind.error())
            }
        }
    }
}

impl SimFile {
    /// A file that was open before a crash is no more.
    fn alive(&self, state: &State, op: DiskOp) -> Result<()> {
        if state.life == self.life {
            return Ok(());
        }
        let error = io::Error::other("the process that opened this file is dead");
        Err(DiskError::new(op, &self.path, error))
    }

    fn append_to(&self, state: &mut State, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let room = state.room().min(bytes.len());
        state.image.file(self.inode).append(&bytes[..room]);
        state.stamp(self.inode);
        let full = room < bytes.len();
        (room, full.then(|| FaultKind::NoSpace.error()))
    }
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> std::result::Result<(), AppendError> {
        let failed = |written, error| Err(AppendError { written, error });
        let mut state = self.disk.state.lock();
        if let Err(error) = self.alive(&state, DiskOp::Append) {
            return failed(0, error);
        }
        let begun = self.disk.begin(&mut state, DiskOp::Append, &self.path);
        let Go { state, fault } = match begun {
            Ok(go) => go,
            Err(error) => return failed(0, error),
        };
        let (written, error) = match fault {
            None => self.append_to(state, bytes),
            Some(kind @ (FaultKind::Short | FaultKind::PowerCut)) => {
                let part = state.dice.below(bytes.len() + 1);
                let (written, _) = self.append_to(state, &bytes[..part]);
                (written, Some(kind.error()))
            }
            Some(kind) => (0, Some(kind.error())),
        };
        match error {
            None => Ok(()),
            Some(error) => failed(written, DiskError::new(DiskOp::Append, &self.path, error)),
        }
    }

    fn sync_data(&self) -> Result<()> {
        let (count, fault, hook) = {
            let mut state = self.disk.state.lock();
            self.alive(&state, DiskOp::Sync)?;
            let Go { state, fault } = self.disk.begin(&mut state, DiskOp::Sync, &self.path)?;
            let count = state.image.file(self.inode).unsynced();
            (count, fault, state.on_sync.clone())
        };
        if let Some(hook) = hook {
            hook(&self.path);
        }
        let failed = |error| Err(DiskError::new(DiskOp::Sync, &self.path, error));
        let mut state = self.disk.state.lock();
        self.alive(&state, DiskOp::Sync)?;
        match fault {
            Some(FaultKind::PowerCut) => failed(FaultKind::PowerCut.error()),
            _ if !state.powered => failed(FaultKind::PowerCut.error()),
            Some(kind) => {
                state.image.file(self.inode).lose(count);
                failed(kind.error())
            }
            None => {
                state.image.file(self.inode).sync(count);
                Ok(())
            }
        }
    }

    fn len(&self) -> Result<u64> {
        let mut state = self.disk.state.lock();
        self.alive(&state, DiskOp::Stat)?;
        let Go { state, fault } = self.disk.begin(&mut state, DiskOp::Stat, &self.path)?;
        match fault {
            None => Ok(state.image.file(self.inode).live.len() as u64),
            Some(kind) => Err(DiskError::new(DiskOp::Stat, &self.path, kind.error())),
        }
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.alive(&self.disk.state.lock(), DiskOp::Truncate)?;
        self.disk.call(DiskOp::Truncate, &self.path, |state| {
            let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
            state.image.file(self.inode).truncate(len);
            state.stamp(self.inode);
            Ok(())
        })
    }
}
