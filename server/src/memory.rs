//! What the allocator says: the truth behind `used_memory`.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use tikv_jemalloc_ctl::thread::{self, ThreadLocal};
use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats, stats_print};

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

static USED: AtomicU64 = AtomicU64::new(0);
static USED_AT_MS: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static OWN: Option<Own> = Own::of_this_thread();
}

/// The allocator's counters of one thread, which are exact and cost a load each.
struct Own {
    taken: ThreadLocal<u64>,
    given_back: ThreadLocal<u64>,
    /// Their difference when it was last looked at.
    seen: Cell<u64>,
}

impl Own {
    fn of_this_thread() -> Option<Own> {
        Some(Own {
            taken: thread::allocatedp::read().ok()?,
            given_back: thread::deallocatedp::read().ok()?,
            seen: Cell::new(0),
        })
    }

    fn held(&self) -> u64 {
        self.taken.get().wrapping_sub(self.given_back.get())
    }

    /// By how much this thread has more bytes than at the last call, modulo 2^64.
    fn growth(&self) -> u64 {
        let has = self.held();
        has.wrapping_sub(self.seen.replace(has))
    }
}

/// What this thread took of the allocator less what it gave back, modulo 2^64.
pub fn held_by_this_thread() -> u64 {
    OWN.with(|own| own.as_ref().map_or(0, Own::held))
}

fn own_growth() -> u64 {
    OWN.with(|own| own.as_ref().map_or(0, Own::growth))
}

/// Bytes handed out to the program: of other threads at most a millisecond old, of the threads that
/// ask up to their last question. Cheap enough for every command while `maxmemory` is set.
pub fn used_lately(now_ms: i64) -> u64 {
    if USED_AT_MS.swap(now_ms, Relaxed) != now_ms {
        return used();
    }
    let growth = own_growth();
    let used = USED.fetch_add(growth, Relaxed).wrapping_add(growth);
    // Threads free what others took: for a moment the sum may be below zero.
    used.cast_signed().max(0).cast_unsigned()
}

/// Bytes handed out to the program.
pub fn used() -> u64 {
    type Mibs = (tikv_jemalloc_ctl::epoch_mib, stats::allocated_mib);
    static MIBS: OnceLock<Option<Mibs>> = OnceLock::new();
    let mibs = MIBS.get_or_init(|| Some((epoch::mib().ok()?, stats::allocated::mib().ok()?)));
    let read = |mibs: &Mibs| {
        mibs.0.advance().ok()?;
        mibs.1.read().ok()
    };
    let used = mibs.as_ref().and_then(read).unwrap_or(0) as u64;
    own_growth();
    USED.store(used, Relaxed);
    used
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

/// The allocator's own report.
pub fn statistics() -> Vec<u8> {
    let mut text = Vec::new();
    if let Err(error) = stats_print::stats_print(&mut text, stats_print::Options::default()) {
        text.extend_from_slice(format!("{error}\n").as_bytes());
    }
    text
}

/// Gives unused pages of every arena back to the system: setting the time after which they
/// are given back to zero does it at once, and then the old time is restored. False when the
/// allocator refused.
pub fn purge() -> bool {
    let purge_all = || -> Result<(), tikv_jemalloc_ctl::Error> {
        let count = arenas::narenas::read()?;
        let mut arena = b"arena.0.dirty_decay_ms\0".name().mib::<[usize; 3]>()?;
        for index in 0..count {
            arena[1] = index as usize;
            // Arenas that were never used have no such setting.
            if let Ok(before) = Access::<isize>::update(&arena, 0) {
                Access::<isize>::write(&arena, before)?;
            }
        }
        Ok(())
    };
    purge_all().is_ok()
}
