//! ASKING, READONLY, READWRITE: refused, as by every server that is not a cluster node.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Acl, Args, CmdResult, CommandSpec, Flags, Group};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "asking",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets the next command reach a slot that is being imported.",
        complexity: "O(1)",
        flags: Flags::FAST,
        acl: Acl::CONNECTION,
        handler: asking,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "readonly",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets this connection read from a replica.",
        complexity: "O(1)",
        flags: Flags::FAST.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        handler: readonly,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "readwrite",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Ends `READONLY` for this connection.",
        complexity: "O(1)",
        flags: Flags::FAST.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        handler: readwrite,
        ..CommandSpec::BLANK
    },
];

const NO_CLUSTER: &str = "This instance has cluster support disabled";

fn asking(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(ReplyError::err(NO_CLUSTER))
}

fn readonly(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(ReplyError::err(NO_CLUSTER))
}

fn readwrite(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(ReplyError::err(NO_CLUSTER))
}
