//! An allocator that counts, so that a target can bound what decoding takes.
//!
//! The counts are those of the thread, so that targets may run beside each other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// What decoding may take beside twice its input.
pub const ALLOWANCE: usize = 16 << 20;

/// The system's allocator, counted.
struct Counting;

fn count(change: isize) {
    // At the end of a thread there is nothing left to count in.
    let _ = LIVE.try_with(|live| {
        let now = live.get() + change;
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as for this function.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while the content moves.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as for this function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs `decode` and gives its result with the bytes it took at most, above what was held before.
pub fn taken<R>(decode: impl FnOnce() -> R) -> (R, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = decode();
    let most = PEAK.get().saturating_sub(before);
    (result, usize::try_from(most).unwrap_or(0))
}

/// Runs `decode` on `input` bytes.
///
/// # Panics
/// It takes more than twice the input and [`ALLOWANCE`].
pub fn bounded<R>(input: usize, decode: impl FnOnce() -> R) -> R {
    let (result, most) = taken(decode);
    let limit = 2 * input + ALLOWANCE;
    assert!(most <= limit, "{most} bytes taken for {input}");
    result
}
