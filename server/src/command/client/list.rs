//! CLIENT ID, INFO, LIST, KILL: looking at clients and closing them.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};

use super::filter::{Filter, Purpose};
use crate::client::Conn;
use crate::server::unix_ms;

/// A filter of Valkey 9.
const fn newer(token: &'static str, name: &'static str) -> ArgSpec {
    ArgSpec {
        token,
        since: "9.0.0",
        optional: true,
        ..ArgSpec::new(name, ArgType::String)
    }
}

const NOT_ID: ArgSpec = ArgSpec {
    multiple: true,
    kind: ArgType::Integer,
    ..newer("NOT-ID", "not-client-id")
};

const NOT_TYPE: ArgSpec = ArgSpec {
    kind: ArgType::OneOf,
    args: &[
        ArgSpec {
            token: "NORMAL",
            ..ArgSpec::new("normal", ArgType::PureToken)
        },
        ArgSpec {
            token: "PRIMARY",
            ..ArgSpec::new("primary", ArgType::PureToken)
        },
        ArgSpec {
            token: "REPLICA",
            ..ArgSpec::new("replica", ArgType::PureToken)
        },
        ArgSpec {
            token: "PUBSUB",
            ..ArgSpec::new("pubsub", ArgType::PureToken)
        },
    ],
    ..newer("NOT-TYPE", "not-client-type")
};

/// Arguments with the filters of Valkey 9 behind them.
macro_rules! with_newer {
    ($($arg:expr),* $(,)?) => {
        &[
            $($arg,)*
            newer("NAME", "name"),
            newer("IDLE", "idle"),
            newer("FLAGS", "flags"),
            newer("LIB-NAME", "lib-name"),
            newer("LIB-VER", "lib-ver"),
            newer("DB", "db"),
            newer("CAPA", "capa"),
            newer("IP", "ip"),
            NOT_TYPE,
            NOT_ID,
            newer("NOT-USER", "not-username"),
            newer("NOT-ADDR", "not-addr"),
            newer("NOT-LADDR", "not-laddr"),
            newer("NOT-NAME", "not-name"),
            newer("NOT-FLAGS", "not-flags"),
            newer("NOT-LIB-NAME", "not-lib-name"),
            newer("NOT-LIB-VER", "not-lib-ver"),
            newer("NOT-DB", "not-db"),
            newer("NOT-CAPA", "not-capa"),
            newer("NOT-IP", "not-ip"),
        ]
    };
}

const NEWER_FILTERS: (&str, &str) = (
    "9.0.0",
    "New filters `NAME`, `IDLE`, `FLAGS`, `LIB-NAME`, `LIB-VER`, `DB`, `CAPA`, `IP` and those that \
        begin with `NOT-`.",
);

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "id",
        group: Group::Connection,
        since: "5.0.0",
        summary: "Reads the number of this connection.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        handler: client_id,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "info",
        group: Group::Connection,
        since: "6.2.0",
        summary: "Describes this connection in one line.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        tips: &["nondeterministic_output"],
        handler: client_info,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "list",
        group: Group::Connection,
        since: "2.4.0",
        summary: "Describes the connections, a line for each.",
        complexity: "O(N) for N connections.",
        arity: -2,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: with_newer![
            ArgSpec {
                token: "TYPE",
                since: "5.0.0",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "NORMAL",
                        ..ArgSpec::new("normal", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MASTER",
                        ..ArgSpec::new("master", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "REPLICA",
                        ..ArgSpec::new("replica", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "PUBSUB",
                        ..ArgSpec::new("pubsub", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("client-type", ArgType::OneOf)
            },
            ArgSpec {
                token: "ID",
                since: "6.2.0",
                optional: true,
                multiple: true,
                ..ArgSpec::new("client-id", ArgType::Integer)
            },
            ArgSpec {
                token: "USER",
                since: "8.1.0",
                optional: true,
                ..ArgSpec::new("username", ArgType::String)
            },
            ArgSpec {
                token: "ADDR",
                since: "8.1.0",
                display: "ip:port",
                optional: true,
                ..ArgSpec::new("addr", ArgType::String)
            },
            ArgSpec {
                token: "LADDR",
                since: "8.1.0",
                display: "ip:port",
                optional: true,
                ..ArgSpec::new("laddr", ArgType::String)
            },
            ArgSpec {
                token: "SKIPME",
                since: "8.1.0",
                optional: true,
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
                ..ArgSpec::new("skipme", ArgType::OneOf)
            },
            ArgSpec {
                token: "MAXAGE",
                since: "8.1.0",
                optional: true,
                ..ArgSpec::new("maxage", ArgType::Integer)
            },
        ],
        tips: &["nondeterministic_output"],
        history: &[
            ("2.8.12", "New field `id`."),
            ("5.0.0", "New filter `TYPE`."),
            ("6.0.0", "New field `user`."),
            (
                "6.2.0",
                "New fields `argv-mem`, `tot-mem`, `laddr` and `redir`; new filter \
                    `ID`.",
            ),
            ("7.0.0", "New fields `resp`, `multi-mem`, `rbs` and `rbp`."),
            ("7.0.3", "New field `ssub`."),
            ("8.0.0", "`TYPE` knows `primary`; `master` means the same."),
            (
                "8.1.0",
                "New filters `USER`, `ADDR`, `LADDR`, `SKIPME` and `MAXAGE`.",
            ),
            NEWER_FILTERS,
        ],
        handler: client_list,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "kill",
        group: Group::Connection,
        since: "2.4.0",
        summary: "Closes the connections that fit a filter.",
        complexity: "O(N) for N connections.",
        arity: -3,
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    deprecated_since: "2.8.12",
                    display: "ip:port",
                    ..ArgSpec::new("old-format", ArgType::String)
                },
                ArgSpec {
                    multiple: true,
                    args: with_newer![
                        ArgSpec {
                            token: "ID",
                            since: "2.8.12",
                            optional: true,
                            multiple: true,
                            ..ArgSpec::new("client-id", ArgType::Integer)
                        },
                        ArgSpec {
                            token: "TYPE",
                            since: "2.8.12",
                            optional: true,
                            args: &[
                                ArgSpec {
                                    token: "NORMAL",
                                    ..ArgSpec::new("normal", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "MASTER",
                                    since: "3.2.0",
                                    ..ArgSpec::new("master", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "PRIMARY",
                                    since: "8.0.0",
                                    ..ArgSpec::new("primary", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "SLAVE",
                                    ..ArgSpec::new("slave", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "REPLICA",
                                    since: "5.0.0",
                                    ..ArgSpec::new("replica", ArgType::PureToken)
                                },
                                ArgSpec {
                                    token: "PUBSUB",
                                    ..ArgSpec::new("pubsub", ArgType::PureToken)
                                },
                            ],
                            ..ArgSpec::new("client-type", ArgType::OneOf)
                        },
                        ArgSpec {
                            token: "USER",
                            optional: true,
                            ..ArgSpec::new("username", ArgType::String)
                        },
                        ArgSpec {
                            token: "ADDR",
                            display: "ip:port",
                            optional: true,
                            ..ArgSpec::new("addr", ArgType::String)
                        },
                        ArgSpec {
                            token: "LADDR",
                            since: "6.2.0",
                            display: "ip:port",
                            optional: true,
                            ..ArgSpec::new("laddr", ArgType::String)
                        },
                        ArgSpec {
                            token: "SKIPME",
                            optional: true,
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
                            ..ArgSpec::new("skipme", ArgType::OneOf)
                        },
                        ArgSpec {
                            token: "MAXAGE",
                            since: "8.0.0",
                            optional: true,
                            ..ArgSpec::new("maxage", ArgType::Integer)
                        },
                    ],
                    ..ArgSpec::new("new-format", ArgType::OneOf)
                },
            ],
            ..ArgSpec::new("filter", ArgType::OneOf)
        }],
        history: &[
            ("2.8.12", "Filters may be given by name."),
            ("2.8.12", "New filter `ID`."),
            ("3.2.0", "`TYPE` knows `master`."),
            ("5.0.0", "`TYPE` knows `replica`; `slave` means the same."),
            ("6.2.0", "New filter `LADDR`."),
            ("8.0.0", "New filter `MAXAGE`."),
            ("8.0.0", "`TYPE` knows `primary`; `master` means the same."),
            ("8.1.0", "`ID` takes more than one number."),
            NEWER_FILTERS,
        ],
        handler: client_kill,
        ..CommandSpec::BLANK
    },
];

fn client_id(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let id = Conn::of(ctx).handle.id;
    ctx.out.int(i64::try_from(id).unwrap_or(i64::MAX));
    Ok(())
}

fn client_info(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let registry = conn.server.engine.registry;
    let mut line = conn.handle.describe(registry, unix_ms());
    line.push(b'\n');
    ctx.out.verbatim("txt", &line);
    Ok(())
}

fn client_list(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let databases = ctx.ks.engine.databases();
    let conn = Conn::from_host(ctx.host);
    let filter = Filter::parse(words, Purpose::List, databases, &conn.server.accounts)?;
    let registry = conn.server.engine.registry;
    let now_ms = unix_ms();
    let mut lines = Vec::new();
    for handle in filter.candidates(&conn.server.clients) {
        if filter.accepts(&handle, conn.handle.id, now_ms) {
            lines.extend_from_slice(&handle.describe(registry, now_ms));
            lines.push(b'\n');
        }
    }
    ctx.out.verbatim("txt", &lines);
    Ok(())
}

fn client_kill(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let old_form = words.len() == 3;
    let databases = ctx.ks.engine.databases();
    let conn = Conn::from_host(ctx.host);
    let server = conn.server.clone();
    let filter = if old_form {
        Filter::by_address(words[2])
    } else {
        Filter::parse(words, Purpose::Kill, databases, &server.accounts)?
    };
    let (now_ms, own) = (unix_ms(), conn.handle.id);
    let mut killed = 0;
    for handle in filter.candidates(&server.clients) {
        if !filter.accepts(&handle, own, now_ms) {
            continue;
        }
        killed += 1;
        if handle.id == own {
            conn.close_after_reply = true;
        } else {
            server.close_client(&handle);
        }
    }
    if !old_form {
        ctx.out.count(killed);
    } else if killed == 0 {
        return Err(ReplyError::err("No such client"));
    } else {
        ctx.out.ok();
    }
    Ok(())
}
