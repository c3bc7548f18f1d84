//! The sections on the process: server, clients, cpu, modules, cluster, debug.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Lines;
use crate::config::COMPAT_VERSION;
use crate::server::{Server, unix_ms, unix_us};

/// The version of Valkey whose additions are here.
const VALKEY_VERSION: &str = "8.1.0";

pub(super) fn server(lines: &mut Lines, server: &Server) {
    let config = server.config.load();
    let system = rustix::system::uname();
    let uptime_s = server.started.elapsed().as_secs();
    let (now_ms, now_us) = (unix_ms(), unix_us());
    let executable = std::env::current_exe().unwrap_or_default();
    let config_file = config.config_file.as_deref().unwrap_or("".as_ref());
    lines.section("Server");
    lines.put("redis_version", COMPAT_VERSION);
    lines.put("valkey_version", VALKEY_VERSION);
    lines.put("server_name", "basalt");
    lines.put("basalt_version", env!("CARGO_PKG_VERSION"));
    lines.put("redis_git_sha1", "00000000");
    lines.put("redis_git_dirty", 0);
    lines.put("redis_build_id", "0");
    lines.put(
        "redis_mode",
        if config.cluster_enabled {
            "cluster"
        } else {
            "standalone"
        },
    );
    lines.put(
        "os",
        format_args!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy()
        ),
    );
    lines.put("arch_bits", usize::BITS);
    lines.put("monotonic_clock", "POSIX clock_gettime");
    lines.put("multiplexing_api", "epoll");
    lines.put("atomicvar_api", "rust");
    lines.put("gcc_version", "0.0.0");
    lines.put("process_id", std::process::id());
    lines.put("process_supervised", "no");
    lines.put("run_id", &server.run_id);
    lines.put("tcp_port", config.port);
    lines.put("server_time_usec", now_us);
    lines.put("uptime_in_seconds", uptime_s);
    lines.put("uptime_in_days", uptime_s / 86_400);
    lines.put("hz", config.hz);
    lines.put("configured_hz", config.hz);
    lines.put("lru_clock", (now_ms / 1000) & 0xff_ffff);
    lines.put("executable", executable.display());
    lines.put("config_file", config_file.display());
    lines.put("io_threads_active", u8::from(config.io_threads > 1));
    if config.port != 0 {
        let addresses: String = config
            .bind
            .0
            .iter()
            .map(|address| format!(",bind={address}"))
            .collect();
        lines.put(
            "listener0",
            format_args!("name=tcp{addresses},port={}", config.port),
        );
    }
    if let Some(path) = config.unixsocket.as_deref().filter(|path| !path.is_empty()) {
        lines.put("listener1", format_args!("name=unix,bind={path}"));
    }
}

pub(super) fn clients(lines: &mut Lines, server: &Server) {
    let [input, output] = server.stats.buffers.lock().recent(unix_ms());
    lines.section("Clients");
    lines.put("connected_clients", server.clients.len());
    lines.put("cluster_connections", 0);
    lines.put("maxclients", server.config.load().maxclients);
    lines.put("client_recent_max_input_buffer", input);
    lines.put("client_recent_max_output_buffer", output);
    lines.put("blocked_clients", server.clients.blocked_count());
    lines.put("tracking_clients", server.tracking.client_count());
    lines.put(
        "clients_in_timeout_table",
        server.engine.blocked.timed_count(),
    );
    lines.put("total_blocking_keys", server.engine.blocked.key_count());
    lines.put(
        "total_blocking_keys_on_nokey",
        server.engine.blocked.minded_key_count(),
    );
}

pub(super) fn modules(lines: &mut Lines, _server: &Server) {
    lines.section("Modules");
}

pub(super) fn cluster(lines: &mut Lines, server: &Server) {
    lines.section("Cluster");
    let enabled = server.config.load().cluster_enabled;
    lines.put("cluster_enabled", u8::from(enabled));
}

/// CPU time in system and user mode, from clock ticks of the `stat` file of a process or
/// thread, beginning with the field `first`.
fn ticks(path: &str, first: usize) -> [u64; 2] {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The name of the program may hold anything; after its closing parenthesis come fields
    // divided by spaces, the first of them the third of all.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_ascii_whitespace().skip(first - 3);
    let mut next = || {
        fields
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    let user = next();
    [next(), user]
}

/// Splits a precise total in the proportion of the ticks, which count hundredths of a second.
fn split(total: Duration, [system, user]: [u64; 2]) -> [Duration; 2] {
    let total_us = total.as_micros();
    let all = u128::from(system) + u128::from(user);
    let system_us = (total_us * u128::from(system))
        .checked_div(all)
        .unwrap_or(0);
    let micros = |us: u128| Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX));
    [micros(system_us), micros(total_us - system_us)]
}

/// Processor time of this process in system and in user mode.
pub(in super::super) fn own_cpu() -> [Duration; 2] {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    let spent = Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos);
    split(spent, ticks("/proc/self/stat", UTIME))
}

pub(super) fn cpu(lines: &mut Lines, _server: &Server) {
    let own = own_cpu();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let children = ticks("/proc/self/stat", CUTIME)
        .map(|count| Duration::from_micros(count.saturating_mul(1_000_000) / per_second));
    let pid = std::process::id();
    let main = ticks(&format!("/proc/self/task/{pid}/stat"), UTIME)
        .map(|count| Duration::from_micros(count.saturating_mul(1_000_000) / per_second));
    lines.section("CPU");
    for (suffix, [system, user]) in [("", own), ("_children", children), ("_main_thread", main)] {
        for (mode, time) in [("sys", system), ("user", user)] {
            lines.put(
                &format!("used_cpu_{mode}{suffix}"),
                format_args!("{}.{:06}", time.as_secs(), time.subsec_micros()),
            );
        }
    }
}

/// Numbers of fields in a `stat` file.
const UTIME: usize = 14;
const CUTIME: usize = 16;

pub(super) fn debug(lines: &mut Lines, server: &Server) {
    let (mut longest, mut most) = (0, 0);
    server.stats.each_worker(|worker| {
        longest = longest.max(worker.longest_cycle_nanos.load(Relaxed));
        most = most.max(worker.most_commands.load(Relaxed));
    });
    lines.section("Debug");
    let at_log = server.persist.aof.facts.pass_nanos.load(Relaxed);
    lines.put("eventloop_duration_aof_sum", at_log / 1000);
    lines.put(
        "eventloop_duration_cron_sum",
        server.stats.cron_us.load(Relaxed),
    );
    lines.put("eventloop_duration_max", longest / 1000);
    lines.put("eventloop_cmd_per_cycle_max", most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_split_as_the_ticks_say() {
        let second = Duration::from_secs(1);
        assert_eq!(split(second, [1, 3]), [second / 4, second * 3 / 4]);
        assert_eq!(split(second, [0, 0]), [Duration::ZERO, second]);
    }

    #[test]
    fn own_ticks_can_be_read() {
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        assert_ne!(ticks("/proc/self/stat", UTIME), [0, 0]);
        assert_eq!(ticks("/nowhere", UTIME), [0, 0]);
    }
}
