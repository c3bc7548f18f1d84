//! Hash commands.

mod all;
mod del;
mod expire;
mod fields;
mod get;
mod incr;
mod random;
mod scan;
mod set;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<28>(&[
    all::SPECS,
    del::SPECS,
    expire::SPECS,
    fields::SPECS,
    get::SPECS,
    incr::SPECS,
    random::SPECS,
    scan::SPECS,
    set::SPECS,
]);
