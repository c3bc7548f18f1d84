//! INFO: what the server tells of itself, in sections of `name:value` lines.
//!
//! Fields and their order are those of Redis 7.2, because monitoring tools parse them. A field
//! about something that does not exist here is zero.

mod activity;
mod backup;
mod commands;
pub(super) mod memory;
mod persistence;
mod process;

pub(super) use process::own_cpu;

use std::fmt::{Display, Write};

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};

use crate::client::Conn;
use crate::server::Server;

/// The command's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "info",
    group: Group::Server,
    summary: "Reports the state of the server and its counters.",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
    acl: Acl::DANGEROUS,
    args: &[ArgSpec {
        optional: true,
        multiple: true,
        ..ArgSpec::new("section", ArgType::String)
    }],
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    history: &[("7.0.0", "More than one section may be given.")],
    handler: info,
    ..CommandSpec::BLANK
}];

type Section = fn(&mut Lines, &Server);

/// Sections in order: the names that ask for each, whether it is in a plain INFO, whether in
/// INFO ALL.
const SECTIONS: &[(&[&str], bool, bool, Section)] = &[
    (&["server"], true, true, process::server),
    (&["clients"], true, true, process::clients),
    (&["memory"], true, true, memory::section),
    (&["persistence"], true, true, persistence::section),
    (&["backup"], true, true, backup::section),
    (&["stats"], true, true, activity::stats),
    (&["replication"], true, true, activity::replication),
    (&["cpu"], true, true, process::cpu),
    (&["module_list", "modules"], true, true, process::modules),
    (&["commandstats"], false, true, commands::calls),
    (&["errorstats"], true, true, commands::errors),
    (&["latencystats"], false, true, commands::latencies),
    (&["cluster"], true, true, process::cluster),
    (&["keyspace"], true, true, activity::keyspace),
    (&["debug"], false, false, process::debug),
];

/// The text being built.
#[derive(Default)]
struct Lines(String);

impl Lines {
    /// Begins a section.
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.0.push_str("# ");
        self.0.push_str(title);
        self.0.push_str("\r\n");
    }

    /// Adds a line.
    fn put(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Adds lines whose value is zero.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.put(name, 0));
    }
}

/// A number of bytes for people.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.iter().find(|(shift, _)| bytes >> shift != 0) {
        _ if bytes >> 50 != 0 => format!("{:.2}P", bytes as f64 / (1u64 << 50) as f64),
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

/// A name without the characters that have a meaning in this text.
fn safe(name: &str) -> String {
    name.replace(['#', ':', '\n', '\r'], "_")
}

/// The text of INFO for these section names; all of Redis's default sections without any.
pub(super) fn text(server: &Server, wanted: &[&[u8]]) -> String {
    let asked = |name: &str| {
        wanted
            .iter()
            .any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    let all = asked("all") || asked("everything");
    let default = wanted.is_empty() || asked("default");
    let mut lines = Lines::default();
    for (names, in_default, in_all, write) in SECTIONS {
        if all && *in_all || default && *in_default || names.iter().any(|name| asked(name)) {
            write(&mut lines, server);
        }
    }
    lines.0
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let text = text(&Conn::of(ctx).server, &args[1..]);
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let shown = [0, 1023, 1024, 1536 << 10, 5 << 30, 1 << 50].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50M", "5.00G", "1.00P"]);
    }
}
