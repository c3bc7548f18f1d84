//! See the module `restore` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| basalt_fuzz::run("restore", data));
