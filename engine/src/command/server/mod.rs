//! Server commands that are about the data alone; all others belong to the host.

mod databases;

use super::spec::CommandSpec;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = databases::SPECS;
