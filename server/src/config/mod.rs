//! The configuration: directives, files, command line, `CONFIG GET`, `SET` and `REWRITE`.

mod check;
mod choice;
mod directive;
mod scalar;
mod structured;
mod table;
pub mod text;

pub use check::expand_template;
pub use choice::*;
pub use directive::{Directive, Flags, Kind, Reason};
pub use structured::*;
pub use table::{Config, TABLE};
