//! What happens `hz` times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::memory;
use crate::server::{Server, unix_ms};

/// Runs the periodic work until the process ends.
pub async fn run(server: Arc<Server>) {
    let mut ticks: u64 = 0;
    loop {
        let hz = u64::from(server.config.load().hz.clamp(1, 500));
        tokio::time::sleep(Duration::from_millis(1000 / hz)).await;
        if server.hot.cron_paused.load(Relaxed) {
            continue;
        }
        let now_ms = unix_ms();
        let began = Instant::now();
        let loading = server.hot.loading.load(Relaxed);
        if !loading
            && server.engine.settings.active_expire.load(Relaxed)
            && !server.hot.paused.load(Relaxed)
        {
            let started = Instant::now();
            // One pass takes a bounded number of pages of each table; more follow while there
            // is something left to remove, for a quarter of the time at most, as in Redis.
            let budget = Duration::from_millis((250 / hz).max(1));
            while server.engine.expire_pass(now_ms) > 0 && started.elapsed() < budget {}
            let took = started.elapsed();
            let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
            server.stats.expire_cycle_us.fetch_add(micros, Relaxed);
            server.note_latency("expire-cycle", took, now_ms);
        }
        // A script may hold the shards for long: what locks them all comes after it.
        if !server.engine.scripts.running.is_running() {
            server.check_save_points();
            server.check_log();
            if ticks.is_multiple_of(hz) {
                server.check_backups(now_ms);
            }
        }
        server.tracking.broadcast();
        server.end_pause_if_due(now_ms);
        server
            .stats
            .rates
            .lock()
            .sample(now_ms, server.stats.totals());
        server.peak_memory.fetch_max(memory::used(), Relaxed);
        if ticks.is_multiple_of((hz / 10).max(1)) {
            server.check_clients(now_ms);
        }
        if ticks.is_multiple_of(hz) {
            server.links.close_idle();
        }
        if ticks.is_multiple_of(hz) && !loading {
            for (db, average) in server.average_ttl_ms.iter().enumerate() {
                average.store(server.engine.average_ttl_ms(db, now_ms), Relaxed);
            }
        }
        server
            .stats
            .buffers
            .lock()
            .sample(now_ms, server.largest_buffers());
        server.stats.cron_ticks.fetch_add(1, Relaxed);
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        server.stats.cron_us.fetch_add(took, Relaxed);
        ticks += 1;
    }
}

impl Server {
    /// The largest input and output buffers among the clients.
    fn largest_buffers(&self) -> [u64; 2] {
        self.clients.all().iter().fold([0; 2], |max, handle| {
            let input = handle.query_bytes.load(Relaxed)
                + handle.query_free.load(Relaxed)
                + handle.argv_bytes.load(Relaxed);
            let output = handle.pending();
            [max[0].max(input as u64), max[1].max(output as u64)]
        })
    }
}
