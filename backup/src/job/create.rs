//! A backup comes into being.
//!
//! ```text
//! walk --known?--> met: stays in the last backup's chunk
//!        '-------> chunk of the range the walk is in, if the last backup has none of it
//!        '-------> chunk of mixed entries: what has changed, and what writers handed over early
//! finish: all uploads done -> tables -> manifest -> lease released -> index
//! ```
//!
//! Invariants: the manifest is written last and never over another; every entry is in exactly one chunk that the manifest
//! names, where it is not dead; what is met was in the last backup with the same key, value and expiry.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::fill::OpenChunk;
use super::lease::{LEASE_MS, Lease};
use super::reuse::Reuse;
use super::upload::Uploader;
use super::{JobError, catalog};
use crate::repo::chunk::Codec;
use crate::repo::crypt::Recipients;
use crate::repo::depot::Depot;
use crate::repo::index::{IndexWriter, Known, Note, Record};
use crate::repo::manifest::{Database, FORMAT, Manifest, TablesObject};
use crate::repo::object::ChunkWriter;
use crate::repo::tables::{MAX_TABLES_BYTES, Range};
use crate::repo::{BackupId, Chunk, Digest, DigestKey, Position, RepositoryKey, layout};
use crate::store::{BackupStore, publish};

pub use super::reuse::Parent;
pub use super::upload::UploadState;

/// RDB bytes after which a chunk ends.
const CHUNK_BYTES: u64 = 32 << 20;
/// Slots.
const SLOTS: u16 = 16384;

/// Threads that compress at most; more would wait for the walk.
const COMPRESSORS: usize = 4;

/// How many threads compress: one core stays for those that serve clients.
fn compressors() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores.saturating_sub(1).clamp(1, COMPRESSORS)).unwrap_or(1)
}

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
    /// Where chunks wait, unless the store has a place for them.
    pub spool_dir: Arc<Path>,
    /// Where the index is, and is written; without one everything is uploaded.
    pub index: Option<PathBuf>,
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

/// The range the walk is in.
struct OpenRange {
    db: u32,
    first: u16,
    last: u16,
    /// What is new of it goes into a chunk of its own.
    own: bool,
    chunk: Option<OpenChunk>,
    parts: u32,
}

/// A backup being made.
pub struct Creation {
    store: Arc<dyn BackupStore>,
    plan: Plan,
    uploader: Option<Uploader>,
    state: Arc<UploadState>,
    key_object: String,
    reuse: Option<Reuse>,
    range: Option<OpenRange>,
    mixed: Option<OpenChunk>,
    mixed_parts: u32,
    /// The last entries went into the chunk of mixed ones.
    last_mixed: bool,
    /// Chunks that are complete, by number.
    chunks: BTreeMap<u32, Chunk>,
    numbers: u32,
    index: Option<IndexWriter>,
    functions: u64,
    functions_blake3: String,
    /// The libraries are those of the last backup.
    kept_functions: bool,
    width: u16,
    /// Threads that compress a chunk.
    compressors: u32,
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
        plan: Plan,
        parent: Option<Parent>,
        width: u16,
        state: Arc<UploadState>,
    ) -> Result<Creation, JobError> {
        let lease = Lease {
            id: plan.id.clone(),
            parent: parent.as_ref().map(|parent| parent.manifest.id.clone()),
            began_ms: plan.began_ms,
        };
        lease.take(&*store)?;
        let key_object = plan.key.publish(&*store, &plan.recipients)?.to_string();
        let mut reuse = None;
        if let Some(Parent { manifest, known }) = parent {
            let same = manifest.recipients == plan.recipients.fingerprints()
                && manifest.lineage == plan.lineage
                && manifest.key == key_object;
            // Only now is it certain that prune leaves its chunks.
            let there = catalog::read(&*store, &manifest.id).is_ok_and(|there| there == manifest);
            if same && there {
                reuse = Reuse::new(&*store, manifest, known)?;
            }
        }
        let uploader = Uploader::start(store.clone(), state.clone())?;
        let dir = plan.index.as_deref().and_then(Path::parent);
        let index = plan.index.as_ref().map(|_| {
            let dir = dir.filter(|dir| !dir.as_os_str().is_empty());
            IndexWriter::new(dir.unwrap_or(Path::new(".")))
        });
        Ok(Creation {
            store,
            plan,
            uploader: Some(uploader),
            state,
            key_object,
            reuse,
            range: None,
            mixed: None,
            mixed_parts: 0,
            last_mixed: false,
            chunks: BTreeMap::new(),
            numbers: 0,
            index,
            functions: 0,
            functions_blake3: String::new(),
            kept_functions: false,
            width: width.clamp(1, SLOTS),
            compressors: compressors(),
            uploaded_bytes: 0,
            done: false,
        })
    }

    /// The index of what need not be uploaded. Whoever encodes entries asks it for each.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.reuse.as_ref().map(|reuse| reuse.known.clone())
    }

    /// The ID.
    pub fn id(&self) -> &BackupId {
        &self.plan.id
    }

    /// The first slot of the range a slot is in.
    pub fn range_of(&self, slot: u16) -> u16 {
        slot - slot % self.width
    }

    fn last_of(&self, first: u16) -> u16 {
        first.saturating_add(self.width - 1).min(SLOTS - 1)
    }

    /// Writes the function libraries; before any entry.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn functions(&mut self, libraries: &[Vec<u8>]) -> Result<(), JobError> {
        if libraries.is_empty() {
            return Ok(());
        }
        self.functions = libraries.len() as u64;
        let mut hasher = DigestKey::new(self.plan.key.digest_key()).hasher();
        for library in libraries {
            hasher.update(&(library.len() as u64).to_le_bytes());
            hasher.update(library);
        }
        self.functions_blake3 = hasher.finalize().to_string();
        let reuse = self.reuse.as_ref();
        self.kept_functions =
            reuse.is_some_and(|reuse| reuse.has_functions(&self.functions_blake3));
        if self.kept_functions {
            return Ok(());
        }
        let mut chunk = self.open_chunk()?;
        for library in libraries {
            chunk.function(library)?;
        }
        self.upload(chunk, "functions", None, self.functions)
    }

    /// The walk comes to these slots of a database. If they are of another range than the last ones, that range is
    /// complete.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn visit(&mut self, db: u32, slot: u16) -> Result<(), JobError> {
        let first = self.range_of(slot);
        if let Some(range) = &self.range
            && (range.db, range.first) == (db, first)
        {
            return Ok(());
        }
        self.end_range()?;
        let last = self.last_of(first);
        let reuse = self.reuse.as_ref();
        self.range = Some(OpenRange {
            db,
            first,
            last,
            own: !reuse.is_some_and(|reuse| reuse.has_base(db, first, last)),
            chunk: None,
            parts: 0,
        });
        Ok(())
    }

    /// Bytes of entries of a database, from the range that this slot is in.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn entries(&mut self, db: u32, slot: u16, bytes: &[u8]) -> Result<(), JobError> {
        self.check()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let first = self.range_of(slot);
        let range = self.range.as_ref().filter(|range| range.own);
        self.last_mixed = range.is_none_or(|range| (range.db, range.first) != (db, first));
        if self.current().is_none() {
            let chunk = self.open_chunk()?;
            match &mut self.range {
                Some(range) if !self.last_mixed => range.chunk = Some(chunk),
                _ => self.mixed = Some(chunk),
            }
        }
        self.current()
            .map_or(Ok(()), |chunk| chunk.entries(db, bytes))
    }

    /// The chunk that the last entries went into.
    fn current(&mut self) -> Option<&mut OpenChunk> {
        if self.last_mixed {
            return self.mixed.as_mut();
        }
        self.range.as_mut()?.chunk.as_mut()
    }

    /// The entries so far are whole, and these are the notes on the last ones.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn boundary(&mut self, notes: &[Note]) -> Result<(), JobError> {
        if notes.is_empty() {
            return Ok(());
        }
        let Some(chunk) = self.current() else {
            return Ok(());
        };
        let (number, mut position) = (chunk.number, chunk.keys);
        chunk.keys += notes.len() as u64;
        let full = chunk.bytes >= CHUNK_BYTES;
        if let Some(index) = &mut self.index {
            for note in notes {
                index.add(Record {
                    note: *note,
                    chunk: number,
                    position: u32::try_from(position).map_err(io::Error::other)?,
                })?;
                position += 1;
            }
        }
        match full {
            true if self.last_mixed => self.end_mixed(),
            true => self.end_part(),
            false => Ok(()),
        }
    }

    /// A chunk of the range is complete.
    fn end_part(&mut self) -> Result<(), JobError> {
        let Some(range) = &mut self.range else {
            return Ok(());
        };
        let Some(chunk) = range.chunk.take() else {
            return Ok(());
        };
        let (db, first, last) = (range.db, range.first, range.last);
        let name = format!("{db}-{first}-{last}.{}", range.parts);
        range.parts += 1;
        self.upload(chunk, &name, Some((db, first, last)), 0)
    }

    /// The last range is complete.
    fn end_range(&mut self) -> Result<(), JobError> {
        self.end_part()?;
        self.range = None;
        Ok(())
    }

    fn end_mixed(&mut self) -> Result<(), JobError> {
        let Some(chunk) = self.mixed.take() else {
            return Ok(());
        };
        let name = format!("mixed.{}", self.mixed_parts);
        self.mixed_parts += 1;
        self.upload(chunk, &name, None, 0)
    }

    /// Completes a chunk and queues it for the store.
    fn upload(
        &mut self,
        chunk: OpenChunk,
        name: &str,
        of: Option<(u32, u16, u16)>,
        functions: u64,
    ) -> Result<(), JobError> {
        let (number, keys) = (chunk.number, chunk.keys);
        let finished = chunk.finish()?;
        let encrypted = !self.plan.recipients.is_empty();
        let object = layout::chunk(&self.plan.id, name, self.plan.codec.format(), encrypted)?;
        let entry = Chunk {
            db: of.map(|of| of.0),
            first: of.map(|of| of.1),
            last: of.map(|of| of.2),
            keys,
            functions,
            ..finished.chunk(&object)
        };
        self.uploaded_bytes += finished.bytes;
        if let Some(uploader) = &self.uploader {
            uploader.send(object, finished)?;
        }
        self.chunks.insert(number, entry);
        Ok(())
    }

    fn check(&self) -> Result<(), JobError> {
        if self.state.cancel.load(Relaxed) {
            return Err(JobError::Cancelled);
        }
        self.uploader.as_ref().map_or(Ok(()), Uploader::check)
    }

    fn open_chunk(&mut self) -> Result<OpenChunk, JobError> {
        let plan = &self.plan;
        let depot = Depot::of(&*self.store, plan.spool_dir.clone());
        let mut writer = ChunkWriter::new(plan.codec, &plan.recipients, depot)?;
        writer.detach(self.compressors)?;
        let number = self.numbers;
        self.numbers += 1;
        OpenChunk::new(writer, number, &plan.remarks)
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
        self.end_range()?;
        self.end_mixed()?;
        if let Some(uploader) = self.uploader.take() {
            uploader.finish()?;
        }
        let mut digest = Digest::default();
        let mut ranges = Vec::new();
        for (&(db, first), sum) in counted.sums.iter().filter(|(_, sum)| sum.keys > 0) {
            digest.add(sum.digest);
            ranges.push(Range {
                db,
                first,
                last: self.last_of(first),
                keys: sum.keys,
                digest: sum.digest,
            });
        }
        let ended_ms = now_ms();
        if ended_ms.saturating_sub(self.plan.began_ms) > LEASE_MS {
            return Err(JobError::TooLong);
        }
        // First what goes on, then what is new.
        let reuse = self.reuse.as_ref();
        let kept = reuse.map(|reuse| reuse.finish(self.kept_functions));
        let (mut chunks, old) = kept.unwrap_or_default();
        let new: BTreeMap<u32, u32> = (0u32..)
            .skip(chunks.len())
            .zip(self.chunks.keys())
            .map(|(place, number)| (*number, place))
            .collect();
        chunks.extend(std::mem::take(&mut self.chunks).into_values());
        let parent = self.reuse.as_ref().map(|reuse| &reuse.parent);
        let id = &self.plan.id;
        let mut manifest = Manifest {
            format: FORMAT,
            id: id.clone(),
            lineage: self.plan.lineage.clone(),
            parent: parent.map(|parent| parent.id.clone()),
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
            functions: self.functions,
            functions_blake3: self.functions_blake3.clone(),
            stored_bytes: chunks.iter().map(|chunk| chunk.bytes).sum(),
            uploaded_bytes: self.uploaded_bytes,
            tables: TablesObject::default(),
            ranges,
            chunks,
            archive: self.plan.archive.clone(),
        };
        self.tables(&mut manifest)?;
        self.publish(&manifest)?;
        self.done = true;
        // The backup is there; a lease that stays is removed by prune.
        let _ = Lease::release(&*self.store, &self.plan.id);
        self.write_index(&new, &old);
        Ok(manifest)
    }

    /// Uploads the tables, unless they are those of the last backup.
    fn tables(&self, manifest: &mut Manifest) -> Result<(), JobError> {
        if let Some(reuse) = &self.reuse
            && (&reuse.parent.ranges, &reuse.parent.chunks) == (&manifest.ranges, &manifest.chunks)
        {
            manifest.tables = reuse.parent.tables.clone();
            return Ok(());
        }
        let name = layout::tables(&manifest.id)?;
        let failed = |source| JobError::Manifest {
            id: self.plan.id.clone(),
            source: Box::new(source),
        };
        let body = manifest.seal_tables(name.to_string()).map_err(failed)?;
        manifest.uploaded_bytes += body.len() as u64;
        Ok(self.store.put(&name, Bytes::from(body))?)
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), JobError> {
        let id = &self.plan.id;
        let failed = |source| JobError::Manifest {
            id: id.clone(),
            source: Box::new(source),
        };
        let bytes = manifest.to_bytes(&self.plan.key).map_err(failed)?;
        // What no reader would take must not be published.
        let mut read = Manifest::parse(&bytes, id, Some(&self.plan.key)).map_err(failed)?;
        let name = crate::store::ObjectName::new(&manifest.tables.object)?;
        let tables = self.store.get(&name, MAX_TABLES_BYTES)?;
        read.attach(&tables).map_err(failed)?;
        publish(&*self.store, &layout::manifest(id)?, Bytes::from(bytes))?;
        Ok(())
    }

    /// Writes the index for the next backup. Without it that one uploads everything, which is no failure of this one.
    fn write_index(&mut self, new: &BTreeMap<u32, u32>, old: &[Option<u32>]) {
        let (Some(index), Some(path)) = (self.index.take(), &self.plan.index) else {
            return;
        };
        let known = self.reuse.as_ref().map(|reuse| &*reuse.known);
        let new = |number| new.get(&number).copied();
        let old = |number: u32| old.get(number as usize).copied().flatten();
        if let Err(error) = index.finish(path, &self.plan.id, &new, known, &old) {
            tracing::warn!("The next backup will not be incremental: {error}");
        }
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

/// Turns a failure into one that a walk can pass on.
pub fn into_io(error: JobError) -> io::Error {
    io::Error::other(error)
}
