//! Commands about the caller's own connection.

mod auth;
mod basic;
mod hello;
mod reset;

use basalt_engine::command::CommandSpec;
use basalt_engine::command::spec::concat;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] =
    &concat::<7>(&[auth::SPECS, basic::SPECS, hello::SPECS, reset::SPECS]);
