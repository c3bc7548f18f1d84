//! Counts and digests by range of slots, kept while entries are encoded; and the encoder that keeps them.

use std::collections::BTreeMap;

use basalt_backup::job::create::{Counted, Sum};
use basalt_backup::repo::DigestKey;
use basalt_backup::repo::manifest::Database;
use basalt_engine::keyspace::Kind;
use basalt_engine::snapshot::{Encode, RdbEntries, SnapshotEntry};
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

    fn count(&self, entry: &SnapshotEntry<'_>) {
        let slot = key_slot(entry.key);
        let mut sum = basalt_backup::repo::Digest::default();
        digest::add(&mut sum, &self.key, entry);
        let Some(db) = self.dbs.get(entry.db) else {
            return;
        };
        let mut db = db.lock();
        let range = db.sums.entry(slot - slot % self.width).or_default();
        range.keys += 1;
        range.digest.add(sum);
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

    /// What is known of a range so far.
    pub fn sum(&self, db: u32, first: u16) -> Sum {
        let db = usize::try_from(db).ok().and_then(|db| self.dbs.get(db));
        db.and_then(|db| db.lock().sums.get(&first).copied())
            .unwrap_or_default()
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
    pub tally: std::sync::Arc<Tally>,
}

impl Encode for CountingEncoder {
    fn compress(&self) -> bool {
        self.entries
            .as_ref()
            .is_some_and(|entries| entries.compress())
    }

    fn entry(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) {
        self.tally.count(&entry);
        if let Some(entries) = &self.entries {
            entries.entry(entry, writer);
        }
    }

    fn begin(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) -> bool {
        let begun = self
            .entries
            .as_ref()
            .is_some_and(|entries| entries.begin(entry, writer));
        // If not, the entry comes again, whole.
        if begun {
            self.tally.count(&entry);
        }
        begun
    }
}
