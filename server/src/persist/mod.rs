//! Where data survives the process: snapshot files written and loaded, logs loaded.
//!
//! ```text
//! start ---> load ----------> Engine        loading: who may talk meanwhile, INFO
//!              |  aof/load
//!           mapped (files as slices)
//!
//! SAVE, BGSAVE, save points, SHUTDOWN ---> snapshots ---> file (temp, fsync, rename, fsync)
//! ```
//!
//! Invariants:
//! - Until a load has succeeded, no command sees the data; after one that failed, the process
//!   ends and nothing is saved.
//! - At most one snapshot is being written, and it takes its file's name only when complete and
//!   forced to the disk.
//! - The count of changes is reset only by a snapshot that is on the disk, to the count of its
//!   cut.

pub mod aof;
pub mod cost;
pub mod file;
pub mod lineage;
pub mod load;
pub mod loading;
pub mod mapped;
pub mod place;
pub mod points;
pub mod snapshots;

use std::sync::Arc;

use basalt_engine::command::Ctx;

use crate::client::Conn;
use crate::server::Server;

/// What the server keeps about its files.
#[derive(Debug, Default)]
pub struct Persist {
    /// Loading, past and present.
    pub loading: loading::Loading,
    /// Snapshots to files.
    pub snapshots: snapshots::Snapshots,
    /// What snapshots cost while they are taken.
    pub cost: cost::Cost,
    /// The append-only file.
    pub aof: aof::Aof,
    /// What should be there at the next start.
    pub lineage: lineage::keep::Keeper,
    /// Where the log and its record are.
    pub place: place::Place,
}

/// The server a command runs on: that of a connection, or of a log that is being replayed.
///
/// # Panics
/// When a host of another kind runs a server command.
pub fn server_of(ctx: &mut Ctx<'_>) -> Arc<Server> {
    match ctx.host.as_any().downcast_ref::<aof::Replay>() {
        Some(replay) => replay.server.clone(),
        None => Conn::of(ctx).server.clone(),
    }
}
