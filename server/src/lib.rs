//! Everything with a socket, a thread or a signal.
pub mod config;
