//! See `basalt_fuzz::restore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::restore(data));
