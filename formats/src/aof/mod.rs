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
//! Nothing here opens a file. [`Manifest`] reads and writes the manifest; [`AofReader`] finds
//! them again.

pub mod annotation;
mod manifest;
mod record;

pub use annotation::{BatchLine, Header, Line, LineError, Lineage, Part};
pub use manifest::{
    BaseFormat, FileInfo, FileType, Manifest, ManifestError, ManifestErrorKind, SequenceExhausted,
    manifest_name, temporary_manifest_name,
};
pub use record::{
    ANNOTATION_MAX, AofReader, Command, Record, RecordError, RecordErrorKind, Transaction,
};
