//! The parts of a repository: what its objects are called, what is in them, and how bytes look on the way there.
//! `docs/formats/repository.md` describes them.

pub mod chunk;
pub mod crypt;
pub mod dead;
pub mod depot;
mod digest;
mod id;
pub mod index;
pub mod key;
pub mod layout;
pub mod manifest;
pub mod object;
pub mod spool;
pub mod tables;

pub use digest::{Digest, DigestKey, InvalidDigest};
pub use id::{BackupId, InvalidId, parse_moment, time_text};
pub use key::{KeyError, RepositoryKey};
pub use manifest::{Manifest, ManifestError, Position};
pub use tables::Chunk;
