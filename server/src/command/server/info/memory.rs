//! The section on memory, and the sums behind it and MEMORY STATS.

use std::sync::atomic::Ordering::Relaxed;

use super::{Lines, human};
use crate::memory::{self, Usage};
use crate::server::Server;

/// Where the memory goes.
pub(in super::super) struct Overhead {
    /// What the allocator says.
    pub usage: Usage,
    /// Physical memory of the process.
    pub resident: u64,
    /// The largest `usage.allocated` seen.
    pub peak: u64,
    /// Allocated when the server was ready.
    pub startup: u64,
    /// Buffers of clients.
    pub clients: u64,
    /// Tables of each database that has keys.
    pub tables: Vec<(usize, u64)>,
    /// Everything that is not data.
    pub total: u64,
    /// Keys in all databases.
    pub keys: u64,
}

impl Overhead {
    /// The state of this moment.
    pub fn of(server: &Server) -> Overhead {
        let usage = memory::usage();
        let peak = server.peak_memory.fetch_max(usage.allocated, Relaxed);
        let engine = &server.engine;
        let tables: Vec<(usize, u64)> = (0..engine.databases())
            .filter(|db| engine.key_count(*db) > 0)
            .map(|db| (db, engine.table_bytes(db) as u64))
            .collect();
        let startup = server.startup_memory.load(Relaxed);
        let clients = client_bytes(server);
        let keys = (0..engine.databases()).map(|db| engine.key_count(db) as u64);
        Overhead {
            usage,
            resident: memory::resident(),
            peak: peak.max(usage.allocated),
            startup,
            clients,
            total: startup + clients + tables.iter().map(|(_, bytes)| bytes).sum::<u64>(),
            tables,
            keys: keys.sum(),
        }
    }

    /// Allocated since the start.
    fn net(&self) -> u64 {
        self.usage.allocated.saturating_sub(self.startup).max(1)
    }

    /// Allocated for data.
    pub fn dataset(&self) -> u64 {
        self.usage.allocated.saturating_sub(self.total)
    }

    /// Share of the data in what was allocated since the start.
    pub fn dataset_percent(&self) -> f64 {
        self.dataset() as f64 * 100.0 / self.net() as f64
    }

    /// Allocated memory in percent of the peak.
    pub fn peak_percent(&self) -> f64 {
        self.usage.allocated as f64 * 100.0 / self.peak.max(1) as f64
    }

    /// Bytes allocated since the start for each key.
    pub fn bytes_per_key(&self) -> u64 {
        self.net().checked_div(self.keys).unwrap_or(0)
    }

    /// Pairs of ratio and difference: fragmentation in the allocator, its resident memory
    /// against its active, the process against the allocator, the process against what was
    /// allocated.
    pub fn ratios(&self) -> [(f64, i64); 4] {
        let compare = |more: u64, less: u64| {
            let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            (
                more as f64 / less.max(1) as f64,
                signed(more) - signed(less),
            )
        };
        let usage = &self.usage;
        [
            compare(usage.active, usage.allocated),
            compare(usage.resident, usage.active),
            compare(self.resident, usage.resident),
            compare(self.resident, usage.allocated),
        ]
    }
}

/// Bytes of the clients' buffers and state.
fn client_bytes(server: &Server) -> u64 {
    let clients = server.clients.all();
    clients.iter().map(|handle| handle.memory() as u64).sum()
}

pub(super) fn section(lines: &mut Lines, server: &Server) {
    let overhead = Overhead::of(server);
    let usage = overhead.usage;
    let config = server.config.load();
    let machine = memory::of_machine();
    let ratio = |value: f64| format!("{value:.2}");
    let percent = |value: f64| format!("{value:.2}%");
    lines.section("Memory");
    lines.put("used_memory", usage.allocated);
    lines.put("used_memory_human", human(usage.allocated));
    lines.put("used_memory_rss", overhead.resident);
    lines.put("used_memory_rss_human", human(overhead.resident));
    lines.put("used_memory_peak", overhead.peak);
    lines.put("used_memory_peak_human", human(overhead.peak));
    lines.put("used_memory_peak_perc", percent(overhead.peak_percent()));
    lines.put("used_memory_overhead", overhead.total);
    lines.put("used_memory_startup", overhead.startup);
    lines.put("used_memory_dataset", overhead.dataset());
    lines.put(
        "used_memory_dataset_perc",
        percent(overhead.dataset_percent()),
    );
    lines.put("allocator_allocated", usage.allocated);
    lines.put("allocator_active", usage.active);
    lines.put("allocator_resident", usage.resident);
    lines.put("total_system_memory", machine);
    lines.put("total_system_memory_human", human(machine));
    let scripts = &server.engine.scripts;
    let (eval, functions) = scripts.vm_bytes();
    let (cached, cache_bytes) = scripts.cached();
    let library_bytes = scripts.libraries.bytes();
    lines.put("used_memory_lua", eval);
    lines.put("used_memory_vm_eval", eval);
    lines.put("used_memory_lua_human", human(eval as u64));
    lines.put("used_memory_scripts_eval", cache_bytes);
    lines.put("number_of_cached_scripts", cached);
    lines.put("number_of_functions", scripts.libraries.function_count());
    lines.put("number_of_libraries", scripts.libraries.len());
    lines.put("used_memory_vm_functions", functions);
    lines.put("used_memory_vm_total", eval + functions);
    lines.put(
        "used_memory_vm_total_human",
        human((eval + functions) as u64),
    );
    lines.put("used_memory_functions", library_bytes);
    lines.put("used_memory_scripts", cache_bytes + library_bytes);
    lines.put(
        "used_memory_scripts_human",
        human((cache_bytes + library_bytes) as u64),
    );
    lines.put("maxmemory", config.maxmemory);
    lines.put("maxmemory_human", human(config.maxmemory));
    lines.put("maxmemory_policy", config.maxmemory_policy.name());
    let names = [
        ("allocator_frag_ratio", "allocator_frag_bytes"),
        ("allocator_rss_ratio", "allocator_rss_bytes"),
        ("rss_overhead_ratio", "rss_overhead_bytes"),
        ("mem_fragmentation_ratio", "mem_fragmentation_bytes"),
    ];
    for ((times, bytes), (quotient, difference)) in names.iter().zip(overhead.ratios()) {
        lines.put(times, ratio(quotient));
        lines.put(bytes, difference);
    }
    lines.put("mem_not_counted_for_evict", server.not_counted_for_evict());
    lines.zeros(&[
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_clients_slaves",
    ]);
    lines.put("mem_clients_normal", overhead.clients);
    lines.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    lines.put("mem_allocator", memory::allocator());
    lines.put("active_defrag_running", 0);
    lines.put("lazyfree_pending_objects", server.engine.lazy().pending());
    lines.put("lazyfreed_objects", server.engine.lazy().freed());
}
