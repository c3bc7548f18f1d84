//! Commands on keys of any type.

mod expire;
mod keys;
mod object;
mod relocate;
mod scan;
mod sort;
mod ttl;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<24>(&[
    keys::SPECS,
    expire::SPECS,
    ttl::SPECS,
    relocate::SPECS,
    scan::SPECS,
    object::SPECS,
    sort::SPECS,
]);
