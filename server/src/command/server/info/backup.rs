//! The section on backups; empty while there is no place for them.

use std::sync::atomic::Ordering::Relaxed;

use super::Lines;
use crate::backup::Task;
use crate::server::Server;

/// Unix seconds.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

pub(super) fn section(lines: &mut Lines, server: &Server) {
    let config = server.config.load();
    if config.backup_url.is_none() {
        return;
    }
    let backups = &server.backups;
    lines.section("Backup");
    let run = backups.current();
    let busy = run.as_ref().is_some_and(|run| run.task == Task::Backup);
    lines.put("backup_in_progress", u8::from(busy));
    let (done, total) = run.as_ref().map_or((0, 0), |run| {
        let total = run.keys.load(Relaxed);
        (run.progress.keys.load(Relaxed).min(total), total)
    });
    lines.put("backup_current_keys_processed", done);
    lines.put("backup_current_keys_total", total);
    lines.put(
        "backup_encrypted",
        u8::from(!config.backup_recipients.is_empty()),
    );
    let last = backups.last.lock().clone();
    lines.put(
        "backup_last_success_id",
        last.as_ref().map_or("", |last| last.id.as_str()),
    );
    lines.put(
        "backup_last_success_time",
        last.as_ref().map_or(0, |last| seconds(last.cut_ms)),
    );
    // What would be lost if this machine were: everything, while there is no backup.
    let age = backups.age_ms().map_or(-1, seconds);
    lines.put("backup_last_success_age_sec", age);
    // Rounded up: what is said to be safe is.
    let rpo = backups
        .rpo_ms()
        .map_or(-1, |ms| seconds(ms.saturating_add(999)));
    lines.put("backup_rpo_sec", rpo);
    let stream = backups.archive.stream().filter(|stream| !stream.is_over());
    lines.put("backup_archive_active", u8::from(stream.is_some()));
    let count = |get: &dyn Fn(&crate::backup::archive::Stream) -> u64| {
        stream.as_ref().map_or(0, |stream| get(stream))
    };
    lines.put(
        "backup_archive_segments",
        count(&|stream| stream.shipped.load(Relaxed)),
    );
    lines.put(
        "backup_archive_bytes",
        count(&|stream| stream.shipped_bytes.load(Relaxed)),
    );
    lines.put(
        "backup_archive_failures",
        count(&|stream| stream.failures.load(Relaxed)),
    );
    lines.put(
        "backup_last_success_stored_bytes",
        last.as_ref().map_or(0, |last| last.stored_bytes),
    );
    lines.put(
        "backup_last_success_uploaded_bytes",
        last.as_ref().map_or(0, |last| last.uploaded_bytes),
    );
    let tried = backups.last_backup.lock().clone();
    let status = if tried.error.is_empty() { "ok" } else { "err" };
    lines.put("backup_last_status", status);
    lines.put("backup_last_try_time", seconds(tried.at_ms));
    lines.put("backup_last_duration_ms", tried.took_ms);
    let pruned = backups.last_prune_error.lock().is_empty();
    lines.put(
        "backup_last_prune_status",
        if pruned { "ok" } else { "err" },
    );
    let verified = backups.verified.lock().clone();
    lines.put(
        "backup_last_verified_id",
        verified.as_ref().map_or("", |verified| verified.0.as_str()),
    );
    lines.put(
        "backup_last_verified_time",
        verified.as_ref().map_or(0, |verified| seconds(verified.1)),
    );
    let checked = backups.last_verify.lock().clone();
    let status = if checked.error.is_empty() {
        "ok"
    } else {
        "err"
    };
    lines.put("backup_last_verify_status", status);
    lines.put(
        "backup_next_scheduled_time",
        seconds(backups.next_ms.load(Relaxed)),
    );
    lines.put("backup_count", backups.made.load(Relaxed));
    lines.put("backup_failures", backups.failures.load(Relaxed));
    lines.put(
        "backup_uploaded_bytes",
        backups.uploaded_bytes.load(Relaxed),
    );
}
