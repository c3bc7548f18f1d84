//! See the module `aof` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: basalt_fuzz::seeds::write_if_asked("aof"),
    |data: &[u8]| basalt_fuzz::run("aof", data)
);
