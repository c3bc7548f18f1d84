//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! EXEC runs with the locks of everything the queued commands and the watched keys touch, so
//! the check of the watches and all effects are one atomic step.

use std::sync::Arc;

use super::ctx::Ctx;
use super::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
    Locking,
};
use crate::error::ReplyError;
use crate::keyspace::shard::{Shard, Watcher};
use crate::keyspace::watch::WatchKey;
use crate::keyspace::{Keyspace, Place};
use crate::script::running::Left;
use crate::session::{Session, WatchFlag, WatchedKey};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "multi",
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Opens a transaction: commands are queued from here on.",
        complexity: "O(1)",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_MULTI)
            .or(Flags::ALLOW_BUSY),
        acl: Acl::TRANSACTION,
        handler: multi,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "exec",
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Runs the queued commands in one go, unless a watched key has changed.",
        complexity: "That of the queued commands.",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SKIP_SLOWLOG),
        acl: Acl::TRANSACTION,
        locking: Locking::Queued,
        handler: exec,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "discard",
        group: Group::Transactions,
        since: "2.0.0",
        summary: "Drops the queued commands and leaves the transaction.",
        complexity: "O(N) for N queued commands.",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::ALLOW_BUSY),
        acl: Acl::TRANSACTION,
        locking: Locking::Queued,
        handler: discard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "watch",
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Makes the next `EXEC` conditional on keys staying unchanged.",
        complexity: "O(1) a key.",
        arity: -2,
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_MULTI)
            .or(Flags::ALLOW_BUSY),
        acl: Acl::TRANSACTION,
        keys: &[KeySpec::index(1, FindKeys::Range(-1, 1, 0), KeyFlags::RO)],
        args: &[ArgSpec {
            key_spec: 0,
            multiple: true,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: watch,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "unwatch",
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Gives up every key this connection watches.",
        complexity: "O(1)",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::ALLOW_BUSY),
        acl: Acl::TRANSACTION,
        locking: Locking::Queued,
        handler: unwatch,
        ..CommandSpec::BLANK
    },
];

fn multi(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.session.txn.is_some() {
        return Err(ReplyError::NESTED_MULTI);
    }
    ctx.session.txn = Some(Default::default());
    ctx.out.ok();
    Ok(())
}

fn discard(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.session.txn.take().is_none() {
        return Err(ReplyError::DISCARD_WITHOUT_MULTI);
    }
    forget_watches(ctx);
    ctx.out.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if ctx.session.txn.is_some() {
        return Err(ReplyError::WATCH_IN_MULTI);
    }
    let db = ctx.ks.db;
    for key in &args[1..] {
        if ctx
            .session
            .watched
            .iter()
            .any(|watched| watched.db == db && *watched.key == **key)
        {
            continue;
        }
        let stale = ctx.ks.is_past_expiry(key);
        let shard = ctx.ks.shard_mut(Place::of(key).shard());
        shard
            .watched
            .entry((db, (*key).into()))
            .or_default()
            .push(Watcher {
                flag: ctx.session.watch.clone(),
                stale,
            });
        ctx.session.watched.push(WatchedKey {
            db,
            key: (*key).into(),
        });
    }
    ctx.out.ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    forget_watches(ctx);
    ctx.out.ok();
    Ok(())
}

/// Ends all watches of the session. Every shard of a watched key is locked.
fn forget_watches(ctx: &mut Ctx<'_>) {
    let flag = std::mem::take(&mut ctx.session.watch);
    let watched = std::mem::take(&mut ctx.session.watched);
    ctx.end_watches([(flag, watched)]);
}

impl Ctx<'_> {
    /// Ends watches. Every shard of a watched key is locked.
    pub(crate) fn end_watches(&mut self, left: impl IntoIterator<Item = Left>) {
        for (flag, watched) in left {
            for watched in watched {
                let shard = self.ks.shard_mut(Place::of(&watched.key).shard());
                shard.end_watch(watched, &flag);
            }
        }
    }
}

impl Shard {
    fn end_watch(&mut self, watched: WatchedKey, flag: &Arc<WatchFlag>) {
        let at = (watched.db, watched.key);
        if let Some(flags) = self.watched.get_mut(&at) {
            flags.retain(|other| !Arc::ptr_eq(&other.flag, flag));
            if flags.is_empty() {
                self.watched.remove(&at);
            }
        }
    }
}

impl crate::engine::Engine {
    /// Ends all watches of a session that goes away: now, or when the script ends that holds
    /// the shards.
    pub fn release_watches(&self, session: &mut Session) {
        let flag = std::mem::take(&mut session.watch);
        let watched = std::mem::take(&mut session.watched);
        if watched.is_empty() {
            return;
        }
        let mut left = Some((flag, watched));
        let leave = || left.take().unwrap_or_default();
        if self.scripts.running.leave(leave) {
            return;
        }
        let (flag, watched) = left.unwrap_or_default();
        for watched in watched {
            let mut shard = self.shards[Place::of(&watched.key).shard()].lock.lock();
            shard.end_watch(watched, &flag);
        }
    }
}

/// Whether a watched key changed, or its time came since it was watched.
fn watches_failed(ctx: &mut Ctx<'_>) -> bool {
    if ctx.session.watch.is_raised() {
        return true;
    }
    let db = ctx.ks.db;
    let failed = ctx.session.watched.iter().any(|watched| {
        ctx.ks.db = watched.db;
        ctx.ks.is_past_expiry(&watched.key) && !is_stale(&ctx.ks, &ctx.session.watch, watched)
    });
    ctx.ks.db = db;
    failed
}

/// Whether the key was past its time already when this session began to watch it.
fn is_stale(ks: &Keyspace<'_>, flag: &Arc<WatchFlag>, watched: &WatchedKey) -> bool {
    let shard = ks.held.shard(Place::of(&watched.key).shard());
    let at: &dyn WatchKey = &(watched.db, &*watched.key);
    let mut watchers = shard.watched.get(at).into_iter().flatten();
    watchers.any(|watcher| watcher.stale && Arc::ptr_eq(&watcher.flag, flag))
}

fn exec(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let Some(txn) = ctx.session.txn.take() else {
        return Err(ReplyError::EXEC_WITHOUT_MULTI);
    };
    let changed = watches_failed(ctx);
    forget_watches(ctx);
    if txn.failed {
        return Err(ReplyError::EXEC_ABORT);
    }
    if changed {
        ctx.out.null_array();
        return Ok(());
    }
    ctx.out.array(txn.queue.len());
    let denied = std::mem::replace(&mut ctx.session.deny_blocking, true);
    for queued in &txn.queue {
        let args = queued.args.slices();
        match ctx.host.before_queued(queued.command, &args) {
            Err(refused) => ctx.out.error(&refused),
            Ok(()) => {
                let result = ctx.run(queued.command, &args);
                ctx.host
                    .after_queued(queued.command, &args, result.as_ref().err());
            }
        }
    }
    ctx.session.deny_blocking = denied;
    // The effects of the queued commands are settled; EXEC itself adds none.
    ctx.propagate_nothing();
    Ok(())
}

impl Keyspace<'_> {
    /// Whether a key is there but past its time. Leaves no trace.
    fn is_past_expiry(&self, key: &[u8]) -> bool {
        self.glance(key)
            .is_some_and(|found| found.header.is_expired(self.due_ms))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn runs_what_was_queued_in_order() {
        let mut c = Client::new();
        assert_eq!(c.run("MULTI"), "+OK\r\n");
        assert_eq!(c.run("SET a 1"), "+QUEUED\r\n");
        assert_eq!(c.run("GET a"), "+QUEUED\r\n");
        assert_eq!(c.run("EXEC"), "*2\r\n+OK\r\n$1\r\n1\r\n");
        assert_eq!(c.run("EXEC"), "-ERR EXEC without MULTI\r\n");
    }

    #[test]
    fn a_command_that_cannot_be_queued_fails_exec() {
        let mut c = Client::new();
        c.run("MULTI");
        assert_eq!(
            c.run("GET"),
            "-ERR wrong number of arguments for 'get' command\r\n"
        );
        assert_eq!(
            c.run("EXEC"),
            "-EXECABORT Transaction discarded because of previous errors.\r\n"
        );
    }

    #[test]
    fn a_changed_watched_key_cancels() {
        let mut c = Client::new();
        let mut other = c.other();
        c.run("SET k 1");
        c.run("WATCH k");
        other.run("SET k 2");
        c.run("MULTI");
        c.run("SET k 3");
        assert_eq!(c.run("EXEC"), "*-1\r\n");
        assert_eq!(c.run("GET k"), "$1\r\n2\r\n");
    }

    #[test]
    fn unwatch_forgets_the_change() {
        let mut c = Client::new();
        let mut other = c.other();
        c.run("WATCH k");
        other.run("SET k 2");
        c.run("UNWATCH");
        c.run("MULTI");
        c.run("PERSIST k");
        assert_eq!(c.run("EXEC"), "*1\r\n:0\r\n");
    }

    #[test]
    fn a_watched_key_that_expires_cancels() {
        let mut c = Client::new();
        c.run("SET k 1 PX 10");
        c.run("WATCH k");
        c.now_ms += 11;
        c.run("MULTI");
        c.run("PING2");
        assert!(c.run("EXEC").starts_with("-EXECABORT"));
        c.run("SET k 1 PX 10");
        c.run("WATCH k");
        c.now_ms += 11;
        c.run("MULTI");
        c.run("GET k");
        assert_eq!(c.run("EXEC"), "*-1\r\n");
    }

    /// The DEL of a key that expired inside EXEC was logged before everything EXEC did, so a
    /// replay refused the conditional write after it.
    #[test]
    fn an_expiry_inside_exec_keeps_its_place_in_the_log() {
        let mut c = Client::new();
        let log = c.record_log();
        c.run("MULTI");
        c.run("SET q a PXAT 1");
        c.run("SET q b NX");
        c.run("EXEC");
        assert_eq!(
            log.take(),
            ["MULTI", "SET q a PXAT 1", "DEL q", "SET q b NX", "EXEC"]
        );
        c.run("SET e 1 PX 1");
        c.now_ms += 5;
        log.take();
        c.run("GET e");
        assert_eq!(log.take(), ["DEL e"]);
    }
}
