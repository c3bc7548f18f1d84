//! The object-store tier of Basalt: where backups live and in which form they go there.
//!
//! ```text
//!   job    create: a walk over the data becomes chunks and a manifest
//!          catalog, verify, join, prune: what is done with a repository afterwards
//!          schedule, retention: when, and for how long
//!            |
//!   repo   manifest: what makes chunks a backup        key: what authenticates it
//!          object: chunks compressed (chunk), encrypted (crypt) and hashed
//!          digest: what proves restored data           spool: frames on the local disk
//!          depot: where chunks wait, or already lie in a local store
//!            |
//!   store  BackupStore: named objects, whole or absent
//!            |-- MemoryStore
//!            |-- BucketStore: a local directory, S3, GCS, Azure (url)
//!            |-- RetryingStore: asks again
//!            '-- FaultyStore: any of these with scripted faults, for tests
//! ```
//!
//! Everything here is synchronous: backups run on threads of their own, and a caller never needs to know whether a runtime
//! drives the store below. Invariants: no length read from a file or a store is believed before it is bounded, and
//! nothing that exists is replaced unless the caller asked for exactly that.
#![forbid(unsafe_code)]

pub mod job;
pub mod repo;
pub mod store;
pub mod thread;
