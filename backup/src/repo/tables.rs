//! The tables of a backup: its ranges with their digests, and its chunks. A JSON object as one zstd frame.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::chunk::{Codec, Decoder, Format, encode};
use super::dead::Dead;
use super::layout;
use super::manifest::{Manifest, ManifestError};
use super::{Digest, manifest};
use crate::store::ObjectName;

/// The longest object with tables that is read.
pub const MAX_TABLES_BYTES: u64 = 256 << 20;
/// The longest tables that are decompressed.
const MAX_PLAIN_BYTES: u64 = 1 << 30;
/// Hexadecimal digits compress to about their half at any level.
const LEVEL: u8 = 6;

/// A range of slots of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The database.
    pub db: u32,
    /// Its first slot.
    pub first: u16,
    /// Its last slot.
    pub last: u16,
    /// Keys in it.
    pub keys: u64,
    /// Their digest.
    pub digest: Digest,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The object.
    pub object: String,
    /// The database, if it is one range's.
    pub db: Option<u32>,
    /// The range's first slot.
    pub first: Option<u16>,
    /// The range's last slot.
    pub last: Option<u16>,
    /// Keys in the object.
    pub keys: u64,
    /// Function libraries in it.
    pub functions: u64,
    /// Bytes of the RDB file.
    pub rdb_bytes: u64,
    /// Bytes of the object.
    pub bytes: u64,
    /// BLAKE3 of the object.
    pub blake3: String,
    /// Entries that do not belong to this backup: changed or deleted since the chunk was written.
    #[serde(default, skip_serializing_if = "Dead::is_empty")]
    pub dead: Dead,
}

impl Chunk {
    /// The object's name.
    pub fn name(&self) -> Option<ObjectName> {
        ObjectName::new(&self.object).ok()
    }

    /// Keys of the backup in it.
    pub fn live(&self) -> u64 {
        self.keys.saturating_sub(self.dead.len())
    }

    /// The range it is of, if it is of one.
    pub fn range(&self) -> Option<(u32, u16, u16)> {
        Some((self.db?, self.first?, self.last?))
    }
}

/// See the head of this file.
#[derive(Debug, Deserialize)]
pub(super) struct Tables {
    pub(super) ranges: Vec<Range>,
    pub(super) chunks: Vec<Chunk>,
}

impl Tables {
    pub(super) fn to_bytes(ranges: &[Range], chunks: &[Chunk]) -> Result<Vec<u8>, ManifestError> {
        #[derive(Serialize)]
        struct Borrowed<'t> {
            ranges: &'t [Range],
            chunks: &'t [Chunk],
        }
        let json = serde_json::to_vec(&Borrowed { ranges, chunks })?;
        Ok(encode(Codec::Zstd { level: LEVEL }, &json)?)
    }

    pub(super) fn of_bytes(body: &[u8]) -> Result<Tables, ManifestError> {
        let mut json = Vec::new();
        Decoder::unclaimed(Format::Zstd, body, MAX_PLAIN_BYTES)?
            .read_to_end(&mut json)
            .map_err(super::chunk::ChunkError::from)?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// What every reader relies on.
    pub(super) fn check(&self, head: &Manifest) -> Result<(), ManifestError> {
        let wrong = |what: String| Err(ManifestError::Contradiction(what));
        let sum = |mut keys: Box<dyn Iterator<Item = u64> + '_>| {
            keys.try_fold(0u64, |sum, keys| sum.checked_add(keys))
        };
        let in_chunks = sum(Box::new(self.chunks.iter().map(Chunk::live)));
        let in_ranges = sum(Box::new(self.ranges.iter().map(|range| range.keys)));
        let in_dbs = sum(Box::new(head.databases.iter().map(|db| db.keys)));
        if in_chunks.is_none() || in_chunks != in_dbs || in_ranges != in_dbs {
            return wrong(format!(
                "keys are {in_dbs:?} in databases, {in_ranges:?} in ranges, {in_chunks:?} in chunks"
            ));
        }
        if sum(Box::new(self.chunks.iter().map(|chunk| chunk.bytes))).is_none() {
            return wrong("the lengths of chunks do not add up".to_owned());
        }
        let mut digest = Digest::default();
        self.ranges
            .iter()
            .for_each(|range| digest.add(range.digest));
        if digest != head.digest {
            return wrong("the digests of ranges do not add up".to_owned());
        }
        let mut names = std::collections::HashSet::new();
        for chunk in &self.chunks {
            let kind = chunk.name().as_ref().and_then(layout::chunk_kind);
            match kind {
                None => return wrong(format!("'{}' is not the name of a chunk", chunk.object)),
                Some((_, encrypted)) if encrypted == head.recipients.is_empty() => {
                    return wrong(format!(
                        "'{}' is not as encrypted as the backup",
                        chunk.object
                    ));
                }
                Some(_) => {}
            }
            if chunk.dead.end() > chunk.keys {
                return wrong(format!(
                    "'{}' has fewer entries than dead ones",
                    chunk.object
                ));
            }
            if !names.insert(&chunk.object) {
                return wrong(format!("'{}' is there twice", chunk.object));
            }
        }
        Ok(())
    }
}

impl manifest::TablesObject {
    /// The object's name.
    pub fn name(&self) -> Option<ObjectName> {
        ObjectName::new(&self.object).ok()
    }
}
