//! The wire protocol: requests in ([`decode`]), replies out ([`encode`]), and
//! a reader of replies for tests and tools ([`reply`]).

pub mod decode;
pub mod encode;
pub(crate) mod inline;
pub mod reply;
