//! Commands on connections and on the server, one file or folder per group.

mod connection;
mod scripting;
mod server;

/// The server's command groups.
pub const SERVER_GROUPS: &[&[basalt_engine::command::CommandSpec]] =
    &[connection::SPECS, scripting::SPECS, server::SPECS];
