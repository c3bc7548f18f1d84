//! The fuzz targets: functions of arbitrary bytes that panic when something is wrong. Each one is
//! run by libFuzzer (`fuzz_targets/`) and, for a fixed number of random cases, by the `smoke`
//! program on the stable toolchain.

mod commands;
mod input;
mod packed;
mod rdb_file;
mod resp;
mod restore;
mod text;

pub use commands::{commands, shapes};
pub use input::Input;
pub use packed::packed;
pub use rdb_file::rdb_file;
pub use resp::resp_decode;
pub use restore::restore;
pub use text::text;
