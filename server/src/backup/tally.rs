//! Counts and digests by range of slots, kept while entries are encoded; and the encoder that keeps them.
//!
//! The encoder writes only what the index of the last backup does not have. It notes the hash of each entry that it writes;
//! the notes of a thread wait in the thread until the walk takes them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use basalt_backup::job::create::{Counted, Sum};
use basalt_backup::repo::index::Known;
use basalt_backup::repo::manifest::Database;
use basalt_backup::repo::{Digest, DigestKey};
use basalt_engine::keyspace::Kind;
use basalt_engine::snapshot::{Encode, Note, RdbEntries, SnapshotEntry};
use basalt_engine::value::serial::Content;
use basalt_formats::crc16::key_slot;
use basalt_formats::rdb::Writer;
use parking_lot::Mutex;

use super::digest;

/// What is known of one database.
#[derive(Debug, Default)]
struct Db {
    database: Database,
    /// By first slot of the range.
    sums: BTreeMap<u16, Sum>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Tally {
    key: DigestKey,
    /// Slots of a range.
    width: u16,
    dbs: Vec<Mutex<Db>>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(key: DigestKey, width: u16, databases: usize) -> Tally {
        Tally {
            key,
            width: width.max(1),
            dbs: (0..databases).map(|_| Mutex::default()).collect(),
        }
    }

    /// The hash of an entry.
    fn hash(&self, entry: &SnapshotEntry<'_>) -> Digest {
        let mut sum = Digest::default();
        digest::add(&mut sum, &self.key, entry);
        sum
    }

    /// Counts an entry with this hash.
    fn count(&self, entry: &SnapshotEntry<'_>, hash: Digest) {
        let slot = key_slot(entry.key);
        let Some(db) = self.dbs.get(entry.db) else {
            return;
        };
        let mut db = db.lock();
        let range = db.sums.entry(slot - slot % self.width).or_default();
        range.keys += 1;
        range.digest.add(hash);
        let database = &mut db.database;
        database.keys += 1;
        database.expires += u64::from(entry.header.expire_ms.is_some());
        let kind = match entry.content {
            Content::Str(_) => Kind::Raw,
            Content::Value(value) => value.kind(),
        };
        let types = &mut database.types;
        *match kind {
            Kind::Int | Kind::Embstr | Kind::Raw => &mut types.string,
            Kind::List => &mut types.list,
            Kind::Set => &mut types.set,
            Kind::Zset => &mut types.zset,
            Kind::Hash => &mut types.hash,
            Kind::Stream => &mut types.stream,
        } += 1;
    }

    /// Everything.
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for (number, db) in self.dbs.iter().enumerate() {
            let db = db.lock();
            if db.database.keys == 0 {
                continue;
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            counted.databases.push(Database {
                db: number,
                ..db.database.clone()
            });
            let sums = db.sums.iter().map(|(first, sum)| ((number, *first), *sum));
            counted.sums.extend(sums);
        }
        counted
    }
}

/// Encodes entries as RDB records and counts them.
#[derive(Debug)]
pub struct CountingEncoder {
    /// How they are written; nothing is written without.
    pub entries: Option<RdbEntries>,
    /// Where they are counted.
    pub tally: Arc<Tally>,
    /// What need not be written.
    pub known: Option<Arc<Known>>,
}

thread_local! {
    /// Of entries written on this thread.
    static NOTES: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
    /// The entry that comes next, again, has been dealt with.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

impl CountingEncoder {
    /// Counts an entry, and says whether it is to be written.
    fn is_new(&self, entry: &SnapshotEntry<'_>) -> bool {
        let hash = self.tally.hash(entry);
        self.tally.count(entry, hash);
        if self.entries.is_none() {
            return false;
        }
        let note = hash.note();
        if self.known.as_ref().is_some_and(|known| known.meet(note)) {
            return false;
        }
        NOTES.with_borrow_mut(|notes| notes.push(note));
        true
    }
}

impl Encode for CountingEncoder {
    fn compress(&self) -> bool {
        self.entries
            .as_ref()
            .is_some_and(|entries| entries.compress())
    }

    fn entry(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) {
        if DONE.take() {
            return;
        }
        if self.is_new(&entry)
            && let Some(entries) = &self.entries
        {
            entries.entry(entry, writer);
        }
    }

    fn begin(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) -> bool {
        // What is not begun comes again, whole and at once.
        let is_new = self.is_new(&entry);
        if let Some(entries) = self.entries.as_ref().filter(|_| is_new) {
            if entries.begin(entry, writer) {
                return true;
            }
            entries.entry(entry, writer);
        }
        DONE.set(true);
        false
    }

    fn makes_notes(&self) -> bool {
        self.entries.is_some()
    }

    fn notes(&self) -> Vec<Note> {
        NOTES.take()
    }
}
