//! The CLIENT command: a container whose subcommands are spread over the files here.

mod control;
mod filter;
mod help;
pub mod labels;
mod list;
mod tracking;

use basalt_engine::command::CommandSpec;
use basalt_engine::command::spec::{Flags, Group, concat};

const SUBCOMMANDS: &[CommandSpec] = &concat::<20>(&[
    control::SPECS,
    help::SPECS,
    labels::SPECS,
    list::SPECS,
    tracking::SPECS,
]);

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "client",
    group: Group::Connection,
    since: "2.4.0",
    summary: "Groups the commands about client connections.",
    complexity: "That of the subcommand.",
    arity: -2,
    flags: Flags::SENTINEL,
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BLANK
}];
