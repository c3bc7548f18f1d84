//! AUTH, and the check of a password.

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::{ReplyError, Session};

use crate::acl::{DEFAULT, Reason, Refusal};
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

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    let (user, password) = match args {
        [_, password] => {
            if conn
                .server
                .accounts
                .default_account()
                .rules()
                .needs_no_password()
            {
                return Err(ReplyError::err(NO_PASSWORD_SET));
            }
            (DEFAULT, *password)
        }
        [_, user, password] => (*user, *password),
        _ => return Err(ReplyError::SYNTAX),
    };
    log_in(conn, ctx.session, args, (user, password))?;
    ctx.out.ok();
    Ok(())
}

/// Logs the connection in if the password is the user's.
///
/// # Errors
/// `WRONGPASS`.
pub(super) fn log_in(
    conn: &mut Conn,
    session: &Session,
    args: Args<'_>,
    (user, password): (&[u8], &[u8]),
) -> CmdResult {
    if let Some(account) = conn.server.accounts.authenticate(user, password) {
        conn.become_user(account);
        return Ok(());
    }
    let refusal = Refusal {
        reason: Reason::Auth,
        context: conn.context(session),
        username: user,
        object: args.first().copied().unwrap_or_default(),
    };
    conn.server.note_refusal(&conn.handle, refusal);
    Err(ReplyError::raw(WRONG_PASSWORD))
}
