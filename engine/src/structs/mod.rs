//! Containers built for O(1) snapshots: packed pages in shared trees.

pub mod quicklist;
