//! See the module `lzf` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: basalt_fuzz::seeds::write_if_asked("lzf"),
    |data: &[u8]| basalt_fuzz::run("lzf", data)
);
