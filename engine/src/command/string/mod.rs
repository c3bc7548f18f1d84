//! String commands.

mod get;

use super::spec::{CommandSpec, concat};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<2>(&[get::SPECS]);
