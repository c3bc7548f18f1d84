//! The spool: a local file of frames on their way to the object store.
//!
//! ```text
//!   | magic 4 | length u32 | crc32 u32 | payload ... |     integers little-endian, no padding between frames
//! ```
//!
//! `docs/formats/spool.md` has the byte table. The checksum covers the frame's offset, the length and the payload, so that a
//! frame in the wrong place, such as a copy of one inside a payload, is no frame.
//!
//! A process may die in the middle of a write, so a file may end inside a frame. That is a *torn tail*: nothing in it was
//! ever confirmed, and [`Reader`] stops cleanly before it. Everything else that is not a frame is *damage*, an error with
//! its offset. The two look alike when the damage is in a length, so a frame that seems to reach behind the end is only
//! taken for a torn tail if no whole frame follows anywhere in the rest. In doubt it is damage: calling damage a tail
//! would drop confirmed data without a word.

mod reader;
mod writer;

pub use reader::{Damage, Fault, Frame, Reader, TornTail};
pub use writer::Writer;

/// What every frame begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 4] = *b"BSF\x01";
/// The bytes of a frame before its payload.
pub const HEADER_BYTES: usize = MAGIC.len() + 4 + 4;
/// The longest payload. Whoever has more makes several frames of it.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Why a spool file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The bytes at an offset are not what was written there.
    #[error("{0}")]
    Damaged(Damage),
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("a payload of {bytes} bytes is longer than the limit of {MAX_PAYLOAD_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// An earlier write or sync failed, so what the file holds is unknown.
    #[error("an earlier write to the spool failed")]
    FailedBefore,
    /// The system failed.
    #[error("cannot access the spool: {0}")]
    Io(#[from] std::io::Error),
}

/// The start of a frame's checksum, before the payload.
fn checksum(offset: u64, length: u32) -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&offset.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc
}

#[cfg(test)]
mod tests;
