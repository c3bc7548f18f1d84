//! Streams: logs of entries under ascending IDs, with consumer groups.

pub mod id;

pub use id::StreamId;
