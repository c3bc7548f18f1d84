//! Whether the user of a connection may run a command: what is asked before each command, in a
//! transaction and a script again, and when a wait is over.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use basalt_engine::acl::{Denied, User};
use basalt_engine::command::{Args, Command};
use basalt_engine::keyspace::blocked::Wake;
use basalt_engine::{ReplyError, Session};

use super::Conn;
use super::handle::{Handle, signal};
use crate::acl::{Account, Context, Refusal};
use crate::server::Server;
use crate::stats::bump;

/// Redis's error for a request that is denied.
fn no_permission(
    denied: Denied,
    account: &Account,
    command: &Command,
    args: Args<'_>,
) -> ReplyError {
    let message = denied.message(account.name(), command, args, false);
    ReplyError::raw(format!("NOPERM {message}"))
}

/// Checks a request against the rules of an account; what is refused is counted and logged as
/// that of this client.
fn check(
    account: &Account,
    (server, handle): (&Server, &Handle),
    context: Context,
    (command, args): (&Command, Args<'_>),
) -> Result<(), Denied> {
    let Err(denied) = account.rules().check(command, args) else {
        return Ok(());
    };
    let refusal = Refusal {
        reason: denied.into(),
        context,
        username: account.name(),
        object: denied.object(command, args),
    };
    server.note_refusal(handle, refusal);
    Err(denied)
}

impl Conn {
    /// Where the commands of a session come from, for the log of refusals.
    pub fn context(&self, session: &Session) -> Context {
        if session.txn.is_some() || session.deny_blocking {
            Context::Multi
        } else {
            Context::Toplevel
        }
    }

    /// Is logged in as this user from now on.
    pub fn become_user(&mut self, account: Arc<Account>) {
        self.handle.labels.lock().account = Some(account.clone());
        self.account = account;
        self.authenticated = true;
    }

    /// Is the default user's again, as a new connection is.
    pub fn become_default(&mut self) {
        self.handle.labels.lock().account = None;
        self.account = self.server.accounts.default_account().clone();
        self.authenticated = !self.server.hot.auth_required.load(Relaxed);
    }

    /// Why its user may not run a command.
    #[inline]
    pub(super) fn forbids(
        &self,
        session: &Session,
        command: &Command,
        args: Args<'_>,
    ) -> Option<ReplyError> {
        if self.account.is_free() {
            return None;
        }
        self.forbids_limited(session, command, args)
    }

    /// Kept apart, so that all that an unrestricted user pays for is the flag.
    #[inline(never)]
    fn forbids_limited(
        &self,
        session: &Session,
        command: &Command,
        args: Args<'_>,
    ) -> Option<ReplyError> {
        let (account, us) = (&self.account, (&*self.server, &*self.handle));
        let denied = check(account, us, self.context(session), (command, args)).err()?;
        Some(no_permission(denied, account, command, args))
    }

    /// As [`Conn::forbids`], for a command that a script runs.
    pub(super) fn forbids_script(&self, command: &Command, args: Args<'_>) -> Option<ReplyError> {
        if self.account.is_free() {
            return None;
        }
        let (account, us) = (&self.account, (&*self.server, &*self.handle));
        let denied = check(account, us, Context::Lua, (command, args)).err()?;
        let message = denied.message(account.name(), command, args, false);
        Some(ReplyError::err(format_args!(
            "ACL failure in script: {message}"
        )))
    }

    /// As [`Conn::forbids`], for a queued command that EXEC comes to: rules may have changed since
    /// it was queued.
    pub(super) fn forbids_queued(&self, command: &Command, args: Args<'_>) -> Option<ReplyError> {
        if self.account.is_free() {
            return None;
        }
        let us = (&*self.server, &*self.handle);
        let denied = check(&self.account, us, Context::Multi, (command, args)).err()?;
        let reason = match denied {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => "no permission to access one of the channels used as arguments",
        };
        Some(ReplyError::raw(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {reason}"
        )))
    }

    /// What its user may do, if it may not do everything.
    pub(super) fn limits_of_user(&self) -> Option<Arc<User>> {
        (!self.account.is_free()).then(|| Arc::clone(&self.account.rules()))
    }

    /// Counts the command of a wait that was not run again.
    pub(super) fn refused_waiting(&self, command: &Command, error: &ReplyError) {
        bump(&self.worker.commands[command.id].rejected, 1);
        self.server.stats.count_error(error.code());
    }
}

/// The side of a client that those see who end its waits.
pub(super) struct WakeClient {
    server: Weak<Server>,
    handle: Arc<Handle>,
}

impl WakeClient {
    /// That of a client.
    pub fn new(server: &Arc<Server>, handle: &Arc<Handle>) -> WakeClient {
        WakeClient {
            server: Arc::downgrade(server),
            handle: handle.clone(),
        }
    }
}

impl Wake for WakeClient {
    fn wake(&self) {
        self.handle.raise(signal::UNBLOCKED);
    }

    fn permits(&self, command: &'static Command, args: &[&[u8]]) -> Result<(), ReplyError> {
        // Who waits cannot become somebody else meanwhile.
        let Some(server) = self.server.upgrade() else {
            return Ok(());
        };
        let own = self.handle.labels.lock().account.clone();
        let account = own.as_ref().unwrap_or(server.accounts.default_account());
        if account.is_free() {
            return Ok(());
        }
        check(
            account,
            (&server, &self.handle),
            Context::Toplevel,
            (command, args),
        )
        .map_err(|denied| no_permission(denied, account, command, args))
    }
}
