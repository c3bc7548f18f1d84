//! What survives the process: snapshots, loading them, and logs.

mod aof;
mod backup;
mod fields;
mod harness;
mod loading;
mod log;
mod promise;
mod restore;
mod rewriting;
mod saving;
mod shutdown;
