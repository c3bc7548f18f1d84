//! The wire protocol: requests in ([`decode`]), replies out ([`encode`]), and
//! a reader of replies for tests and tools ([`reply`]).

pub mod decode;
pub mod encode;
mod inline;
pub mod reply;
