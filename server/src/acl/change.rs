//! ACL SETUSER and DELUSER, `requirepass`, and putting a whole set of users in the place of
//! another.

use basalt_engine::acl::{User, merge_selectors};
use basalt_engine::{ReplyError, shown};

use super::{Account, Accounts, DEFAULT, Table};
use crate::client::Conn;
use crate::server::Server;

impl Accounts {
    /// Puts users in the place of all there are; what is returned was taken away. There is
    /// always a default user.
    fn replace(&self, users: Vec<(Vec<u8>, User)>, default: User) -> Table {
        self.default.put(default);
        let fresh = users
            .into_iter()
            .map(|(name, user)| (name.clone().into(), Account::new(&name, user)))
            .chain([(DEFAULT.into(), self.default.clone())]);
        let mut old = std::mem::replace(&mut *self.by_name.write(), fresh.collect());
        old.remove(DEFAULT);
        old
    }
}

impl Server {
    /// Creates a user or changes its rules, by all of the words or, if one is wrong, not at all.
    ///
    /// # Errors
    /// Redis's text for what is wrong.
    pub fn set_user(
        &self,
        conn: &mut Conn,
        name: &[u8],
        words: &[&[u8]],
    ) -> Result<(), ReplyError> {
        let grammar = self.acl_grammar();
        let rules = merge_selectors(words).map_err(|at| {
            ReplyError::err(format_args!(
                "Unmatched parenthesis in acl selector starting at '{}'.",
                shown(words.get(at).copied().unwrap_or_default())
            ))
        })?;
        let turn = self.accounts.changing.lock();
        let account = self.accounts.get(name);
        let before = account.as_ref().map(|account| account.rules.load_full());
        let mut user = match &before {
            Some(before) => User::clone(before),
            None => User::new(&grammar),
        };
        for rule in &rules {
            user.apply(&grammar, rule).map_err(|error| {
                ReplyError::err(format_args!(
                    "Error in ACL SETUSER modifier '{}': {error}",
                    shown(rule)
                ))
            })?;
        }
        match (account, before) {
            (Some(account), Some(before)) => {
                let loses = !user.keeps_channels_of(&before);
                account.put(user);
                if loses {
                    self.close_lost_subscribers(conn, &account);
                }
            }
            _ => {
                let account = Account::new(name, user);
                self.accounts.by_name.write().insert(name.into(), account);
            }
        }
        self.follow_default_user();
        drop(turn);
        Ok(())
    }

    /// Deletes a user and closes its connections; false if there is none.
    pub fn delete_user(&self, conn: &mut Conn, name: &[u8]) -> bool {
        let _turn = self.accounts.changing.lock();
        let account = self.accounts.by_name.write().remove(name);
        let gone = account.into_iter().collect::<Vec<_>>();
        self.close_clients_of(conn, &gone);
        !gone.is_empty()
    }

    /// `requirepass`: the one password of the default user.
    pub fn set_default_password(&self, password: Option<&[u8]>) {
        let _turn = self.accounts.changing.lock();
        let mut user = User::clone(&self.accounts.default.rules());
        user.set_password(password.filter(|password| !password.is_empty()));
        self.accounts.default.put(user);
        self.follow_default_user();
    }

    /// Puts users in the place of all there are. Connections of others than the default user are
    /// closed, whether or not there is a user with that name again.
    pub(super) fn replace_users(&self, conn: Option<&mut Conn>, mut users: Vec<(Vec<u8>, User)>) {
        let _turn = self.accounts.changing.lock();
        let default = users
            .iter()
            .position(|(name, _)| name == DEFAULT)
            .map_or_else(
                || User::all_powerful(&self.acl_grammar()),
                |at| users.swap_remove(at).1,
            );
        let gone: Vec<_> = self
            .accounts
            .replace(users, default)
            .into_values()
            .collect();
        if let Some(conn) = conn {
            self.close_clients_of(conn, &gone);
        }
        self.follow_default_user();
    }
}
