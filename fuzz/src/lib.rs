//! The fuzz targets: functions of arbitrary bytes that panic when something is wrong. Each one is
//! run by libFuzzer (`fuzz_targets/`) and by the `smoke` program on seeds with bytes changed.

mod alloc;
mod aof;
mod commands;
mod content;
mod input;
mod intset;
mod listpack;
mod lzf;
mod manifest;
pub mod mutate;
mod rdb;
mod resp;
mod restore;
mod restore_built;
pub mod seeds;
mod stream;
mod text;
mod ziplist;

pub use input::Input;

/// Longer inputs are passed over: nothing new is in them, and targets stay fast.
pub const MAX_INPUT: usize = 1 << 16;

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, as libFuzzer's program and the folder of its corpus have it.
    pub name: &'static str,
    /// Runs one case.
    pub run: fn(&[u8]),
    /// Length of random cases.
    pub most: usize,
    /// Inputs to begin with; see [`seeds`].
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("rdb", rdb::rdb, 200, seeds::rdb),
    target("restore", restore::restore, 200, seeds::restore),
    target("listpack", listpack::listpack, 300, seeds::listpack),
    target("ziplist", ziplist::ziplist, 300, seeds::ziplist),
    target("intset", intset::intset, 200, seeds::intset),
    target("stream", stream::stream, 300, seeds::stream),
    target("lzf", lzf::lzf, 300, seeds::lzf),
    target("aof", aof::aof, 300, seeds::aof),
    target("manifest", manifest::manifest, 200, seeds::manifest),
    target("resp", resp::resp, 200, seeds::resp),
    target("restore_built", restore_built::restore_built, 400, Vec::new),
    target("text", text::text, 120, Vec::new),
    target("commands", commands::commands, 600, Vec::new),
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    most: usize,
    seeds: fn() -> Vec<Vec<u8>>,
) -> Target {
    Target {
        name,
        run,
        most,
        seeds,
    }
}

/// Runs one case of the target of that name; libFuzzer's programs are this.
///
/// # Panics
/// The case fails, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|target| target.name == name);
    let target = found.expect("a target of that name");
    if data.len() <= MAX_INPUT {
        (target.run)(data);
    }
}
