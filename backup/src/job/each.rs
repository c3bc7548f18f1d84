//! The chunks of a backup read one after the other, two of them in work at once.
//!
//! ```text
//! next chunk --> read: fetch, decrypt, decompress, leave out the dead --> take, in the order of the chunks --> prove
//! ```
//!
//! Each worker does all of it for its chunk and keeps its memory for the next one, so nothing is handed on and no core
//! waits for another stage. Chunks in work have 96 MiB together (normally they have 32 MiB each), unless there is only one.
//!
//! Invariants: `take` is called once for each chunk, in order and never at the same time; the first failure ends the work, and
//! [`each_chunk`] has then returned it; only after `Ok` has every chunk been proven.

use std::io::{self, Read};

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::file::{Checksum, FileReader, Record};
use parking_lot::{Condvar, Mutex};

use super::JobError;
use crate::repo::Chunk;
use crate::repo::crypt::Identities;
use crate::repo::object::{ChunkReader, unwrap_io};
use crate::store::BackupStore;

const EOF: u8 = 0xff;
/// Chunks that are in work at once.
const WORKERS: usize = 2;
/// Bytes of RDB files in work at once, unless a single chunk has more.
const MOST_BYTES: u64 = 96 << 20;
/// Memory for a chunk is taken in steps of at most this, or of as much as has come, whatever the manifest says.
const RESERVE_BYTES: u64 = 64 << 20;

/// Looks at the RDB file of a chunk, beside other chunks; what it refuses ends the work.
pub type Prove<'p> = dyn Fn(&Chunk, &[u8]) -> Result<(), JobError> + Sync + 'p;

/// Memory for RDB files, one after the other.
#[derive(Default)]
struct Room {
    /// As long as the longest file so far; none of it is taken for granted.
    bytes: Vec<u8>,
}

impl Room {
    /// Reads all there is, which is so long if the manifest is right.
    fn fill(&mut self, reader: &mut impl Read, claimed: u64) -> io::Result<&[u8]> {
        // One more, so that the end is seen without asking for more memory.
        let claimed = claimed.saturating_add(1);
        let mut filled = 0;
        loop {
            if filled == self.bytes.len() {
                let most = RESERVE_BYTES.max(filled as u64);
                let missing = claimed.saturating_sub(filled as u64).clamp(1, most);
                let missing = usize::try_from(missing).map_err(io::Error::other)?;
                let room = filled.saturating_add(missing);
                if filled == 0 {
                    // Fresh memory is zero already.
                    self.bytes = vec![0; room];
                } else {
                    self.bytes.resize(room, 0);
                }
            }
            let free = self.bytes.get_mut(filled..).unwrap_or_default();
            match reader.read(free) {
                Ok(0) => return Ok(self.bytes.get(..filled).unwrap_or_default()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps no more than an ordinary chunk needs.
    fn tidy(&mut self) {
        if self.bytes.len() as u64 > MOST_BYTES / WORKERS as u64 {
            self.bytes = Vec::new();
        }
    }
}

/// What the workers share.
struct Line<'c, E> {
    chunks: &'c [&'c Chunk],
    state: Mutex<State<E>>,
    changed: Condvar,
}

struct State<E> {
    /// The first chunk that nobody has begun.
    next: usize,
    /// The chunk that is taken next.
    turn: usize,
    /// Bytes of the chunks in work.
    bytes: u64,
    failure: Option<E>,
    over: bool,
}

impl<'c, E> Line<'c, E> {
    /// The next chunk to begin, once there is room for it.
    fn begin(&self) -> Option<(usize, &'c Chunk)> {
        let mut state = self.state.lock();
        loop {
            let place = state.next;
            let chunk = *self.chunks.get(place).filter(|_| !state.over)?;
            let bytes = state.bytes.saturating_add(chunk.rdb_bytes);
            if state.bytes == 0 || bytes <= MOST_BYTES {
                state.bytes = bytes;
                state.next += 1;
                return Some((place, chunk));
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until all chunks before this one have been taken; not if the work has ended before.
    fn wait_for_turn(&self, place: usize) -> bool {
        let mut state = self.state.lock();
        while state.turn != place && !state.over {
            self.changed.wait(&mut state);
        }
        !state.over
    }

    fn change(&self, change: impl FnOnce(&mut State<E>)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// One worker.
    fn work(&self, mut each: impl FnMut(usize, &Chunk) -> Result<(), E>) {
        /// Ends the work also when a worker panics, so that nobody waits for it.
        struct Leave<'l, 'c, E>(&'l Line<'c, E>);
        impl<E> Drop for Leave<'_, '_, E> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.change(|state| state.over = true);
                }
            }
        }
        let _leave = Leave(self);
        while let Some((place, chunk)) = self.begin() {
            let done = each(place, chunk);
            self.change(|state| {
                state.bytes = state.bytes.saturating_sub(chunk.rdb_bytes);
                if let Err(error) = done {
                    state.over = true;
                    state.failure.get_or_insert(error);
                }
            });
        }
    }
}

/// Reads chunks; see the head of this file.
///
/// # Errors
/// [`JobError`] of reading, or what `prove` and `take` say.
pub fn each_chunk<E: From<JobError> + Send>(
    store: &dyn BackupStore,
    chunks: &[&Chunk],
    identities: &Identities,
    prove: &Prove<'_>,
    take: impl FnMut(&Chunk, &[u8]) -> Result<(), E> + Send,
) -> Result<(), E> {
    let line = Line {
        chunks,
        state: Mutex::new(State {
            next: 0,
            turn: 0,
            bytes: 0,
            failure: None,
            over: false,
        }),
        changed: Condvar::new(),
    };
    let take = Mutex::new(take);
    let work = || {
        let mut room = Room::default();
        line.work(|place, chunk| {
            let rdb = read_chunk(store, chunk, identities, &mut room);
            // Nobody waits behind one that has failed: the work is over then.
            if !line.wait_for_turn(place) {
                return Ok(());
            }
            let rdb = rdb?;
            (*take.lock())(chunk, &rdb)?;
            line.change(|state| state.turn += 1);
            prove(chunk, &rdb)?;
            drop(rdb);
            room.tidy();
            Ok(())
        });
    };
    let panicked = std::thread::scope(|scope| {
        let workers = (0..WORKERS.min(chunks.len())).map(|number| {
            std::thread::Builder::new()
                .name(format!("backup-read-{number}"))
                .spawn_scoped(scope, work)
        });
        let workers: Vec<_> = workers.collect();
        let mut panicked = false;
        for worker in workers {
            match worker {
                Ok(worker) => panicked |= worker.join().is_err(),
                Err(error) => line.change(|state| {
                    state.over = true;
                    state.failure.get_or_insert(E::from(JobError::Io(error)));
                }),
            }
        }
        panicked
    });
    match line.state.into_inner().failure {
        Some(failure) => Err(failure),
        None if panicked => Err(JobError::from(io::Error::other("a worker has panicked")).into()),
        None => Ok(()),
    }
}

/// Reads the RDB file in a chunk, without the entries that are dead.
fn read_chunk<'r>(
    store: &dyn BackupStore,
    chunk: &Chunk,
    identities: &Identities,
    room: &'r mut Room,
) -> Result<std::borrow::Cow<'r, [u8]>, JobError> {
    let failed = |source| JobError::Chunk {
        name: chunk.object.clone(),
        source: Box::new(source),
    };
    let mut reader = ChunkReader::open(store, chunk, identities).map_err(failed)?;
    let rdb = room
        .fill(&mut reader, chunk.rdb_bytes)
        .map_err(|error| failed(unwrap_io(error)))?;
    if chunk.dead.is_empty() {
        return Ok(rdb.into());
    }
    without_dead(chunk, rdb).map(Into::into)
}

/// The RDB file without the entries that are dead.
fn without_dead(chunk: &Chunk, rdb: &[u8]) -> Result<Vec<u8>, JobError> {
    let wrong = |reason: String| JobError::Content {
        name: chunk.object.clone(),
        reason,
    };
    let damaged = |error: &dyn std::fmt::Display| wrong(error.to_string());
    let mut reader = FileReader::new(rdb).map_err(|error| damaged(&error))?;
    let mut dead = chunk.dead.iter().peekable();
    let mut out = Vec::with_capacity(rdb.len());
    let (mut from, mut position) = (0, 0u64);
    loop {
        let begin = reader.offset();
        match reader.next_record().map_err(|error| damaged(&error))? {
            Record::Key(_) => {
                if dead.next_if_eq(&position).is_some() {
                    out.extend_from_slice(rdb.get(from..begin).unwrap_or_default());
                    from = reader.offset();
                }
                position += 1;
            }
            Record::Eof { checksum, end } => {
                if !matches!(checksum, Checksum::Good(_)) || end != rdb.len() {
                    return Err(wrong("its end is not that of a whole file".into()));
                }
                out.extend_from_slice(rdb.get(from..begin).unwrap_or_default());
                break;
            }
            _ => {}
        }
    }
    if position != chunk.keys || dead.next().is_some() {
        let keys = chunk.keys;
        return Err(wrong(format!("it holds {position} keys, not {keys}")));
    }
    out.push(EOF);
    let crc = crc64(0, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::repo::chunk::Codec;
    use crate::repo::crypt::Recipients;
    use crate::repo::depot::Depot;
    use crate::repo::object::ChunkWriter;
    use crate::repo::{BackupId, layout};
    use crate::store::MemoryStore;

    /// Chunks of these many bytes, each with its number in all of them.
    fn chunks(store: &dyn BackupStore, sizes: &[usize]) -> Vec<Chunk> {
        let id = BackupId::new(0, "", 0);
        let one = |(number, size): (usize, &usize)| {
            let codec = Codec::Zstd { level: 1 };
            let depot = Depot::of(store, std::env::temp_dir().into());
            let mut writer = ChunkWriter::new(codec, &Recipients::default(), depot).unwrap();
            writer.write_all(&vec![number as u8; *size]).unwrap();
            let finished = writer.finish().unwrap();
            let name = layout::chunk(&id, &number.to_string(), codec.format(), false).unwrap();
            let chunk = finished.chunk(&name);
            finished.upload(store, &name, &|_| Ok(())).unwrap();
            chunk
        };
        sizes.iter().enumerate().map(one).collect()
    }

    fn content(reason: &str) -> JobError {
        JobError::Content {
            name: String::new(),
            reason: reason.into(),
        }
    }

    #[test]
    fn each_is_proven_and_taken_in_order() {
        let store = MemoryStore::new();
        let sizes: Vec<usize> = (0..40)
            .map(|i| [3_000_000, 0, 10, 700_000][i % 4])
            .collect();
        let chunks = chunks(&store, &sizes);
        let chunks: Vec<&Chunk> = chunks.iter().collect();
        let (proven, none) = (AtomicU64::new(0), Identities::default());
        let whole = |chunk: &Chunk, rdb: &[u8]| {
            let number: u8 = chunk
                .object
                .split(['/', '.'])
                .rev()
                .nth(2)
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(rdb.len() as u64, chunk.rdb_bytes);
            assert!(rdb.iter().all(|byte| *byte == number));
            number
        };
        let prove = |chunk: &Chunk, rdb: &[u8]| {
            whole(chunk, rdb);
            proven.fetch_add(1, SeqCst);
            Ok(())
        };
        let mut taken = Vec::new();
        let take = |chunk: &Chunk, rdb: &[u8]| {
            taken.push(whole(chunk, rdb));
            Ok::<(), JobError>(())
        };
        each_chunk(&store, &chunks, &none, &prove, take).unwrap();
        assert_eq!(taken, (0..40).collect::<Vec<u8>>());
        assert_eq!(proven.load(SeqCst), 40);
        each_chunk(&store, &[], &none, &prove, |_, _| Ok::<(), JobError>(())).unwrap();
    }

    #[test]
    fn large_ones_are_alone() {
        let store = MemoryStore::new();
        let mut chunks = chunks(&store, &[1000; 12]);
        // More than it is told shows as an error, so only what is smaller can be claimed without being so.
        let big = chunks.split_off(4);
        let line = Line::<JobError> {
            chunks: &big.iter().collect::<Vec<_>>(),
            state: Mutex::new(State {
                next: 0,
                turn: 0,
                bytes: MOST_BYTES - 1000,
                failure: None,
                over: false,
            }),
            changed: Condvar::new(),
        };
        assert_eq!(line.begin().map(|(place, _)| place), Some(0));
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| line.begin().map(|(place, _)| place));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert_eq!(line.state.lock().next, 1);
            line.change(|state| state.bytes -= 1000);
            waiting.join().unwrap()
        });
        assert_eq!(second, Some(1));
        // One that is larger than all there may be is begun when nothing else is in work.
        line.change(|state| state.bytes = 0);
        let mut huge = big[2].clone();
        huge.rdb_bytes = u64::MAX;
        let huge = Line::<JobError> {
            chunks: &[&huge],
            ..line
        };
        huge.change(|state| state.next = 0);
        assert!(huge.begin().is_some() && huge.begin().is_none());
    }

    #[test]
    fn the_first_failure_ends_it() {
        let store = Arc::new(MemoryStore::new());
        let chunks = chunks(&*store, &[100_000; 30]);
        let chunks: Vec<&Chunk> = chunks.iter().collect();
        let none = Identities::default();
        let (good, mut taken) = (|_: &Chunk, _: &[u8]| Ok(()), 0);
        let take = |_: &Chunk, _: &[u8]| {
            taken += 1;
            if taken == 7 {
                return Err(content("seven"));
            }
            Ok(())
        };
        let error = each_chunk(&*store, &chunks, &none, &good, take).unwrap_err();
        assert!(error.to_string().contains("seven") && taken == 7, "{error}");
        let bad = |chunk: &Chunk, _: &[u8]| match chunk.object.contains("/12.") {
            true => Err(content("twelve")),
            false => Ok(()),
        };
        let error = each_chunk(&*store, &chunks, &none, &bad, |_, _| Ok::<(), JobError>(()));
        assert!(error.unwrap_err().to_string().contains("twelve"));
        // A worker that is gone is no success, and nobody waits for it.
        let panics = |chunk: &Chunk, _: &[u8]| {
            assert!(!chunk.object.contains("/3."), "it is to panic");
            Ok(())
        };
        let error = each_chunk(&*store, &chunks, &none, &panics, |_, _| {
            Ok::<(), JobError>(())
        });
        assert!(error.unwrap_err().to_string().contains("panicked"));
        store.delete(&chunks[20].name().unwrap()).unwrap();
        let mut taken = 0;
        let take = |_: &Chunk, _: &[u8]| {
            taken += 1;
            Ok::<(), JobError>(())
        };
        assert!(each_chunk(&*store, &chunks, &none, &good, take).is_err());
        assert_eq!(taken, 20);
    }

    #[test]
    fn memory_is_that_of_what_comes_and_not_of_what_is_claimed() {
        let bytes = vec![7; 200_000];
        let mut kept = Room::default();
        for claimed in [200_000, 0, 1000, 1 << 50] {
            for room in [&mut kept, &mut Room::default()] {
                assert_eq!(room.fill(&mut &bytes[..], claimed).unwrap(), bytes);
                assert!(room.bytes.len() as u64 <= RESERVE_BYTES);
            }
        }
        // The memory of the first time was enough for all others.
        assert_eq!(kept.bytes.len(), 200_001);
        kept.tidy();
        assert!(!kept.bytes.is_empty());
        let mut room = Room::default();
        room.fill(&mut &bytes[..], 1 << 50).unwrap();
        room.tidy();
        assert!(room.bytes.is_empty());
    }
}
