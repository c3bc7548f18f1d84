//! Entries of a stream: their IDs and the nodes that hold runs of them.

mod id;

pub use id::{IdText, StreamId};
