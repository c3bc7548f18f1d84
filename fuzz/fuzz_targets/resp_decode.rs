//! See `basalt_fuzz::resp_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::resp_decode(data));
