//! What survives the process: snapshots, loading them, and logs.

mod aof;
mod harness;
mod loading;
mod saving;
mod shutdown;
