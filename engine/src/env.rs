//! The engine's sources of randomness. A process seeds them once; a test that wants the same
//! run again seeds them with the same number.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

static SEED: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Seeds the random numbers of threads that draw their first one after this call.
pub fn seed(seed: u64) {
    SEED.store(seed | 1, Ordering::Relaxed);
}

/// The next random number of this thread (SplitMix64). Not for secrets.
pub fn random_u64() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            x = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        }
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(x);
        let mut z = x;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A random index below `n`; 0 when `n` is 0.
pub fn random_below(n: usize) -> usize {
    if n == 0 {
        0
    } else {
        ((u128::from(random_u64()) * n as u128) >> 64) as usize
    }
}
