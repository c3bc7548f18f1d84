//! Telling the processor which memory is needed next.
//!
//! A look-up in a big keyspace waits for memory twice or thrice, one after the other. A caller
//! that knows several keys beforehand can have all of these come at once.

#![allow(unsafe_code)]

/// Asks for the cache line at an address, which may be any: it is not read.
#[inline]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and raises no fault whatever the address is; SSE, which
    // has the instruction, is part of every x86_64 processor.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_will_do() {
        let value = 7u64;
        prefetch(&raw const value);
        prefetch(std::ptr::null::<u64>());
        prefetch(std::ptr::without_provenance::<u64>(usize::MAX));
        prefetch(std::ptr::without_provenance::<u8>(0xdead_beef));
        assert_eq!(value, 7);
    }
}
