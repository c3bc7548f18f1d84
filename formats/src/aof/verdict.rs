//! What is found out about a file, and what is to be made of it.

use super::annotation::Header;
use super::batch::Chain;
use super::record::RecordError;
use crate::rdb::file::FileError;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// No commands, no header.
    Empty,
    /// Commands without checksums, as Redis writes them.
    Plain,
    /// Batches with checksums.
    Annotated,
}

/// What is to be made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it can be used.
    Valid,
    /// What a crash in the middle of a write leaves: all up to `valid_up_to` can be used, the rest be cut off.
    TruncatedTail {
        /// The offset to cut at.
        valid_up_to: usize,
        /// What is unfinished.
        cause: TailCause,
    },
    /// Damage that no crash explains.
    Corrupt {
        /// Where it is seen.
        offset: usize,
        /// The number of the command, from 1, or of the batch in a file with checksums.
        record: u64,
        /// What is seen.
        cause: Cause,
        /// Where something whole begins behind it. `None` if nothing was found.
        next_valid: Option<usize>,
    },
}

/// What is unfinished at the end of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TailCause {
    /// A command or annotation.
    #[error("{0}")]
    Record(RecordError),
    /// A transaction.
    #[error("Reached EOF before reading EXEC for MULTI")]
    OpenTransaction,
    /// A checksum line.
    #[error("unfinished checksum line")]
    Line,
    /// A batch.
    #[error("batch {index} has {found} of {expected} bytes")]
    Batch {
        /// Its commit index.
        index: u64,
        /// Its length.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Blocks that never reached the disk.
    #[error("blocks that were never written")]
    Unwritten,
    /// Blocks that never reached the disk, before some that did.
    #[error(
        "blocks that were never written, before {batches} whole batches that were not synced either"
    )]
    Hole {
        /// Whole batches behind them.
        batches: u64,
    },
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The RDB file at its start.
    #[error("RDB preamble: {0}")]
    Preamble(#[from] FileError),
    /// Bytes that are no command.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// A length beyond the end of the file, with whole commands in between.
    #[error("{0}, but whole commands follow")]
    LengthBeyondEnd(RecordError),
    /// `MULTI` in a transaction.
    #[error("Unexpected MULTI")]
    UnexpectedMulti,
    /// `EXEC` without a transaction.
    #[error("Unexpected EXEC")]
    UnexpectedExec,
    /// A checksum line that is not as it was written.
    #[error("damaged checksum line")]
    Line,
    /// Neither a checksum line nor a command.
    #[error("no checksum line where one should be")]
    NoLine,
    /// A checksum line in a file that does not begin with a header.
    #[error("checksum line in a file without a header")]
    NoHeader,
    /// A second header.
    #[error("second header")]
    SecondHeader,
    /// Commands without a checksum before batches.
    #[error("commands without a checksum before the next checksum line")]
    Unannotated,
    /// A batch missing, repeated or from elsewhere.
    #[error("expected batch {expected}, found {found}")]
    Index {
        /// The commit index that should follow.
        expected: u64,
        /// The one that does.
        found: u64,
    },
    /// A batch from elsewhere.
    #[error("batch {index} does not continue the line before it")]
    Chain {
        /// Its commit index.
        index: u64,
    },
    /// A batch that is not as it was written.
    #[error("batch {index} has checksum {found:#010x}, not {expected:#010x}")]
    Checksum {
        /// Its commit index.
        index: u64,
        /// What its line says.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// A batch that claims bytes of the batches behind it.
    #[error("batch {index} is cut, but batches follow")]
    BatchCut {
        /// Its commit index.
        index: u64,
    },
}

/// All that was found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AofReport {
    /// Bytes of the file.
    pub size: usize,
    /// What it is, apart from a preamble.
    pub form: Form,
    /// Where the RDB file at its start ends, if there is one.
    pub preamble_end: Option<usize>,
    /// Its header.
    pub header: Option<Header>,
    /// What another batch would continue, if the file can go on: it ends with a batch or its header, up to
    /// [`AofReport::valid_up_to`].
    pub chain: Option<Chain>,
    /// Whole commands.
    pub commands: u64,
    /// Whole transactions.
    pub transactions: u64,
    /// Whole batches with the right checksum.
    pub batches: u64,
    /// Time of the first and the last time mark, in milliseconds since 1970.
    pub times_ms: Option<(i64, i64)>,
    /// Where commands of another server behind the last batch begin.
    pub unproven_from: Option<usize>,
    /// Up to where all is whole.
    pub valid_up_to: usize,
    /// The judgement.
    pub verdict: Verdict,
}
