//! List commands.

mod edit;
mod lmove;
mod lmovem;
mod pop;
mod push;
mod read;

use super::args;
use super::spec::{CommandSpec, concat};
use crate::error::ReplyError;
use crate::keyspace::{Keyspace, NotifyClass};
use crate::value::list::Side;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<24>(&[
    push::SPECS,
    pop::SPECS,
    lmove::SPECS,
    lmovem::SPECS,
    read::SPECS,
    edit::SPECS,
]);

/// `LEFT` or `RIGHT`.
fn parse_side(word: &[u8]) -> Result<Side, ReplyError> {
    match word {
        word if args::is(word, "left") => Ok(Side::Left),
        word if args::is(word, "right") => Ok(Side::Right),
        _ => Err(ReplyError::SYNTAX),
    }
}

fn push_event(side: Side) -> &'static str {
    match side {
        Side::Left => "lpush",
        Side::Right => "rpush",
    }
}

fn pop_event(side: Side) -> &'static str {
    match side {
        Side::Left => "lpop",
        Side::Right => "rpop",
    }
}

/// What follows when elements went away: the event, and the end of the key if none is left.
fn removed(ks: &mut Keyspace<'_>, key: &[u8], event: &'static str, empty: bool, count: usize) {
    ks.notify(NotifyClass::LIST, event, key);
    if empty {
        ks.remove(key);
        ks.notify(NotifyClass::GENERIC, "del", key);
    }
    ks.dirty += count as u64;
}

#[cfg(test)]
mod tests;
