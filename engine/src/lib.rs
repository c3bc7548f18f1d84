//! The Basalt data engine: keyspace, values, and every data command. It opens
//! no socket, reads no wall clock of its own and starts no runtime.

pub mod structs;
pub mod value;
