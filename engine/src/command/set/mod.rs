//! Set commands.

mod add;
mod algebra;
mod pop;
mod random;
mod read;
mod remove;
mod scan;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<17>(&[
    add::SPECS,
    algebra::SPECS,
    pop::SPECS,
    random::SPECS,
    read::SPECS,
    remove::SPECS,
    scan::SPECS,
]);
