//! The sections on what happens: stats, replication, keyspace.

use std::sync::atomic::Ordering::Relaxed;

use super::Lines;
use crate::pubsub::Kind;
use crate::server::Server;

pub(super) fn stats(lines: &mut Lines, server: &Server) {
    let stats = &server.stats;
    let data = server.engine.stats();
    let [commands, net_in, net_out, cycles, busy_us] = stats.totals();
    let [commands_rate, in_rate, out_rate, cycle_rate, busy_rate] = stats.rates.lock().per_second();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    let mut command_nanos = 0u64;
    stats.each_worker(|worker| {
        let nanos = worker.commands.iter().map(|stat| stat.nanos.load(Relaxed));
        command_nanos = nanos.fold(command_nanos, u64::wrapping_add);
    });
    lines.section("Stats");
    lines.put(
        "total_connections_received",
        stats.connections_received.load(Relaxed),
    );
    lines.put("total_commands_processed", commands);
    lines.put("instantaneous_ops_per_sec", commands_rate);
    lines.put("total_net_input_bytes", net_in);
    lines.put("total_net_output_bytes", net_out);
    lines.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    lines.put("instantaneous_input_kbps", kilobytes(in_rate));
    lines.put("instantaneous_output_kbps", kilobytes(out_rate));
    lines.put("instantaneous_input_repl_kbps", kilobytes(0));
    lines.put("instantaneous_output_repl_kbps", kilobytes(0));
    lines.put(
        "rejected_connections",
        stats.rejected_connections.load(Relaxed),
    );
    lines.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    lines.put("expired_keys", data.expired);
    lines.put("expired_fields", data.expired_fields);
    lines.put("expired_stale_perc", "0.00");
    lines.put("expired_time_cap_reached_count", 0);
    lines.put(
        "expire_cycle_cpu_milliseconds",
        stats.expire_cycle_us.load(Relaxed) / 1000,
    );
    lines.put("evicted_keys", stats.evicted_keys.load(Relaxed));
    lines.put("evicted_scripts", server.engine.scripts.evicted());
    lines.put(
        "evicted_clients",
        server.client_memory.evicted.load(Relaxed),
    );
    let exceeded = server.eviction.exceeded_us();
    let total = stats.eviction_exceeded_us.load(Relaxed) + exceeded;
    lines.put("total_eviction_exceeded_time", total / 1000);
    lines.put("current_eviction_exceeded_time", exceeded / 1000);
    lines.put("keyspace_hits", data.hits);
    lines.put("keyspace_misses", data.misses);
    lines.put("pubsub_channels", server.pubsub.count(Kind::Channel));
    lines.put("pubsub_patterns", server.pubsub.count(Kind::Pattern));
    lines.put("pubsubshard_channels", server.pubsub.count(Kind::Shard));
    lines.zeros(&["latest_fork_usec", "total_forks"]);
    lines.put("migrate_cached_sockets", server.links.len());
    lines.zeros(&[
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ]);
    lines.put("tracking_total_keys", server.tracking.total_keys());
    lines.put("tracking_total_items", server.tracking.total_items());
    lines.put("tracking_total_prefixes", server.tracking.total_prefixes());
    lines.put("unexpected_error_replies", 0);
    lines.put("total_error_replies", stats.error_replies.load(Relaxed));
    lines.put("dump_payload_sanitizations", 0);
    lines.put("total_reads_processed", stats.sum(|worker| &worker.reads));
    lines.put("total_writes_processed", stats.sum(|worker| &worker.writes));
    lines.zeros(&[
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "reply_buffer_shrinks",
        "reply_buffer_expands",
    ]);
    lines.put("eventloop_cycles", cycles);
    lines.put("eventloop_duration_sum", busy_us);
    lines.put("eventloop_duration_cmd_sum", command_nanos / 1000);
    lines.put("instantaneous_eventloop_cycles_per_sec", cycle_rate);
    lines.put(
        "instantaneous_eventloop_duration_usec",
        busy_rate.checked_div(cycle_rate).unwrap_or(0),
    );
    for (name, counter) in [
        ("acl_access_denied_auth", &stats.acl_denied_auth),
        ("acl_access_denied_cmd", &stats.acl_denied_cmd),
        ("acl_access_denied_key", &stats.acl_denied_key),
        ("acl_access_denied_channel", &stats.acl_denied_channel),
    ] {
        lines.put(name, counter.load(Relaxed));
    }
}

pub(super) fn replication(lines: &mut Lines, server: &Server) {
    let config = server.config.load();
    lines.section("Replication");
    lines.put("role", "master");
    lines.put("connected_slaves", 0);
    if config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0 {
        lines.put("min_slaves_good_slaves", 0);
    }
    lines.put("master_failover_state", "no-failover");
    lines.put("master_replid", server.replication_id.lock());
    lines.put("master_replid2", "0".repeat(40));
    lines.put("master_repl_offset", 0);
    lines.put("second_repl_offset", -1);
    lines.put("repl_backlog_active", 0);
    lines.put("repl_backlog_size", config.repl_backlog_size);
    lines.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

pub(super) fn keyspace(lines: &mut Lines, server: &Server) {
    let engine = &server.engine;
    lines.section("Keyspace");
    for db in 0..engine.databases() {
        let (keys, volatile) = (engine.key_count(db), engine.volatile_count(db));
        if keys > 0 {
            let ttl = server
                .average_ttl_ms
                .get(db)
                .filter(|_| volatile > 0)
                .map_or(0, |ttl| ttl.load(Relaxed));
            lines.put(
                &format!("db{db}"),
                format_args!("keys={keys},expires={volatile},avg_ttl={ttl}"),
            );
        }
    }
}
