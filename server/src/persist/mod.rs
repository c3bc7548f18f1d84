//! Where data survives the process.

pub mod aof;
pub mod lineage;
