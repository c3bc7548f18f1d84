//! Entries and IDs in replies.

use crate::command::args::{self, Cursor};
use crate::error::ReplyError;
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
    let mut budget = Caps::default().begin(out);
    entries_within(out, range, count, &mut budget)
}

/// As [`entries`], as many as the budget allows.
pub(super) fn entries_within<'a>(
    out: &mut Reply,
    range: impl Iterator<Item = StreamEntry<'a>>,
    count: usize,
    budget: &mut Budget,
) -> usize {
    let header = out.deferred();
    let mut written = 0;
    for one in range.take(count) {
        if !budget.take(out) {
            break;
        }
        entry(out, &one);
        written += 1;
    }
    out.close(header, Aggregate::Array, written);
    written
}

/// MAXCOUNT and MAXSIZE: what the entries of all streams together may be.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Caps {
    count: Option<usize>,
    bytes: Option<usize>,
}

impl Caps {
    /// Reads an option of these and its value; false if it is another one.
    pub(super) fn parse(
        &mut self,
        option: &[u8],
        words: &mut Cursor<'_>,
    ) -> Result<bool, ReplyError> {
        let (name, cap) = if args::is(option, "MAXCOUNT") {
            ("MAXCOUNT", &mut self.count)
        } else if args::is(option, "MAXSIZE") {
            ("MAXSIZE", &mut self.bytes)
        } else {
            return Ok(false);
        };
        match args::int(words.required()?)? {
            n if n <= 0 => Err(ReplyError::err(format_args!(
                "{name} must be a positive integer"
            ))),
            n => {
                *cap = Some(usize::try_from(n).unwrap_or(usize::MAX));
                Ok(true)
            }
        }
    }

    /// Checks them against COUNT; 0 stands for none.
    pub(super) fn check(&self, count: usize) -> Result<(), ReplyError> {
        match self.count {
            Some(most) if most < count => Err(ReplyError::err(
                "MAXCOUNT must be greater than or equal to COUNT",
            )),
            _ => Ok(()),
        }
    }

    /// What is left of them, when nothing of the reply is written.
    pub(super) fn begin(self, out: &Reply) -> Budget {
        Budget {
            caps: self,
            from: out.buf.len(),
            given: 0,
        }
    }
}

/// How many more entries a reply may have.
pub(super) struct Budget {
    caps: Caps,
    /// Where the reply begins.
    from: usize,
    given: usize,
}

impl Budget {
    /// Whether another entry may follow; the first always may.
    pub(super) fn has_room(&self, out: &Reply) -> bool {
        let bytes = out.buf.len().saturating_sub(self.from);
        let small = self.caps.bytes.is_none_or(|most| bytes < most);
        let few = self.caps.count.is_none_or(|most| self.given < most);
        self.given == 0 || small && few
    }

    /// Counts an entry that is written next, if it may be.
    pub(super) fn take(&mut self, out: &Reply) -> bool {
        let room = self.has_room(out);
        self.given += usize::from(room);
        room
    }
}
