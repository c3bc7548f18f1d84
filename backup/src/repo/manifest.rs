//! Manifests: what makes a set of chunks a backup.
//!
//! ```text
//! { ...fields...,
//!   "blake3": "<of all bytes before this comma>",
//!   "mac": "<keyed, of the same bytes>"
//! }
//! ```
//!
//! It is small: what grows with the data, the ranges and the chunks, stands in an object of its own whose hash the manifest
//! holds ([`Tables`]), so that a backup of unchanged data names that of the one before.
//!
//! The two seals stand at a fixed distance from the end, so they are checked over the bytes as they are, before anything is
//! parsed. The first needs no secret and finds damage; the second needs the repository key and finds forgery.

use serde::{Deserialize, Serialize};

use super::chunk::{ChunkError, Codec};
use super::tables::{Chunk, Range, Tables};
use super::{BackupId, Digest, RepositoryKey};

/// The version of the format that is written.
pub const FORMAT: u32 = 1;
/// The longest manifest that is read.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

const BEFORE_HASH: &str = ",\n  \"blake3\": \"";
const BEFORE_MAC: &str = "\",\n  \"mac\": \"";
const AFTER_MAC: &str = "\"\n}\n";

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The backup's name.
    pub id: BackupId,
    /// The data set's id.
    pub lineage: String,
    /// The backup whose chunks may be among these.
    pub parent: Option<BackupId>,
    /// Of the program that wrote it.
    pub version: String,
    /// When the backup began, Unix milliseconds.
    pub began_ms: i64,
    /// The moment whose data it is.
    pub cut_ms: i64,
    /// When all chunks had been uploaded.
    pub ended_ms: i64,
    /// Effects the log had taken at the cut.
    pub commit_index: u64,
    /// How chunks of this backup are compressed.
    pub compression: String,
    /// Fingerprints of the recipients; empty: nothing is encrypted.
    pub recipients: Vec<String>,
    /// The object with the repository key.
    pub key: String,
    /// Of the whole data set.
    pub digest: Digest,
    /// Databases with keys.
    pub databases: Vec<Database>,
    /// Function libraries.
    pub functions: u64,
    /// Keyed hash of the function libraries.
    pub functions_blake3: String,
    /// Bytes of all objects it names.
    pub stored_bytes: u64,
    /// Bytes of objects uploaded for this backup, without this one.
    pub uploaded_bytes: u64,
    /// Where the tables are.
    pub tables: TablesObject,
    /// Ranges of slots; from the tables.
    #[serde(skip)]
    pub ranges: Vec<Range>,
    /// Chunks; from the tables.
    #[serde(skip)]
    pub chunks: Vec<Chunk>,
    /// Where the archive of the log goes on from here, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Position>,
}

/// The object with the tables of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablesObject {
    /// Its name.
    pub object: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub blake3: String,
}

/// A place in a stream of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The stream.
    pub stream: String,
    /// The last effect before the place.
    pub index: u64,
}

/// What a database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its number.
    pub db: u32,
    /// Keys.
    pub keys: u64,
    /// Keys that expire.
    pub expires: u64,
    /// Keys by type.
    pub types: Types,
}

/// Keys by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Types {
    /// Strings.
    pub string: u64,
    /// Lists.
    pub list: u64,
    /// Sets.
    pub set: u64,
    /// Sorted sets.
    pub zset: u64,
    /// Hashes.
    pub hash: u64,
    /// Streams.
    pub stream: u64,
}

impl Types {
    /// Keys of all types.
    pub fn total(&self) -> u64 {
        [
            self.string,
            self.list,
            self.set,
            self.zset,
            self.hash,
            self.stream,
        ]
        .iter()
        .fold(0, |sum, keys| sum.saturating_add(*keys))
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It does not end as manifests do.
    #[error("it does not end in its seals: cut off or damaged")]
    Unsealed,
    /// Its hash is another.
    #[error("its BLAKE3 should be {expected}, but is {found}: it is damaged")]
    Hash {
        /// What it says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Its MAC is another.
    #[error("its MAC is wrong: it was not written by who holds the repository key")]
    Mac,
    /// It is of a later format.
    #[error("it is of format {0}, this program knows 1")]
    Format(u32),
    /// It is that of another backup.
    #[error("it is the manifest of {found}, not of {expected}")]
    Name {
        /// The name it was found under.
        expected: BackupId,
        /// What it says.
        found: BackupId,
    },
    /// It is no manifest.
    #[error("it cannot be understood: {0}")]
    Json(#[from] serde_json::Error),
    /// Its tables are another object, or damaged.
    #[error(
        "its tables should have the BLAKE3 {expected}, but have {found}: they are damaged or not the right ones"
    )]
    Tables {
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The tables cannot be decompressed.
    #[error("its tables: {0}")]
    Codec(#[from] ChunkError),
    /// What it says does not fit together.
    #[error("it contradicts itself: {0}")]
    Contradiction(String),
}

/// A manifest's bytes whose hash is right.
#[derive(Clone, Copy, Debug)]
struct Sealed<'m> {
    body: &'m [u8],
    mac: &'m [u8],
}

impl Manifest {
    /// The object's bytes.
    ///
    /// # Errors
    /// [`ManifestError::Json`]: never for what this program makes.
    pub fn to_bytes(&self, key: &RepositoryKey) -> Result<Vec<u8>, ManifestError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        // The object's end comes behind the seals.
        let end = bytes.len().saturating_sub("\n}".len());
        bytes.truncate(end);
        let hash = blake3::hash(&bytes);
        let mac = key.mac(&bytes);
        let seals = format!("{BEFORE_HASH}{hash}{BEFORE_MAC}{mac}{AFTER_MAC}");
        bytes.extend_from_slice(seals.as_bytes());
        Ok(bytes)
    }

    /// The tables' bytes, which are to be stored as `object`; the manifest names them from now on.
    ///
    /// # Errors
    /// [`ManifestError`]: never for what this program makes.
    pub fn seal_tables(&mut self, object: String) -> Result<Vec<u8>, ManifestError> {
        let body = Tables::to_bytes(&self.ranges, &self.chunks)?;
        self.tables = TablesObject {
            object,
            bytes: body.len() as u64,
            blake3: blake3::hash(&body).to_string(),
        };
        Ok(body)
    }

    /// Completes a manifest with its tables.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn attach(&mut self, body: &[u8]) -> Result<(), ManifestError> {
        let found = blake3::hash(body).to_string();
        if found != self.tables.blake3 {
            return Err(ManifestError::Tables {
                expected: self.tables.blake3.clone(),
                found,
            });
        }
        let tables = Tables::of_bytes(body)?;
        tables.check(self)?;
        (self.ranges, self.chunks) = (tables.ranges, tables.chunks);
        Ok(())
    }

    /// Reads the manifest found under the name of `id`, without its tables; with a key it is authenticated too.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(
        bytes: &[u8],
        id: &BackupId,
        key: Option<&RepositoryKey>,
    ) -> Result<Manifest, ManifestError> {
        let sealed = Sealed::open(bytes)?;
        if let Some(key) = key {
            sealed.authenticate(key)?;
        }
        // The sealed part lacks the object's end.
        let mut json = sealed.body.to_vec();
        json.extend_from_slice(b"}");
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(&json)?;
        if version.format > FORMAT {
            return Err(ManifestError::Format(version.format));
        }
        let manifest: Manifest = serde_json::from_slice(&json)?;
        if manifest.id != *id {
            return Err(ManifestError::Name {
                expected: id.clone(),
                found: manifest.id,
            });
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// What every reader relies on.
    fn check(&self) -> Result<(), ManifestError> {
        self.compression
            .parse::<Codec>()
            .map(|_| ())
            .map_err(|error| ManifestError::Contradiction(error.to_string()))
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        let keys = self.databases.iter().map(|db| db.keys);
        keys.fold(0, u64::saturating_add)
    }
}

impl<'m> Sealed<'m> {
    /// Checks the hash.
    fn open(bytes: &'m [u8]) -> Result<Sealed<'m>, ManifestError> {
        let rest = bytes
            .strip_suffix(AFTER_MAC.as_bytes())
            .ok_or(ManifestError::Unsealed)?;
        let (rest, mac) = hash_behind(rest, BEFORE_MAC)?;
        let (body, expected) = hash_behind(rest, BEFORE_HASH)?;
        let found = blake3::hash(body).to_string();
        if found.as_bytes() != expected {
            return Err(ManifestError::Hash {
                expected: String::from_utf8_lossy(expected).into_owned(),
                found,
            });
        }
        Ok(Sealed { body, mac })
    }

    fn authenticate(&self, key: &RepositoryKey) -> Result<(), ManifestError> {
        let stated = std::str::from_utf8(self.mac)
            .ok()
            .and_then(|hex| blake3::Hash::from_hex(hex).ok())
            .ok_or(ManifestError::Mac)?;
        // Hashes are compared in constant time.
        if stated == key.mac(self.body) {
            Ok(())
        } else {
            Err(ManifestError::Mac)
        }
    }
}

/// Takes a hash and what stands before it off the end.
fn hash_behind<'m>(bytes: &'m [u8], before: &str) -> Result<(&'m [u8], &'m [u8]), ManifestError> {
    let at = bytes
        .len()
        .checked_sub(HASH_DIGITS)
        .ok_or(ManifestError::Unsealed)?;
    let (rest, hash) = bytes.split_at(at);
    let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let rest = rest
        .strip_suffix(before.as_bytes())
        .filter(|_| hash.iter().all(lower));
    Ok((rest.ok_or(ManifestError::Unsealed)?, hash))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::dead::Dead;
    use super::*;

    /// A manifest with nothing in it.
    pub(crate) fn empty(id: BackupId) -> Manifest {
        Manifest {
            format: FORMAT,
            lineage: "ab".into(),
            parent: None,
            version: "0".into(),
            began_ms: 1,
            cut_ms: id.time_ms(),
            id,
            ended_ms: 3,
            commit_index: 4,
            compression: "zstd:3".into(),
            recipients: Vec::new(),
            key: "keys/0.key".into(),
            digest: Digest::default(),
            databases: Vec::new(),
            functions: 0,
            functions_blake3: String::new(),
            stored_bytes: 0,
            uploaded_bytes: 0,
            tables: TablesObject::default(),
            ranges: Vec::new(),
            chunks: Vec::new(),
            archive: None,
        }
    }

    fn id(ms: i64) -> BackupId {
        BackupId::new(ms, "ab", 7)
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let key = RepositoryKey::of([1; 32]);
        let manifest = empty(id(5));
        let bytes = manifest.to_bytes(&key).unwrap();
        assert_eq!(
            Manifest::parse(&bytes, &id(5), Some(&key)).unwrap(),
            manifest
        );
        let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(whole["blake3"].as_str().unwrap().len(), 64);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let parsed = Manifest::parse(&bad, &id(5), Some(&key));
                assert!(parsed.is_err(), "bit {bit} of byte {at}");
            }
            assert!(Manifest::parse(&bytes[..at], &id(5), None).is_err());
        }
    }

    #[test]
    fn forgeries_are_found_with_the_key() {
        let (key, other) = (RepositoryKey::of([1; 32]), RepositoryKey::of([2; 32]));
        let forged = empty(id(5)).to_bytes(&other).unwrap();
        assert!(Manifest::parse(&forged, &id(5), None).is_ok());
        let error = Manifest::parse(&forged, &id(5), Some(&key)).unwrap_err();
        assert!(matches!(error, ManifestError::Mac), "{error}");
        let older = empty(id(4)).to_bytes(&key).unwrap();
        let error = Manifest::parse(&older, &id(5), Some(&key)).unwrap_err();
        assert!(matches!(error, ManifestError::Name { .. }), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        let key = RepositoryKey::of([1; 32]);
        let chunk = Chunk {
            object: "objects/x/0-0-1.0.rdb".into(),
            db: Some(0),
            first: Some(0),
            last: Some(1),
            keys: 1,
            functions: 0,
            rdb_bytes: 9,
            bytes: 9,
            blake3: String::new(),
            dead: Dead::default(),
        };
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = empty(id(5));
            change(&mut manifest);
            let body = manifest
                .seal_tables("objects/x/tables.json.zst".into())
                .unwrap();
            let bytes = manifest.to_bytes(&key).unwrap();
            let parsed = Manifest::parse(&bytes, &id(5), Some(&key));
            let Ok(mut parsed) = parsed else { return true };
            let attached = parsed.attach(&body);
            assert!(attached.is_err() || parsed == manifest);
            assert!(parsed.attach(&body[1..]).is_err());
            attached.is_err()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|m| m.chunks.push(chunk.clone())));
        let mut dead = Dead::default();
        assert!(dead.push(0));
        // An entry that does not count is none; one behind the end is an error.
        let with = |keys| Chunk {
            keys,
            dead: dead.clone(),
            ..chunk.clone()
        };
        assert!(!refused(&|m| m.chunks.push(with(1))));
        assert!(refused(&|m| m.chunks.push(with(0))));
        assert!(refused(&|m| m.compression = "best".into()));
        assert!(refused(&|m| m.format = 2));
        assert!(refused(&|m| {
            let mut chunk = chunk.clone();
            chunk.keys = 0;
            m.chunks = vec![chunk.clone(), chunk];
        }));
        assert!(refused(&|m| {
            let long = |name: &str| Chunk {
                object: name.into(),
                bytes: u64::MAX,
                ..with(1)
            };
            m.chunks = vec![long("objects/x/0-0-1.0.rdb"), long("objects/x/0-0-1.1.rdb")];
        }));
        assert!(refused(&|m| m.digest.add_hash(&blake3::Hasher::new())));
    }
}
