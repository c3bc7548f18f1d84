//! The append-only file: finding, loading and writing it.
//!
//! ```text
//! files (manifest, upgrade of older layouts) -> load (check, then RDB or commands) -> replay
//!
//! engine's log -> sink (buffer) -> thread, pass -> writer (state machine) -> folder (files, manifest)
//!                   ^ cut            |
//!                rewrite (base)      +-> durable (clients that wait), facts (INFO), refusal
//! control: switching it on and off, when to rewrite
//! ```

mod commands;
pub mod control;
pub mod durable;
pub mod facts;
pub mod files;
pub mod folder;
pub mod load;
mod marks;
pub mod pass;
mod quick;
mod replay;
pub mod rewrite;
#[cfg(test)]
mod simulated;
pub mod sink;
pub mod thread;
pub mod writer;

pub use control::Aof;
pub use files::AofFiles;
pub use load::AofFailure;
pub use replay::Replay;
