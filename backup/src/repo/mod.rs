//! The parts of a repository: how bytes look in the store and on the way there.

pub mod chunk;
pub mod spool;
