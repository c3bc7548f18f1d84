//! Commands on keys of any type.

use super::spec::CommandSpec;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[];
