//! Streams: entries in order of their IDs, and the groups that consume them.

pub mod id;

pub use id::StreamId;
