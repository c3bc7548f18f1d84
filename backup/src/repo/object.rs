//! Chunks as objects: compressed, encrypted and hashed on the way out, checked on the way in.
//!
//! ```text
//! RDB bytes -> Encoder (zstd, lz4) -> Sealing (age) -> Measured (BLAKE3, length) -> depot
//! store, 4 MiB at a time -> Fetched (BLAKE3, length) -> age -> Decoder -> RDB bytes
//! ```
//!
//! Memory is a few MiB whatever the length. What a [`ChunkReader`] gives is right only once it has returned `Ok(0)`.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

use super::chunk::{ChunkError, Codec, Decoder, Encoder};
use super::crypt::{CryptError, Identities, Recipients, Sealing};
use super::depot::{Depot, Kept, Waiting};
use super::layout;
use super::tables::Chunk;
use crate::store::{BackupStore, ObjectName, STEP_BYTES, StoreError};

/// Bytes fetched at once.
const FETCH_BYTES: u64 = 4 << 20;
/// Bytes of a piece of an upload.
pub const PART_BYTES: usize = 8 << 20;

/// How often an upload in pieces is begun.
const ATTEMPTS: u32 = 3;

/// Why a chunk cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Compression.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// Encryption.
    #[error(transparent)]
    Crypt(#[from] CryptError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool, or anything below a reader.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The object is encrypted and there is no identity.
    #[error("it is encrypted: an identity is needed")]
    NeedsIdentity,
    /// The object has another hash than the manifest says.
    #[error("its BLAKE3 should be {expected}, but is {found}: it is damaged or not the right one")]
    Hash {
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The object has another length than the manifest says.
    #[error("it has {found} bytes, not {expected}: it is damaged or not the right one")]
    Length {
        /// What the manifest says.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The name says nothing about how to read it.
    #[error("'{0}' is not the name of a chunk")]
    Name(String),
}

/// A sink that hashes and counts.
struct Measured {
    waiting: Waiting,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.waiting.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A chunk being written.
pub struct ChunkWriter {
    encoder: Encoder<Sealing<Measured>>,
}

impl ChunkWriter {
    /// Begins one that waits in `depot`.
    pub fn new(codec: Codec, recipients: &Recipients, depot: Depot) -> Result<Self, ObjectError> {
        let sink = Measured {
            waiting: Waiting::new(depot),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        let encoder = Encoder::new(codec, recipients.wrap(sink)?)?;
        Ok(ChunkWriter { encoder })
    }

    /// Has it compressed in so many threads of its own, for what is long.
    ///
    /// # Errors
    /// There is no thread.
    pub fn detach(&mut self, threads: u32) -> Result<(), ObjectError> {
        Ok(self.encoder.detach(threads)?)
    }

    /// Completes it.
    pub fn finish(self) -> Result<Finished, ObjectError> {
        let (sealing, rdb_bytes) = self.encoder.finish()?;
        let sink = sealing.finish()?;
        Ok(Finished {
            blake3: sink.hasher.finalize(),
            bytes: sink.bytes,
            rdb_bytes,
            kept: sink.waiting.finish()?,
        })
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// A chunk that can be uploaded.
#[derive(Debug)]
pub struct Finished {
    kept: Kept,
    /// BLAKE3 of the object.
    pub blake3: blake3::Hash,
    /// Bytes of the object.
    pub bytes: u64,
    /// Bytes of the RDB file in it.
    pub rdb_bytes: u64,
}

impl Finished {
    /// What a manifest says of it as the object of this name, if it has neither keys nor a range of its own.
    pub fn chunk(&self, object: &ObjectName) -> Chunk {
        Chunk {
            object: object.to_string(),
            db: None,
            first: None,
            last: None,
            keys: 0,
            functions: 0,
            rdb_bytes: self.rdb_bytes,
            bytes: self.bytes,
            blake3: self.blake3.to_string(),
            dead: Default::default(),
        }
    }

    /// Uploads it. `pace` is told of each piece before it goes, and may take its time or refuse.
    ///
    /// # Errors
    /// What the store or the spool says; a spool that gives other bytes than it was given is an error too.
    pub fn upload(
        self,
        store: &dyn BackupStore,
        name: &ObjectName,
        pace: &dyn Fn(u64) -> io::Result<()>,
    ) -> Result<(), ObjectError> {
        let mut file = match self.kept {
            Kept::Memory(memory) => {
                pace(self.bytes)?;
                return Ok(store.put(name, Bytes::from(memory))?);
            }
            Kept::File { file, staged } => {
                if staged {
                    pace(self.bytes)?;
                    if store.adopt(name, &file)? {
                        return Ok(());
                    }
                }
                file
            }
        };
        let whole = (self.bytes, self.blake3);
        // What the store lost of an upload in pieces shows at its end; then all of them are sent again.
        for _ in 1..ATTEMPTS {
            match send_file(&mut file, whole, store, name, pace) {
                Err(ObjectError::Store(error)) if !error.is_permanent() && !interrupted(&error) => {
                    tracing::debug!("Backup store: {error}; uploading again");
                }
                other => return other,
            }
        }
        send_file(&mut file, whole, store, name, pace)
    }
}

/// Whether an upload was ended on this side.
fn interrupted(error: &StoreError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let own = inner.downcast_ref::<io::Error>();
        if own.is_some_and(|own| own.kind() == io::ErrorKind::Interrupted) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Uploads a spool file of this length and hash in pieces.
fn send_file(
    file: &mut File,
    (bytes, expected): (u64, blake3::Hash),
    store: &dyn BackupStore,
    name: &ObjectName,
    pace: &dyn Fn(u64) -> io::Result<()>,
) -> Result<(), ObjectError> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = blake3::Hasher::new();
    let mut left = bytes;
    let mut next = || -> io::Result<Option<Bytes>> {
        if left == 0 {
            return Ok(None);
        }
        let size = left.min(PART_BYTES as u64);
        let mut part = vec![0; usize::try_from(size).unwrap_or(PART_BYTES)];
        for step in part.chunks_mut(STEP_BYTES) {
            file.read_exact(step)?;
            hasher.update(step);
        }
        left -= size;
        if left == 0 && hasher.finalize() != expected {
            return Err(io::Error::other("the spool file has been damaged"));
        }
        pace(size)?;
        Ok(Some(Bytes::from(part)))
    };
    Ok(store.put_parts(name, &mut next)?)
}

/// Bytes of an object as they come from the store; the end is only given out if the hash is right.
struct Fetched<'s> {
    store: &'s dyn BackupStore,
    name: ObjectName,
    size: u64,
    expected: String,
    at: u64,
    piece: Bytes,
    hasher: blake3::Hasher,
    whole: Arc<AtomicBool>,
}

impl Fetched<'_> {
    fn fail(error: impl Into<ObjectError>) -> io::Error {
        io::Error::other(error.into())
    }

    fn fetch(&mut self) -> io::Result<()> {
        if self.at < self.size {
            let end = self.size.min(self.at + FETCH_BYTES);
            self.piece = self
                .store
                .get_range(&self.name, self.at..end)
                .map_err(Fetched::fail)?;
            if self.piece.len() as u64 != end - self.at {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.hasher.update(&self.piece);
            self.at = end;
        } else if !self.whole.load(Relaxed) {
            let found = self.hasher.finalize().to_string();
            if found != self.expected {
                return Err(Fetched::fail(ObjectError::Hash {
                    expected: self.expected.clone(),
                    found,
                }));
            }
            self.whole.store(true, Relaxed);
        }
        Ok(())
    }
}

impl BufRead for Fetched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() {
            self.fetch()?;
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        self.piece = self.piece.slice(count.min(self.piece.len())..);
    }
}

impl Read for Fetched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

/// Opens an object: checks its length, then hands out its bytes.
fn fetch<'s>(
    store: &'s dyn BackupStore,
    chunk: &Chunk,
) -> Result<(Fetched<'s>, Arc<AtomicBool>), ObjectError> {
    let name = chunk
        .name()
        .ok_or_else(|| ObjectError::Name(chunk.object.clone()))?;
    let found = store.head(&name)?.size_bytes;
    if found != chunk.bytes {
        return Err(ObjectError::Length {
            expected: chunk.bytes,
            found,
        });
    }
    let whole = Arc::new(AtomicBool::new(false));
    let fetched = Fetched {
        store,
        name,
        size: chunk.bytes,
        expected: chunk.blake3.clone(),
        at: 0,
        piece: Bytes::new(),
        hasher: blake3::Hasher::new(),
        whole: whole.clone(),
    };
    Ok((fetched, whole))
}

/// Reads an object and compares its length and hash with the manifest's; needs no identity.
///
/// # Errors
/// [`ObjectError`].
pub fn check_object(store: &dyn BackupStore, chunk: &Chunk) -> Result<(), ObjectError> {
    let (mut fetched, whole) = fetch(store, chunk)?;
    while !whole.load(Relaxed) {
        let count = fetched.fill_buf().map_err(unwrap_io)?.len();
        fetched.consume(count);
    }
    Ok(())
}

/// The RDB file in a chunk.
pub struct ChunkReader<'s> {
    decoder: Decoder<Box<dyn BufRead + 's>>,
    whole: Arc<AtomicBool>,
}

impl<'s> ChunkReader<'s> {
    /// Opens a chunk.
    ///
    /// # Errors
    /// [`ObjectError`]; damage further on is an error of the reads.
    pub fn open(
        store: &'s dyn BackupStore,
        chunk: &Chunk,
        identities: &Identities,
    ) -> Result<ChunkReader<'s>, ObjectError> {
        let (fetched, whole) = fetch(store, chunk)?;
        let kind = layout::chunk_kind(&fetched.name);
        let (format, encrypted) = kind.ok_or_else(|| ObjectError::Name(chunk.object.clone()))?;
        let source: Box<dyn BufRead + 's> = if !encrypted {
            Box::new(fetched)
        } else if identities.is_empty() {
            return Err(ObjectError::NeedsIdentity);
        } else {
            let plain = identities.open(fetched)?;
            Box::new(io::BufReader::with_capacity(128 * 1024, plain))
        };
        let decoder = Decoder::new(format, source, chunk.rdb_bytes)?;
        Ok(ChunkReader { decoder, whole })
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(out)?;
        // The layers between may not have asked for the end, where the hash is compared.
        if count == 0 && !out.is_empty() && !self.whole.load(Relaxed) {
            return Err(io::Error::other("the object goes on behind the chunk"));
        }
        Ok(count)
    }
}

/// The error that an [`io::Error`] carries.
pub fn unwrap_io(error: io::Error) -> ObjectError {
    match error.downcast::<ObjectError>() {
        Ok(own) => own,
        Err(error) => match error.downcast::<ChunkError>() {
            Ok(own) => ObjectError::Chunk(own),
            Err(error) => ObjectError::Io(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::BackupId;
    use super::super::crypt::NewIdentity;
    use super::*;
    use crate::store::{Fault, FaultyStore, MemoryStore};

    const CODECS: [Codec; 3] = [Codec::None, Codec::Lz4, Codec::Zstd { level: 3 }];

    fn pattern(length: u32) -> Vec<u8> {
        (0..length)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    fn write(
        store: &dyn BackupStore,
        codec: Codec,
        recipients: &Recipients,
        plain: &[u8],
    ) -> Chunk {
        let depot = Depot::of(store, std::env::temp_dir().into());
        let mut writer = ChunkWriter::new(codec, recipients, depot).unwrap();
        for part in plain.chunks(100_000) {
            writer.write_all(part).unwrap();
        }
        let finished = writer.finish().unwrap();
        let id = BackupId::new(0, "", 0);
        let name = layout::chunk(&id, "0-0-1.0", codec.format(), !recipients.is_empty()).unwrap();
        let chunk = finished.chunk(&name);
        finished.upload(store, &name, &|_| Ok(())).unwrap();
        chunk
    }

    fn read(
        store: &dyn BackupStore,
        chunk: &Chunk,
        identities: &Identities,
    ) -> Result<Vec<u8>, ObjectError> {
        let mut plain = Vec::new();
        ChunkReader::open(store, chunk, identities)?
            .read_to_end(&mut plain)
            .map_err(unwrap_io)?;
        Ok(plain)
    }

    #[test]
    fn round_trips_in_memory_and_through_a_file() {
        let new = NewIdentity::generate("now");
        let identities = Identities::parse(&new.file(None).unwrap(), || None).unwrap();
        for codec in CODECS {
            for recipients in [
                Recipients::default(),
                Recipients::parse(&new.recipient).unwrap(),
            ] {
                for length in [0, 1, 300_000, 20_000_000] {
                    let (store, plain) = (MemoryStore::new(), pattern(length));
                    let chunk = write(&store, codec, &recipients, &plain);
                    assert_eq!(chunk.rdb_bytes, u64::from(length));
                    check_object(&store, &chunk).unwrap();
                    assert!(read(&store, &chunk, &identities).unwrap() == plain);
                }
            }
        }
    }

    #[test]
    fn damage_is_found_with_and_without_the_identity() {
        let new = NewIdentity::generate("now");
        let identities = Identities::parse(&new.file(None).unwrap(), || None).unwrap();
        for codec in CODECS {
            for recipients in [
                Recipients::default(),
                Recipients::parse(&new.recipient).unwrap(),
            ] {
                let store = MemoryStore::new();
                let chunk = write(&store, codec, &recipients, &pattern(3000));
                let name = chunk.name().unwrap();
                let good = store.get(&name, u64::MAX).unwrap();
                let refused = |body: Vec<u8>| {
                    store.put(&name, body.into()).unwrap();
                    check_object(&store, &chunk).is_err()
                        && read(&store, &chunk, &identities).is_err()
                };
                for at in (0..good.len()).step_by(7) {
                    let mut bad = good.to_vec();
                    bad[at] ^= 1 << (at % 8);
                    assert!(refused(bad), "{codec} byte {at}");
                }
                assert!(refused(good[..good.len() - 1].to_vec()));
                assert!(refused([&good[..], b"\0"].concat()));
                assert!(refused(Vec::new()));
                store.delete(&name).unwrap();
                assert!(check_object(&store, &chunk).is_err());
            }
        }
    }

    #[test]
    fn what_the_store_lost_is_sent_again() {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        let plain = pattern(20_000_000);
        store.fail_after(0, Fault::Fail);
        store.fail_after(1, Fault::LoseReply);
        let chunk = write(&store, Codec::None, &Recipients::default(), &plain);
        assert!(read(&store, &chunk, &Identities::default()).unwrap() == plain);
        // But not for ever, and not if it is to end.
        let mut writer = ChunkWriter::new(
            Codec::None,
            &Recipients::default(),
            Depot::of(&store, std::env::temp_dir().into()),
        )
        .unwrap();
        writer.write_all(&plain).unwrap();
        let name = ObjectName::new("ended").unwrap();
        let asked = std::cell::Cell::new(0);
        let ended = writer.finish().unwrap().upload(&store, &name, &|_| {
            asked.set(asked.get() + 1);
            Err(io::ErrorKind::Interrupted.into())
        });
        assert!(ended.is_err() && asked.get() == 1);
    }
}
