//! The keyspace: 16384 hash slots per database, each a small paged table, grouped into
//! shards that are locked. See `docs/adr/0001-keyspace.md`.

pub mod access;
mod ahead;
pub mod blocked;
pub mod evict;
pub mod expire;
pub mod header;
pub mod held;
pub(crate) mod loaded;
pub mod notify;
pub mod scan;
pub mod shard;
mod view;
pub mod watch;
mod write;

pub use header::{Header, Kind};
pub use notify::{EventSink, NotifyClass};
pub use view::{EMBSTR_MAX, Found, Keyspace, Look, Place, ReadyKeys, StringEncoding, Ttl};
