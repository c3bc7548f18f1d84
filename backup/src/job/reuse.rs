//! What of the last backup goes on into the next one.
//!
//! Its chunks do, less the entries that have changed since (`dead`). What has changed goes into new chunks. Two things keep
//! that from growing without end, both by leaving chunks out, so that what is alive in them is uploaded once more:
//!
//! - Ranges of which more than a quarter is dead, the worst first, and of those that are not mostly dead no more than a
//!   64th of all bytes in one backup.
//! - Eight chunks of mixed entries of about the same size become one.
//!
//! Invariant: a chunk is only used if the store has an object of its name and length, and if the index has every entry of
//! the last backup that is in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{JobError, catalog};
use crate::repo::dead::Dead;
use crate::repo::index::{IndexBytes, Known};
use crate::repo::{Chunk, Manifest, layout};
use crate::store::{BackupStore, ObjectName, StoreError};

/// One in so many entries must be dead before a range is written again.
const WORN: u64 = 4;
/// The share of all bytes that is written again for worn ranges.
const BUDGET: u64 = 64;
/// Chunks of mixed entries of one size that become one.
const MERGED: usize = 8;
/// Sizes are the same up to a factor of four, and those below this are all the same.
const SMALLEST: u64 = 64 * 1024;

/// The last backup that chunks may be taken from, with the index of what is in it.
#[derive(Debug)]
pub struct Parent {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its index.
    pub known: Known,
}

impl Parent {
    /// Finds the backup that an index is of. `None` if there is nothing to go on from: that is said in the log, and the next
    /// backup uploads everything.
    ///
    /// # Errors
    /// What the store says, except that the backup is not there.
    pub fn find(store: &dyn BackupStore, index: IndexBytes) -> Result<Option<Parent>, JobError> {
        let known = match Known::open(index) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!("The backup will not be incremental: {error}");
                return Ok(None);
            }
        };
        match catalog::read(store, known.id()) {
            Ok(manifest) => Ok(Some(Parent { manifest, known })),
            Err(JobError::Store(error)) if !matches!(error, StoreError::NotFound { .. }) => {
                Err(error.into())
            }
            Err(error) => {
                let id = known.id();
                tracing::warn!("The backup will not be incremental: backup {id}: {error}");
                Ok(None)
            }
        }
    }
}

/// See the head of this file.
pub(super) struct Reuse {
    pub(super) parent: Manifest,
    pub(super) known: Arc<Known>,
    /// Ranges with a chunk of their own that is used.
    based: HashSet<(u32, u16, u16)>,
}

/// A range, or the place of a chunk of mixed entries.
type Whose = (Option<(u32, u16, u16)>, usize);

/// What belongs together: the chunks of a range, or one of mixed entries.
#[derive(Default)]
struct Bundle {
    chunks: Vec<usize>,
    keys: u64,
    live: u64,
    bytes: u64,
}

impl Bundle {
    /// What it costs to write it again, about.
    fn cost(&self) -> u64 {
        let cost = u128::from(self.bytes) * u128::from(self.live) / u128::from(self.keys.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

impl Reuse {
    /// Decides which chunks are used; `None` if the index is not that of the backup.
    pub(super) fn new(
        store: &dyn BackupStore,
        parent: Manifest,
        mut known: Known,
    ) -> Result<Option<Reuse>, JobError> {
        if *known.id() != parent.id || !fits(&parent, &known) {
            return Ok(None);
        }
        let folder = ObjectName::new(layout::OBJECTS)?;
        let there: HashMap<String, u64> = store
            .list(Some(&folder), None, usize::MAX)?
            .into_iter()
            .map(|object| (object.name.to_string(), object.size_bytes))
            .collect();
        let missing = |chunk: &Chunk| there.get(&chunk.object) != Some(&chunk.bytes);
        let mut unused: Vec<bool> = parent.chunks.iter().map(missing).collect();
        for chunk in worn(&parent.chunks).into_iter().chain(many(&parent.chunks)) {
            if let Some(unused) = unused.get_mut(chunk) {
                *unused = true;
            }
        }
        let used = parent
            .chunks
            .iter()
            .zip(&unused)
            .filter(|(_, unused)| !**unused);
        let based = used.filter_map(|(chunk, _)| chunk.range()).collect();
        known.exclude(unused);
        Ok(Some(Reuse {
            parent,
            known: Arc::new(known),
            based,
        }))
    }

    /// Whether a range has a chunk of its own already.
    pub(super) fn has_base(&self, db: u32, first: u16, last: u16) -> bool {
        self.based.contains(&(db, first, last))
    }

    /// Whether the last backup has these function libraries.
    pub(super) fn has_functions(&self, blake3: &str) -> bool {
        let mut chunks = (0u32..).zip(&self.parent.chunks);
        let used = chunks.any(|(at, chunk)| chunk.functions > 0 && self.known.uses(at));
        used && self.parent.functions_blake3 == blake3
    }

    /// When all entries have been met that are still there: the chunks that go on, and their new numbers.
    /// That of the function libraries does if they are the same.
    pub(super) fn finish(&self, functions: bool) -> (Vec<Chunk>, Vec<Option<u32>>) {
        let chunks = &self.parent.chunks;
        let words = |chunk: &Chunk| usize::try_from(chunk.keys.div_ceil(64)).unwrap_or(0);
        let mut met: Vec<Vec<u64>> = vec![Vec::new(); chunks.len()];
        for record in self.known.met() {
            let at = record.chunk as usize;
            let (Some(bits), Some(chunk)) = (met.get_mut(at), chunks.get(at)) else {
                continue;
            };
            if bits.is_empty() {
                bits.resize(words(chunk), 0);
            }
            if let Some(word) = bits.get_mut(record.position as usize / 64) {
                *word |= 1 << (record.position % 64);
            }
        }
        let (mut kept, mut numbers) = (Vec::new(), Vec::new());
        for (chunk, bits) in chunks.iter().zip(met) {
            if bits.is_empty() && !(functions && chunk.functions > 0) {
                numbers.push(None);
                continue;
            }
            let mut dead = Dead::default();
            for position in 0..u32::try_from(chunk.keys).unwrap_or(u32::MAX) {
                let word = bits.get(position as usize / 64).copied().unwrap_or(0);
                if word >> (position % 64) & 1 == 0 {
                    dead.push(position);
                }
            }
            numbers.push(u32::try_from(kept.len()).ok());
            kept.push(Chunk {
                dead,
                ..chunk.clone()
            });
        }
        (kept, numbers)
    }
}

/// Whether the index has each entry of the backup once.
fn fits(parent: &Manifest, known: &Known) -> bool {
    let mut found = vec![0u64; parent.chunks.len()];
    for record in known.all() {
        let at = record.chunk as usize;
        let (Some(found), Some(chunk)) = (found.get_mut(at), parent.chunks.get(at)) else {
            return false;
        };
        if u64::from(record.position) >= chunk.keys {
            return false;
        }
        *found += 1;
    }
    let mut both = parent.chunks.iter().zip(found);
    both.all(|(chunk, found)| chunk.live() == found)
}

/// Ranges, and chunks of mixed entries, of which too much is dead.
fn worn(chunks: &[Chunk]) -> Vec<usize> {
    let mut bundles: BTreeMap<Whose, Bundle> = BTreeMap::new();
    for (at, chunk) in chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| chunk.keys > 0)
    {
        let range = chunk.range();
        let own = if range.is_some() { 0 } else { at };
        let bundle = bundles.entry((range, own)).or_default();
        bundle.chunks.push(at);
        bundle.keys += chunk.keys;
        bundle.live += chunk.live();
        bundle.bytes += chunk.bytes;
    }
    let all: u64 = bundles.values().map(|bundle| bundle.bytes).sum();
    let mut bundles: Vec<Bundle> = bundles
        .into_values()
        .filter(|bundle| (bundle.keys - bundle.live) * WORN > bundle.keys)
        .collect();
    // Least alive first.
    let share = |bundle: &Bundle| u128::from(bundle.live) * 1000 / u128::from(bundle.keys.max(1));
    bundles.sort_by_key(|bundle| share(bundle));
    let (mut spent, mut unused) = (0, Vec::new());
    for bundle in bundles {
        let mostly_dead = bundle.live * 5 < bundle.keys * 2;
        if mostly_dead || spent == 0 || spent + bundle.cost() <= all / BUDGET {
            spent += bundle.cost();
            unused.extend(bundle.chunks);
        }
    }
    unused
}

/// Chunks of mixed entries of the smallest size of which there are many.
fn many(chunks: &[Chunk]) -> Vec<usize> {
    let mut sizes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, chunk) in chunks.iter().enumerate() {
        if chunk.keys > 0 && chunk.range().is_none() {
            let size = (chunk.bytes / SMALLEST).max(1).ilog2() / 2;
            sizes.entry(size).or_default().push(at);
        }
    }
    let many = sizes.into_values().find(|alike| alike.len() >= MERGED);
    many.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(range: Option<u16>, keys: u64, dead: u32, bytes: u64) -> Chunk {
        let mut gone = Dead::default();
        (0..dead).for_each(|at| assert!(gone.push(at)));
        Chunk {
            object: String::new(),
            db: range.map(|_| 0),
            first: range,
            last: range,
            keys,
            functions: 0,
            rdb_bytes: 0,
            bytes,
            blake3: String::new(),
            dead: gone,
        }
    }

    #[test]
    fn the_worst_are_written_again_and_not_all_at_once() {
        let fresh = |at| chunk(Some(at), 1000, 250, 1000);
        let mut chunks: Vec<_> = (0..100).map(fresh).collect();
        assert!(worn(&chunks).is_empty());
        chunks[7] = chunk(Some(7), 1000, 400, 1000);
        chunks[9] = chunk(Some(9), 1000, 300, 1000);
        chunks[11] = chunk(Some(11), 1000, 290, 1000);
        assert_eq!(worn(&chunks), [7, 9]);
        // Of another part of the same range everything goes too.
        chunks[8] = chunk(Some(7), 1000, 500, 1000);
        assert_eq!(worn(&chunks), [7, 8]);
        // What is mostly dead costs little.
        for chunk in chunks.iter_mut().take(50).skip(20) {
            *chunk = super::tests::chunk(Some(99), 1000, 700, 1000);
        }
        assert!(worn(&chunks).len() >= 30);
    }

    #[test]
    fn small_ones_become_one() {
        let mixed = |bytes| chunk(None, 10, 0, bytes);
        let mut chunks = vec![chunk(Some(1), 10, 0, 100); 20];
        chunks.extend([100, 70_000, 1000, 250_000, 1, 2, 3].map(mixed));
        chunks.extend([1 << 20, 2 << 20].map(mixed));
        assert!(many(&chunks).is_empty());
        chunks.push(mixed(5));
        assert_eq!(many(&chunks), [20, 21, 22, 23, 24, 25, 26, 29]);
    }
}
