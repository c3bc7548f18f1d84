//! Commands about the server itself, a file per topic.

mod acl;
mod backup;
mod config;
mod debug;
mod docs;
mod hotkeys;
mod info;
mod latency;
mod lolwut;
mod memory;
mod module;
mod save;
mod shutdown;
mod slowlog;
mod sparkline;
mod state;
mod table;

use basalt_engine::ReplyError;
use basalt_engine::command::CommandSpec;
use basalt_engine::command::spec::{Args, concat};

const ROWS: &[&[CommandSpec]] = &[
    acl::SPECS,
    backup::SPECS,
    config::SPECS,
    debug::SPECS,
    hotkeys::SPECS,
    info::SPECS,
    latency::SPECS,
    lolwut::SPECS,
    memory::SPECS,
    module::SPECS,
    save::SPECS,
    shutdown::SPECS,
    slowlog::SPECS,
    state::SPECS,
    table::SPECS,
];

const fn count(parts: &[&[CommandSpec]]) -> usize {
    let (mut part, mut rows) = (0, 0);
    while part < parts.len() {
        rows += parts[part].len();
        part += 1;
    }
    rows
}

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<{ count(ROWS) }>(ROWS);

/// The error of a subcommand called with words that it does not take.
pub(super) fn subcommand_syntax(args: Args<'_>) -> ReplyError {
    let shown = |at: usize| {
        let word = args.get(at).copied().unwrap_or_default();
        basalt_engine::shown(&word[..word.len().min(128)])
    };
    ReplyError::err(format_args!(
        "unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
        shown(1),
        shown(0).to_uppercase()
    ))
}
