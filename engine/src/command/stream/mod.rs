//! Stream commands.

mod args;
mod reply;
mod trim;
mod xadd;
mod xdel;
mod xrange;
mod xread;
mod xsetid;
mod xtrim;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<8>(&[
    xadd::SPECS,
    xdel::SPECS,
    xrange::SPECS,
    xread::SPECS,
    xsetid::SPECS,
    xtrim::SPECS,
]);
