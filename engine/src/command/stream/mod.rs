//! Stream commands.

mod args;
mod groups;
mod reply;
mod trim;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xdel;
mod xdelex;
mod xgroup;
mod xinfo;
mod xpending;
mod xrange;
mod xread;
mod xreadgroup;
mod xsetid;
mod xtrim;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<17>(&[
    xadd::SPECS,
    xdel::SPECS,
    xdelex::SPECS,
    xrange::SPECS,
    xread::SPECS,
    xsetid::SPECS,
    xtrim::SPECS,
    xgroup::SPECS,
    xreadgroup::SPECS,
    xack::SPECS,
    xclaim::SPECS,
    xautoclaim::SPECS,
    xpending::SPECS,
    xinfo::SPECS,
]);

#[cfg(test)]
mod tests;
