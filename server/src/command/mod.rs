//! Commands on connections and on the server, one file or folder per group.

mod cluster;
mod connection;
mod scripting;
mod server;

/// The server's command groups.
pub const SERVER_GROUPS: &[&[basalt_engine::command::CommandSpec]] = &[
    cluster::SPECS,
    connection::SPECS,
    scripting::SPECS,
    server::SPECS,
];
