//! The data types: what a key holds, in which encoding, and the operations
//! on it. Nothing here parses arguments or writes replies.

pub mod list;
