//! String commands.

mod counter;
mod get;
mod getex;
mod lcs;
mod mset;
mod options;
mod range;
mod set;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<22>(&[
    get::SPECS,
    set::SPECS,
    getex::SPECS,
    mset::SPECS,
    range::SPECS,
    counter::SPECS,
    lcs::SPECS,
]);
