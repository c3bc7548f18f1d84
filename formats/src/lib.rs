//! Bytes in, values out: the wire protocol, packed encodings, codecs and
//! number formats that Basalt shares with Redis. No I/O, no `unsafe`, and no
//! input makes it panic.
#![forbid(unsafe_code)]

pub mod aof;
pub mod crc16;
pub mod crc64;
pub mod glob;
pub mod lzf;
pub mod num;
pub mod packed;
pub mod rdb;
pub mod resp;
pub mod words;
