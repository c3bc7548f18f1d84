//! The index: a server's own record of where each entry of its last backup is. The next backup uploads what is not in it.
//!
//! ```text
//! offset  bytes
//! 0       4      "BSI" and 1, the version
//! 4       4      length of the ID
//! 8       56     the ID of the backup, zeros behind it
//! 64      8      records
//! 72      24     record: 16 note, big-endian; 4 number of the chunk in the manifest; 4 position in it, little-endian
//! end-32  32     BLAKE3 of everything before
//! ```
//!
//! A *note* is the beginning of an entry's keyed hash, so it tells of the key, the value and the expiry: an entry that is
//! found here is in the repository as it is, whatever has happened to it meanwhile. Nothing can be learned from it without
//! the repository key. Records are ordered by note, which is evenly spread, so looking one up takes two or three steps.
//!
//! Invariants: the file is only replaced whole; without it, or with one that is damaged, the next backup uploads
//! everything, and nothing else is lost.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::BackupId;

/// The beginning of an entry's keyed hash.
pub type Note = u128;

const MAGIC: [u8; 4] = *b"BSI\x01";
const HEAD_BYTES: usize = 72;
const ID_BYTES: usize = 56;
const RECORD_BYTES: usize = 24;
const HASH_BYTES: usize = 32;
/// Parts into which records are sorted, by the first bits of the note.
const BUCKETS: usize = 256;
/// Records of a part that are kept in memory before they go to a file.
const HELD: usize = 128;

/// Why an index is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It is not as it was written.
    #[error("the index of the last backup is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read or written.
    #[error("the index of the last backup: {0}")]
    Io(#[from] io::Error),
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Its note.
    pub note: Note,
    /// The chunk's number.
    pub chunk: u32,
    /// Its position in the chunk.
    pub position: u32,
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let (note, rest) = bytes.split_at_mut(16);
        note.copy_from_slice(&self.note.to_be_bytes());
        let (chunk, position) = rest.split_at_mut(4);
        chunk.copy_from_slice(&self.chunk.to_le_bytes());
        position.copy_from_slice(&self.position.to_le_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8; RECORD_BYTES]) -> Record {
        let (note, rest) = bytes.split_at(16);
        let (chunk, position) = rest.split_at(4);
        Record {
            note: Note::from_be_bytes(note.try_into().unwrap_or_default()),
            chunk: u32::from_le_bytes(chunk.try_into().unwrap_or_default()),
            position: u32::from_le_bytes(position.try_into().unwrap_or_default()),
        }
    }

    fn bucket(self) -> usize {
        (self.note >> 120) as usize
    }
}

/// The bytes of an index, possibly mapped.
pub type IndexBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// An index that is there, and which of its entries have been met again.
pub struct Known {
    bytes: IndexBytes,
    id: BackupId,
    records: usize,
    met: Vec<AtomicU64>,
    /// By number: chunks whose entries count as new.
    unused: Vec<bool>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({}, {} records)", self.id, self.records)
    }
}

impl Known {
    /// Checks an index.
    ///
    /// # Errors
    /// [`IndexError::Damaged`].
    pub fn open(bytes: IndexBytes) -> Result<Known, IndexError> {
        let whole: &[u8] = (*bytes).as_ref();
        let cut = || IndexError::Damaged("it is cut off");
        let end = whole.len().checked_sub(HASH_BYTES).ok_or_else(cut)?;
        let (body, hash) = whole.split_at(end);
        let (head, records) = body.split_at_checked(HEAD_BYTES).ok_or_else(cut)?;
        if !head.starts_with(&MAGIC) {
            return Err(IndexError::Damaged("it does not begin as an index"));
        }
        // Much of it may have to come from the disk: it is read in order.
        if blake3::hash(body).as_bytes().as_slice() != hash {
            return Err(IndexError::Damaged("its BLAKE3 is wrong"));
        }
        let number = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok());
        let length = number(4).map_or(0, u32::from_le_bytes) as usize;
        let id = head
            .get(8..8 + length.min(ID_BYTES))
            .and_then(|id| std::str::from_utf8(id).ok())
            .and_then(|id| id.parse().ok())
            .ok_or(IndexError::Damaged("it names no backup"))?;
        let (records, rest) = records.as_chunks::<RECORD_BYTES>();
        let count = head.get(64..72).and_then(|b| b.try_into().ok());
        if !rest.is_empty() || count.map(u64::from_le_bytes) != Some(records.len() as u64) {
            return Err(IndexError::Damaged("its length is not what it says"));
        }
        let records = records.len();
        Ok(Known {
            bytes,
            id,
            records,
            met: (0..records.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            unused: Vec::new(),
        })
    }

    /// The backup it is of.
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// From now on entries of these chunks count as new.
    pub fn exclude(&mut self, unused: Vec<bool>) {
        self.unused = unused;
    }

    /// Whether entries of a chunk count.
    pub fn uses(&self, chunk: u32) -> bool {
        !self.unused.get(chunk as usize).copied().unwrap_or(true)
    }

    fn records(&self) -> &[[u8; RECORD_BYTES]] {
        let bytes: &[u8] = (*self.bytes).as_ref();
        let body = bytes.get(HEAD_BYTES..bytes.len().saturating_sub(HASH_BYTES));
        body.unwrap_or_default().as_chunks().0
    }

    fn find(&self, note: Note) -> Option<(usize, Record)> {
        let records = self.records();
        let of = |at: usize| records.get(at).map(Record::of_bytes);
        // Where it would be if notes were spread quite evenly; then in growing steps until it is passed.
        let guess = ((note >> 64) * records.len() as u128) >> 64;
        let guess = usize::try_from(guess).unwrap_or(0);
        let (mut low, mut high) = (guess, guess);
        let mut step = 16;
        while low > 0 && of(low).is_none_or(|record| record.note > note) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 16;
        while high < records.len() && of(high).is_some_and(|record| record.note < note) {
            high = (high + step).min(records.len());
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if of(middle)?.note < note {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let record = of(low)?;
        (record.note == note).then_some((low, record))
    }

    /// Whether the last backup has this entry in a chunk that is used; notes that it was met.
    pub fn meet(&self, note: Note) -> bool {
        let Some((at, record)) = self.find(note) else {
            return false;
        };
        if !self.uses(record.chunk) {
            return false;
        }
        if let Some(word) = self.met.get(at / 64) {
            word.fetch_or(1 << (at % 64), Relaxed);
        }
        true
    }

    /// Everything, in the order of the notes.
    pub fn all(&self) -> impl Iterator<Item = Record> + '_ {
        self.records().iter().map(Record::of_bytes)
    }

    /// What was met, in the order of the notes.
    pub fn met(&self) -> impl Iterator<Item = Record> + '_ {
        let records = self.records().iter().enumerate();
        records
            .filter(|(at, _)| {
                let word = self.met.get(at / 64);
                word.is_some_and(|word| word.load(Relaxed) >> (at % 64) & 1 == 1)
            })
            .map(|(_, record)| Record::of_bytes(record))
    }
}

/// An index being written: records come in any order.
pub struct IndexWriter {
    dir: Box<Path>,
    held: Vec<Vec<Record>>,
    /// What is not held, by bucket: where runs of [`HELD`] records are.
    runs: Vec<Vec<u64>>,
    spool: Option<File>,
    spooled: u64,
}

impl IndexWriter {
    /// Nothing yet; what does not stay in memory goes to a file without a name in `dir`.
    pub fn new(dir: &Path) -> IndexWriter {
        IndexWriter {
            dir: dir.into(),
            held: vec![Vec::new(); BUCKETS],
            runs: vec![Vec::new(); BUCKETS],
            spool: None,
            spooled: 0,
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// What the file says.
    pub fn add(&mut self, record: Record) -> io::Result<()> {
        let bucket = record.bucket();
        let (Some(held), Some(runs)) = (self.held.get_mut(bucket), self.runs.get_mut(bucket))
        else {
            return Ok(());
        };
        held.push(record);
        if held.len() < HELD {
            return Ok(());
        }
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(tempfile::tempfile_in(&self.dir)?),
        };
        let bytes: Vec<u8> = held.iter().flat_map(|record| record.to_bytes()).collect();
        spool.write_all(&bytes)?;
        runs.push(self.spooled);
        self.spooled += bytes.len() as u64;
        held.clear();
        Ok(())
    }

    fn bucket(&mut self, bucket: usize) -> io::Result<Vec<Record>> {
        let mut records = self
            .held
            .get_mut(bucket)
            .map(std::mem::take)
            .unwrap_or_default();
        let runs = self.runs.get(bucket).map(Vec::as_slice).unwrap_or_default();
        let mut bytes = vec![0; HELD * RECORD_BYTES];
        for at in runs {
            if let Some(spool) = &self.spool {
                spool.read_exact_at(&mut bytes, *at)?;
                records.extend(bytes.as_chunks().0.iter().map(Record::of_bytes));
            }
        }
        Ok(records)
    }

    /// Writes the index: what was added, with chunks renumbered by `new`, and what was met of the last one, renumbered by
    /// `old`. The file at `path` is replaced.
    ///
    /// # Errors
    /// What the files say; the old index is then still there.
    pub fn finish(
        mut self,
        path: &Path,
        id: &BackupId,
        new: &dyn Fn(u32) -> Option<u32>,
        known: Option<&Known>,
        old: &dyn Fn(u32) -> Option<u32>,
    ) -> Result<(), IndexError> {
        let temporary = path.with_extension("tmp");
        let result = self.write(&temporary, id, new, known, old);
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
            return result;
        }
        Ok(fs::rename(&temporary, path)?)
    }

    fn write(
        &mut self,
        path: &Path,
        id: &BackupId,
        new: &dyn Fn(u32) -> Option<u32>,
        known: Option<&Known>,
        old: &dyn Fn(u32) -> Option<u32>,
    ) -> Result<(), IndexError> {
        let unknown = || IndexError::Damaged("a record is of no chunk");
        let file = File::create(path)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        out.write_all(&[0; HEAD_BYTES])?;
        let mut met = known.iter().flat_map(|known| known.met()).peekable();
        let mut count = 0u64;
        for bucket in 0..BUCKETS {
            let mut records = self.bucket(bucket)?;
            for record in &mut records {
                record.chunk = new(record.chunk).ok_or_else(unknown)?;
            }
            while let Some(mut record) = met.next_if(|record| record.bucket() == bucket) {
                record.chunk = old(record.chunk).ok_or_else(unknown)?;
                records.push(record);
            }
            records.sort_unstable();
            count += records.len() as u64;
            for record in records {
                out.write_all(&record.to_bytes())?;
            }
        }
        out.flush()?;
        drop(out);
        let mut head = [0; HEAD_BYTES];
        let text = id.as_str().as_bytes();
        let mut fields = head.as_mut_slice();
        fields.write_all(&MAGIC)?;
        fields.write_all(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        let mut name = text.to_vec();
        name.resize(ID_BYTES, 0);
        fields.write_all(&name)?;
        fields.write_all(&count.to_le_bytes())?;
        file.write_all_at(&head, 0)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        let end = HEAD_BYTES as u64 + count * RECORD_BYTES as u64;
        file.write_all_at(hasher.finalize().as_bytes(), end)?;
        Ok(file.sync_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(i: u32) -> Record {
        let hash = blake3::hash(&i.to_le_bytes());
        let note = Note::from_be_bytes(hash.as_bytes()[..16].try_into().unwrap());
        Record {
            note,
            chunk: i % 3,
            position: i,
        }
    }

    fn open(path: &Path) -> Result<Known, IndexError> {
        let bytes: IndexBytes = Box::new(fs::read(path).unwrap());
        Known::open(bytes).map(|mut known| {
            known.exclude(vec![false; 10]);
            known
        })
    }

    #[test]
    fn what_is_met_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (first, second) = (BackupId::new(1, "ab", 1), BackupId::new(2, "ab", 2));
        let mut writer = IndexWriter::new(dir.path());
        let count = 100_000;
        (0..count).for_each(|i| writer.add(record(i)).unwrap());
        let same = |chunk| Some(chunk);
        writer.finish(&path, &first, &same, None, &same).unwrap();

        let mut known = open(&path).unwrap();
        assert_eq!(known.id(), &first);
        known.exclude(vec![false, false, true]);
        for i in 0..count {
            assert_eq!(known.find(record(i).note).unwrap().1, record(i));
        }
        assert!((count..2 * count).all(|i| !known.meet(record(i).note)));
        assert!(!known.meet(record(2).note), "its chunk is excluded");
        let even = (0..count).filter(|i| i % 6 == 0);
        assert!(even.clone().all(|i| known.meet(record(i).note)));
        let mut writer = IndexWriter::new(dir.path());
        writer.add(record(count)).unwrap();
        let moved = |chunk| Some(chunk + 5);
        let new = |_| Some(9);
        writer
            .finish(&path, &second, &new, Some(&known), &moved)
            .unwrap();
        drop(known);

        let known = open(&path).unwrap();
        assert_eq!(known.id(), &second);
        assert_eq!(known.records, even.clone().count() + 1);
        for i in even {
            assert_eq!(known.find(record(i).note).unwrap().1.chunk, 5);
        }
        let last = known.find(record(count).note).unwrap().1;
        assert_eq!((last.chunk, last.position), (9, count));
        assert_eq!(known.met().count(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let id = BackupId::new(1, "ab", 1);
        let same = |chunk| Some(chunk);
        for count in [0, 3] {
            let mut writer = IndexWriter::new(dir.path());
            (0..count).for_each(|i| writer.add(record(i)).unwrap());
            writer.finish(&path, &id, &same, None, &same).unwrap();
            let good = fs::read(&path).unwrap();
            assert!(open(&path).is_ok());
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 8;
                assert!(Known::open(Box::new(bad)).is_err(), "byte {at}");
                assert!(Known::open(Box::new(good[..at].to_vec())).is_err());
            }
        }
    }
}
