//! Set commands.

mod add;
mod algebra;
mod card;
mod pop;
mod random;
mod read;
mod remove;
mod scan;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<19>(&[
    add::SPECS,
    algebra::SPECS,
    card::SPECS,
    pop::SPECS,
    random::SPECS,
    read::SPECS,
    remove::SPECS,
    scan::SPECS,
]);
