//! The Basalt data engine: keyspace, values, and every data command.
//!
//! It opens no socket, reads no wall clock of its own and starts no async runtime, so a
//! program can open an [`Engine`] and run commands in-process; see
//! `examples/embedded.rs`.

pub mod acl;
pub mod command;
mod engine;
pub mod env;
mod error;
pub mod keyspace;
pub mod lazy;
pub mod load;
pub mod log;
mod reply;
pub mod script;
mod session;
pub mod snapshot;
pub mod structs;
#[cfg(test)]
pub(crate) mod testing;
pub mod value;

pub use command::dispatch::{Flow, fail_transaction};
pub use engine::{Engine, Frozen, Host, NoHost, Settings};
pub use error::{ReplyError, shown};
pub use reply::{Aggregate, Deferred, Reply};
pub use session::{Expected, OwnedArgs, Queued, Session, Transaction, WatchFlag, WatchedKey};
