//! The object-store tier of Basalt: where backups live and in which form they go there.
//!
//! ```text
//!   repo   chunk: bodies compressed and opened again under a bound
//!          spool: frames on the local disk, on their way to the store
//!            |
//!   store  BackupStore: named objects, whole or absent
//!            |-- MemoryStore
//!            |-- BucketStore: a local directory, or whatever the object_store crate reaches
//!            '-- FaultyStore: any of these with scripted faults, for tests
//! ```
//!
//! Everything here is synchronous: backups run on threads of their own, and a caller never needs to know whether a runtime
//! drives the store below. Invariants: no length read from a file or a store is believed before it is bounded, and
//! nothing that exists is replaced unless the caller asked for exactly that.
#![forbid(unsafe_code)]

pub mod repo;
pub mod store;
