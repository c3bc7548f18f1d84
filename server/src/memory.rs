//! What the allocator says: the truth behind `used_memory`.

use tikv_jemalloc_ctl::{epoch, stats};

/// Bytes as the allocator sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Handed out to the program.
    pub allocated: u64,
    /// In pages that hold allocations.
    pub active: u64,
    /// In physical memory.
    pub resident: u64,
    /// Mapped.
    pub mapped: u64,
    /// Kept for later by the allocator.
    pub retained: u64,
    /// The allocator's own.
    pub metadata: u64,
}

/// Current usage; refreshes the allocator's statistics, some microseconds.
pub fn usage() -> Usage {
    let read = |value: Result<usize, tikv_jemalloc_ctl::Error>| value.unwrap_or(0) as u64;
    if epoch::advance().is_err() {
        return Usage::default();
    }
    Usage {
        allocated: read(stats::allocated::read()),
        active: read(stats::active::read()),
        resident: read(stats::resident::read()),
        mapped: read(stats::mapped::read()),
        retained: read(stats::retained::read()),
        metadata: read(stats::metadata::read()),
    }
}

/// Bytes handed out to the program.
pub fn used() -> u64 {
    usage().allocated
}

/// Bytes of the process in physical memory.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    match pages {
        Some(pages) => pages.saturating_mul(rustix::param::page_size() as u64),
        None => usage().resident,
    }
}

/// Bytes of physical memory of the machine.
pub fn of_machine() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(
        clippy::useless_conversion,
        reason = "the type depends on the platform"
    )]
    let total = u64::from(info.totalram);
    total.saturating_mul(u64::from(info.mem_unit.max(1)))
}

/// Name and version of the allocator.
pub fn allocator() -> String {
    let version = tikv_jemalloc_ctl::version::read().unwrap_or_default();
    let release = version.split('-').next().unwrap_or_default();
    format!("jemalloc-{release}")
}
