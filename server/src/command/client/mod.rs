//! The CLIENT command: a container whose subcommands are spread over the files here.

mod control;
mod filter;
mod help;
pub mod labels;
mod list;
mod tracking;

use basalt_engine::ReplyError;
use basalt_engine::command::CommandSpec;
use basalt_engine::command::spec::{Args, Flags, Group, concat};

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

/// The error of a subcommand whose words are too many or too few.
pub(super) fn wrong_use(words: Args<'_>) -> ReplyError {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let shown = word(1).get(..128).unwrap_or(word(1));
    ReplyError::err(format_args!(
        "unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
        basalt_engine::shown(shown),
        String::from_utf8_lossy(word(0)).to_uppercase()
    ))
}
