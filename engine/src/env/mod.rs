//! What the engine needs of the world outside: randomness, files, and points where tests make
//! it fail. Each has a simulated side, so that a run can be repeated from its seed.
//!
//! Nothing outside this module (and the object stores) opens, writes, renames or syncs a file
//! that holds data: whoever writes data takes a [`Disk`](disk::Disk), and can then be run on
//! [`SimDisk`](disk::SimDisk), which loses, tears and refuses what a real disk may.

pub mod disk;
pub mod failpoint;
mod random;

pub use random::{Dice, random_below, random_u64, seed};
