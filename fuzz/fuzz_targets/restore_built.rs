//! See the module `restore_built` of `basalt_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: basalt_fuzz::seeds::write_if_asked("restore_built"),
    |data: &[u8]| basalt_fuzz::run("restore_built", data)
);
