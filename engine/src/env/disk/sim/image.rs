//! What a simulated disk holds: what the process sees, what is on the medium, and what lies
//! between the two.
//!
//! A file keeps its live bytes, its durable bytes, and the changes between them in order. So do
//! the names, all of them in one list for the file system. A sync moves changes to the medium; a
//! crash lets the dice decide how much of them had got there on its own.
//!
//! Assumed of the medium, as SQLite and the Linux file systems do: a write that is cut short does
//! not damage bytes beside it that were synced before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::parent;
use super::{Crash, NameOrder};
use crate::env::Dice;

/// Bytes that reach the medium together, or not.
const SECTOR: usize = 512;
/// Bytes that file systems allocate and write together.
const BLOCK: usize = 4096;

pub(super) type Inode = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Node {
    Dir,
    File(Inode),
}

/// A change of what a file holds.
enum Change {
    Write {
        offset: usize,
        bytes: Vec<u8>,
        /// A failed sync dropped it: it never gets to the medium, though reads still see it.
        lost: bool,
    },
    Truncate(usize),
}

/// A change of names; a rename sets one and clears another at once.
struct NameChange {
    set: Option<(PathBuf, Node)>,
    clear: Option<PathBuf>,
    lost: bool,
}

#[derive(Default)]
pub(super) struct FileData {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    pub(super) modified_ms: u64,
    pub(super) changed_ms: u64,
}

#[derive(Default)]
pub(super) struct Image {
    files: Vec<FileData>,
    pub(super) names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending_names: Vec<NameChange>,
}

fn write_at(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

impl FileData {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.pending.push(Change::Write {
            offset: self.live.len(),
            bytes: bytes.to_vec(),
            lost: false,
        });
        self.live.extend_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.pending.push(Change::Truncate(len));
        self.live.resize(len, 0);
    }

    /// How many changes are not on the medium.
    pub(super) fn unsynced(&self) -> usize {
        self.pending.len()
    }

    /// A good sync of the oldest `count` changes. What an earlier bad one lost leaves zeros.
    pub(super) fn sync(&mut self, count: usize) {
        let count = count.min(self.pending.len());
        for change in self.pending.drain(..count) {
            apply(&mut self.durable, &change);
        }
    }

    /// A failed sync of the oldest `count` changes: what they wrote is forgotten.
    pub(super) fn lose(&mut self, count: usize) {
        for change in self.pending.iter_mut().take(count) {
            if let Change::Write { lost, .. } = change {
                *lost = true;
            }
        }
    }

    /// Puts bytes on the medium as they are.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.pending.clear();
        self.live = bytes.to_vec();
        self.durable = bytes.to_vec();
    }

    /// What is on the medium for certain.
    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// The process died. Pages that a failed sync marked clean may be dropped from memory, and
    /// are then read back as the medium has them.
    fn survive_kill(&mut self, dice: &mut Dice) {
        let is_lost = |change: &Change| matches!(change, Change::Write { lost: true, .. });
        if self.pending.iter().any(is_lost) && dice.one_in(2) {
            let mut seen = self.durable.clone();
            for change in &self.pending {
                apply(&mut seen, change);
            }
            self.live = seen;
        }
    }

    /// The power went.
    fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending);
        match crash {
            Crash::DropAll => {}
            Crash::KeepAll => pending
                .iter()
                .for_each(|change| apply(&mut self.durable, change)),
            Crash::Seeded => match dice.below(6) {
                0 => {}
                1 => pending
                    .iter()
                    .for_each(|change| apply(&mut self.durable, change)),
                2 => self.tear_sectors(&pending, dice),
                3 => self.tear(&pending, dice, Tail::Cut),
                4 => self.tear(&pending, dice, Tail::Zeros),
                _ => self.tear(&pending, dice, Tail::Garbage),
            },
            Crash::Ordered => match dice.below(4) {
                0 => {}
                1 => pending
                    .iter()
                    .for_each(|change| apply(&mut self.durable, change)),
                _ => self.tear(&pending, dice, Tail::Cut),
            },
            Crash::Blocks => self.leave_holes(&pending, dice),
        }
        self.live = self.durable.clone();
    }

    /// A part of the changes, in order; the last of them ends at any byte, and the rest of it
    /// is missing, zeros or garbage.
    fn tear(&mut self, pending: &[Change], dice: &mut Dice, tail: Tail) {
        let kept = dice.below(pending.len() + 1);
        let Some((last, whole)) = pending[..kept].split_last() else {
            return;
        };
        for change in whole {
            apply(&mut self.durable, change);
        }
        let Change::Write {
            offset,
            bytes,
            lost,
        } = last
        else {
            apply(&mut self.durable, last);
            return;
        };
        let mut torn = bytes.clone();
        let at = if *lost {
            0
        } else {
            dice.below(bytes.len() + 1)
        };
        match tail {
            Tail::Cut => torn.truncate(at),
            Tail::Zeros => torn[at..].fill(0),
            Tail::Garbage => torn[at..].fill_with(|| dice.next() as u8),
        }
        write_at(&mut self.durable, *offset, &torn);
    }

    /// A part of what was appended, of which any block may be missing.
    fn leave_holes(&mut self, pending: &[Change], dice: &mut Dice) {
        let (grows, synced) = (self.live.len() > self.durable.len(), self.durable.len());
        let cut = |change: &Change| matches!(change, Change::Truncate(_));
        if !grows || pending.iter().any(cut) {
            return self.tear(pending, dice, Tail::Cut);
        }
        for change in pending {
            apply(&mut self.durable, change);
        }
        let len = synced + dice.below(self.durable.len() - synced + 1);
        self.durable.truncate(len);
        let mut at = synced;
        while at < len {
            let end = (at - at % BLOCK + BLOCK).min(len);
            if dice.one_in(4) {
                self.durable[at..end].fill(0);
            }
            at = end;
        }
    }

    /// The length as it is to be, while any sector of the content may be missing.
    fn tear_sectors(&mut self, pending: &[Change], dice: &mut Dice) {
        let kept = dice.below(pending.len() + 1);
        for change in &pending[..kept] {
            let Change::Write {
                offset,
                bytes,
                lost: false,
            } = change
            else {
                apply(&mut self.durable, change);
                continue;
            };
            let mut at = 0;
            while at < bytes.len() {
                let room = SECTOR - (offset + at) % SECTOR;
                let end = bytes.len().min(at + room);
                let piece = match dice.below(8) {
                    0 | 1 => vec![0; end - at],
                    2 => (at..end).map(|_| dice.next() as u8).collect(),
                    _ => bytes[at..end].to_vec(),
                };
                write_at(&mut self.durable, offset + at, &piece);
                at = end;
            }
        }
    }
}

/// What stands where a write was cut short.
enum Tail {
    Cut,
    Zeros,
    Garbage,
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write {
            offset,
            bytes,
            lost: false,
        } => write_at(image, *offset, bytes),
        Change::Write { offset, bytes, .. } => {
            let end = offset + bytes.len();
            if image.len() < end {
                image.resize(end, 0);
            }
        }
        Change::Truncate(len) => image.resize(*len, 0),
    }
}

impl NameChange {
    fn touches(&self, dir: &Path) -> bool {
        let set = self.set.as_ref().map(|(path, _)| path);
        set.into_iter()
            .chain(&self.clear)
            .any(|path| parent(path) == dir)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        // A rename carries its file along: under its old name it may be a newer file by now.
        if let Some(path) = &self.clear {
            let moved = self.set.as_ref().map(|(_, node)| *node);
            if moved.is_none() || names.get(path).copied() == moved {
                names.remove(path);
            }
        }
        if let Some((path, node)) = &self.set {
            names.insert(path.clone(), *node);
        }
    }
}

impl Image {
    pub(super) fn is_dir(&self, path: &Path) -> bool {
        path == Path::new(".") || path == Path::new("/") || self.node(path) == Some(Node::Dir)
    }

    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).copied()
    }

    pub(super) fn inode(&self, path: &Path) -> Option<Inode> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    pub(super) fn file(&mut self, inode: Inode) -> &mut FileData {
        &mut self.files[inode]
    }

    pub(super) fn add_file(&mut self, path: &Path) -> Inode {
        self.files.push(FileData::default());
        let inode = self.files.len() - 1;
        self.change_name(Some((path.to_owned(), Node::File(inode))), None);
        inode
    }

    pub(super) fn add_dir(&mut self, path: &Path) {
        self.change_name(Some((path.to_owned(), Node::Dir)), None);
    }

    pub(super) fn change_name(&mut self, set: Option<(PathBuf, Node)>, clear: Option<PathBuf>) {
        let change = NameChange {
            set,
            clear,
            lost: false,
        };
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    /// Puts all names on the medium as they are.
    pub(super) fn settle_names(&mut self) {
        self.pending_names.clear();
        self.durable_names = self.names.clone();
    }

    /// A good sync of a directory.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let (synced, rest) = std::mem::take(&mut self.pending_names)
            .into_iter()
            .partition::<Vec<_>, _>(|change| change.touches(dir));
        self.pending_names = rest;
        for change in synced.iter().filter(|change| !change.lost) {
            change.apply(&mut self.durable_names);
        }
    }

    /// A failed sync of a directory.
    pub(super) fn lose_dir(&mut self, dir: &Path) {
        for change in &mut self.pending_names {
            change.lost |= change.touches(dir);
        }
    }

    /// Bytes in files that have a name.
    pub(super) fn used(&self) -> u64 {
        let len = |node: &Node| match node {
            Node::Dir => 0,
            Node::File(inode) => self.files[*inode].live.len() as u64,
        };
        self.names.values().map(len).sum()
    }

    pub(super) fn kill(&mut self, dice: &mut Dice) {
        for file in &mut self.files {
            file.survive_kill(dice);
        }
    }

    pub(super) fn crash(&mut self, crash: Crash, order: NameOrder, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending_names);
        let prefix = dice.below(pending.len() + 1);
        let all = dice.below(4);
        for (i, change) in pending.iter().enumerate() {
            let keep = match (crash, order) {
                (Crash::DropAll, _) => false,
                (Crash::KeepAll, _) => !change.lost,
                (Crash::Seeded | Crash::Ordered | Crash::Blocks, NameOrder::Journal) => i < prefix,
                (Crash::Seeded | Crash::Ordered | Crash::Blocks, NameOrder::Any) => match all {
                    0 => false,
                    1 => true,
                    _ => dice.one_in(2),
                },
            };
            if keep {
                change.apply(&mut self.durable_names);
            }
        }
        for file in &mut self.files {
            file.crash(crash, dice);
        }
        self.names = self.durable_names.clone();
        loop {
            let gone: Vec<_> = self
                .names
                .keys()
                .filter(|path| !self.is_dir(parent(path)))
                .cloned()
                .collect();
            if gone.is_empty() {
                break;
            }
            for path in gone {
                self.names.remove(&path);
            }
        }
        self.durable_names = self.names.clone();
    }
}
