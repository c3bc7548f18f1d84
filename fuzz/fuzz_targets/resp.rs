//! See the module `resp` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: basalt_fuzz::seeds::write_if_asked("resp"),
    |data: &[u8]| basalt_fuzz::run("resp", data)
);
