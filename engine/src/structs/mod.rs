//! Containers built for O(1) snapshots: packed pages in shared trees.

pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod ordered;
pub mod paged;
pub mod prefetch;
pub mod quicklist;
pub mod rank;
