//! ACL: users and what they may do. The users themselves are `crate::acl`.

mod file;
mod log;
mod misc;
mod users;

use basalt_engine::command::spec::{CommandSpec, Flags, Group};

/// Flags of the subcommands that everybody may use.
const PLAIN_FLAGS: Flags = Flags::NOSCRIPT
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::SENTINEL);
/// Flags of those for administrators.
const ADMIN_FLAGS: Flags = Flags::ADMIN.or(PLAIN_FLAGS);

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "acl",
    group: Group::Server,
    since: "6.0.0",
    summary: "Groups the commands about users and what they may do.",
    complexity: "That of the subcommand.",
    arity: -2,
    flags: Flags::SENTINEL,
    subcommands: &[
        misc::CAT,
        users::DELUSER,
        log::DRYRUN,
        misc::GENPASS,
        users::GETUSER,
        misc::HELP,
        users::LIST,
        file::LOAD,
        log::LOG,
        file::SAVE,
        users::SETUSER,
        users::USERS,
        misc::WHOAMI,
    ],
    ..CommandSpec::BLANK
}];
