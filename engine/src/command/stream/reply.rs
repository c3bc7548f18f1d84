//! Entries and IDs in replies.

use crate::reply::{Aggregate, Reply};
use crate::value::stream::{StreamEntry, StreamId};

/// An ID as a bulk string.
pub(super) fn id(out: &mut Reply, id: StreamId) {
    out.bulk(&id.text());
}

/// An entry: its ID, and its fields and values in turn.
pub(super) fn entry(out: &mut Reply, entry: &StreamEntry<'_>) {
    out.array(2);
    content(out, entry);
}

/// An entry, how many milliseconds ago it was delivered last, and how often it was before.
pub(super) fn delivered(out: &mut Reply, entry: &StreamEntry<'_>, idle_ms: i64, deliveries: u64) {
    out.array(4);
    content(out, entry);
    out.int(idle_ms);
    out.int(deliveries.cast_signed());
}

fn content(out: &mut Reply, entry: &StreamEntry<'_>) {
    id(out, entry.id);
    out.array(entry.len().saturating_mul(2));
    for (field, value) in entry.pairs() {
        field.with_bytes(|bytes| out.bulk(bytes));
        value.with_bytes(|bytes| out.bulk(bytes));
    }
}

/// An array of entries, `count` at most; how many there were.
pub(super) fn entries<'a>(
    out: &mut Reply,
    range: impl Iterator<Item = StreamEntry<'a>>,
    count: usize,
) -> usize {
    let header = out.deferred();
    let mut written = 0;
    for one in range.take(count) {
        entry(out, &one);
        written += 1;
    }
    out.close(header, Aggregate::Array, written);
    written
}
