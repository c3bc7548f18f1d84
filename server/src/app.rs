//! Start-up and shutdown order of the server process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context;
use basalt_engine::Engine;
use basalt_engine::acl::Grammar;
use basalt_engine::command::{CommandSpec, DATA_GROUPS, Registry};
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;

use crate::acl::Accounts;
use crate::client::{registry::Clients, tracking::TrackingTable};
use crate::config::{Config, ConfigStore};
use crate::net::{Listeners, accept, listen, worker::Workers};
use crate::persist::Persist;
use crate::pubsub::{KeyspaceEvents, PubSub};
use crate::server::{Hot, Server, unix_ms};
use crate::{command, cron, eviction, logging, memory, persist};

/// Runs the server until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub fn run(config: Config, warnings: &[String]) -> anyhow::Result<()> {
    // A relative `logfile` is meant below `dir`.
    if !config.dir.as_os_str().is_empty() {
        std::env::set_current_dir(&config.dir)
            .with_context(|| format!("Can't chdir to '{}'", config.dir.display()))?;
    }
    logging::start(&config.logfile, config.loglevel);
    log_panics();
    announce(&config);
    warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    match basalt_engine::env::failpoint::arm_from_env() {
        Ok(0) => {}
        Ok(armed) => tracing::warn!("{armed} failpoints are armed: this is a test"),
        Err(reason) => anyhow::bail!(reason),
    }
    let config = fit_maxclients(config);
    let workers = if config.io_threads > 1 {
        config.io_threads as usize
    } else {
        1
    };
    let server = build(config)?;
    let config = server.config.snapshot();
    let mut sockets = listen::bind_tcp(&config).map_err(|reason| {
        tracing::warn!("{reason}");
        anyhow::anyhow!(reason)
    })?;
    if let Some(unix) = listen::bind_unix(&config).map_err(|reason| {
        tracing::warn!("{reason}");
        anyhow::anyhow!(reason)
    })? {
        server.listeners.set_unix_path(config.unixsocket.clone());
        sockets.push(unix);
    }
    if sockets.is_empty() {
        tracing::warn!("Configured to not listen anywhere, exiting.");
        anyhow::bail!("Configured to not listen anywhere, exiting.");
    }
    if let Some(path) = crate::shutdown::pidfile(&config)
        && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
    {
        tracing::warn!("Failed to write PID file: {error}");
    }
    if let Err(reason) = crate::oom_score::follow(&config) {
        tracing::warn!("{reason}");
    }
    tracing::info!("Server initialized");
    let workers = Arc::new(Workers::start(&server, workers)?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let Err(error) = crate::backup::on_start::restore(&config) {
        tracing::error!("restore-on-start: {error}");
        anyhow::bail!("restore-on-start: {error}");
    }
    let found = match server.find_data(&config) {
        Ok(found) => found.map(|source| persist::load::Pending::announce(&server, source)),
        Err(failure) => return Err(give_up(&server, failure)),
    };
    if found.is_none()
        && let Err(failure) = server.begin_log(None)
    {
        return Err(give_up(&server, failure));
    }
    let failure = LocalSet::new().block_on(&runtime, async {
        let (send, receive) = unbounded_channel();
        server.listeners.attach(send);
        tokio::task::spawn_local(accept::run(server.clone(), workers, receive));
        tokio::task::spawn_local(cron::run(server.clone()));
        tokio::task::spawn_local(eviction::run(server.clone()));
        tokio::task::spawn_local(signals(server.clone()));
        server.startup_memory.store(memory::used(), Relaxed);
        let has_unix = sockets
            .iter()
            .any(|socket| matches!(socket, listen::Listening::Unix(..)));
        let has_tcp = sockets.len() > usize::from(has_unix);
        // The acceptor is running: it cannot have gone away.
        server.listeners.listen(sockets);
        if let Some(pending) = found
            && let Err(failure) = pending.load(server.clone()).await
        {
            return failure;
        }
        if has_tcp {
            tracing::info!("Ready to accept connections tcp");
        }
        if has_unix {
            tracing::info!("Ready to accept connections unix");
        }
        // Whoever stops the server ends the process.
        std::future::pending().await
    });
    Err(give_up(&server, failure))
}

/// Logs why there is no data set to serve, which ends the process.
fn give_up(server: &Server, failure: persist::load::LoadFailure) -> anyhow::Error {
    server.clean_up();
    failure.log_fatal();
    failure.into()
}

/// Has every panic logged with where it happened.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        tracing::error!("Internal error{place}: {text}");
    }));
}

fn announce(config: &Config) {
    tracing::info!("oO0OoO0OoO0Oo Basalt is starting oO0OoO0OoO0Oo");
    tracing::info!(
        "Basalt version={}, compatible with Redis {}, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        crate::config::COMPAT_VERSION,
        std::process::id()
    );
    match &config.config_file {
        Some(_) => tracing::info!("Configuration loaded"),
        None => tracing::warn!("Warning: no config file specified, using the default config."),
    }
    tracing::info!(
        "Running mode=standalone, port={}. PID: {}",
        config.port,
        std::process::id()
    );
}

/// 40 random hex digits.
pub(crate) fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the server's state from its configuration.
///
/// # Errors
/// When the system gives no random numbers.
pub fn build(config: Config) -> anyhow::Result<Arc<Server>> {
    build_with(config, &[], Persist::default())
}

/// As `build`, with more commands, and with the data in some place.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn build_with(
    config: Config,
    more: &[&'static [CommandSpec]],
    persist: Persist,
) -> anyhow::Result<Arc<Server>> {
    let mut seeds = [0u8; 24];
    getrandom::fill(&mut seeds).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| seeds[i * 8 + j]));
    // A second server in one process, as in tests, shares the first one's hash key.
    let _ = basalt_engine::structs::hash::init(word(0), word(1));
    basalt_engine::env::seed(word(2));
    let pubsub = Arc::new(PubSub::default());
    let tracking = Arc::new(TrackingTable::default());
    let clients = Arc::new(Clients::default());
    let classes = Arc::new(AtomicU32::new(0));
    let renames: Vec<(String, String)> = config
        .renamed_commands
        .iter()
        .map(|(from, to)| {
            (
                String::from_utf8_lossy(from).into_owned(),
                String::from_utf8_lossy(to).into_owned(),
            )
        })
        .collect();
    let groups: Vec<_> = DATA_GROUPS
        .iter()
        .chain(command::SERVER_GROUPS)
        .chain(more)
        .copied()
        .collect();
    let registry = Registry::build(&groups, &renames);
    let databases = config.databases as usize;
    let engine = Engine::with(
        databases,
        registry,
        Box::new(KeyspaceEvents {
            pubsub: pubsub.clone(),
            classes: classes.clone(),
            tracking: tracking.clone(),
            clients: clients.clone(),
        }),
    );
    let grammar = Grammar {
        registry,
        all_channels: false,
    };
    let password = config.requirepass.as_deref();
    let accounts = Accounts::new(&grammar, password.filter(|text| !text.is_empty()));
    let server = Arc::new(Server {
        engine,
        config: ConfigStore::new(config),
        clients,
        links: Default::default(),
        tracking,
        pubsub,
        monitors: Default::default(),
        eviction: Default::default(),
        client_memory: Default::default(),
        stats: Default::default(),
        slowlog: Default::default(),
        hotkeys: Default::default(),
        large_requests: Default::default(),
        large_replies: Default::default(),
        latency: Default::default(),
        pause: Default::default(),
        hot: Hot::default(),
        listeners: Listeners::default(),
        persist,
        stop_scheduled: AtomicBool::new(false),
        backups: Default::default(),
        run_id: random_id()?,
        replication_id: Mutex::new(random_id()?),
        started: Instant::now(),
        started_ms: unix_ms(),
        peak_memory: AtomicU64::new(0),
        average_ttl_ms: (0..databases).map(|_| AtomicI64::new(0)).collect(),
        startup_memory: AtomicU64::new(0),
        accounts,
    });
    follow_config(&server, classes);
    server.load_users_at_start().map_err(|reason| {
        tracing::warn!("{reason}");
        anyhow::anyhow!(reason)
    })?;
    let weak = Arc::downgrade(&server);
    server.engine.snapshot_room.on_room(move || {
        if let Some(server) = weak.upgrade() {
            server.persist.cost.wake();
        }
    });
    Ok(server)
}

/// Keeps settings read on hot paths in step with the configuration.
fn follow_config(server: &Arc<Server>, classes: Arc<AtomicU32>) {
    let weak = Arc::downgrade(server);
    server.config.on_published(move |config| {
        let Some(server) = weak.upgrade() else { return };
        classes.store(config.notify_keyspace_events.0, Relaxed);
        publish(&server, config);
    });
    let weak = Arc::downgrade(server);
    server.config.on_apply(move |change| {
        let Some(server) = weak.upgrade() else {
            return Ok(());
        };
        if (change.contains("port") || change.contains("bind"))
            && let Err(reason) = server.listeners.replace_tcp(change.old, change.new)
        {
            let arg = if change.contains("port") {
                "port"
            } else {
                "bind"
            };
            tracing::warn!("{reason}");
            let reason = if arg == "port" {
                "Unable to listen on this port. Check server logs."
            } else {
                "Failed to bind to specified addresses."
            };
            return Err(crate::config::ApplyError {
                arg: arg.into(),
                reason: reason.into(),
            });
        }
        if (change.contains("oom-score-adj") || change.contains("oom-score-adj-values"))
            && let Err(reason) = crate::oom_score::follow(change.new)
        {
            let arg = if change.contains("oom-score-adj") {
                "oom-score-adj"
            } else {
                "oom-score-adj-values"
            };
            return Err(crate::config::ApplyError {
                arg: arg.into(),
                reason,
            });
        }
        if change.contains("maxclients") && !change.rollback {
            let fitting = fit_open_files(change.new.maxclients);
            if fitting < change.new.maxclients {
                return Err(crate::config::ApplyError {
                    arg: "maxclients".into(),
                    reason: format!(
                        "The operating system is not able to handle the specified number of clients, try with {fitting}"
                    ),
                });
            }
        }
        if change.contains("requirepass") {
            server.set_default_password(change.new.requirepass.as_deref());
        }
        if change.contains("appendonly") {
            let failed = |error: &dyn std::fmt::Display| {
                tracing::warn!("Can't turn on the append-only file: {error}");
                crate::config::ApplyError {
                    arg: "appendonly".into(),
                    reason: "Unable to turn on AOF. Check server logs.".into(),
                }
            };
            if change.new.appendonly {
                server.switch_log_on().map_err(|error| failed(&error))?;
            } else {
                server.switch_log_off();
            }
        }
        if change.contains("dir") && !change.new.dir.as_os_str().is_empty() {
            server.change_dir(Path::new(&change.new.dir)).map_err(|reason| {
                crate::config::ApplyError {
                    arg: "dir".into(),
                    reason,
                }
            })?;
        }
        Ok(())
    });
}

fn publish(server: &Server, config: &Config) {
    server.persist.aof.follow(config);
    let hot = &server.hot;
    hot.slowlog_us
        .store(config.slowlog_log_slower_than, Relaxed);
    hot.large_request
        .store(config.commandlog_request_larger_than, Relaxed);
    hot.large_reply
        .store(config.commandlog_reply_larger_than, Relaxed);
    hot.latency_ms.store(
        i64::try_from(config.latency_monitor_threshold).unwrap_or(i64::MAX),
        Relaxed,
    );
    hot.latency_tracking.store(config.latency_tracking, Relaxed);
    hot.max_bulk.store(config.proto_max_bulk_len, Relaxed);
    hot.query_buffer_limit
        .store(config.client_query_buffer_limit, Relaxed);
    hot.maxmemory.store(config.maxmemory, Relaxed);
    hot.lacks_replicas.store(
        config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0,
        Relaxed,
    );
    server.eviction.limits_changed();
    server
        .tracking
        .max_keys
        .store(config.tracking_table_max_keys, Relaxed);
    let limits = &config.client_output_buffer_limit;
    for (class, limit) in [limits.normal, limits.replica, limits.pubsub]
        .iter()
        .enumerate()
    {
        hot.output_hard[class].store(limit.hard_bytes, Relaxed);
        crate::client::handle::OUTPUT_HARD[class].store(limit.hard_bytes, Relaxed);
        hot.output_soft[class].store(limit.soft_bytes, Relaxed);
        hot.output_soft_seconds[class].store(limit.soft_seconds, Relaxed);
    }
    server.limit_clients(config);
    logging::set_level(config.loglevel);
    server.set_snapshot_limit(config);
    let settings = &server.engine.settings;
    settings
        .list_max_listpack_size
        .store(i64::from(config.list_max_listpack_size), Relaxed);
    settings
        .list_compress_depth
        .store(i64::from(config.list_compress_depth), Relaxed);
    settings
        .hash_max_listpack_entries
        .store(config.hash_max_listpack_entries, Relaxed);
    settings
        .hash_max_listpack_value
        .store(config.hash_max_listpack_value, Relaxed);
    settings
        .set_max_intset_entries
        .store(config.set_max_intset_entries, Relaxed);
    settings
        .set_max_listpack_entries
        .store(config.set_max_listpack_entries, Relaxed);
    settings
        .set_max_listpack_value
        .store(config.set_max_listpack_value, Relaxed);
    settings
        .zset_max_listpack_entries
        .store(config.zset_max_listpack_entries, Relaxed);
    settings
        .zset_max_listpack_value
        .store(config.zset_max_listpack_value, Relaxed);
    settings
        .stream_node_max_bytes
        .store(config.stream_node_max_bytes, Relaxed);
    settings
        .stream_node_max_entries
        .store(config.stream_node_max_entries, Relaxed);
    settings
        .hll_sparse_max_bytes
        .store(config.hll_sparse_max_bytes, Relaxed);
    settings
        .proto_max_bulk_len
        .store(config.proto_max_bulk_len, Relaxed);
    settings
        .notify_flags
        .store(config.notify_keyspace_events.0, Relaxed);
    server.engine.scripts.running.busy_reply_threshold.store(
        i64::try_from(config.busy_reply_threshold).unwrap_or(i64::MAX),
        Relaxed,
    );
    settings
        .lfu
        .store(config.maxmemory_policy.name().contains("lfu"), Relaxed);
    let policy = config.maxmemory_policy.name();
    settings.integers_shared.store(
        config.maxmemory == 0 || !(policy.contains("lru") || policy.contains("lfu")),
        Relaxed,
    );
    settings
        .lfu_log_factor
        .store(config.lfu_log_factor, Relaxed);
    settings
        .lfu_decay_time
        .store(config.lfu_decay_time, Relaxed);
    settings
        .lazyfree_lazy_user_del
        .store(config.lazyfree_lazy_user_del, Relaxed);
    settings
        .lazyfree_lazy_server_del
        .store(config.lazyfree_lazy_server_del, Relaxed);
    settings
        .rdb_compression
        .store(config.rdbcompression, Relaxed);
    settings
        .lazyfree_lazy_user_flush
        .store(config.lazyfree_lazy_user_flush, Relaxed);
}

/// Descriptors kept for listeners, files and the event queues.
const RESERVED_FILES: u64 = 32;

/// Raises the limit on open files so that this many clients fit; how many really do.
fn fit_open_files(maxclients: u32) -> u32 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::from(maxclients) + RESERVED_FILES;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return maxclients;
    };
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let new = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    let allowed = if setrlimit(Resource::Nofile, new).is_ok() {
        raised
    } else {
        current
    };
    u32::try_from(allowed.saturating_sub(RESERVED_FILES).max(1)).unwrap_or(maxclients)
}

/// Lowers `maxclients` to what the limit on open files allows, and says so.
fn fit_maxclients(mut config: Config) -> Config {
    let fitting = fit_open_files(config.maxclients);
    if fitting < config.maxclients {
        tracing::warn!(
            "You requested maxclients of {} requiring at least {} max file descriptors.",
            config.maxclients,
            u64::from(config.maxclients) + RESERVED_FILES
        );
        tracing::warn!(
            "maxclients has been reduced to {fitting} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
        );
        config.maxclients = fitting;
    }
    config
}

/// How often a scheduled end looks whether the periodic work goes on, of which it is a part.
const SCHEDULED: Duration = Duration::from_millis(5);

/// SIGTERM and SIGINT end the process in order.
async fn signals(server: Arc<Server>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("Cannot listen for signals");
        return;
    };
    let stopping = Arc::new(AtomicBool::new(false));
    loop {
        let (name, flags) = tokio::select! {
            _ = term.recv() => ("SIGTERM", server.config.load().shutdown_on_sigterm),
            _ = int.recv() => ("SIGINT", server.config.load().shutdown_on_sigint),
        };
        if stopping.swap(true, Relaxed) {
            if name == "SIGINT" {
                tracing::warn!("You insist... exiting now.");
                persist::file::remove_temporary();
                std::process::exit(1);
            }
            continue;
        }
        tracing::warn!("Received {name} scheduling shutdown...");
        // In a thread of its own, so that a second signal is heard while it saves.
        let (server, stopping) = (server.clone(), stopping.clone());
        server.stop_scheduled.store(true, Relaxed);
        std::thread::spawn(move || {
            while server.hot.cron_paused.load(Relaxed) && server.stop_scheduled.load(Relaxed) {
                std::thread::sleep(SCHEDULED);
            }
            if !server.stop_scheduled.swap(false, Relaxed) {
                stopping.store(false, Relaxed);
                return;
            }
            let Err(error) = server.stop(flags);
            tracing::warn!(
                "Errors trying to shut down the server. Check the logs for more information. ({error})"
            );
            stopping.store(false, Relaxed);
        });
    }
}
