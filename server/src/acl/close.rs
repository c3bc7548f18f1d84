//! Which connections a change of users ends.

use std::sync::Arc;

use basalt_engine::acl::User;

use super::Account;
use crate::client::Conn;
use crate::client::handle::Handle;
use crate::pubsub::Kind;
use crate::server::Server;

impl Server {
    /// Whether a client is logged in with one of these, or is the default user's without that.
    fn uses(&self, handle: &Handle, accounts: &[Arc<Account>]) -> bool {
        let labels = handle.labels.lock();
        let default = self.accounts.default_account();
        let own = labels.account.as_ref().unwrap_or(default);
        accounts.iter().any(|one| Arc::ptr_eq(own, one))
    }

    /// Closes the connections of users that are gone. The caller's own is closed behind its
    /// reply, and may do nothing until then: a transaction may go on.
    pub(super) fn close_clients_of(&self, conn: &mut Conn, gone: &[Arc<Account>]) {
        if gone.is_empty() {
            return;
        }
        let nobody = User::new(&basalt_engine::acl::Grammar {
            all_channels: false,
            ..self.acl_grammar()
        });
        // A connection may be logging in with one of them at this moment.
        gone.iter().for_each(|account| account.put(nobody.clone()));
        for handle in self.clients.all() {
            if handle.id == conn.handle.id || !self.uses(&handle, gone) {
                continue;
            }
            self.close_client(&handle);
        }
        if gone.iter().any(|one| Arc::ptr_eq(one, &conn.account)) {
            conn.authenticated = false;
            conn.close_after_reply = true;
        }
    }

    /// Closes those who listen to a channel or pattern that their user may no longer use.
    pub(super) fn close_lost_subscribers(&self, conn: &mut Conn, account: &Arc<Account>) {
        let rules = account.rules();
        let own = std::slice::from_ref(account);
        let lost = self.pubsub.listeners_who(|handle, kind, name| {
            self.uses(handle, own) && !rules.allows_channel(name, kind == Kind::Pattern)
        });
        for handle in lost {
            if handle.id == conn.handle.id {
                conn.close_now = true;
            } else {
                self.close_client(&handle);
            }
        }
    }
}
