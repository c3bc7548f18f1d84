//! Commands on connections and on the server, one file or folder per group.

pub mod client;
mod cluster;
mod connection;
mod links;
mod migrate;
mod monitor;
mod pubsub;
mod replicas;
mod replication;
mod server;

pub use links::Links;

use basalt_engine::ReplyError;
use basalt_formats::num;

/// The server's command groups.
pub const SERVER_GROUPS: &[&[basalt_engine::command::CommandSpec]] = &[
    client::SPECS,
    cluster::SPECS,
    connection::SPECS,
    migrate::SPECS,
    monitor::SPECS,
    pubsub::SPECS,
    replicas::SPECS,
    replication::SPECS,
    server::SPECS,
];

/// A timeout in milliseconds as the Unix time at which it ends; `None` when it is zero.
///
/// # Errors
/// Not an integer, negative, or out of range.
pub(crate) fn timeout_ms(word: &[u8], now_ms: i64) -> Result<Option<i64>, ReplyError> {
    let ms = num::parse_i64(word).ok_or(ReplyError::TIMEOUT_NOT_INTEGER)?;
    if ms < 0 {
        return Err(ReplyError::TIMEOUT_NEGATIVE);
    }
    let end = now_ms
        .checked_add(ms)
        .ok_or(ReplyError::err("timeout is out of range"))?;
    Ok((ms > 0).then_some(end))
}
