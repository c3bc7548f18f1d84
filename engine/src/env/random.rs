//! The engine's sources of randomness. A process seeds them once; a test that wants the same
//! run again seeds them with the same number.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The step of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

static SEED: AtomicU64 = AtomicU64::new(GAMMA);

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
        let mut dice = Dice(state.get());
        if dice.0 == 0 {
            dice.0 = SEED.fetch_add(GAMMA, Ordering::Relaxed);
        }
        let drawn = dice.next();
        state.set(dice.0);
        drawn
    })
}

/// A random index below `n`; 0 when `n` is 0.
pub fn random_below(n: usize) -> usize {
    scaled(random_u64(), n)
}

fn scaled(word: u64, n: usize) -> usize {
    ((u128::from(word) * n as u128) >> 64) as usize
}

/// A stream of random numbers of its own (SplitMix64), the same for the same seed: what a
/// simulation draws its choices from.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        scaled(self.next(), n)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
