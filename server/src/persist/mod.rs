//! Where data survives the process.

pub mod lineage;
