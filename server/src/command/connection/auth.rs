//! AUTH, and the check of a password.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::client::Conn;

/// The rows of this file.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "auth",
    group: Group::Connection,
    summary: "Logs the connection in with a password, as the default or a named user.",
    complexity: "O(N) for N passwords of the user.",
    arity: -2,
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::NO_AUTH)
        .or(Flags::SENTINEL)
        .or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    args: &[
        ArgSpec {
            since: "6.0.0",
            optional: true,
            ..ArgSpec::new("username", ArgType::String)
        },
        ArgSpec::new("password", ArgType::String),
    ],
    history: &[("6.0.0", "A user name may come before the password.")],
    handler: auth,
    ..CommandSpec::BLANK
}];

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_SET: &str = "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";

/// The only user there is.
const DEFAULT_USER: &[u8] = b"default";

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let conn = Conn::of(ctx);
    let (user, password) = match args {
        [_, password] => {
            if conn.server.password.lock().is_none() {
                return Err(ReplyError::err(NO_PASSWORD_SET));
            }
            (DEFAULT_USER, *password)
        }
        [_, user, password] => (*user, *password),
        _ => return Err(ReplyError::SYNTAX),
    };
    log_in(conn, user, password)?;
    ctx.out.ok();
    Ok(())
}

/// Marks the connection as authenticated if the password is the user's. The work done does not
/// depend on how much of the password is right, nor on whether the user exists.
///
/// # Errors
/// `WRONGPASS`.
pub(super) fn log_in(conn: &mut Conn, user: &[u8], password: &[u8]) -> CmdResult {
    let given: [u8; 32] = Sha256::digest(password).into();
    let wanted = *conn.server.password.lock();
    let fits = match wanted {
        Some(wanted) => bool::from(given.ct_eq(&wanted)),
        None => true,
    };
    if user == DEFAULT_USER && fits {
        conn.authenticated = true;
        return Ok(());
    }
    conn.server.stats.acl_denied_auth.fetch_add(1, Relaxed);
    Err(ReplyError::raw(WRONG_PASSWORD))
}
