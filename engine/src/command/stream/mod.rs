//! Stream commands.

mod args;
mod groups;
mod xack;
mod xautoclaim;
mod xclaim;
mod xgroup;
mod xinfo;
mod xpending;
mod xreadgroup;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<7>(&[
    xgroup::SPECS,
    xreadgroup::SPECS,
    xack::SPECS,
    xclaim::SPECS,
    xautoclaim::SPECS,
    xpending::SPECS,
    xinfo::SPECS,
]);
