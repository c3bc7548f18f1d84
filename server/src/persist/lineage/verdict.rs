//! What the judge says: how to go on, or why not, and what an operator can do about it.

use std::fmt;

use super::{DataSetId, FILE_NAME};

/// What to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing: begin empty.
    Nothing,
    /// The snapshot file.
    Rdb,
    /// The log.
    Aof,
}

/// What to do at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no data and there should be none.
    Fresh,
    /// Go on.
    Good(Good),
    /// Do not start.
    Refuse {
        /// What is wrong.
        cause: Cause,
        /// What the operator can do.
        hint: String,
    },
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// What to load.
    pub load: Load,
    /// The data set this continues; none if a new one begins.
    pub id: Option<DataSetId>,
    /// Whether there are files, not loaded, that must be moved aside before new ones of their
    /// name are written.
    pub keep_aside: bool,
    /// What to log.
    pub notes: Vec<String>,
}

/// Why not to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The lineage record can't be read.
    #[error("can't read the lineage record {FILE_NAME}: {0}")]
    LineageUnreadable(String),
    /// `data-set-id` names a data set, and the directory is empty.
    #[error(
        "the directory holds no data, and data-set-id says that it holds data set {0}: is the volume mounted, and is 'dir' right?"
    )]
    NoDataSet(DataSetId),
    /// Another data set.
    #[error("{what} belongs to data set {found}, expected is {expected}")]
    Foreign {
        /// The file.
        what: String,
        /// Whose it should be.
        expected: DataSetId,
        /// Whose it is.
        found: DataSetId,
    },
    /// A file of unknown origin where one of ours was.
    #[error(
        "{what} was not written by this data set ({expected}) and was there before its last run ended"
    )]
    Unknown {
        /// The file.
        what: String,
        /// Whose it should be.
        expected: DataSetId,
    },
    /// A file is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// There is a log without its manifest.
    #[error("{dir} holds {example} and no manifest")]
    NoManifest {
        /// The directory.
        dir: String,
        /// A file in it.
        example: String,
    },
    /// The manifest can't be read.
    #[error("can't read the manifest in {dir}: {reason}")]
    BadManifest {
        /// The directory.
        dir: String,
        /// Why.
        reason: String,
    },
    /// The snapshot file can't be read.
    #[error("can't read {name}: {reason}")]
    BadRdb {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file has lost its end.
    #[error("{name} has {found} bytes, and {recorded} were synced")]
    Truncated {
        /// The file.
        name: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// A file that does not change has changed.
    #[error("{name} has {found} bytes, and had {recorded}")]
    Changed {
        /// The file.
        name: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// Data of an earlier moment.
    #[error("{what} is of commit index {found}, and {recorded} was durable")]
    Older {
        /// What.
        what: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// A manifest of an earlier moment.
    #[error("the manifest in {dir} is an older one: it does not know {name}")]
    OlderManifest {
        /// The directory.
        dir: String,
        /// A file that was recorded.
        name: String,
    },
    /// `appendonly no`, though the log holds more.
    #[error("appendonly is off, and the log in {dir} is newer than {rdb}")]
    LogNotLoaded {
        /// The directory.
        dir: String,
        /// The snapshot file, or that there is none.
        rdb: String,
    },
}

pub(super) fn good(load: Load, id: Option<DataSetId>) -> Good {
    Good {
        load,
        id,
        keep_aside: false,
        notes: Vec::new(),
    }
}

impl Good {
    pub(super) fn note(mut self, note: impl fmt::Display) -> Self {
        self.notes.push(note.to_string());
        self
    }

    pub(super) fn aside(mut self, keep_aside: bool) -> Self {
        self.keep_aside |= keep_aside;
        self
    }
}

impl Cause {
    /// What the operator can do.
    pub(super) fn hint(&self) -> String {
        let first = match self {
            Cause::NoDataSet(_) => {
                return "Mount the volume, correct 'dir', or remove data-set-id to begin a new data set."
                    .to_owned();
            }
            Cause::LineageUnreadable(_) => &format!(
                "If the data files are right, remove {FILE_NAME} and start again: they are then taken as they are."
            ),
            Cause::LogNotLoaded { .. } => {
                "Start with 'appendonly yes', and switch it off with CONFIG SET once the data is loaded."
            }
            Cause::BadManifest { .. } | Cause::NoManifest { .. } => {
                "Put the manifest back from a copy."
            }
            Cause::BadRdb { .. } => "'basalt check-rdb' says what can be read of it.",
            _ => "Check that 'dir' is right and its volume mounted, or put the files back.",
        };
        format!(
            "{first} To start in spite of this, without what is missing: 'allow-data-loss yes', for one start; files that are not loaded are kept aside."
        )
    }
}
