//! CLIENT SETNAME, GETNAME, SETINFO, CAPA, IMPORT-SOURCE: what a client says of itself.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "getname",
        group: Group::Connection,
        since: "2.6.9",
        summary: "Reads the name given to this connection.",
        complexity: "O(1)",
        arity: 2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        handler: client_getname,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "setname",
        group: Group::Connection,
        since: "2.6.9",
        summary: "Names this connection, as `CLIENT LIST` will show it.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec::new("connection-name", ArgType::String)],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        handler: client_setname,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "setinfo",
        group: Group::Connection,
        since: "7.2.0",
        summary: "Records the name or version of the client library.",
        complexity: "O(1)",
        arity: 4,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SENTINEL),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            args: &[
                ArgSpec {
                    token: "LIB-NAME",
                    ..ArgSpec::new("libname", ArgType::String)
                },
                ArgSpec {
                    token: "LIB-VER",
                    ..ArgSpec::new("libver", ArgType::String)
                },
            ],
            ..ArgSpec::new("attr", ArgType::OneOf)
        }],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        handler: client_setinfo,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "capa",
        group: Group::Connection,
        since: "8.0.0",
        summary: "Declares what optional behaviour the client understands.",
        complexity: "O(1)",
        arity: -3,
        flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
            multiple: true,
            ..ArgSpec::new("capability", ArgType::String)
        }],
        handler: client_capa,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "import-source",
        group: Group::Connection,
        since: "8.1.0",
        summary: "Marks this connection as the one that feeds data in while the server is in \
                import mode.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        args: &[ArgSpec {
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
            ..ArgSpec::new("enabled", ArgType::OneOf)
        }],
        handler: client_import_source,
        ..CommandSpec::BLANK
    },
];

/// Checks a name or library attribute: printable ASCII without spaces.
///
/// # Errors
/// `<what> cannot contain spaces, newlines or special characters.`
pub fn check_label(what: &str, label: &[u8]) -> CmdResult {
    if label.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(ReplyError::err(format_args!(
        "{what} cannot contain spaces, newlines or special characters."
    )))
}

fn client_getname(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let name = Conn::of(ctx).handle.labels.lock().name.clone();
    ctx.out.bulk_opt((!name.is_empty()).then_some(&name));
    Ok(())
}

fn client_setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_label("Client names", args[2])?;
    Conn::of(ctx).handle.labels.lock().name = args[2].to_vec();
    ctx.out.ok();
    Ok(())
}

fn client_setinfo(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let attribute = basalt_engine::shown(words[2]);
    let is_name = args::is(words[2], "lib-name");
    if !is_name && !args::is(words[2], "lib-ver") {
        return Err(ReplyError::err(format_args!(
            "Unrecognized option '{attribute}'"
        )));
    }
    check_label(&attribute, words[3])?;
    let mut labels = Conn::of(ctx).handle.labels.lock();
    if is_name {
        labels.lib_name = words[3].to_vec();
    } else {
        labels.lib_ver = words[3].to_vec();
    }
    drop(labels);
    ctx.out.ok();
    Ok(())
}

/// Only filters look at the capabilities: replicas are what redirects clients. Those that are not
/// known do no harm.
fn client_capa(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if words[2..].iter().any(|word| args::is(word, "redirect")) {
        Conn::of(ctx).handle.takes_redirects.store(true, Relaxed);
    }
    ctx.out.ok();
    Ok(())
}

/// Import mode does not exist here, so the mark can only be taken off.
fn client_import_source(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if !args::is(words[2], "off") {
        return Err(ReplyError::err("Server is not in import mode"));
    }
    ctx.out.ok();
    Ok(())
}
