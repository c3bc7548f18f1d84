//! The entries of one slot as RDB records.
//!
//! ```text
//! record = [ 0xfc | expiry, 8 bytes LE ] [ 0xf8 | idle seconds ] [ 0xf9 | frequency ] | type | key | value |
//! ```

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use basalt_formats::rdb::Writer;

use crate::keyspace::Header;
use crate::keyspace::access::Clock;
use crate::keyspace::shard::SlotTable;
use crate::value::serial::{Content, kind_of, write_body};

/// Expiry in milliseconds follows.
const EXPIRE_MS: u8 = 0xfc;
/// Idle time follows.
const IDLE: u8 = 0xf8;
/// LFU counter follows.
const FREQ: u8 = 0xf9;

/// What is written of the last access of each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// Seconds since then, under an LRU policy.
    Idle,
    /// The LFU counter with its decay up to the cut, under an LFU policy.
    Frequency,
}

/// Appends the records of a slot in the order of their keys.
pub(super) fn encode_slot(
    writer: &mut Writer,
    table: &SlotTable,
    access: Access,
    clock: &Clock,
    cancelled: &AtomicBool,
) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by(|a, b| a.key.cmp(b.key));
    for entry in entries {
        if cancelled.load(Relaxed) {
            return;
        }
        let (header, inline) = Header::decode(entry.payload);
        if let Some(at) = header.expire_ms {
            writer.raw(&[EXPIRE_MS]);
            writer.raw(&at.to_le_bytes());
        }
        match access {
            Access::None => {}
            Access::Idle => {
                writer.raw(&[IDLE]);
                let idle = clock.idle_seconds(header.lru);
                writer.len(usize::try_from(idle).unwrap_or(usize::MAX));
            }
            Access::Frequency => {
                let frequency = clock.frequency(header.lru);
                writer.raw(&[FREQ, u8::try_from(frequency).unwrap_or(u8::MAX)]);
            }
        }
        let content = match entry.obj {
            Some(value) => Content::Value(value),
            None => Content::Str(inline),
        };
        writer.kind(kind_of(content));
        writer.string(entry.key);
        write_body(writer, content);
    }
}
