//! Commands on keys of any type.

mod dump;
pub(super) mod expire;
mod keys;
mod object;
mod relocate;
mod scan;
mod sort;
mod sort_request;
mod ttl;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<27>(&[
    keys::SPECS,
    dump::SPECS,
    expire::SPECS,
    ttl::SPECS,
    relocate::SPECS,
    scan::SPECS,
    object::SPECS,
    sort::SPECS,
]);
