//! See the module `ziplist` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: basalt_fuzz::seeds::write_if_asked("ziplist"),
    |data: &[u8]| basalt_fuzz::run("ziplist", data)
);
