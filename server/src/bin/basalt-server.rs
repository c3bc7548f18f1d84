//! The Basalt server.
fn main() {}
