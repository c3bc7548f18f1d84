//! [`Server`]: everything the connections of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use basalt_engine::Engine;
use parking_lot::Mutex;

use crate::acl::Accounts;
use crate::client::handle::IDLE_MS;
use crate::client::registry::Clients;
use crate::client::tracking::TrackingTable;
use crate::config::ConfigStore;
use crate::monitor::Monitors;
use crate::pubsub::PubSub;
use crate::slowlog::SlowLog;
use crate::stats::Stats;

/// What is shared by all connections.
pub struct Server {
    /// The data.
    pub engine: Engine,
    /// The configuration.
    pub config: ConfigStore,
    /// Connected clients.
    pub clients: Arc<Clients>,
    /// Connections that MIGRATE keeps.
    pub links: crate::command::Links,
    /// Channels and patterns. Shared with the engine's event sink.
    pub pubsub: Arc<PubSub>,
    /// Client-side caching. Shared with the engine's event sink.
    pub tracking: Arc<TrackingTable>,
    /// Clients in MONITOR mode.
    pub monitors: Monitors,
    /// Removing keys when memory is short.
    pub eviction: crate::eviction::Eviction,
    /// What clients take, and closing the largest.
    pub client_memory: crate::client::eviction::ClientMemory,
    /// Counters.
    pub stats: Stats,
    /// Slow commands.
    pub slowlog: SlowLog,
    /// Requests of at least `commandlog-request-larger-than` bytes.
    pub large_requests: SlowLog,
    /// Commands with a reply of at least `commandlog-reply-larger-than` bytes.
    pub large_replies: SlowLog,
    /// Which keys cost the most.
    pub hotkeys: crate::hotkeys::HotKeys,
    /// Latency spikes by event.
    pub latency: crate::latency::LatencyMonitor,
    /// Commands paused by CLIENT PAUSE.
    pub pause: crate::client::pause::Pause,
    /// Copies of settings that every command or every connection reads.
    pub hot: Hot,
    /// Listeners, to change `port` and `bind` while running.
    pub listeners: crate::net::Listeners,
    /// Files of the data set.
    pub persist: crate::persist::Persist,
    /// A signal asked for the end of the process, which has not begun.
    pub stop_scheduled: AtomicBool,
    /// Backups to an object store.
    pub backups: crate::backup::Backups,
    /// 40 hex digits that name this run.
    pub run_id: String,
    /// 40 hex digits that name the data set's history.
    pub replication_id: Mutex<String>,
    /// When the process started.
    pub started: Instant,
    /// Unix time of the start in milliseconds.
    pub started_ms: i64,
    /// Peak of allocated bytes.
    pub peak_memory: AtomicU64,
    /// Average time left to the keys of each database that have an expiry, in milliseconds;
    /// brought up to date once a second.
    pub average_ttl_ms: Box<[AtomicI64]>,
    /// Allocated bytes when the server was ready.
    pub startup_memory: AtomicU64,
    /// Users, and what they were refused.
    pub accounts: Accounts,
}

/// Settings and modes read on hot paths, each kept up to date by whoever changes it.
#[derive(Debug, Default)]
pub struct Hot {
    /// `slowlog-log-slower-than` in microseconds, negative: off.
    pub slowlog_us: AtomicI64,
    /// `commandlog-request-larger-than` in bytes, negative: off.
    pub large_request: AtomicI64,
    /// `commandlog-reply-larger-than` in bytes, negative: off.
    pub large_reply: AtomicI64,
    /// `latency-monitor-threshold` in milliseconds, 0: off.
    pub latency_ms: AtomicI64,
    /// `latency-tracking`.
    pub latency_tracking: AtomicBool,
    /// `proto-max-bulk-len`.
    pub max_bulk: AtomicU64,
    /// `client-query-buffer-limit`.
    pub query_buffer_limit: AtomicU64,
    /// The default user needs a password.
    pub auth_required: AtomicBool,
    /// Somebody is in MONITOR mode.
    pub monitoring: AtomicBool,
    /// CLIENT PAUSE is in force.
    pub paused: AtomicBool,
    /// `client-output-buffer-limit` hard limits by class: normal, replica, pubsub.
    pub output_hard: [AtomicU64; 3],
    /// Soft limits, the same.
    pub output_soft: [AtomicU64; 3],
    /// Seconds a soft limit may be exceeded.
    pub output_soft_seconds: [AtomicU64; 3],
    /// The periodic work rests (`DEBUG PAUSE-CRON`).
    pub cron_paused: AtomicBool,
    /// `maxmemory`, 0: none.
    pub maxmemory: AtomicU64,
    /// `min-replicas-to-write` asks for replicas, of which there are none.
    pub lacks_replicas: AtomicBool,
    /// The data set is being loaded.
    pub loading: AtomicBool,
    /// Reply buffers are never given back (`DEBUG REPLYBUFFER RESIZING 0`).
    pub keeps_replies: AtomicBool,
    /// They are given back after so many idle milliseconds, 0: the usual.
    pub replies_kept_ms: AtomicI64,
}

impl Hot {
    /// The reply buffer of a client that is idle for longer, in milliseconds, is given back.
    pub fn reply_idle_ms(&self) -> i64 {
        match self.replies_kept_ms.load(Relaxed) {
            _ if self.keeps_replies.load(Relaxed) => i64::MAX,
            0 => IDLE_MS,
            ms => ms,
        }
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Unix time in microseconds.
pub fn unix_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}
