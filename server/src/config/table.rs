//! Every directive, one row each: field and type, default, names, shape of the value, flags.
//!
//! Names, bounds, defaults and error texts are those of Redis 7.2; directives that only Valkey 8 has come with Valkey's
//! defaults. Where the two servers name a directive differently, the Redis name comes first and is what
//! `CONFIG REWRITE` writes. [`TABLE`] and the fields of [`Config`] come from the same rows, so they cannot differ.

use std::path::PathBuf;

use super::check;
use super::choice::*;
use super::directive::Kind::*;
use super::directive::*;
use super::structured::*;

/// Turns the rows into the struct, its defaults and the table.
macro_rules! directives {
    ($($field:ident: $ty:ty = $default:expr, $name:literal $(| $alias:literal)?, $kind:expr, $flags:expr;)*) => {
        /// The whole configuration at one moment.
        ///
        /// Each directive `some-name` is the field `some_name`.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = concat!("The directive `", $name, "`.")] pub $field: $ty,)*
            /// The configuration file, if there is one, as an absolute path.
            pub config_file: Option<PathBuf>,
            /// The words of each `user` line, without `user` itself.
            pub users: Vec<Vec<Vec<u8>>>,
            /// Each `rename-command`: the command and its new name, empty to remove it.
            pub renamed_commands: Vec<(Vec<u8>, Vec<u8>)>,
            /// The words of each `loadmodule` line, without `loadmodule` itself.
            pub modules: Vec<Vec<Vec<u8>>>,
            /// Directives of modules (`module.name`), with their values.
            pub module_options: Vec<(Vec<u8>, Vec<u8>)>,
        }

        impl Default for Config {
            fn default() -> Self {
                Config {
                    $($field: $default,)*
                    config_file: None,
                    users: Vec::new(),
                    renamed_commands: Vec::new(),
                    modules: Vec::new(),
                    module_options: Vec::new(),
                }
            }
        }

        /// All directives with a value.
        pub static TABLE: &[Directive] = &[$(Directive {
            name: $name,
            alias: alias!($($alias)?),
            kind: $kind,
            flags: Flags($flags),
            parse: |config, row, args, state| config.$field.parse(row, args, state),
            show: |config, row| config.$field.show(row),
            same: |a, b| a.$field == b.$field,
            lines: |config, row, default| config.$field.lines(row, &default.$field),
        },)*];
    };
}

macro_rules! alias {
    () => {
        None
    };
    ($alias:literal) => {
        Some($alias)
    };
}

directives! {
    // Switches.
    rdbchecksum: bool = true, "rdbchecksum", Bool, IMMUTABLE;
    daemonize: bool = false, "daemonize", Bool, IMMUTABLE;
    io_threads_do_reads: bool = false, "io-threads-do-reads", Bool, IMMUTABLE | INERT;
    always_show_logo: bool = false, "always-show-logo", Bool, IMMUTABLE;
    protected_mode: bool = true, "protected-mode", Bool, MODIFIABLE;
    rdbcompression: bool = true, "rdbcompression", Bool, MODIFIABLE;
    rdb_del_sync_files: bool = false, "rdb-del-sync-files", Bool, MODIFIABLE | INERT;
    activerehashing: bool = true, "activerehashing", Bool, MODIFIABLE | INERT;
    stop_writes_on_bgsave_error: bool = true, "stop-writes-on-bgsave-error", Bool, MODIFIABLE;
    set_proc_title: bool = true, "set-proc-title", Bool, IMMUTABLE;
    dynamic_hz: bool = true, "dynamic-hz", Bool, MODIFIABLE;
    lazyfree_lazy_eviction: bool = false, "lazyfree-lazy-eviction", Bool, MODIFIABLE;
    lazyfree_lazy_expire: bool = false, "lazyfree-lazy-expire", Bool, MODIFIABLE;
    lazyfree_lazy_server_del: bool = false, "lazyfree-lazy-server-del", Bool, MODIFIABLE;
    lazyfree_lazy_user_del: bool = false, "lazyfree-lazy-user-del", Bool, MODIFIABLE;
    lazyfree_lazy_user_flush: bool = false, "lazyfree-lazy-user-flush", Bool, MODIFIABLE;
    repl_disable_tcp_nodelay: bool = false, "repl-disable-tcp-nodelay", Bool, MODIFIABLE;
    repl_diskless_sync: bool = true, "repl-diskless-sync", Bool, MODIFIABLE;
    aof_rewrite_incremental_fsync: bool = true, "aof-rewrite-incremental-fsync", Bool, MODIFIABLE;
    no_appendfsync_on_rewrite: bool = false, "no-appendfsync-on-rewrite", Bool, MODIFIABLE;
    cluster_require_full_coverage: bool = true, "cluster-require-full-coverage", Bool, MODIFIABLE;
    rdb_save_incremental_fsync: bool = true, "rdb-save-incremental-fsync", Bool, MODIFIABLE;
    aof_load_truncated: bool = true, "aof-load-truncated", Bool, MODIFIABLE;
    aof_use_rdb_preamble: bool = true, "aof-use-rdb-preamble", Bool, MODIFIABLE;
    allow_data_loss: bool = false, "allow-data-loss", Bool, IMMUTABLE;
    aof_timestamp_enabled: bool = false, "aof-timestamp-enabled", Bool, MODIFIABLE;
    cluster_replica_no_failover: bool = false, "cluster-replica-no-failover" | "cluster-slave-no-failover", Bool, MODIFIABLE;
    replica_lazy_flush: bool = false, "replica-lazy-flush" | "slave-lazy-flush", Bool, MODIFIABLE;
    replica_serve_stale_data: bool = true, "replica-serve-stale-data" | "slave-serve-stale-data", Bool, MODIFIABLE;
    replica_read_only: bool = true, "replica-read-only" | "slave-read-only", Bool, MODIFIABLE;
    replica_ignore_maxmemory: bool = true, "replica-ignore-maxmemory" | "slave-ignore-maxmemory", Bool, MODIFIABLE;
    jemalloc_bg_thread: bool = true, "jemalloc-bg-thread", Bool, MODIFIABLE | INERT;
    activedefrag: bool = false, "activedefrag", Bool, MODIFIABLE | INERT;
    syslog_enabled: bool = false, "syslog-enabled", Bool, IMMUTABLE;
    cluster_enabled: bool = false, "cluster-enabled", Bool, IMMUTABLE;
    appendonly: bool = false, "appendonly", Bool, MODIFIABLE | NO_LOADING;
    cluster_allow_reads_when_down: bool = false, "cluster-allow-reads-when-down", Bool, MODIFIABLE;
    cluster_allow_pubsubshard_when_down: bool = true, "cluster-allow-pubsubshard-when-down", Bool, MODIFIABLE;
    crash_log_enabled: bool = true, "crash-log-enabled", Bool, MODIFIABLE;
    crash_memcheck_enabled: bool = true, "crash-memcheck-enabled", Bool, MODIFIABLE | INERT;
    use_exit_on_panic: bool = false, "use-exit-on-panic", Bool, MODIFIABLE | HIDDEN | INERT;
    disable_thp: bool = true, "disable-thp", Bool, IMMUTABLE | INERT;
    cluster_allow_replica_migration: bool = true, "cluster-allow-replica-migration", Bool, MODIFIABLE;
    replica_announced: bool = true, "replica-announced", Bool, MODIFIABLE;
    latency_tracking: bool = true, "latency-tracking", Bool, MODIFIABLE;
    aof_disable_auto_gc: bool = false, "aof-disable-auto-gc", Bool, MODIFIABLE | HIDDEN;
    replica_ignore_disk_write_errors: bool = false, "replica-ignore-disk-write-errors", Bool, MODIFIABLE;
    tls_cluster: bool = false, "tls-cluster", Bool, MODIFIABLE;
    tls_replication: bool = false, "tls-replication", Bool, MODIFIABLE;
    tls_prefer_server_ciphers: bool = false, "tls-prefer-server-ciphers", Bool, MODIFIABLE;
    tls_session_caching: bool = true, "tls-session-caching", Bool, MODIFIABLE;
    dual_channel_replication_enabled: bool = false, "dual-channel-replication-enabled", Bool, MODIFIABLE | INERT;
    extended_redis_compatibility: bool = false, "extended-redis-compatibility", Bool, MODIFIABLE;
    enable_debug_assert: bool = false, "enable-debug-assert", Bool, IMMUTABLE | HIDDEN | INERT;
    cluster_slot_stats_enabled: bool = false, "cluster-slot-stats-enabled", Bool, MODIFIABLE;
    hide_user_data_from_log: bool = true, "hide-user-data-from-log", Bool, MODIFIABLE;
    import_mode: bool = false, "import-mode", Bool, MODIFIABLE;
    backup_archive: bool = false, "backup-archive", Bool, MODIFIABLE;
    backup_virtual_hosted: bool = false, "backup-virtual-hosted", Bool, MODIFIABLE;
    // Strings.
    aclfile: String = String::new(), "aclfile", Text, IMMUTABLE;
    unixsocket: Option<String> = None, "unixsocket", Text, IMMUTABLE;
    pidfile: Option<String> = None, "pidfile", Text, IMMUTABLE;
    replica_announce_ip: Option<String> = None, "replica-announce-ip" | "slave-announce-ip", Text, MODIFIABLE;
    masteruser: Option<String> = None, "masteruser" | "primaryuser", Text, MODIFIABLE | SENSITIVE;
    cluster_announce_ip: Option<String> = None, "cluster-announce-ip", Text, MODIFIABLE;
    cluster_config_file: String = "nodes.conf".to_owned(), "cluster-config-file", Text, IMMUTABLE;
    cluster_announce_hostname: Option<String> = None, "cluster-announce-hostname", Checked(check::hostname), MODIFIABLE;
    cluster_announce_human_nodename: Option<String> = None, "cluster-announce-human-nodename", Checked(check::nodename), MODIFIABLE;
    syslog_ident: String = "redis".to_owned(), "syslog-ident", Text, IMMUTABLE;
    dbfilename: String = "dump.rdb".to_owned(), "dbfilename", Checked(check::dbfilename), MODIFIABLE | PROTECTED;
    appendfilename: String = "appendonly.aof".to_owned(), "appendfilename", Checked(check::appendfilename), IMMUTABLE;
    appenddirname: String = "appendonlydir".to_owned(), "appenddirname", Checked(check::appenddirname), IMMUTABLE;
    data_set_id: Option<String> = None, "data-set-id", Checked(check::data_set_id), IMMUTABLE;
    server_cpulist: Option<String> = None, "server_cpulist" | "server-cpulist", Text, IMMUTABLE | INERT;
    bio_cpulist: Option<String> = None, "bio_cpulist" | "bio-cpulist", Text, IMMUTABLE | INERT;
    aof_rewrite_cpulist: Option<String> = None, "aof_rewrite_cpulist" | "aof-rewrite-cpulist", Text, IMMUTABLE | INERT;
    bgsave_cpulist: Option<String> = None, "bgsave_cpulist" | "bgsave-cpulist", Text, IMMUTABLE | INERT;
    ignore_warnings: String = String::new(), "ignore-warnings", Text, MODIFIABLE | INERT;
    proc_title_template: String = "{title} {listen-addr} {server-mode}".to_owned(), "proc-title-template", Checked(check::proc_title_template), MODIFIABLE;
    bind_source_addr: Option<String> = None, "bind-source-addr", Text, MODIFIABLE;
    logfile: String = String::new(), "logfile", Text, IMMUTABLE;
    locale_collate: String = String::new(), "locale-collate", Text, MODIFIABLE | INERT;
    masterauth: Option<Vec<u8>> = None, "masterauth" | "primaryauth", Bytes, MODIFIABLE | SENSITIVE;
    requirepass: Option<Vec<u8>> = None, "requirepass", Bytes, MODIFIABLE | SENSITIVE;
    tls_cert_file: Option<String> = None, "tls-cert-file", Text, MODIFIABLE | VOLATILE;
    tls_key_file: Option<String> = None, "tls-key-file", Text, MODIFIABLE | VOLATILE;
    tls_key_file_pass: Option<String> = None, "tls-key-file-pass", Text, MODIFIABLE | SENSITIVE;
    tls_client_cert_file: Option<String> = None, "tls-client-cert-file", Text, MODIFIABLE | VOLATILE;
    tls_client_key_file: Option<String> = None, "tls-client-key-file", Text, MODIFIABLE | VOLATILE;
    tls_client_key_file_pass: Option<String> = None, "tls-client-key-file-pass", Text, MODIFIABLE | SENSITIVE;
    tls_dh_params_file: Option<String> = None, "tls-dh-params-file", Text, MODIFIABLE | VOLATILE;
    tls_ca_cert_file: Option<String> = None, "tls-ca-cert-file", Text, MODIFIABLE | VOLATILE;
    tls_ca_cert_dir: Option<String> = None, "tls-ca-cert-dir", Text, MODIFIABLE | VOLATILE;
    tls_protocols: Option<String> = None, "tls-protocols", Text, MODIFIABLE;
    tls_ciphers: Option<String> = None, "tls-ciphers", Text, MODIFIABLE;
    tls_ciphersuites: Option<String> = None, "tls-ciphersuites", Text, MODIFIABLE;
    unixsocketgroup: Option<String> = None, "unixsocketgroup", Text, IMMUTABLE | HIDDEN;
    cluster_announce_client_ipv4: Option<String> = None, "cluster-announce-client-ipv4", Checked(check::ipv4), MODIFIABLE;
    cluster_announce_client_ipv6: Option<String> = None, "cluster-announce-client-ipv6", Checked(check::ipv6), MODIFIABLE;
    debug_context: String = String::new(), "debug-context", Text, MODIFIABLE | HIDDEN | INERT;
    availability_zone: Vec<u8> = Vec::new(), "availability-zone", Bytes, MODIFIABLE;
    backup_url: Option<String> = None, "backup-url", Checked(check::backup_url), MODIFIABLE | PROTECTED;
    backup_endpoint: Option<String> = None, "backup-endpoint", Checked(check::backup_endpoint), MODIFIABLE | PROTECTED;
    backup_region: Option<String> = None, "backup-region", Text, MODIFIABLE;
    backup_credentials_file: Option<String> = None, "backup-credentials-file", Text, MODIFIABLE | PROTECTED;
    backup_sse_kms_key: Option<String> = None, "backup-sse-kms-key", Text, MODIFIABLE;
    backup_recipients: String = String::new(), "backup-recipients", Checked(check::backup_recipients), MODIFIABLE | PROTECTED;
    backup_compression: String = "zstd:1".to_owned(), "backup-compression", Checked(check::backup_compression), MODIFIABLE;
    backup_schedule: Option<String> = None, "backup-schedule", Checked(check::backup_schedule), MODIFIABLE;
    backup_time_zone: String = "UTC".to_owned(), "backup-time-zone", Checked(check::backup_time_zone), MODIFIABLE;
    backup_retention: String = String::new(), "backup-retention", Checked(check::backup_retention), MODIFIABLE;
    backup_spool_dir: Option<String> = None, "backup-spool-dir", Text, MODIFIABLE | PROTECTED;
    restore_on_start: Option<String> = None, "restore-on-start", Checked(check::restore_on_start), IMMUTABLE;
    restore_identity: Option<String> = None, "restore-identity", Text, IMMUTABLE;
    // Choices.
    supervised: Supervised = Supervised::No, "supervised", Enum(Supervised::NAMES), IMMUTABLE;
    syslog_facility: SyslogFacility = SyslogFacility::Local0, "syslog-facility", Enum(SyslogFacility::NAMES), IMMUTABLE;
    repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::Disabled, "repl-diskless-load", Enum(ReplDisklessLoad::NAMES), MODIFIABLE | NO_LOADING;
    loglevel: LogLevel = LogLevel::Notice, "loglevel", Enum(LogLevel::NAMES), MODIFIABLE;
    maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction, "maxmemory-policy", Enum(MaxmemoryPolicy::NAMES), MODIFIABLE;
    appendfsync: AppendFsync = AppendFsync::EverySec, "appendfsync", Enum(AppendFsync::NAMES), MODIFIABLE;
    oom_score_adj: OomScoreAdj = OomScoreAdj::No, "oom-score-adj", Enum(OomScoreAdj::NAMES), MODIFIABLE;
    acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels, "acl-pubsub-default", Enum(AclPubsubDefault::NAMES), MODIFIABLE;
    sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No, "sanitize-dump-payload", Enum(SanitizeDumpPayload::NAMES), MODIFIABLE;
    enable_protected_configs: ProtectedAction = ProtectedAction::No, "enable-protected-configs", Enum(ProtectedAction::NAMES), IMMUTABLE;
    enable_debug_command: ProtectedAction = ProtectedAction::No, "enable-debug-command", Enum(ProtectedAction::NAMES), IMMUTABLE;
    enable_module_command: ProtectedAction = ProtectedAction::No, "enable-module-command", Enum(ProtectedAction::NAMES), IMMUTABLE | INERT;
    cluster_preferred_endpoint_type: ClusterEndpointType = ClusterEndpointType::Ip, "cluster-preferred-endpoint-type", Enum(ClusterEndpointType::NAMES), MODIFIABLE;
    propagation_error_behavior: PropagationErrorBehavior = PropagationErrorBehavior::Ignore, "propagation-error-behavior", Enum(PropagationErrorBehavior::NAMES), MODIFIABLE | INERT;
    shutdown_on_sigint: ShutdownFlags = ShutdownFlags::empty(), "shutdown-on-sigint", EnumSet(ShutdownFlags::NAMES), MODIFIABLE | MULTI;
    shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::empty(), "shutdown-on-sigterm", EnumSet(ShutdownFlags::NAMES), MODIFIABLE | MULTI;
    tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, "tls-auth-clients", Enum(TlsAuthClients::NAMES), MODIFIABLE;
    rdb_version_check: RdbVersionCheck = RdbVersionCheck::Strict, "rdb-version-check", Enum(RdbVersionCheck::NAMES), MODIFIABLE;
    log_format: LogFormat = LogFormat::Legacy, "log-format", Enum(LogFormat::NAMES), MODIFIABLE;
    log_timestamp_format: LogTimestampFormat = LogTimestampFormat::Legacy, "log-timestamp-format", Enum(LogTimestampFormat::NAMES), MODIFIABLE;
    // Numbers.
    databases: u32 = 16, "databases", Int(1, I32), IMMUTABLE;
    port: u16 = 6_379, "port", Int(0, 65535), MODIFIABLE;
    io_threads: u32 = 1, "io-threads", Int(1, 128), IMMUTABLE;
    auto_aof_rewrite_percentage: u32 = 100, "auto-aof-rewrite-percentage", Int(0, I32), MODIFIABLE;
    cluster_replica_validity_factor: u32 = 10, "cluster-replica-validity-factor" | "cluster-slave-validity-factor", Int(0, I32), MODIFIABLE;
    list_max_listpack_size: i32 = -2, "list-max-listpack-size" | "list-max-ziplist-size", Int(-I32 - 1, I32), MODIFIABLE;
    tcp_keepalive: u32 = 300, "tcp-keepalive", Int(0, I32), MODIFIABLE;
    cluster_migration_barrier: u32 = 1, "cluster-migration-barrier", Int(0, I32), MODIFIABLE;
    active_defrag_cycle_min: u32 = 1, "active-defrag-cycle-min", Int(1, 99), MODIFIABLE | INERT;
    active_defrag_cycle_max: u32 = 25, "active-defrag-cycle-max", Int(1, 99), MODIFIABLE | INERT;
    active_defrag_threshold_lower: u32 = 10, "active-defrag-threshold-lower", Int(0, 1000), MODIFIABLE | INERT;
    active_defrag_threshold_upper: u32 = 100, "active-defrag-threshold-upper", Int(0, 1000), MODIFIABLE | INERT;
    lfu_log_factor: u32 = 10, "lfu-log-factor", Int(0, I32), MODIFIABLE;
    lfu_decay_time: u32 = 1, "lfu-decay-time", Int(0, I32), MODIFIABLE;
    replica_priority: u32 = 100, "replica-priority" | "slave-priority", Int(0, I32), MODIFIABLE;
    repl_diskless_sync_delay: u32 = 5, "repl-diskless-sync-delay", Int(0, I32), MODIFIABLE;
    maxmemory_samples: u32 = 5, "maxmemory-samples", Int(1, I32), MODIFIABLE;
    maxmemory_eviction_tenacity: u32 = 10, "maxmemory-eviction-tenacity", Int(0, 100), MODIFIABLE;
    timeout: u32 = 0, "timeout", Int(0, I32), MODIFIABLE;
    replica_announce_port: u16 = 0, "replica-announce-port" | "slave-announce-port", Int(0, 65535), MODIFIABLE;
    tcp_backlog: u32 = 511, "tcp-backlog", Int(0, I32), IMMUTABLE;
    cluster_port: u16 = 0, "cluster-port", Int(0, 65535), IMMUTABLE;
    cluster_announce_bus_port: u16 = 0, "cluster-announce-bus-port", Int(0, 65535), MODIFIABLE;
    cluster_announce_port: u16 = 0, "cluster-announce-port", Int(0, 65535), MODIFIABLE;
    cluster_announce_tls_port: u16 = 0, "cluster-announce-tls-port", Int(0, 65535), MODIFIABLE;
    repl_timeout: u32 = 60, "repl-timeout", Int(1, I32), MODIFIABLE;
    repl_ping_replica_period: u32 = 10, "repl-ping-replica-period" | "repl-ping-slave-period", Int(1, I32), MODIFIABLE;
    list_compress_depth: u32 = 0, "list-compress-depth", Int(0, I32), MODIFIABLE;
    rdb_key_save_delay: i32 = 0, "rdb-key-save-delay", Int(-I32 - 1, I32), MODIFIABLE | HIDDEN;
    key_load_delay: i32 = 0, "key-load-delay", Int(-I32 - 1, I32), MODIFIABLE | HIDDEN;
    active_expire_effort: u32 = 1, "active-expire-effort", Int(1, 10), MODIFIABLE;
    hz: u32 = 10, "hz", Int(0, I32), MODIFIABLE;
    min_replicas_to_write: u32 = 0, "min-replicas-to-write" | "min-slaves-to-write", Int(0, I32), MODIFIABLE;
    min_replicas_max_lag: u32 = 10, "min-replicas-max-lag" | "min-slaves-max-lag", Int(0, I32), MODIFIABLE;
    watchdog_period: u32 = 0, "watchdog-period", Int(0, I32), MODIFIABLE | HIDDEN | INERT;
    shutdown_timeout: u32 = 10, "shutdown-timeout", Int(0, I32), MODIFIABLE;
    repl_diskless_sync_max_replicas: u32 = 0, "repl-diskless-sync-max-replicas", Int(0, I32), MODIFIABLE;
    maxclients: u32 = 10_000, "maxclients", Int(1, U32), MODIFIABLE;
    unixsocketperm: u32 = 0, "unixsocketperm", Octal(0, 0o777), IMMUTABLE;
    socket_mark_id: u32 = 0, "socket-mark-id", Int(0, U32), IMMUTABLE | INERT;
    active_defrag_max_scan_fields: u64 = 1_000, "active-defrag-max-scan-fields", Int(1, I64), MODIFIABLE | INERT;
    slowlog_max_len: u64 = 128, "slowlog-max-len" | "commandlog-slow-execution-max-len", Int(0, I64), MODIFIABLE;
    acllog_max_len: u64 = 128, "acllog-max-len", Int(0, I64), MODIFIABLE;
    busy_reply_threshold: u64 = 5_000, "busy-reply-threshold" | "lua-time-limit", Int(0, I64), MODIFIABLE;
    cluster_node_timeout: u64 = 15_000, "cluster-node-timeout", Int(0, I64), MODIFIABLE;
    cluster_ping_interval: u64 = 0, "cluster-ping-interval", Int(0, I64), MODIFIABLE | HIDDEN;
    slowlog_log_slower_than: i64 = 10_000, "slowlog-log-slower-than" | "commandlog-execution-slower-than", Int(-1, I64), MODIFIABLE;
    latency_monitor_threshold: u64 = 0, "latency-monitor-threshold", Int(0, I64), MODIFIABLE;
    proto_max_bulk_len: u64 = 512 * 1_048_576, "proto-max-bulk-len", Memory(MB, I64), MODIFIABLE;
    stream_node_max_entries: u64 = 100, "stream-node-max-entries", Int(0, I64), MODIFIABLE;
    repl_backlog_size: u64 = 1_048_576, "repl-backlog-size", Memory(1, I64), MODIFIABLE;
    maxmemory: u64 = 0, "maxmemory", Memory(0, U64), MODIFIABLE;
    snapshot_max_extra_memory: u64 = 0, "snapshot-max-extra-memory", Memory(0, I64), MODIFIABLE;
    cluster_link_sendbuf_limit: u64 = 0, "cluster-link-sendbuf-limit", Memory(0, U64), MODIFIABLE;
    hash_max_listpack_entries: u64 = 512, "hash-max-listpack-entries" | "hash-max-ziplist-entries", Int(0, I64), MODIFIABLE;
    set_max_intset_entries: u64 = 512, "set-max-intset-entries", Int(0, I64), MODIFIABLE;
    set_max_listpack_entries: u64 = 128, "set-max-listpack-entries", Int(0, I64), MODIFIABLE;
    set_max_listpack_value: u64 = 64, "set-max-listpack-value", Int(0, I64), MODIFIABLE;
    zset_max_listpack_entries: u64 = 128, "zset-max-listpack-entries" | "zset-max-ziplist-entries", Int(0, I64), MODIFIABLE;
    active_defrag_ignore_bytes: u64 = 104_857_600, "active-defrag-ignore-bytes", Memory(1, I64), MODIFIABLE | INERT;
    hash_max_listpack_value: u64 = 64, "hash-max-listpack-value" | "hash-max-ziplist-value", Memory(0, I64), MODIFIABLE;
    stream_node_max_bytes: u64 = 4_096, "stream-node-max-bytes", Memory(0, I64), MODIFIABLE;
    zset_max_listpack_value: u64 = 64, "zset-max-listpack-value" | "zset-max-ziplist-value", Memory(0, I64), MODIFIABLE;
    hll_sparse_max_bytes: u64 = 3_000, "hll-sparse-max-bytes", Memory(0, I64), MODIFIABLE;
    tracking_table_max_keys: u64 = 1_000_000, "tracking-table-max-keys", Int(0, I64), MODIFIABLE;
    client_query_buffer_limit: u64 = 1_073_741_824, "client-query-buffer-limit", Memory(MB, I64), MODIFIABLE;
    maxmemory_clients: i64 = 0, "maxmemory-clients", MemoryOrPercent(-100, I64), MODIFIABLE;
    repl_backlog_ttl: u64 = 3_600, "repl-backlog-ttl", Int(0, I64), MODIFIABLE;
    auto_aof_rewrite_min_size: u64 = 64 * 1_048_576, "auto-aof-rewrite-min-size", Memory(0, I64), MODIFIABLE;
    loading_process_events_interval_bytes: u64 = 2_097_152, "loading-process-events-interval-bytes", Int(1024, I32), MODIFIABLE | HIDDEN | INERT;
    backup_archive_interval: u32 = 5, "backup-archive-interval", Int(1, 3600), MODIFIABLE;
    backup_rate_limit: u64 = 0, "backup-rate-limit", Memory(0, I64), MODIFIABLE;
    tls_port: u16 = 0, "tls-port", Int(0, 65535), MODIFIABLE;
    tls_session_cache_size: u32 = 20 * 1024, "tls-session-cache-size", Int(0, I32), MODIFIABLE;
    tls_session_cache_timeout: u32 = 300, "tls-session-cache-timeout", Int(0, I32), MODIFIABLE;
    events_per_io_thread: u32 = 2, "events-per-io-thread", Int(0, I32), MODIFIABLE | INERT;
    prefetch_batch_max_size: u32 = 16, "prefetch-batch-max-size", Int(0, 128), MODIFIABLE | INERT;
    max_new_connections_per_cycle: u32 = 10, "max-new-connections-per-cycle", Int(1, 1000), MODIFIABLE | INERT;
    max_new_tls_connections_per_cycle: u32 = 1, "max-new-tls-connections-per-cycle", Int(1, 1000), MODIFIABLE | INERT;
    cluster_blacklist_ttl: u64 = 60, "cluster-blacklist-ttl", Int(0, I64), MODIFIABLE;
    commandlog_request_larger_than: i64 = 1_048_576, "commandlog-request-larger-than", Int(-1, I64), MODIFIABLE;
    commandlog_large_request_max_len: u64 = 128, "commandlog-large-request-max-len", Int(0, I64), MODIFIABLE;
    commandlog_reply_larger_than: i64 = 1_048_576, "commandlog-reply-larger-than", Int(-1, I64), MODIFIABLE;
    commandlog_large_reply_max_len: u64 = 128, "commandlog-large-reply-max-len", Int(0, I64), MODIFIABLE;
    active_defrag_cycle_us: u32 = 500, "active-defrag-cycle-us", Int(0, 100_000), MODIFIABLE | INERT;
    rdma_port: u16 = 0, "rdma-port", Int(0, 65535), MODIFIABLE | INERT;
    rdma_rx_size: u32 = 1_048_576, "rdma-rx-size", Int(65_536, 16_777_216), IMMUTABLE | HIDDEN | INERT;
    rdma_completion_vector: i32 = -1, "rdma-completion-vector", Int(-1, 1024), IMMUTABLE | HIDDEN | INERT;
    // Structured.
    dir: PathBuf = current_dir(), "dir", Special("path"), MODIFIABLE | PROTECTED | NO_LOADING | VOLATILE;
    save: SavePoints = SavePoints::default(), "save", Special("<seconds> <changes> ..."), MODIFIABLE | MULTI;
    client_output_buffer_limit: OutputBufferLimits = OutputBufferLimits::default(), "client-output-buffer-limit", Special("<class> <hard> <soft> <seconds> ..."), MODIFIABLE | MULTI;
    oom_score_adj_values: OomScores = OomScores::default(), "oom-score-adj-values", Special("<primary> <replica> <child>"), MODIFIABLE | MULTI;
    notify_keyspace_events: KeyspaceEvents = KeyspaceEvents::default(), "notify-keyspace-events", Special("letters"), MODIFIABLE;
    bind: BindAddrs = BindAddrs::default(), "bind", Special("<address> ..."), MODIFIABLE | MULTI;
    replicaof: ReplicaOf = ReplicaOf::default(), "replicaof" | "slaveof", Special("<host> <port>"), IMMUTABLE | MULTI;
    latency_tracking_info_percentiles: Percentiles = Percentiles::default(), "latency-tracking-info-percentiles", Special("<percentile> ..."), MODIFIABLE | MULTI;
    rdma_bind: RdmaBind = RdmaBind::default(), "rdma-bind", Special("<address> ..."), MODIFIABLE | MULTI | INERT;
}
