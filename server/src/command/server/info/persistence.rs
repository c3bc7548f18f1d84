//! The section on persistence: loading, snapshots, the append-only file.

use std::sync::atomic::Ordering::Relaxed;

use super::Lines;
use crate::server::Server;

/// The text for a state that is good or not.
fn status(good: bool) -> &'static str {
    if good { "ok" } else { "err" }
}

pub(super) fn section(lines: &mut Lines, server: &Server) {
    let round = server.persist.loading.current();
    lines.section("Persistence");
    lines.put("loading", u8::from(round.is_some()));
    lines.put("async_loading", 0);
    cost(lines, server);
    snapshots(lines, server);
    lines.put("aof_enabled", u8::from(server.config.load().appendonly));
    log(lines, server);
    lines.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    if server.config.load().appendonly {
        log_sizes(lines, server);
    }
    let Some(round) = round else { return };
    lines.put("loading_start_time", round.began_s);
    lines.put("loading_total_bytes", round.total_bytes);
    lines.put("loading_rdb_used_mem", 0);
    lines.put("loading_loaded_bytes", round.loaded_bytes());
    lines.put(
        "loading_loaded_perc",
        format_args!("{:.2}", round.percent()),
    );
    lines.put("loading_eta_seconds", round.eta_seconds());
}

/// What keeping old pages for snapshots costs. The fields of Redis are zero while none is under
/// way; ours tell of the last one then.
fn cost(lines: &mut Lines, server: &Server) {
    let (usage, pause_us) = server.persist.cost.usage();
    let busy =
        server.persist.snapshots.is_busy() || server.persist.aof.rewrites.current().is_some();
    let current = |bytes| if busy { bytes } else { 0 };
    lines.put("current_cow_peak", current(usage.peak_bytes));
    lines.put("current_cow_size", current(usage.extra_bytes));
    lines.put("current_cow_size_age", 0);
    lines.put("snapshot_extra_memory", server.engine.snapshot_room.used());
    lines.put("snapshot_extra_memory_peak", usage.peak_bytes);
    lines.put(
        "snapshot_extra_memory_limit",
        server.engine.snapshot_room.limit(),
    );
    lines.put("snapshot_cut_us", pause_us);
    lines.put("snapshot_longest_stall_us", usage.longest_stall_ns / 1000);
    lines.put(
        "snapshot_slots_captured_by_writers",
        usage.captured_by_writers,
    );
    lines.put(
        "snapshot_slots_encoded_by_writers",
        usage.encoded_by_writers,
    );
    lines.put(
        "snapshot_writes_delayed",
        server.persist.cost.delayed.load(Relaxed),
    );
}

fn log(lines: &mut Lines, server: &Server) {
    let aof = &server.persist.aof;
    let facts = &aof.facts;
    let run = aof.rewrites.current();
    lines.put("aof_rewrite_in_progress", u8::from(run.is_some()));
    let scheduled = aof.rewrites.scheduled.load(Relaxed);
    lines.put("aof_rewrite_scheduled", u8::from(scheduled));
    lines.put("aof_last_rewrite_time_sec", facts.took_s.load(Relaxed));
    match run {
        Some(run) => lines.put("aof_current_rewrite_time_sec", run.seconds()),
        None => lines.put("aof_current_rewrite_time_sec", -1),
    }
    lines.put(
        "aof_last_bgrewrite_status",
        status(!facts.failed.load(Relaxed)),
    );
    lines.put("aof_rewrites", facts.rewrites.load(Relaxed));
    lines.put(
        "aof_rewrites_consecutive_failures",
        facts.failures.load(Relaxed),
    );
    lines.put("aof_last_write_status", status(aof.refusal().is_none()));
    let peak = server.persist.cost.last_rewrite_peak.load(Relaxed);
    lines.put("aof_last_cow_size", peak);
}

/// What is only shown while the log is on.
fn log_sizes(lines: &mut Lines, server: &Server) {
    let aof = &server.persist.aof;
    let facts = &aof.facts;
    lines.put("aof_current_size", facts.current_bytes.load(Relaxed));
    lines.put("aof_base_size", facts.base_bytes.load(Relaxed));
    let scheduled = aof.rewrites.scheduled.load(Relaxed);
    lines.put("aof_pending_rewrite", u8::from(scheduled));
    lines.put("aof_buffer_length", aof.buffered());
    lines.put("aof_pending_bio_fsync", facts.pending_syncs.load(Relaxed));
    lines.put("aof_delayed_fsync", facts.delayed_syncs.load(Relaxed));
    lines.put("aof_commit_index", facts.last_index.load(Relaxed));
    lines.put("aof_durable_index", facts.durable_index.load(Relaxed));
    lines.put("aof_clients_waiting", aof.held.load(Relaxed));
}

fn snapshots(lines: &mut Lines, server: &Server) {
    let snapshots = &server.persist.snapshots;
    let run = snapshots.background();
    let (done, total) = run.as_ref().map_or((0, 0), |run| {
        (run.progress.keys.load(Relaxed).min(run.keys), run.keys)
    });
    let percent = done as f64 / total.max(1) as f64 * 100.0;
    lines.put("current_fork_perc", format_args!("{percent:.2}"));
    lines.put("current_save_keys_processed", done);
    lines.put("current_save_keys_total", total);
    lines.put("rdb_changes_since_last_save", server.changes_since_save());
    lines.put("rdb_bgsave_in_progress", u8::from(run.is_some()));
    lines.put("rdb_last_save_time", snapshots.last_save_s.load(Relaxed));
    lines.put(
        "rdb_last_bgsave_status",
        status(!snapshots.failed.load(Relaxed)),
    );
    lines.put(
        "rdb_last_bgsave_time_sec",
        snapshots.last_took_s.load(Relaxed),
    );
    match run {
        Some(run) => lines.put("rdb_current_bgsave_time_sec", run.seconds()),
        None => lines.put("rdb_current_bgsave_time_sec", -1),
    }
    lines.put("rdb_saves", snapshots.begun.load(Relaxed));
    let peak = server.persist.cost.last_save_peak.load(Relaxed);
    lines.put("rdb_last_cow_size", peak);
    let loading = &server.persist.loading;
    lines.put("rdb_last_load_keys_expired", loading.expired.load(Relaxed));
    lines.put("rdb_last_load_keys_loaded", loading.loaded.load(Relaxed));
}
