//! What happens `hz` times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::memory;
use crate::server::{Server, unix_ms};

/// Runs the periodic work until the process ends.
pub async fn run(server: Arc<Server>) {
    let mut ticks: u64 = 0;
    loop {
        let hz = u64::from(server.config.load().hz.clamp(1, 500));
        tokio::time::sleep(Duration::from_millis(1000 / hz)).await;
        let now_ms = unix_ms();
        if server.engine.settings.active_expire.load(Relaxed) && !server.hot.paused.load(Relaxed) {
            server.engine.expire_pass(now_ms);
        }
        server.tracking.broadcast();
        server.end_pause_if_due(now_ms);
        let totals = [
            server.stats.sum(|worker| &worker.processed),
            server.stats.sum(|worker| &worker.net_in),
            server.stats.sum(|worker| &worker.net_out),
        ];
        server.stats.rates.lock().sample(now_ms, totals);
        server.peak_memory.fetch_max(memory::used(), Relaxed);
        if ticks.is_multiple_of((hz / 10).max(1)) {
            server.check_clients(now_ms);
        }
        ticks += 1;
    }
}
