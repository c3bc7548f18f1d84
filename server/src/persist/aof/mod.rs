//! The append-only file: finding and loading it. Writing it will be beside this.
//!
//! ```text
//! files (manifest, upgrade of older layouts) -> load (check, then RDB or commands) -> replay
//! ```

pub mod files;
pub mod load;
mod replay;
pub mod writer;

pub use files::AofFiles;
pub use load::AofFailure;
pub use replay::Replay;
