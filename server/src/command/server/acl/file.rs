//! ACL LOAD and SAVE.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Args, CmdResult, CommandSpec, Group};

use super::ADMIN_FLAGS;
use crate::client::Conn;
use crate::config::text::os_reason;

/// `ACL LOAD`.
pub(super) const LOAD: CommandSpec = CommandSpec {
    name: "load",
    group: Group::Server,
    since: "6.0.0",
    summary: "Replaces the users by those of the ACL file.",
    complexity: "O(N) for N users.",
    arity: 2,
    flags: ADMIN_FLAGS,
    handler: acl_load,
    ..CommandSpec::BLANK
};

/// `ACL SAVE`.
pub(super) const SAVE: CommandSpec = CommandSpec {
    name: "save",
    group: Group::Server,
    since: "6.0.0",
    summary: "Writes the current users to the ACL file.",
    complexity: "O(N) for N users.",
    arity: 2,
    flags: ADMIN_FLAGS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: acl_save,
    ..CommandSpec::BLANK
};

/// Whether there is a file.
fn required_file(conn: &Conn) -> CmdResult {
    if conn.server.config.load().aclfile.is_empty() {
        return Err(ReplyError::err(
            "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    Ok(())
}

fn acl_load(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    required_file(conn)?;
    let server = conn.server.clone();
    server.load_acl_file(Some(conn)).map_err(ReplyError::err)?;
    ctx.out.ok();
    Ok(())
}

fn acl_save(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let conn = Conn::from_host(ctx.host);
    required_file(conn)?;
    if let Err(error) = conn.server.save_acl_file() {
        tracing::warn!("Writing ACL file for ACL SAVE: {}", os_reason(&error));
        return Err(ReplyError::err(
            "There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    ctx.out.ok();
    Ok(())
}
