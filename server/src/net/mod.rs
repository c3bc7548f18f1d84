//! Listening sockets and worker threads.
//!
//! One acceptor thread takes connections and deals them out to the workers in turn, so that
//! they spread evenly (`SO_REUSEPORT` would not) and Unix sockets work the same way. A worker
//! is a thread with a runtime of its own; a connection stays on its worker for life.

pub mod accept;
pub mod listen;
pub mod stream;
pub mod worker;

pub use listen::Listeners;
