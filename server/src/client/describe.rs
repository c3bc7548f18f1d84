//! The line of a client in CLIENT LIST, CLIENT INFO and the log.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::Registry;

use super::handle::Handle;

/// Reply bytes shown as `obl`. They do not count for output limits.
pub const FIRST_BLOCK: usize = 16 * 1024;
/// What is beyond them counts in blocks of this size, which is what Redis allocates, so that
/// limits hit at the same point.
const FURTHER_BLOCK: usize = 20 * 1024;
/// Bytes counted for a subscription, a tracked prefix or a watched key besides its name.
const SUBSCRIPTION_BYTES: usize = 64;

/// How many reply bytes wait, in the terms of CLIENT LIST.
pub struct Output {
    /// In the first buffer.
    pub first: usize,
    /// Further blocks.
    pub blocks: usize,
    /// Bytes of these.
    pub rest: usize,
}

impl Output {
    /// Splits this many bytes.
    pub fn of(pending: usize) -> Output {
        let first = pending.min(FIRST_BLOCK);
        let blocks = (pending - first).div_ceil(FURTHER_BLOCK);
        Output {
            first,
            blocks,
            rest: blocks * FURTHER_BLOCK,
        }
    }
}

impl Handle {
    /// One line on the client, without a line end.
    pub fn describe(&self, registry: &Registry, now_ms: i64) -> Vec<u8> {
        let labels = self.labels.lock().clone();
        let mut line = format!(
            "id={} addr={} laddr={} fd={} name=",
            self.id, self.addr, self.laddr, self.fd
        )
        .into_bytes();
        line.extend_from_slice(&labels.name);
        let seconds = |since: i64| (now_ms.div_euclid(1000) - since.div_euclid(1000)).max(0);
        let output = Output::of(self.pending());
        let id = self.last_command.load(Relaxed) as usize;
        let text = format!(
            " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={} user=",
            seconds(self.created_ms),
            seconds(self.last_active_ms.load(Relaxed)),
            self.flags(),
            self.db.load(Relaxed),
            self.channels.load(Relaxed),
            self.patterns.load(Relaxed),
            self.shard_channels.load(Relaxed),
            self.multi.load(Relaxed),
            self.query_bytes.load(Relaxed),
            self.query_free.load(Relaxed),
            self.argv_bytes.load(Relaxed),
            self.multi_bytes.load(Relaxed),
            self.reply_capacity.load(Relaxed),
            self.reply_peak.load(Relaxed),
            output.first,
            output.blocks,
            output.rest,
            self.memory(),
            if self.pending() > 0 { "rw" } else { "r" },
            registry
                .all()
                .get(id)
                .map_or("NULL", |command| command.name.as_str()),
        );
        line.extend_from_slice(text.as_bytes());
        line.extend_from_slice(labels.user());
        let (redirection, resp) = (self.redirection(), self.resp.load(Relaxed));
        let text = format!(" redir={redirection} resp={resp} lib-name=");
        line.extend_from_slice(text.as_bytes());
        line.extend_from_slice(&labels.lib_name);
        line.extend_from_slice(b" lib-ver=");
        line.extend_from_slice(&labels.lib_ver);
        line
    }

    /// Bytes this client takes.
    pub fn memory(&self) -> usize {
        let subscriptions =
            self.subscriptions() + self.tracking.lock().prefixes.len() + self.watch.load(Relaxed);
        size_of::<Handle>()
            + size_of::<super::task::Client>()
            + self.query_bytes.load(Relaxed)
            + self.query_free.load(Relaxed)
            + self.reply_capacity.load(Relaxed).max(self.pending())
            + self.argv_bytes.load(Relaxed)
            + self.multi_bytes.load(Relaxed)
            + subscriptions * SUBSCRIPTION_BYTES
    }

    /// Where invalidation messages go: -1 without tracking, 0 to the client itself.
    pub fn redirection(&self) -> i64 {
        let mode = self.tracking.lock();
        if !mode.on {
            return -1;
        }
        mode.redirect
            .as_ref()
            .map_or(0, |target| i64::try_from(target.id).unwrap_or(i64::MAX))
    }

    /// The letters of its state, `N` without any.
    pub fn flags(&self) -> String {
        let mode = self.tracking.lock();
        let (tracks, broken, bcast) = (mode.on, mode.broken, mode.bcast);
        drop(mode);
        let changed = self
            .watch_flag
            .lock()
            .as_ref()
            .is_some_and(|flag| flag.is_raised());
        let blocked = self.blocked.load(Relaxed) || self.paused.load(Relaxed);
        let shown: String = [
            (self.monitor.load(Relaxed), 'O'),
            (self.subscriptions() > 0, 'P'),
            (self.multi.load(Relaxed) >= 0, 'x'),
            (blocked, 'b'),
            (tracks, 't'),
            (broken, 'R'),
            (bcast, 'B'),
            (changed, 'd'),
            (self.closing.load(Relaxed), 'c'),
            (self.gone.load(Relaxed), 'A'),
            (self.unix, 'U'),
            (self.no_evict.load(Relaxed), 'e'),
            (self.no_touch.load(Relaxed), 'T'),
        ]
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, letter)| letter)
        .collect();
        if shown.is_empty() { "N".into() } else { shown }
    }
}
