//! Hash commands.

mod all;
mod del;
mod get;
mod incr;
mod random;
mod scan;
mod set;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<16>(&[
    all::SPECS,
    del::SPECS,
    get::SPECS,
    incr::SPECS,
    random::SPECS,
    scan::SPECS,
    set::SPECS,
]);
