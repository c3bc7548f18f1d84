//! The append-only file.

pub mod writer;
