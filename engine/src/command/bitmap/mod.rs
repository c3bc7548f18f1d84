//! Bitmap commands: strings seen as rows of bits, the first bit being the highest of byte 0.

mod bitcount;
mod bitfield;
mod bitop;
mod bitpos;
mod bits;
mod range;
mod setbit;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<7>(&[
    setbit::SPECS,
    bitcount::SPECS,
    bitpos::SPECS,
    bitop::SPECS,
    bitfield::SPECS,
]);
