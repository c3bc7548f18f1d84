//! A backup comes into being.
//!
//! ```text
//! walk --entries--> chunk of the range the walk is in --end_range--> uploaded, or dropped if the parent has the same
//!            '----> chunk of early entries ------------------------> uploaded
//! finish: all uploads done -> manifest -> lease released
//! ```
//!
//! Invariants: the manifest is written last and never over another; every entry is in exactly one chunk that the manifest
//! names; a range is taken from the parent only if its digest and count are the parent's, and nothing of it came early.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::Writer;
use bytes::Bytes;

use super::lease::{LEASE_MS, Lease};
use super::upload::Uploader;
use super::{JobError, catalog};
use crate::repo::chunk::Codec;
use crate::repo::crypt::Recipients;
use crate::repo::manifest::{self, Chunk, Database, FORMAT, Manifest};
use crate::repo::object::{ChunkWriter, Finished};
use crate::repo::{BackupId, Digest, Position, RepositoryKey, layout};
use crate::store::{BackupStore, publish};

pub use super::upload::UploadState;

/// RDB bytes after which a chunk ends.
const CHUNK_BYTES: u64 = 32 << 20;
/// Slots.
const SLOTS: u16 = 16384;

const AUX: u8 = 0xfa;
const FUNCTION: u8 = 0xf5;
const SELECT_DB: u8 = 0xfe;
const EOF: u8 = 0xff;

/// How and of what a backup is made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub id: BackupId,
    /// The data set's id.
    pub lineage: String,
    /// Of the program.
    pub version: String,
    /// When it began, Unix milliseconds.
    pub began_ms: i64,
    /// The moment of the cut.
    pub cut_ms: i64,
    /// Effects the log had taken at the cut.
    pub commit_index: u64,
    /// Compression.
    pub codec: Codec,
    /// Who can read it.
    pub recipients: Recipients,
    /// For digests and the MAC.
    pub key: RepositoryKey,
    /// The backup whose chunks may be reused.
    pub parent: Option<Manifest>,
    /// Where chunks wait.
    pub spool_dir: Arc<Path>,
    /// Where the archive goes on.
    pub archive: Option<Position>,
    /// What is said of the server at the beginning of each chunk.
    pub remarks: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Keys and digest of some slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Keys.
    pub keys: u64,
    /// Their digest.
    pub digest: Digest,
}

/// What the walk has counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Databases with keys.
    pub databases: Vec<Database>,
    /// Keys and digests by database and first slot of a range.
    pub sums: BTreeMap<(u32, u16), Sum>,
}

/// A chunk being filled.
struct OpenChunk {
    writer: ChunkWriter,
    crc: u64,
    db: Option<u32>,
    keys: u64,
    bytes: u64,
}

/// The range the walk is in.
struct OpenRange {
    db: u32,
    first: u16,
    last: u16,
    chunk: Option<OpenChunk>,
    parts: Vec<(Finished, u64)>,
    keys: u64,
}

/// A range that the walk has left.
struct ClosedRange {
    last: u16,
    /// Keys in its chunks.
    keys: u64,
}

/// A backup being made.
pub struct Creation {
    store: Arc<dyn BackupStore>,
    plan: Plan,
    uploader: Option<Uploader>,
    state: Arc<UploadState>,
    key_object: String,
    range: Option<OpenRange>,
    early: Option<OpenChunk>,
    early_parts: u64,
    /// Ranges of which something came early.
    touched: BTreeSet<(u32, u16)>,
    /// The last entries went into the chunk of early ones.
    last_early: bool,
    closed: BTreeMap<(u32, u16), ClosedRange>,
    chunks: Vec<Chunk>,
    functions: u64,
    width: u16,
    uploaded_bytes: u64,
    done: bool,
}

impl Creation {
    /// Begins a backup with ranges of `width` slots: takes its lease, and makes sure of the parent and of the key.
    ///
    /// # Errors
    /// What the store says.
    pub fn begin(
        store: Arc<dyn BackupStore>,
        mut plan: Plan,
        width: u16,
        state: Arc<UploadState>,
    ) -> Result<Creation, JobError> {
        let lease = Lease {
            id: plan.id.clone(),
            parent: plan.parent.as_ref().map(|parent| parent.id.clone()),
            began_ms: plan.began_ms,
        };
        lease.take(&*store)?;
        if let Some(parent) = &plan.parent {
            // Only now is it certain that prune leaves its chunks.
            let there = catalog::read(&*store, &parent.id).is_ok_and(|there| there == *parent);
            if !there {
                plan.parent = None;
            }
        }
        let key_object = plan.key.publish(&*store, &plan.recipients)?.to_string();
        let uploader = Uploader::start(store.clone(), state.clone())?;
        Ok(Creation {
            store,
            plan,
            uploader: Some(uploader),
            state,
            key_object,
            range: None,
            early: None,
            early_parts: 0,
            touched: BTreeSet::new(),
            last_early: false,
            closed: BTreeMap::new(),
            chunks: Vec::new(),
            functions: 0,
            width: width.clamp(1, SLOTS),
            uploaded_bytes: 0,
            done: false,
        })
    }

    /// The ID.
    pub fn id(&self) -> &BackupId {
        &self.plan.id
    }

    /// The first slot of the range a slot is in.
    pub fn range_of(&self, slot: u16) -> u16 {
        slot - slot % self.width
    }

    /// Writes the function libraries; before any entry.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn functions(&mut self, libraries: &[Vec<u8>]) -> Result<(), JobError> {
        if libraries.is_empty() {
            return Ok(());
        }
        let mut chunk = self.open_chunk()?;
        for library in libraries {
            let mut writer = Writer::new(false);
            writer.raw(&[FUNCTION]);
            writer.string(library);
            chunk.put(writer.as_bytes())?;
        }
        self.functions = libraries.len() as u64;
        let (finished, _) = chunk.finish()?;
        let mut entry = self.upload(finished, "functions", None)?;
        entry.functions = self.functions;
        self.chunks.push(entry);
        Ok(())
    }

    /// The walk comes to these slots of a database. If they are of another range than the last ones, that range is
    /// complete, and `sum` is asked for what is known of it.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn visit(
        &mut self,
        db: u32,
        slot: u16,
        sum: impl FnOnce(u32, u16) -> Sum,
    ) -> Result<(), JobError> {
        let first = self.range_of(slot);
        if let Some(range) = &self.range
            && (range.db, range.first) == (db, first)
        {
            return Ok(());
        }
        self.end_range(sum)?;
        let last = first.saturating_add(self.width - 1).min(SLOTS - 1);
        self.range = Some(OpenRange {
            db,
            first,
            last,
            chunk: None,
            parts: Vec::new(),
            keys: 0,
        });
        Ok(())
    }

    /// Bytes of entries of a database, from the range that this slot is in.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn entries(&mut self, db: u32, slot: u16, bytes: &[u8]) -> Result<(), JobError> {
        self.check()?;
        let first = self.range_of(slot);
        let in_turn = self
            .range
            .as_ref()
            .is_some_and(|range| (range.db, range.first) == (db, first));
        self.last_early = !in_turn;
        if !in_turn {
            self.touched.insert((db, first));
            if self.early.is_none() {
                self.early = Some(self.open_chunk()?);
            }
            if let Some(chunk) = &mut self.early {
                chunk.entries(db, bytes)?;
            }
            return Ok(());
        }
        if self
            .range
            .as_ref()
            .is_some_and(|range| range.chunk.is_none())
        {
            let chunk = self.open_chunk()?;
            if let Some(range) = &mut self.range {
                range.chunk = Some(chunk);
            }
        }
        if let Some(chunk) = self.range.as_mut().and_then(|range| range.chunk.as_mut()) {
            chunk.entries(db, bytes)?;
        }
        Ok(())
    }

    /// The entries so far are whole, and the last ones were of so many keys.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn boundary(&mut self, keys: u64) -> Result<(), JobError> {
        if self.last_early {
            if let Some(chunk) = &mut self.early {
                chunk.keys += keys;
                if chunk.bytes >= CHUNK_BYTES {
                    self.end_early()?;
                }
            }
        } else if let Some(range) = &mut self.range {
            range.keys += keys;
            if let Some(chunk) = &mut range.chunk {
                chunk.keys += keys;
                if chunk.bytes >= CHUNK_BYTES
                    && let Some(full) = range.chunk.take()
                {
                    range.parts.push(full.finish()?);
                }
            }
        }
        Ok(())
    }

    /// The last range is complete.
    fn end_range(&mut self, sum: impl FnOnce(u32, u16) -> Sum) -> Result<(), JobError> {
        let Some(mut range) = self.range.take() else {
            return Ok(());
        };
        if let Some(chunk) = range.chunk.take() {
            range.parts.push(chunk.finish()?);
        }
        let sum = sum(range.db, range.first);
        let mut keys = range.keys;
        match self.unchanged(&range, sum) {
            Some(chunks) => {
                keys = sum.keys;
                self.chunks.extend(chunks);
            }
            None => {
                let (db, first, last) = (range.db, range.first, range.last);
                for (part, (finished, keys)) in range.parts.into_iter().enumerate() {
                    let name = format!("{db}-{first}-{last}.{part}");
                    let mut entry = self.upload(finished, &name, Some((db, first, last)))?;
                    entry.keys = keys;
                    self.chunks.push(entry);
                }
            }
        }
        let last = range.last;
        self.closed
            .insert((range.db, range.first), ClosedRange { last, keys });
        Ok(())
    }

    /// The parent's chunks of a range, if it holds the same.
    fn unchanged(&self, range: &OpenRange, sum: Sum) -> Option<Vec<Chunk>> {
        let parent = self.plan.parent.as_ref()?;
        let same = parent.recipients == self.plan.recipients.fingerprints()
            && parent.key == self.key_object
            && !self.touched.contains(&(range.db, range.first))
            && range.keys == sum.keys
            && sum.keys > 0;
        let theirs = parent.ranges.iter().find(|theirs| {
            (theirs.db, theirs.first, theirs.last) == (range.db, range.first, range.last)
        })?;
        if !same || !theirs.whole || theirs.keys != sum.keys || theirs.digest != sum.digest {
            return None;
        }
        let chunks = parent.chunks.iter();
        Some(
            chunks
                .filter(|chunk| chunk.is_of(theirs))
                .cloned()
                .collect(),
        )
    }

    fn end_early(&mut self) -> Result<(), JobError> {
        let Some(chunk) = self.early.take() else {
            return Ok(());
        };
        let (finished, keys) = chunk.finish()?;
        let name = format!("early.{}", self.early_parts);
        self.early_parts += 1;
        let mut entry = self.upload(finished, &name, None)?;
        entry.keys = keys;
        self.chunks.push(entry);
        Ok(())
    }

    /// Queues a chunk for the store.
    fn upload(
        &mut self,
        finished: Finished,
        name: &str,
        of: Option<(u32, u16, u16)>,
    ) -> Result<Chunk, JobError> {
        let encrypted = !self.plan.recipients.is_empty();
        let object = layout::chunk(&self.plan.id, name, self.plan.codec.format(), encrypted)?;
        let entry = Chunk {
            object: object.to_string(),
            db: of.map(|of| of.0),
            first: of.map(|of| of.1),
            last: of.map(|of| of.2),
            keys: 0,
            functions: 0,
            rdb_bytes: finished.rdb_bytes,
            bytes: finished.bytes,
            blake3: finished.blake3.to_string(),
        };
        self.uploaded_bytes += finished.bytes;
        if let Some(uploader) = &self.uploader {
            uploader.send(object, finished)?;
        }
        Ok(entry)
    }

    fn check(&self) -> Result<(), JobError> {
        if self.state.cancel.load(Relaxed) {
            return Err(JobError::Cancelled);
        }
        self.uploader.as_ref().map_or(Ok(()), Uploader::check)
    }

    fn open_chunk(&self) -> Result<OpenChunk, JobError> {
        let writer = ChunkWriter::new(
            self.plan.codec,
            &self.plan.recipients,
            self.plan.spool_dir.clone(),
        )?;
        let mut chunk = OpenChunk {
            writer,
            crc: 0,
            db: None,
            keys: 0,
            bytes: 0,
        };
        let mut head = Writer::new(false);
        head.raw(format!("REDIS{:04}", basalt_formats::rdb::VERSION).as_bytes());
        for (name, value) in &self.plan.remarks {
            head.raw(&[AUX]);
            head.string(name);
            head.string(value);
        }
        chunk.put(head.as_bytes())?;
        Ok(chunk)
    }

    /// Publishes the backup.
    ///
    /// # Errors
    /// [`JobError`]; there is no backup then, and what was uploaded for it is removed if that can be done.
    pub fn finish(
        mut self,
        counted: &Counted,
        now_ms: impl Fn() -> i64,
    ) -> Result<Manifest, JobError> {
        let of = |db, first| counted.sums.get(&(db, first)).copied().unwrap_or_default();
        self.end_range(of)?;
        self.end_early()?;
        if let Some(uploader) = self.uploader.take() {
            uploader.finish()?;
        }
        let mut digest = Digest::default();
        let mut ranges = Vec::new();
        for (&(db, first), sum) in &counted.sums {
            if sum.keys == 0 {
                continue;
            }
            digest.add(sum.digest);
            let closed = self.closed.get(&(db, first));
            let last = first.saturating_add(self.width - 1).min(SLOTS - 1);
            ranges.push(manifest::Range {
                db,
                first,
                last: closed.map_or(last, |closed| closed.last),
                keys: sum.keys,
                digest: sum.digest,
                whole: closed.is_some_and(|closed| closed.keys == sum.keys)
                    && !self.touched.contains(&(db, first)),
            });
        }
        let ended_ms = now_ms();
        if ended_ms.saturating_sub(self.plan.began_ms) > LEASE_MS {
            return Err(JobError::TooLong);
        }
        let manifest = Manifest {
            format: FORMAT,
            id: self.plan.id.clone(),
            lineage: self.plan.lineage.clone(),
            parent: self.plan.parent.as_ref().map(|parent| parent.id.clone()),
            version: self.plan.version.clone(),
            began_ms: self.plan.began_ms,
            cut_ms: self.plan.cut_ms,
            ended_ms,
            commit_index: self.plan.commit_index,
            compression: self.plan.codec.to_string(),
            recipients: self.plan.recipients.fingerprints(),
            key: self.key_object.clone(),
            digest,
            databases: counted.databases.clone(),
            ranges,
            chunks: std::mem::take(&mut self.chunks),
            functions: self.functions,
            uploaded_bytes: self.uploaded_bytes,
            archive: self.plan.archive.clone(),
        };
        let id = &self.plan.id;
        let failed = |source| JobError::Manifest {
            id: id.clone(),
            source: Box::new(source),
        };
        let bytes = manifest.to_bytes(&self.plan.key).map_err(failed)?;
        // What no reader would take must not be published.
        Manifest::parse(&bytes, id, Some(&self.plan.key)).map_err(failed)?;
        publish(&*self.store, &layout::manifest(id)?, Bytes::from(bytes))?;
        self.done = true;
        // The backup is there; a lease that stays is removed by prune.
        let _ = Lease::release(&*self.store, id);
        Ok(manifest)
    }
}

impl Drop for Creation {
    /// Removes what an unfinished backup has uploaded; what cannot be removed, prune will.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.state.cancel.store(true, Relaxed);
        drop(self.uploader.take());
        // The manifest may have been written although the reply was lost: then its objects must stay.
        let manifest = layout::manifest(&self.plan.id);
        let published = manifest.map(|name| self.store.head(&name));
        if !matches!(
            published,
            Ok(Err(crate::store::StoreError::NotFound { .. }))
        ) {
            return;
        }
        let folder = layout::OBJECTS.to_owned() + "/" + self.plan.id.as_str();
        if let Ok(folder) = crate::store::ObjectName::new(&folder)
            && let Ok(objects) = self.store.list(Some(&folder), None, usize::MAX)
        {
            for object in objects {
                let _ = self.store.delete(&object.name);
            }
        }
        let _ = Lease::release(&*self.store, &self.plan.id);
    }
}

impl OpenChunk {
    fn put(&mut self, bytes: &[u8]) -> Result<(), JobError> {
        self.crc = crc64(self.crc, bytes);
        self.bytes += bytes.len() as u64;
        self.writer
            .write_all(bytes)
            .map_err(crate::repo::object::unwrap_io)?;
        Ok(())
    }

    fn entries(&mut self, db: u32, bytes: &[u8]) -> Result<(), JobError> {
        if self.db != Some(db) {
            self.db = Some(db);
            let mut writer = Writer::new(false);
            writer.raw(&[SELECT_DB]);
            writer.number(db.into());
            self.put(writer.as_bytes())?;
        }
        self.put(bytes)
    }

    /// The chunk and its keys.
    fn finish(mut self) -> Result<(Finished, u64), JobError> {
        self.put(&[EOF])?;
        let crc = self.crc;
        self.put(&crc.to_le_bytes())?;
        let finished = self.writer.finish()?;
        Ok((finished, self.keys))
    }
}

/// Turns a failure into one that a walk can pass on.
pub fn into_io(error: JobError) -> io::Error {
    io::Error::other(error)
}
