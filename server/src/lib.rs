//! Everything with a socket, a thread or a signal.

pub mod acl;
pub mod app;
pub mod backup;
pub mod client;
pub mod command;
pub mod config;
pub mod cron;
pub mod eviction;
pub mod histogram;
pub mod hotkeys;
pub mod latency;
pub mod limits;
pub mod logging;
pub mod memory;
pub mod monitor;
pub mod net;
pub mod oom_score;
pub mod persist;
pub mod pubsub;
pub(crate) mod sched;
pub mod server;
pub mod shutdown;
pub mod slowlog;
pub mod stats;
pub mod tool;
