//! What the judge goes by: the configuration, and what is on disk.

use super::{DataSetId, ExpectedAof, ExpectedFile, Lineage};

/// What of the configuration matters.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `appendonly`.
    pub appendonly: bool,
    /// `dbfilename`.
    pub dbfilename: String,
    /// `appenddirname`.
    pub appenddirname: String,
    /// `allow-data-loss`.
    pub allow_data_loss: bool,
    /// `data-set-id`: the data set that `dir` must hold. It alone tells an empty directory that
    /// should not be empty (a volume that is not mounted) from a new one.
    pub data_set_id: Option<DataSetId>,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Its data set; none in files of Redis.
    pub id: Option<DataSetId>,
    /// Its commit index: of an RDB file that of its cut, of a log that of its last batch.
    pub index: Option<u64>,
}

/// What is on disk.
#[derive(Clone, Debug)]
pub struct Found {
    /// The lineage record; the text says why it can't be read.
    pub lineage: Result<Option<Lineage>, String>,
    /// The snapshot file.
    pub rdb: Option<FoundRdb>,
    /// The log.
    pub aof: FoundAof,
}

/// A snapshot file that is there.
#[derive(Clone, Debug)]
pub struct FoundRdb {
    /// Its length.
    pub len: u64,
    /// When its content was written.
    pub modified_ms: u64,
    /// When it was put in its place.
    pub changed_ms: u64,
    /// What it says of itself, or why it can't be read.
    pub tag: Result<Tag, String>,
}

/// What there is of a log.
#[derive(Clone, Debug)]
pub enum FoundAof {
    /// Nothing.
    Nothing,
    /// Files of a log, and no manifest.
    NoManifest {
        /// One of the files.
        example: String,
    },
    /// A manifest that can't be read.
    BadManifest(String),
    /// A log.
    Log(FoundLog),
}

/// A log with a readable manifest.
#[derive(Clone, Debug)]
pub struct FoundLog {
    /// The base.
    pub base: Option<FoundFile>,
    /// The increments, oldest first.
    pub incr: Vec<FoundFile>,
    /// What the files say; `index` only if their end was looked at.
    pub tag: Tag,
    /// When the manifest was put in its place.
    pub changed_ms: u64,
    /// When the newest of its files was written.
    pub modified_ms: u64,
}

/// A file that a manifest names.
#[derive(Clone, Debug)]
pub struct FoundFile {
    /// Its name.
    pub name: String,
    /// Its number.
    pub seq: u64,
    /// Its length; none if it is not there.
    pub len: Option<u64>,
}

impl FoundLog {
    pub(super) fn files(&self) -> impl Iterator<Item = &FoundFile> {
        self.base.iter().chain(&self.incr)
    }

    /// The name of a file that the manifest lists and that is not there.
    pub(super) fn missing(&self) -> Option<&str> {
        self.files()
            .find(|file| file.len.is_none())
            .map(|file| file.name.as_str())
    }

    pub(super) fn has_data(&self) -> bool {
        self.base.is_some() || self.incr.iter().any(|file| file.len != Some(0))
    }

    pub(super) fn bytes(&self) -> u64 {
        let lens = self.files().filter_map(|file| file.len);
        lens.fold(0, u64::saturating_add)
    }

    pub(super) fn listed(&self, of: &ExpectedFile) -> Option<&FoundFile> {
        self.files().find(|file| file.name == of.name)
    }
}

impl ExpectedAof {
    pub(super) fn bytes(&self) -> u64 {
        let lens = self.base.iter().chain(&self.incr).map(|file| file.len);
        lens.fold(0, u64::saturating_add)
    }
}
