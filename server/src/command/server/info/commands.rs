//! The sections on commands: how often, how long, and what failed.

use std::sync::atomic::Ordering::Relaxed;

use super::{Lines, safe};
use crate::server::Server;

pub(super) fn calls(lines: &mut Lines, server: &Server) {
    lines.section("Commandstats");
    for command in server.engine.registry.all() {
        let (mut calls, mut nanos, mut rejected, mut failed) = (0u64, 0u64, 0u64, 0u64);
        server.stats.each_worker(|worker| {
            let Some(stat) = worker.commands.get(command.id) else {
                return;
            };
            calls = calls.wrapping_add(stat.calls.load(Relaxed));
            nanos = nanos.wrapping_add(stat.nanos.load(Relaxed));
            rejected = rejected.wrapping_add(stat.rejected.load(Relaxed));
            failed = failed.wrapping_add(stat.failed.load(Relaxed));
        });
        if calls == 0 && rejected == 0 && failed == 0 {
            continue;
        }
        let each_us = if calls == 0 {
            0.0
        } else {
            nanos as f64 / 1000.0 / calls as f64
        };
        lines.put(
            &format!("cmdstat_{}", safe(&command.name)),
            format_args!(
                "calls={calls},usec={},usec_per_call={each_us:.2},rejected_calls={rejected},failed_calls={failed}",
                nanos / 1000
            ),
        );
    }
}

pub(super) fn errors(lines: &mut Lines, server: &Server) {
    lines.section("Errorstats");
    for (code, count) in server.stats.errors.lock().iter() {
        lines.put(
            &format!("errorstat_{}", safe(code)),
            format_args!("count={count}"),
        );
    }
}

pub(super) fn latencies(lines: &mut Lines, server: &Server) {
    lines.section("Latencystats");
    let config = server.config.load();
    if !config.latency_tracking {
        return;
    }
    for command in server.engine.registry.all() {
        let Some(histogram) = server.stats.histogram(command.id) else {
            continue;
        };
        let percentiles: Vec<String> = config
            .latency_tracking_info_percentiles
            .0
            .iter()
            .map(|percent| {
                let us = histogram.percentile(*percent) as f64 / 1000.0;
                // Six digits after the point, as Redis prints them, without the zeros at the end.
                let shown = format!("{percent:.6}");
                let shown = shown.trim_end_matches('0').trim_end_matches('.');
                format!("p{shown}={us:.3}")
            })
            .collect();
        lines.put(
            &format!("latency_percentiles_usec_{}", safe(&command.name)),
            percentiles.join(","),
        );
    }
}
