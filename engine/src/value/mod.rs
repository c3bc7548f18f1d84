//! The types of value and their encodings.

pub mod zset;
