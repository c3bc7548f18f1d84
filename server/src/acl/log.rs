//! ACL LOG: refused requests and logins, newest first; what happens again is counted.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::acl::Denied;
use parking_lot::Mutex;

use crate::client::handle::Handle;
use crate::server::{Server, unix_ms};

/// Entries that are looked at for one that happens again, and how old it may be.
const LOOKED_AT: usize = 10;
const SAME_WITHIN_MS: u64 = 60_000;
/// Bytes kept of a name: keys may be large, and whoever is refused chooses them.
const MAX_NAME_BYTES: usize = 4096;

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the reasons are the field's own terms")]
pub enum Reason {
    Command,
    Key,
    Channel,
    Auth,
}

impl Reason {
    /// The word in ACL LOG.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

impl From<Denied> for Reason {
    fn from(denied: Denied) -> Reason {
        match denied {
            Denied::Command => Reason::Command,
            Denied::Key(_) => Reason::Key,
            Denied::Channel(_) => Reason::Channel,
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// A client.
    Toplevel,
    /// A client's transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// The word in ACL LOG.
    pub const fn name(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// A refusal, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// What was refused.
    pub reason: Reason,
    /// Where it came from.
    pub context: Context,
    /// The user, for a login the one that was named.
    pub username: &'a [u8],
    /// The command, key or channel.
    pub object: &'a [u8],
}

/// An entry of the log.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of ACL LOG")]
pub struct Entry {
    pub id: i64,
    pub count: i64,
    pub reason: Reason,
    pub context: Context,
    pub object: Vec<u8>,
    pub username: Vec<u8>,
    pub client_info: Vec<u8>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    next_id: i64,
}

/// The log.
#[derive(Default)]
pub struct AclLog {
    inner: Mutex<Inner>,
}

impl AclLog {
    fn push(&self, refusal: Refusal<'_>, client_info: Vec<u8>, now_ms: i64, max_len: usize) {
        let short = |name: &[u8]| name.get(..MAX_NAME_BYTES).unwrap_or(name).to_vec();
        let mut inner = self.inner.lock();
        let entry = Entry {
            id: inner.next_id,
            count: 1,
            reason: refusal.reason,
            context: refusal.context,
            object: short(refusal.object),
            username: short(refusal.username),
            client_info,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let same = |old: &Entry| {
            (old.reason, old.context) == (entry.reason, entry.context)
                && old.updated_ms.abs_diff(now_ms) <= SAME_WITHIN_MS
                && old.object == entry.object
                && old.username == entry.username
        };
        let known = inner.entries.iter().take(LOOKED_AT).position(same);
        if let Some(mut again) = known.and_then(|at| inner.entries.remove(at)) {
            again.count += 1;
            (again.client_info, again.updated_ms) = (entry.client_info, now_ms);
            inner.entries.push_front(again);
            return;
        }
        inner.next_id += 1;
        inner.entries.push_front(entry);
        inner.entries.truncate(max_len);
    }

    /// The newest entries.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        let inner = self.inner.lock();
        inner.entries.iter().take(count).cloned().collect()
    }

    /// Empties it.
    pub fn clear(&self) {
        self.inner.lock().entries.clear();
    }
}

impl Server {
    /// Counts and logs a refusal of a client.
    pub fn note_refusal(&self, handle: &Handle, refusal: Refusal<'_>) {
        let counter = match refusal.reason {
            Reason::Auth => &self.stats.acl_denied_auth,
            Reason::Command => &self.stats.acl_denied_cmd,
            Reason::Key => &self.stats.acl_denied_key,
            Reason::Channel => &self.stats.acl_denied_channel,
        };
        counter.fetch_add(1, Relaxed);
        let now_ms = unix_ms();
        let info = handle.describe(self.engine.registry, now_ms);
        let max_len = self.config.load().acllog_max_len;
        let max_len = usize::try_from(max_len).unwrap_or(usize::MAX);
        self.accounts.log.push(refusal, info, now_ms, max_len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Refusal<'static> = Refusal {
        reason: Reason::Key,
        context: Context::Toplevel,
        username: b"u",
        object: b"k",
    };

    fn ids(log: &AclLog) -> Vec<(i64, i64)> {
        let all = log.newest(usize::MAX);
        all.iter().map(|one| (one.id, one.count)).collect()
    }

    #[test]
    fn what_happens_again_is_counted_for_a_minute() {
        let log = AclLog::default();
        log.push(KEY, b"first".to_vec(), 0, 5);
        log.push(
            Refusal {
                object: b"x",
                ..KEY
            },
            Vec::new(),
            0,
            5,
        );
        log.push(KEY, b"second".to_vec(), 60_000, 5);
        assert_eq!(ids(&log), [(0, 2), (1, 1)]);
        let newest = &log.newest(1)[0];
        assert_eq!((newest.created_ms, newest.updated_ms), (0, 60_000));
        assert_eq!(newest.client_info, b"second");
        log.push(KEY, Vec::new(), 120_001, 5);
        assert_eq!(ids(&log), [(2, 1), (0, 2), (1, 1)]);
        let lua = Context::Lua;
        log.push(
            Refusal {
                context: lua,
                ..KEY
            },
            Vec::new(),
            120_001,
            2,
        );
        assert_eq!(ids(&log), [(3, 1), (2, 1)]);
    }

    #[test]
    fn no_more_than_ten_entries_are_compared_and_names_are_cut() {
        let log = AclLog::default();
        let big = vec![b'k'; 2 * MAX_NAME_BYTES];
        log.push(
            Refusal {
                object: &big,
                ..KEY
            },
            Vec::new(),
            0,
            128,
        );
        assert_eq!(log.newest(1)[0].object.len(), MAX_NAME_BYTES);
        for n in 0..10u8 {
            log.push(
                Refusal {
                    object: &[n],
                    ..KEY
                },
                Vec::new(),
                0,
                128,
            );
        }
        log.push(
            Refusal {
                object: &big,
                ..KEY
            },
            Vec::new(),
            0,
            128,
        );
        assert_eq!(ids(&log)[0], (11, 1));
        log.clear();
        assert!(ids(&log).is_empty());
    }
}
