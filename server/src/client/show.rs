//! What MONITOR and the slow log show of a command: everything but secrets.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::Command;
use basalt_engine::command::spec::{Flags, Group};

use super::Conn;
use crate::server::unix_us;

/// Scripts are shown before the commands that they run.
pub(super) fn shown_before_it_runs(command: &Command) -> bool {
    command.spec.group == Group::Scripting && command.flags.has(Flags::SKIP_MONITOR)
}

/// Shows a command to MONITOR clients, unless it is one that must not be seen.
pub(super) fn feed_monitors(conn: &Conn, command: &'static Command, args: &[&[u8]]) {
    let hidden = command.flags.has(Flags::ADMIN)
        || command.flags.has(Flags::SKIP_MONITOR) && !shown_before_it_runs(command);
    if !hidden {
        show(conn, &redacted(command, args));
    }
}

/// Shows words to MONITOR clients as sent by this client.
pub(super) fn show(conn: &Conn, words: &[&[u8]]) {
    let handle = &conn.handle;
    let from = if conn.script_of_db.is_some() {
        "lua".to_owned()
    } else if handle.unix {
        let path = handle.laddr.strip_suffix(":0").unwrap_or(&handle.laddr);
        format!("unix:{path}")
    } else {
        handle.addr.clone()
    };
    let db = handle.db.load(Relaxed);
    conn.server.monitors.feed(unix_us(), db, &from, words);
}

/// Directives whose values are secrets.
const SECRETS: &[&[u8]] = &[
    b"requirepass",
    b"masterauth",
    b"primaryauth",
    b"masteruser",
    b"primaryuser",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
];

/// The words of a request with secrets covered, for MONITOR and the slow log.
pub(super) fn redacted<'a>(command: &Command, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut shown = args.to_vec();
    let after = |word: &[u8], from: usize| {
        let words = args.get(from..).unwrap_or_default();
        words
            .iter()
            .position(|other| other.eq_ignore_ascii_case(word))
            .map(|at| from + at)
    };
    let mut cover = |from: usize, count: usize| {
        let end = from.saturating_add(count).min(args.len());
        if let Some(words) = shown.get_mut(from..end) {
            words.fill(b"(redacted)");
        }
    };
    let container = command.parent.map_or("", |parent| parent.name);
    match (container, command.spec.name) {
        ("", "auth") => cover(1, 2),
        ("", "hello") => {
            let mut at = 2;
            while let Some(word) = args.get(at) {
                if word.eq_ignore_ascii_case(b"auth") {
                    cover(at + 1, 2);
                    at += 3;
                } else if word.eq_ignore_ascii_case(b"setname") {
                    at += 2;
                } else {
                    at += 1;
                }
            }
        }
        ("", "migrate") => {
            if let Some(at) = after(b"auth", 6) {
                cover(at + 1, 1);
            }
            if let Some(at) = after(b"auth2", 6) {
                cover(at + 1, 2);
            }
        }
        ("acl", "setuser") => cover(2, usize::MAX),
        ("config", "set") => (2..args.len())
            .step_by(2)
            .filter(|at| {
                SECRETS
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(args[*at]))
            })
            .for_each(|at| cover(at + 1, 1)),
        _ => {}
    }
    shown
}
