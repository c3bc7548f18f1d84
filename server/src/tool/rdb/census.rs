//! [`Census`]: what a file holds, counted while it is read.
//!
//! Besides some counters it keeps eight bytes per key, to find keys that come twice: hashes are
//! compared at the end, and only where two are equal are the keys themselves read again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::hash::{BuildHasher, RandomState};

use basalt_formats::rdb::ObjectType;
use basalt_formats::rdb::file::{FileReader, KeyRecord, Record};

/// How many of the biggest keys are kept.
const BIGGEST: usize = 10;
/// Bytes kept of each.
const KEPT_KEY: usize = 300;

/// Keys of one layout.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// How many.
    pub keys: u64,
    /// Bytes of their values in the file.
    pub bytes: u64,
}

/// What a database holds.
#[derive(Debug, Default)]
pub struct Database {
    /// Keys.
    pub keys: u64,
    /// Those that expire.
    pub expires: u64,
    /// Those whose time has come.
    pub expired: u64,
    /// By layout.
    pub kinds: BTreeMap<ObjectType, Kind>,
}

/// A big key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Big {
    /// Bytes of its value in the file.
    pub bytes: u64,
    /// Its database.
    pub db: u64,
    /// The key, cut if it is long.
    pub key: Vec<u8>,
    /// Its layout.
    pub kind: ObjectType,
}

/// A key that comes twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its database.
    pub db: u64,
    /// The key.
    pub key: Vec<u8>,
    /// Where it comes again.
    pub offset: usize,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Census {
    /// By database.
    pub databases: BTreeMap<u64, Database>,
    biggest: BinaryHeap<Reverse<Big>>,
    hasher: RandomState,
    hashes: Vec<u64>,
}

impl Census {
    /// Counts a key.
    pub fn add(&mut self, db: u64, record: &KeyRecord<'_>, now_ms: i64) {
        let bytes = record.body.len() as u64;
        let database = self.databases.entry(db).or_default();
        database.keys += 1;
        database.expires += u64::from(record.expire_ms.is_some());
        database.expired += u64::from(record.expire_ms.is_some_and(|at| at <= now_ms));
        let kind = database.kinds.entry(record.kind).or_default();
        kind.keys += 1;
        kind.bytes += bytes;
        self.hashes.push(self.hash(db, &record.key));
        let smallest = self.biggest.peek().map_or(0, |Reverse(big)| big.bytes);
        if self.biggest.len() < BIGGEST || bytes > smallest {
            let key = record.key.get(..KEPT_KEY).unwrap_or(&record.key).to_vec();
            let kind = record.kind;
            self.biggest.push(Reverse(Big {
                bytes,
                db,
                key,
                kind,
            }));
            if self.biggest.len() > BIGGEST {
                self.biggest.pop();
            }
        }
    }

    fn hash(&self, db: u64, key: &[u8]) -> u64 {
        self.hasher.hash_one((db, key))
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The biggest keys, biggest first.
    pub fn biggest(&self) -> impl Iterator<Item = &Big> {
        let mut sorted: Vec<&Big> = self.biggest.iter().map(|Reverse(big)| big).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted.into_iter()
    }

    /// The first key that comes twice in `input`, the file that was counted.
    pub fn duplicate(&mut self, input: &[u8]) -> Option<Duplicate> {
        self.hashes.sort_unstable();
        let suspects: HashSet<u64> = self
            .hashes
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] if a == b => Some(*a),
                _ => None,
            })
            .collect();
        if suspects.is_empty() {
            return None;
        }
        let mut seen = HashSet::new();
        let mut db = 0;
        let mut reader = FileReader::new(input)
            .ok()?
            .checksum(false)
            .keep_modules(true);
        loop {
            match reader.next_record().ok()? {
                Record::SelectDb(number) => db = number,
                Record::Key(record) if suspects.contains(&self.hash(db, &record.key)) => {
                    let key = record.key.into_owned();
                    if !seen.insert((db, key.clone())) {
                        let offset = record.offset;
                        return Some(Duplicate { db, key, offset });
                    }
                }
                Record::Eof { .. } => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn record(key: &[u8], bytes: usize) -> KeyRecord<'_> {
        static ZEROS: [u8; 100] = [0; 100];
        KeyRecord {
            key: Cow::Borrowed(key),
            expire_ms: (bytes == 5).then_some(7),
            idle_s: None,
            freq: None,
            kind: ObjectType::String,
            body: &ZEROS[..bytes],
            offset: 0,
        }
    }

    #[test]
    fn counts() {
        let mut census = Census::default();
        for n in 0..30usize {
            census.add((n % 2) as u64, &record(n.to_string().as_bytes(), n), 7);
        }
        assert_eq!(census.keys(), 30);
        let sizes: Vec<u64> = census.biggest().map(|big| big.bytes).collect();
        assert_eq!(sizes, [29, 28, 27, 26, 25, 24, 23, 22, 21, 20]);
        let odd = &census.databases[&1];
        assert_eq!((odd.keys, odd.expires, odd.expired), (15, 1, 1));
        let bytes = (1..30).step_by(2).sum::<u64>();
        assert_eq!(odd.kinds[&ObjectType::String], Kind { keys: 15, bytes });
    }

    #[test]
    fn a_key_that_comes_twice() {
        let head = b"REDIS0009\xfe\x00\x00\x01a\x01v";
        let check = |tail: &[u8]| {
            let input = [&head[..], tail].concat();
            let mut census = Census::default();
            let mut db = 0;
            let mut reader = FileReader::new(&input).unwrap().checksum(false);
            loop {
                match reader.next_record().unwrap() {
                    Record::SelectDb(number) => db = number,
                    Record::Key(record) => census.add(db, &record, 0),
                    _ => break census.duplicate(&input),
                }
            }
        };
        let end = b"\xff\0\0\0\0\0\0\0\0";
        assert_eq!(check(end), None);
        assert_eq!(check(&[&b"\xfe\x01\x00\x01a\x01w"[..], end].concat()), None);
        let found = check(&[&b"\x00\x01b\x01v\x00\x01a\x01w"[..], end].concat());
        let (db, key, offset) = (0, b"a".to_vec(), head.len() + 5);
        assert_eq!(found, Some(Duplicate { db, key, offset }));
    }
}
