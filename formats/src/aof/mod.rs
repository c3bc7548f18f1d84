//! The append-only file: a manifest that names files, and files of commands that rebuild the data.
//!
//! ```text
//! appendonlydir/appendonly.aof.manifest        file ... seq 2 type b | file ... seq 5 type i | ...
//!               appendonly.aof.2.base.rdb      the data as of some moment
//!               appendonly.aof.5.incr.aof      | header line | batch line | commands | batch line | commands | ...
//! ```
//!
//! Redis 7 and Valkey 8 read what is written here, and what they write is read here: the lines that begin with `#` are
//! comments to them. To us they carry checksums ([`annotation`]), so that no flipped bit passes, and a write that a crash cut
//! short is told apart from damage. Byte tables: `docs/formats/aof.md`.
//!
//! Nothing here opens a file. [`Manifest`] reads and writes the manifest; [`BatchWriter`] writes commands; [`AofReader`] finds
//! them again; [`check`](fn@check) judges a whole file; [`Salvage`] finds what can be trusted in a damaged one. A loader checks a
//! file first and then reads it up to [`AofReport::valid_up_to`], so that nothing of a damaged file is ever used.

pub mod annotation;
mod batch;
mod check;
mod hole;
mod manifest;
mod order;
mod preamble;
mod record;
mod resync;
mod salvage;
#[cfg(test)]
mod tests;
mod verdict;

pub use annotation::{BatchLine, Header, Line, LineError, Lineage, Part};
pub use batch::{BatchWriter, Chain, Closed, ROOM};
pub use check::{Check, TimestampError, check, truncate_to_timestamp};
pub use hole::sync_line;
pub use manifest::{
    BaseFormat, FileInfo, FileType, Manifest, ManifestError, ManifestErrorKind, SequenceExhausted,
    manifest_name, temporary_manifest_name,
};
pub use order::{Misplaced, check_order};
pub use preamble::{has_preamble, preamble_end};
pub use record::{
    ANNOTATION_MAX, AofReader, Command, Record, RecordError, RecordErrorKind, Transaction,
};
pub use salvage::{Piece, PieceKind, Salvage};
pub use verdict::{AofReport, Cause, Form, TailCause, Verdict};
