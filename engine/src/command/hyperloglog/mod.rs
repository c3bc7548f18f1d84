//! HyperLogLog commands: strings that estimate how many distinct elements they were given.
//!
//! The values are plain strings, so every command first asks whether a string is one of them.

mod debug;
mod pfadd;
mod pfcount;
mod pfmerge;

use super::spec::{CommandSpec, concat};
use crate::error::ReplyError;
use crate::keyspace::{Found, Kind};
use crate::structs::hyperloglog::{self, Corrupt, Encoding};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] =
    &concat::<5>(&[pfadd::SPECS, pfcount::SPECS, pfmerge::SPECS, debug::SPECS]);

/// The error of a value whose runs are damaged.
fn corrupt(_: Corrupt) -> ReplyError {
    ReplyError::raw("INVALIDOBJ Corrupted HLL object detected")
}

/// The encoding of a HyperLogLog that was found.
///
/// # Errors
/// `WRONGTYPE`, with a text of its own for strings that are no HyperLogLog.
fn encoding_of(found: &Found<'_>) -> Result<Encoding, ReplyError> {
    if !found.header.kind.is_string() {
        return Err(ReplyError::WRONG_TYPE);
    }
    let encoding = match found.header.kind {
        Kind::Int => None,
        _ => hyperloglog::encoding_of(found.bytes),
    };
    encoding.ok_or(ReplyError::raw(
        "WRONGTYPE Key is not a valid HyperLogLog string value.",
    ))
}

#[cfg(test)]
mod tests;
