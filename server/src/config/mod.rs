//! The configuration: directives, files, command line, `CONFIG GET`, `SET` and `REWRITE`.
//!
//! ```text
//!   table ---- one row per directive ----> Config, a snapshot with a typed field for each
//!                                            ^        |
//!   args -> StartPlan -> file (parse) -------'        |-- access: get, set
//!                                                     |-- rewrite: back into the file
//!                                                     '-- store: the snapshot in use, who is told of changes
//! ```
//!
//! The names, the syntax, the defaults and the error texts are those of Redis 7.2 with the additions of Valkey 8, so that
//! an existing redis.conf works unchanged. Nothing here has effects outside the files it reads and writes: whoever owns
//! a listener or a limit registers with [`ConfigStore`] and acts on changes.

mod access;
mod args;
mod check;
mod choice;
mod compat;
mod directive;
mod file;
mod rewrite;
mod scalar;
mod store;
mod structured;
mod table;
pub mod text;

#[cfg(test)]
mod tests;

pub use access::{ApplyError, ChangeSet, SetContext, SetError, lookup};
pub use args::{Invocation, StartPlan, TEST_MEMORY_USAGE, USAGE};
pub use check::expand_template;
pub use choice::*;
pub use compat::compatibility_page;
pub use directive::{Directive, Flags, Kind, Reason};
pub use file::{LoadError, LoadHooks, Loaded, NoHooks};
pub use rewrite::Missing;
pub(crate) use rewrite::replace_file;
pub use store::ConfigStore;
pub use structured::*;
pub use table::{Config, TABLE};

/// The version of Redis that this server behaves like and reports to clients.
pub const COMPAT_VERSION: &str = "7.2.4";
