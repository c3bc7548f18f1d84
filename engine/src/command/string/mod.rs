//! String commands.

mod compare;
mod counter;
mod get;
mod getex;
mod increx;
mod lcs;
mod mset;
mod options;
mod range;
mod set;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<27>(&[
    get::SPECS,
    set::SPECS,
    compare::SPECS,
    getex::SPECS,
    mset::SPECS,
    range::SPECS,
    counter::SPECS,
    increx::SPECS,
    lcs::SPECS,
]);
