//! See `basalt_fuzz::rdb_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::rdb_file(data));
