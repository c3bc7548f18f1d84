//! HELLO: protocol version, login and name in one request.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_formats::num;

use super::auth::log_in;
use crate::client::Conn;
use crate::command::client::labels::check_label;
use crate::config::COMPAT_VERSION;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "hello",
    group: Group::Connection,
    since: "6.0.0",
    summary: "Agrees on the protocol version, and may log in and name the connection.",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::NO_AUTH)
        .or(Flags::SENTINEL)
        .or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    args: &[ArgSpec {
        optional: true,
        args: &[
            ArgSpec::new("protover", ArgType::Integer),
            ArgSpec {
                token: "AUTH",
                optional: true,
                args: &[
                    ArgSpec::new("username", ArgType::String),
                    ArgSpec::new("password", ArgType::String),
                ],
                ..ArgSpec::new("auth", ArgType::Block)
            },
            ArgSpec {
                token: "SETNAME",
                optional: true,
                ..ArgSpec::new("clientname", ArgType::String)
            },
        ],
        ..ArgSpec::new("arguments", ArgType::Block)
    }],
    history: &[(
        "6.2.0",
        "`protover` is optional; without it the state of the connection is reported.",
    )],
    handler: hello,
    ..CommandSpec::BLANK
}];

const NOT_LOGGED_IN: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// The options of a request.
#[derive(Default)]
struct Options<'a> {
    version: Option<u8>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn parse<'a>(args: Args<'a>) -> Result<Options<'a>, ReplyError> {
    let mut options = Options::default();
    if let Some(word) = args.get(1) {
        let version = num::parse_i64(word)
            .ok_or_else(|| ReplyError::err("Protocol version is not an integer or out of range"))?;
        options.version = match version {
            2 => Some(2),
            3 => Some(3),
            _ => return Err(ReplyError::raw("NOPROTO unsupported protocol version")),
        };
    }
    let mut rest = args.get(2..).unwrap_or_default();
    while let [option, tail @ ..] = rest {
        rest = match tail {
            [user, password, more @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                options.credentials = Some((user, password));
                more
            }
            [name, more @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                check_label("Client names", name)?;
                options.name = Some(name);
                more
            }
            _ => {
                return Err(ReplyError::err(format_args!(
                    "Syntax error in HELLO option '{}'",
                    basalt_engine::shown(option)
                )));
            }
        };
    }
    Ok(options)
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = parse(args)?;
    let conn = Conn::from_host(ctx.host);
    if let Some(credentials) = options.credentials {
        log_in(conn, ctx.session, args, credentials)?;
    }
    if !conn.authenticated && conn.server.hot.auth_required.load(Relaxed) {
        return Err(ReplyError::raw(NOT_LOGGED_IN));
    }
    if let Some(name) = options.name {
        conn.handle.labels.lock().name = name.to_vec();
    }
    if let Some(version) = options.version {
        conn.speak(ctx.session, ctx.out, version);
    }
    let id = i64::try_from(conn.handle.id).unwrap_or(i64::MAX);
    let out = &mut *ctx.out;
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(COMPAT_VERSION.as_bytes());
    out.bulk(b"proto");
    out.int(i64::from(ctx.session.resp));
    out.bulk(b"id");
    out.int(id);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}
