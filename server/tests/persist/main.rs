//! What survives the process: snapshots, loading them, and logs.

mod harness;
mod loading;
mod saving;
mod shutdown;
