//! What the commands on consumer groups share: finding the group, its errors, and what they
//! write to the log.

use super::args;
use crate::command::ctx::Ctx;
use crate::error::{ReplyError, shown};
use crate::keyspace::{Keyspace, Kind, Look};
use crate::value::Stream;
use crate::value::stream::{Nack, StreamId};

/// There is no such group, or no such key.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> ReplyError {
    ReplyError::raw(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        shown(key),
        shown(group)
    ))
}

/// There is the key, but no such group.
pub(super) fn no_group_for_key(key: &[u8], group: &[u8]) -> ReplyError {
    ReplyError::raw(format!(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        shown(group),
        shown(key)
    ))
}

/// The words do not fit the subcommand.
pub(super) fn subcommand_syntax(container: &str, sub: &[u8]) -> ReplyError {
    let sub = shown(&sub[..sub.len().min(128)]);
    ReplyError::err(format_args!(
        "unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
    ))
}

/// Looks a key up that must be a stream if it exists, as a read that counts, for a command that
/// changes it later: most commands on groups are of that kind.
pub(super) fn is_stream(ks: &mut Keyspace<'_>, key: &[u8]) -> Result<bool, ReplyError> {
    match kind_of(ks, key) {
        None => Ok(false),
        Some(Kind::Stream) => Ok(true),
        Some(_) => Err(ReplyError::WRONG_TYPE),
    }
}

/// As [`is_stream`], for who looks at the answer later.
pub(super) fn kind_of(ks: &mut Keyspace<'_>, key: &[u8]) -> Option<Kind> {
    ks.look(key, Look::PEEK).map(|found| found.header.kind)
}

/// The stream of a key that was found to be of this kind, if it has this group.
///
/// # Errors
/// `NOGROUP`, `WRONGTYPE`.
pub(super) fn stream_with_group<'k>(
    ks: &'k mut Keyspace<'_>,
    kind: Option<Kind>,
    key: &[u8],
    group: &[u8],
) -> Result<&'k mut Stream, ReplyError> {
    if kind.is_none() {
        return Err(no_group(key, group));
    }
    match ks.stream_mut(key)? {
        Some(stream) if stream.groups.get(group).is_some() => Ok(stream),
        _ => Err(no_group(key, group)),
    }
}

/// The start of a range of pending entries.
pub(super) fn range_start(word: &[u8]) -> Result<StreamId, ReplyError> {
    match args::bound(word, 0)? {
        (id, false) => Ok(id),
        (id, true) => id
            .next()
            .ok_or_else(|| ReplyError::err("invalid start ID for the interval")),
    }
}

/// The end of a range of pending entries.
pub(super) fn range_end(word: &[u8]) -> Result<StreamId, ReplyError> {
    match args::bound(word, u64::MAX)? {
        (id, false) => Ok(id),
        (id, true) => id
            .prev()
            .ok_or_else(|| ReplyError::err("invalid end ID for the interval")),
    }
}

/// Pending entries that a command changed: counted, and kept for the log if somebody listens.
pub(super) struct Claims {
    logging: bool,
    count: u64,
    list: Vec<Claim>,
}

/// What became of a pending entry.
struct Claim {
    id: Box<[u8]>,
    consumer: Box<[u8]>,
    nack: Nack,
    /// The last ID of the group at that moment.
    last_id: StreamId,
}

impl Claims {
    pub fn new(ctx: &Ctx<'_>) -> Claims {
        Claims {
            logging: ctx.ks.engine.log.is_active(),
            count: 0,
            list: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Notes what became of the entry named by this word, in a group that is at `last_id`.
    pub fn add(&mut self, id: &[u8], consumer: &[u8], nack: Nack, last_id: StreamId) {
        self.count += 1;
        if self.logging {
            self.list.push(Claim {
                id: id.into(),
                consumer: consumer.into(),
                nack,
                last_id,
            });
        }
    }

    /// Logs for each an XCLAIM that makes the same of it elsewhere, however often it is run.
    pub fn log(&self, ctx: &mut Ctx<'_>, key: &[u8], group: &[u8]) {
        for claim in &self.list {
            ctx.propagate(&[
                b"XCLAIM",
                key,
                group,
                &claim.consumer,
                b"0",
                &claim.id,
                b"TIME",
                claim.nack.delivery_time.to_string().as_bytes(),
                b"RETRYCOUNT",
                claim.nack.delivery_count.to_string().as_bytes(),
                b"FORCE",
                b"JUSTID",
                b"LASTID",
                &claim.last_id.text(),
            ]);
        }
    }
}

/// Logs how far a group has read.
pub(super) fn log_progress(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
) {
    let read = entries_read.map_or(-1, u64::cast_signed).to_string();
    ctx.propagate(&[
        b"XGROUP",
        b"SETID",
        key,
        group,
        &last_id.text(),
        b"ENTRIESREAD",
        read.as_bytes(),
    ]);
}

#[cfg(test)]
mod blocking_tests;
#[cfg(test)]
mod claim_tests;
#[cfg(test)]
mod tests;
