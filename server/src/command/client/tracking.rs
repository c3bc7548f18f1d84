//! CLIENT TRACKING, TRACKINGINFO, CACHING, GETREDIR: client-side caching.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;
use crate::client::tracking::Tracking;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "caching",
        group: Group::Connection,
        since: "6.0.0",
        summary: "Says whether the next command's keys are tracked, in opt-in or opt-out mode.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    token: "YES",
                    ..ArgSpec::new("yes", ArgType::PureToken)
                },
                ArgSpec {
                    token: "NO",
                    ..ArgSpec::new("no", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("mode", ArgType::OneOf)
        }],
        handler: client_caching,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "getredir",
        group: Group::Connection,
        since: "6.0.0",
        summary: "Tells which client receives this connection's invalidation messages.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        handler: client_getredir,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "tracking",
        group: Group::Connection,
        since: "6.0.0",
        summary: "Turns invalidation messages for client-side caches on or off.",
        complexity: "O(1), more with some options.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[
            ArgSpec {
                args: &[
                    ArgSpec {
                        token: "ON",
                        ..ArgSpec::new("on", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "OFF",
                        ..ArgSpec::new("off", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("status", ArgType::OneOf)
            },
            ArgSpec {
                token: "REDIRECT",
                optional: true,
                ..ArgSpec::new("client-id", ArgType::Integer)
            },
            ArgSpec {
                token: "PREFIX",
                optional: true,
                multiple: true,
                multiple_token: true,
                ..ArgSpec::new("prefix", ArgType::String)
            },
            ArgSpec {
                token: "BCAST",
                optional: true,
                ..ArgSpec::new("bcast", ArgType::PureToken)
            },
            ArgSpec {
                token: "OPTIN",
                optional: true,
                ..ArgSpec::new("optin", ArgType::PureToken)
            },
            ArgSpec {
                token: "OPTOUT",
                optional: true,
                ..ArgSpec::new("optout", ArgType::PureToken)
            },
            ArgSpec {
                token: "NOLOOP",
                optional: true,
                ..ArgSpec::new("noloop", ArgType::PureToken)
            },
        ],
        handler: client_tracking,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "trackinginfo",
        group: Group::Connection,
        since: "6.2.0",
        summary: "Tells how client-side caching is set up on this connection.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        handler: client_trackinginfo,
        ..CommandSpec::BLANK
    },
];

fn client_getredir(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let id = Conn::of(ctx).handle.redirection();
    ctx.out.int(id);
    Ok(())
}

fn client_caching(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let mode = conn.handle.tracking.lock();
    let (on, optin, optout) = (mode.on, mode.optin, mode.optout);
    drop(mode);
    if !on {
        return Err(ReplyError::err(
            "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    if args::is(words[2], "yes") {
        if !optin {
            return Err(ReplyError::err(
                "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args::is(words[2], "no") {
        if !optout {
            return Err(ReplyError::err(
                "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(ReplyError::SYNTAX);
    }
    conn.caching = true;
    ctx.out.ok();
    Ok(())
}

/// Reads the options of CLIENT TRACKING.
fn parse(conn: &Conn, words: Args<'_>) -> Result<(Tracking, Vec<Vec<u8>>), ReplyError> {
    let mut wanted = Tracking::default();
    let mut prefixes = Vec::new();
    let mut cursor = args::Cursor::new(words, 3);
    while let Some(word) = cursor.next() {
        if args::is(word, "redirect")
            && let Some(id) = cursor.next()
        {
            if wanted.redirect.is_some() {
                return Err(ReplyError::err(
                    "A client can only redirect to a single other client",
                ));
            }
            let id = args::int(id)?;
            wanted.redirect = u64::try_from(id)
                .ok()
                .and_then(|id| conn.server.clients.get(id));
            if wanted.redirect.is_none() {
                return Err(ReplyError::err(
                    "The client ID you want redirect to does not exist",
                ));
            }
        } else if args::is(word, "bcast") {
            wanted.bcast = true;
        } else if args::is(word, "optin") {
            wanted.optin = true;
        } else if args::is(word, "optout") {
            wanted.optout = true;
        } else if args::is(word, "noloop") {
            wanted.noloop = true;
        } else if args::is(word, "prefix")
            && let Some(prefix) = cursor.next()
        {
            prefixes.push(prefix.to_vec());
        } else {
            return Err(ReplyError::SYNTAX);
        }
    }
    Ok((wanted, prefixes))
}

/// Whether the options fit each other and what is in force.
fn check(current: &Tracking, wanted: &Tracking, prefixes: &[Vec<u8>]) -> CmdResult {
    let problem = if !wanted.bcast && !prefixes.is_empty() {
        "PREFIX option requires BCAST mode to be enabled"
    } else if current.on && current.bcast != wanted.bcast {
        "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
    } else if wanted.bcast && (wanted.optin || wanted.optout) {
        "OPTIN and OPTOUT are not compatible with BCAST"
    } else if wanted.optin && wanted.optout {
        "You can't specify both OPTIN mode and OPTOUT mode"
    } else if wanted.optin && current.optout || wanted.optout && current.optin {
        "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
    } else {
        return check_prefixes(current, prefixes);
    };
    Err(ReplyError::err(problem))
}

/// Prefixes of one client must not overlap: a key would be reported twice.
fn check_prefixes(current: &Tracking, prefixes: &[Vec<u8>]) -> CmdResult {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let complain = |prefix: &[u8], kind: &str, other: &[u8]| {
        Err(ReplyError::err(format_args!(
            "Prefix '{}' overlaps with {kind} prefix '{}'. Prefixes for a single client must not overlap.",
            basalt_engine::shown(prefix),
            basalt_engine::shown(other)
        )))
    };
    for (i, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = current.prefixes.iter().find(|other| overlap(other, prefix)) {
            return complain(prefix, "an existing", other);
        }
        let later = prefixes.get(i + 1..).unwrap_or_default();
        if let Some(other) = later.iter().find(|other| overlap(other, prefix)) {
            return complain(prefix, "another provided", other);
        }
    }
    Ok(())
}

fn client_tracking(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let (mut wanted, prefixes) = parse(conn, words)?;
    if args::is(words[2], "on") {
        let current = conn.handle.tracking.lock();
        check(&current, &wanted, &prefixes)?;
        drop(current);
        wanted.prefixes = prefixes.into_iter().collect();
        if wanted.bcast && wanted.prefixes.is_empty() {
            wanted.prefixes.insert(Vec::new());
        }
        conn.server.start_tracking(&conn.handle, wanted);
    } else if args::is(words[2], "off") {
        conn.server.stop_tracking(&conn.handle);
        conn.caching = false;
    } else {
        return Err(ReplyError::SYNTAX);
    }
    ctx.out.ok();
    Ok(())
}

fn client_trackinginfo(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let redirection = conn.handle.redirection();
    let mode = conn.handle.tracking.lock();
    let flags: Vec<&str> = [
        (mode.on, "on"),
        (!mode.on, "off"),
        (mode.bcast, "bcast"),
        (mode.optin, "optin"),
        (mode.optin && conn.caching, "caching-yes"),
        (mode.optout, "optout"),
        (mode.optout && conn.caching, "caching-no"),
        (mode.noloop, "noloop"),
        (mode.broken, "broken_redirect"),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| name)
    .collect();
    let out = &mut *ctx.out;
    out.map(3);
    out.bulk(b"flags");
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag.as_bytes()));
    out.bulk(b"redirect");
    out.int(redirection);
    out.bulk(b"prefixes");
    out.array(mode.prefixes.len());
    mode.prefixes.iter().for_each(|prefix| out.bulk(prefix));
    Ok(())
}
