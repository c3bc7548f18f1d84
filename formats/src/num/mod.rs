//! Numbers as text: which strings Redis takes for a number, and how it prints
//! one. Every function here is exact about acceptance and output, because both
//! are visible to clients and in files.

mod dtoa;
mod float;
mod integer;
mod long_double;
mod round;

pub use dtoa::{MAX_F64_CHARS, format_f64, format_f64_fixed, format_f64_g17, format_f64_shortest};
pub use float::parse_f64;
pub use integer::{atoi, parse_i64, parse_u64};
pub use long_double::{
    LongDouble, MAX_LONG_DOUBLE_CHARS, format_long_double_human, parse_long_double,
};
