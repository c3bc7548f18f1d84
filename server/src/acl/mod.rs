//! The users of the process, and what is done with them: logging in, changes, the ACL file, the
//! log of refusals. What a user may do is `basalt_engine::acl`.
//!
//! A connection holds the [`Account`] it is logged in with. Its rules are replaced as a whole, so
//! a request is checked against the old ones or the new ones, never a mixture; the flag beside
//! them is all that a request of an unrestricted user looks at. An account that was deleted lives
//! on for the connections that hold it until they are closed, and allows nothing.

mod change;
mod close;
mod file;
mod log;
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::{ArcSwap, Guard};
use basalt_engine::acl::{Grammar, User};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub use log::{AclLog, Context, Entry, Reason, Refusal};
pub use start::UserLines;

use crate::config::AclPubsubDefault;
use crate::server::Server;

/// The user of connections that did not log in.
pub const DEFAULT: &[u8] = b"default";

/// A user's name and its rules, which may change.
pub struct Account {
    name: Box<[u8]>,
    rules: ArcSwap<User>,
    /// The rules allow everything.
    free: AtomicBool,
}

impl Account {
    fn new(name: &[u8], user: User) -> Arc<Account> {
        Arc::new(Account {
            name: name.into(),
            free: AtomicBool::new(user.is_unrestricted()),
            rules: ArcSwap::from_pointee(user),
        })
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it may do everything, so that its requests need not be looked at.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.free.load(Relaxed)
    }

    /// The rules for a short look.
    pub fn rules(&self) -> Guard<Arc<User>> {
        self.rules.load()
    }

    fn put(&self, user: User) {
        let free = user.is_unrestricted();
        if !free {
            self.free.store(false, Relaxed);
        }
        self.rules.store(Arc::new(user));
        self.free.store(free, Relaxed);
    }
}

type Table = BTreeMap<Box<[u8]>, Arc<Account>>;

/// All users.
pub struct Accounts {
    /// The one of connections that did not log in; it stays the same whatever its rules become.
    default: Arc<Account>,
    by_name: RwLock<Table>,
    /// Held while rules change: a change is made from the rules before it.
    changing: Mutex<()>,
    /// Refused requests and logins.
    pub log: AclLog,
}

impl Accounts {
    /// The default user alone, with this password if there is one.
    pub fn new(grammar: &Grammar<'_>, password: Option<&[u8]>) -> Accounts {
        let mut user = User::all_powerful(grammar);
        user.set_password(password);
        let default = Account::new(DEFAULT, user);
        Accounts {
            by_name: RwLock::new(Table::from([(DEFAULT.into(), default.clone())])),
            default,
            changing: Mutex::new(()),
            log: AclLog::default(),
        }
    }

    /// The user of connections that did not log in.
    pub fn default_account(&self) -> &Arc<Account> {
        &self.default
    }

    /// The user with this name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<Account>> {
        self.by_name.read().get(name).cloned()
    }

    /// All users by name.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.by_name.read().values().cloned().collect()
    }

    /// Each user as a line of an ACL file has it behind `user `.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let line = |one: &Arc<Account>| [one.name(), b" ", &one.rules().describe()[..]].concat();
        self.by_name.read().values().map(line).collect()
    }

    /// The user, if it may log in with this password. The work does not depend on how much of
    /// the password is right, nor on whether there is such a user.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        let given: [u8; 32] = Sha256::digest(password).into();
        let account = self.get(name);
        let rules = account.as_ref().unwrap_or(&self.default).rules();
        let nobodys = [[0; 32]];
        let passwords = match rules.passwords() {
            [] => &nobodys[..],
            some => some,
        };
        let fits = passwords
            .iter()
            .fold(Choice::from(0), |fits, own| fits | given.ct_eq(own));
        let fits = bool::from(fits) && !rules.passwords().is_empty();
        account.filter(|_| rules.is_enabled() && (fits || rules.needs_no_password()))
    }
}

impl Server {
    /// What rules mean here and now.
    pub fn acl_grammar(&self) -> Grammar<'_> {
        Grammar {
            registry: self.engine.registry,
            all_channels: self.config.load().acl_pubsub_default == AclPubsubDefault::AllChannels,
        }
    }

    /// Whether connections are not logged in before they say a password.
    fn follow_default_user(&self) {
        let rules = self.accounts.default.rules();
        let open = rules.needs_no_password() && rules.is_enabled();
        self.hot.auth_required.store(!open, Relaxed);
    }
}
