//! The lineage record: a small file beside the data that says what should be there.
//!
//! Redis believes whatever it finds in `dir`: with a volume that was not mounted, or a dump of last
//! month, it starts empty or old and says nothing. `basalt.lineage` names the data set (128
//! random bits), the commit index up to which all is known to be durable, and the files that
//! hold it. At start [`judge`](judge::judge) compares it with what [`survey`](survey::survey) finds.
//!
//! Invariants:
//! - The record never claims more than what was synced when it was written: `index`, and the
//!   lengths of files that grow, are lower bounds. It is written after the files it names are in
//!   place, so it may be behind them after a crash, never ahead.
//! - It is replaced whole, and its checksum covers all of it. One that can't be read is a
//!   reason to refuse, never to be ignored.
//! - When the log is switched on, the record says so before the first change is acknowledged.
//! - It is written when the set of files changes (rotation, rewrite, save, `appendonly`
//!   switched) and at a clean shutdown; not for each write.
//!
//! The format is in `docs/formats/lineage.md`.

pub mod facts;
pub mod judge;
pub mod keep;
pub mod start;
pub mod survey;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use basalt_engine::env::disk::{Disk, DiskError, replace_file};
use basalt_engine::fail_point;
use serde::{Deserialize, Serialize};

/// The file's name, in `dir`.
pub const FILE_NAME: &str = "basalt.lineage";
/// AUX field of RDB files with the data set's id; Redis ignores it.
pub const AUX_ID: &str = "basalt-id";
/// AUX field of RDB files with the commit index of their cut, in decimal.
pub const AUX_INDEX: &str = "basalt-index";

/// The version of the format.
const FORMAT: u32 = 1;
/// A record is a few hundred bytes, and one line more for each file of the log.
const MAX_BYTES: usize = 4 << 20;
/// Where the checksum stands: it covers what is before.
const CHECKSUM_KEY: &str = "\n  \"crc32\": \"";

/// Which data set: all files of one history have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataSetId(pub [u8; 16]);

impl DataSetId {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(DataSetId(bytes))
    }
}

impl fmt::Display for DataSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for DataSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSetId({self})")
    }
}

/// Text that is no data set id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a data set id has 32 hexadecimal digits")]
pub struct BadId;

impl FromStr for DataSetId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != 32 || !digits {
            return Err(BadId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| BadId)?;
        Ok(DataSetId(number.to_be_bytes()))
    }
}

impl Serialize for DataSetId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataSetId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The data set.
    pub id: DataSetId,
    /// Every change up to this commit index is durable in the files below. While the log is
    /// on, that means in the log: what only a snapshot holds does not count.
    pub index: u64,
    /// When the record was written, in Unix milliseconds.
    pub updated_ms: u64,
    /// The snapshot file, once there was one.
    pub rdb: Option<ExpectedRdb>,
    /// The log, while it is on.
    pub aof: Option<ExpectedAof>,
}

/// A snapshot file that should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedRdb {
    /// Its name.
    pub name: String,
    /// Its length.
    pub len: u64,
    /// The commit index of its cut.
    pub index: u64,
}

/// A log that should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedAof {
    /// Its directory.
    pub dir: String,
    /// The base; it does not change any more.
    pub base: Option<ExpectedFile>,
    /// The increments, oldest first. The last one may have grown since.
    pub incr: Vec<ExpectedFile>,
}

/// A file of the log that should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedFile {
    /// Its name.
    pub name: String,
    /// Its number in the manifest.
    pub seq: u64,
    /// How much of it was synced.
    pub len: u64,
}

/// The file's fields: `format` first, `crc32` last.
#[derive(Serialize, Deserialize)]
struct Stored<R> {
    format: u32,
    #[serde(flatten)]
    record: R,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// Why a lineage record can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineageError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is nothing in the file.
    #[error("it is empty")]
    Empty,
    /// It is damaged, or was edited.
    #[error("its checksum does not match its content (expected {expected}, found {found:08x})")]
    Checksum {
        /// What the file says.
        expected: String,
        /// What its content gives.
        found: u32,
    },
    /// A later release wrote it.
    #[error("it has format {0}, and this release knows formats up to {FORMAT}")]
    Later(u32),
    /// It is no lineage record.
    #[error("it is no lineage record: {0}")]
    Syntax(String),
}

impl Lineage {
    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            format: FORMAT,
            record: self,
        };
        // Strings, numbers and lists always have a JSON form.
        let mut text = serde_json::to_string_pretty(&stored).unwrap_or_default();
        text.truncate(text.strip_suffix("\n}").map_or(0, str::len));
        text.push(',');
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("{CHECKSUM_KEY}{crc:08x}\"\n}}\n"));
        text.into_bytes()
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// When anything in it is not as it was written.
    pub fn parse(bytes: &[u8]) -> Result<Self, LineageError> {
        let syntax = |error: &dyn fmt::Display| LineageError::Syntax(error.to_string());
        if bytes.is_empty() {
            return Err(LineageError::Empty);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| syntax(&error))?;
        let (covered, rest) = text
            .rsplit_once(CHECKSUM_KEY)
            .ok_or_else(|| syntax(&"it has no checksum"))?;
        let expected = rest
            .strip_suffix("\"\n}\n")
            .ok_or_else(|| syntax(&"it does not end with its checksum"))?;
        let found = crc32fast::hash(covered.as_bytes());
        if format!("{found:08x}") != expected {
            return Err(LineageError::Checksum {
                expected: expected.chars().take(16).collect(),
                found,
            });
        }
        let format = serde_json::from_str::<FormatOnly>(text).map_err(|error| syntax(&error))?;
        if format.format > FORMAT {
            return Err(LineageError::Later(format.format));
        }
        let stored = serde_json::from_str::<Stored<Lineage>>(text);
        Ok(stored.map_err(|error| syntax(&error))?.record)
    }

    /// Reads the record of a data directory, if there is one.
    ///
    /// # Errors
    /// When there is one that can't be used.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, LineageError> {
        match disk.read(&dir.join(FILE_NAME), MAX_BYTES) {
            Ok(bytes) => Self::parse(&bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the record of a data directory.
    ///
    /// # Errors
    /// What the disk reports; the old record is there still, or the new one.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
        fail_point!("lineage.store.before")?;
        replace_file(disk, &dir.join(FILE_NAME), &self.to_bytes())?;
        fail_point!("lineage.store.after")
    }
}
