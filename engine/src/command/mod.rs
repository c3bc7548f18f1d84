//! Every data command, one folder per group. A group's `SPECS` is its part of the command
//! table; [`DATA_GROUPS`] lists the groups.

pub mod args;
pub mod ctx;
pub mod dispatch;
mod registry;
pub mod spec;

mod bitmap;
mod collection;
mod counted;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod partial_sort;
mod scripting;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

pub use ctx::Ctx;
pub(crate) use registry::CheckedKeys;
pub use registry::{Command, Registry};
pub use spec::{Args, CmdResult, CommandSpec};

/// The data command groups.
pub const DATA_GROUPS: &[&[CommandSpec]] = &[
    string::SPECS,
    bitmap::SPECS,
    hyperloglog::SPECS,
    geo::SPECS,
    list::SPECS,
    hash::SPECS,
    set::SPECS,
    sorted_set::SPECS,
    stream::SPECS,
    generic::SPECS,
    server::SPECS,
    transactions::SPECS,
    scripting::SPECS,
];
