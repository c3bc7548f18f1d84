//! The 24-bit access field of an entry: LRU clock in seconds, or LFU minutes and a
//! logarithmic counter, depending on `maxmemory-policy`. Rules and constants are those of
//! Redis (`evict.c`), because `OBJECT IDLETIME` and `OBJECT FREQ` show them.

use std::sync::atomic::Ordering::Relaxed;

use crate::engine::Settings;

/// Largest LRU clock value; it wraps after 194 days.
pub const LRU_CLOCK_MAX: u32 = (1 << 24) - 1;
/// Counter of a new entry under LFU.
pub const LFU_INIT: u32 = 5;

/// Time and policy as a command sees them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now_ms: i64,
    lfu: bool,
    log_factor: u32,
    decay_minutes: u32,
}

impl Clock {
    /// The clock at `now_ms`.
    #[inline]
    pub fn new(now_ms: i64, settings: &Settings) -> Clock {
        Clock {
            now_ms,
            lfu: settings.lfu.load(Relaxed),
            log_factor: settings.lfu_log_factor.load(Relaxed),
            decay_minutes: settings.lfu_decay_time.load(Relaxed),
        }
    }

    /// Whether the policy is one of the LFU policies.
    pub fn is_lfu(&self) -> bool {
        self.lfu
    }

    fn seconds(&self) -> u32 {
        ((self.now_ms / 1000) as u64 & u64::from(LRU_CLOCK_MAX)) as u32
    }

    fn minutes(&self) -> u32 {
        ((self.now_ms / 60_000) as u64 & 0xffff) as u32
    }

    /// The field of a new entry.
    #[inline]
    pub fn fresh(&self) -> u32 {
        if self.lfu {
            self.minutes() << 8 | LFU_INIT
        } else {
            self.seconds()
        }
    }

    /// Seconds since the last access, under LRU.
    pub fn idle_seconds(&self, lru: u32) -> u64 {
        let now = self.seconds();
        u64::from(if now >= lru {
            now - lru
        } else {
            now + (LRU_CLOCK_MAX - lru)
        })
    }

    /// The field that says an entry was idle for so long.
    pub fn field_for_idle(&self, idle_seconds: u64) -> u32 {
        let now = i64::from(self.seconds());
        let idle = i64::try_from(idle_seconds)
            .unwrap_or(i64::MAX)
            .min(i64::from(LRU_CLOCK_MAX));
        let at = now - idle;
        (if at < 0 {
            (at + i64::from(LRU_CLOCK_MAX)).max(0)
        } else {
            at
        }) as u32
    }

    /// The field that gives an entry this LFU counter now.
    pub fn field_for_frequency(&self, counter: u8) -> u32 {
        self.minutes() << 8 | u32::from(counter)
    }

    /// The LFU counter after decay.
    pub fn frequency(&self, lru: u32) -> u32 {
        let counter = lru & 0xff;
        if self.decay_minutes == 0 {
            return counter;
        }
        let (then, now) = (lru >> 8, self.minutes());
        let elapsed = if now >= then {
            now - then
        } else {
            65535 - then + now
        };
        counter.saturating_sub(elapsed / self.decay_minutes)
    }
}

/// The field after an access, if it differs from what is stored.
#[inline]
pub fn touched(lru: u32, clock: &Clock) -> Option<u32> {
    let new = if clock.lfu {
        touched_lfu(lru, clock)
    } else {
        clock.seconds()
    };
    (new != lru).then_some(new)
}

fn touched_lfu(lru: u32, clock: &Clock) -> u32 {
    let mut counter = clock.frequency(lru);
    if counter < 255 {
        let base = counter.saturating_sub(LFU_INIT);
        let odds = u64::from(base) * u64::from(clock.log_factor) + 1;
        if crate::env::random_u64().is_multiple_of(odds) {
            counter += 1;
        }
    }
    clock.minutes() << 8 | counter
}
