//! The server from outside, over sockets: protocol, limits, and the commands on connections.

#![allow(missing_docs, reason = "a test")]

mod acl;
mod auth;
mod client;
mod client_eviction;
mod eviction;
mod groups;
mod harness;
mod limits;
mod listen;
mod monitor;
mod protocol;
mod pubsub;
mod streams;
mod tracking;
mod waiting;
