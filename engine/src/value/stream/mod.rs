//! Streams: entries in order of their IDs, and the groups that consume them.

pub mod group;
pub mod id;
pub mod pel;

pub use group::{Extent, Group, Groups};
pub use id::StreamId;
pub use pel::{Consumer, ConsumerId, Nack, Pending};
