//! See `basalt_fuzz::text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::text(data));
