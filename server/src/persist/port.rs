//! Stand-in until the engine loads and snapshots.
#![allow(missing_docs, dead_code)]
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};

use basalt_engine::Engine;

pub struct LoadOptions {
    pub now_ms: i64,
    pub checksum: bool,
    pub threads: usize,
    pub keep_expired: bool,
}
#[derive(Debug, Default)]
pub struct Progress {
    pub bytes: AtomicU64,
    pub keys: AtomicU64,
    pub cancel: AtomicBool,
}
#[derive(Debug, Default)]
pub struct Loaded {
    pub keys: u64,
    pub expired: u64,
    pub empty_skipped: u64,
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    pub functions: Vec<Vec<u8>>,
    pub end: usize,
}
#[derive(Debug, thiserror::Error)]
#[error("stand-in")]
pub struct RdbLoadError;
pub struct Snapshot;
pub struct SaveOptions {
    pub version: u16,
    pub compress: bool,
    pub checksum: bool,
    pub threads: usize,
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    pub functions: Vec<Vec<u8>>,
    pub aof_base: bool,
}
#[derive(Debug, Default)]
pub struct Saved {
    pub keys: u64,
    pub bytes: u64,
}
pub trait Port {
    fn load_rdb(
        &self,
        input: &[u8],
        options: &LoadOptions,
        progress: &Progress,
    ) -> Result<Loaded, RdbLoadError>;
    fn snapshot(&self) -> Snapshot;
}
impl Port for Engine {
    fn load_rdb(&self, _: &[u8], _: &LoadOptions, _: &Progress) -> Result<Loaded, RdbLoadError> {
        Ok(Loaded::default())
    }
    fn snapshot(&self) -> Snapshot {
        Snapshot
    }
}
impl Snapshot {
    pub fn write_rdb(
        &self,
        _: &SaveOptions,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        _: &Progress,
    ) -> io::Result<Saved> {
        out(b"REDIS0011")?;
        Ok(Saved::default())
    }
}
