//! Writing a big value of a snapshot in steps, letting go of its pages on the way.

use basalt_formats::rdb::Writer;

use super::save::write_field;
use crate::structs::paged::{Copied, Drain, Entry};
use crate::value::hash::{HashSchema, LastingDrain, value_of};
use crate::value::set::SetSchema;
use crate::value::zset::ZsetDrain;
use crate::value::{Hash, Set, Value, Zset};

/// Elements from which a value is written in steps: below, it takes about a millisecond. Fewer in
/// tests, so that they are about small values and not slow.
const BIG: usize = if cfg!(test) { 300 } else { 8192 };

/// A value that is being written; what [`super::write_body`] would write, with the elements in
/// another order perhaps.
pub(crate) enum Draining {
    Hash(Drain<HashSchema>),
    Lasting(LastingDrain),
    Set(Drain<SetSchema>),
    Zset(ZsetDrain),
}

/// Whether a value is big enough, and of a kind, to be written in steps.
pub(crate) fn is_big(value: &Value) -> bool {
    match value {
        Value::Hash(hash) => matches!(hash.fields(), Hash::Table(_)) && hash.len() >= BIG,
        Value::Set(set) => matches!(**set, Set::Table(_)) && set.len() >= BIG,
        Value::Zset(zset) => matches!(**zset, Zset::Tree(_)) && zset.len() >= BIG,
        Value::Str(_) | Value::List(_) | Value::Stream(_) => false,
    }
}

fn write_pair(writer: &mut Writer<'_>, entry: Entry<'_, HashSchema>) {
    writer.string(entry.key);
    value_of(entry).with_bytes(|value| writer.string(value));
}

fn write_lasting(
    writer: &mut Writer<'_>,
    first: i64,
    entry: Entry<'_, HashSchema>,
    at: Option<i64>,
) {
    value_of(entry).with_bytes(|value| write_field(writer, first, at, entry.key, value));
}

fn write_member(writer: &mut Writer<'_>, member: &[u8], score: f64) {
    writer.string(member);
    writer.double(score);
}

impl Draining {
    /// Begins to write a value; `None` unless it [`is_big`].
    pub(crate) fn begin(value: &Value, writer: &mut Writer<'_>) -> Option<Draining> {
        let (len, draining) = match value {
            Value::Hash(hash) => match &**hash {
                Hash::Table(map) => (map.len(), Draining::Hash(Drain::new(map.clone()))),
                Hash::Lasting(lasting) => {
                    let drain = lasting.drain()?;
                    writer.raw(&drain.first().to_le_bytes());
                    (hash.len(), Draining::Lasting(drain))
                }
                Hash::Packed(_) => return None,
            },
            Value::Set(set) => match &**set {
                Set::Table(map) => (map.len(), Draining::Set(Drain::new(map.clone()))),
                Set::Ints(_) | Set::Packed(_) => return None,
            },
            Value::Zset(zset) => match &**zset {
                Zset::Tree(tree) => {
                    let tree = (**tree).clone();
                    (zset.len(), Draining::Zset(ZsetDrain::new(tree)))
                }
                Zset::Packed(_) => return None,
            },
            Value::Str(_) | Value::List(_) | Value::Stream(_) => return None,
        };
        writer.len(len);
        Some(draining)
    }

    /// Writes some more; false if nothing is left.
    pub(crate) fn next(&mut self, writer: &mut Writer<'_>) -> bool {
        match self {
            Draining::Hash(drain) => drain.next_page(&mut |entry| write_pair(writer, entry)),
            Draining::Lasting(drain) => {
                let first = drain.first();
                drain.next_page(&mut |entry, at| write_lasting(writer, first, entry, at))
            }
            Draining::Set(drain) => drain.next_page(&mut |entry| writer.string(entry.key)),
            Draining::Zset(drain) => {
                drain.next(&mut |member, score| write_member(writer, member, score))
            }
        }
    }

    /// Writes the elements of a page that a writer has copied; false if it is none of ours, or
    /// was written before.
    pub(crate) fn copied(&mut self, page: &Copied, writer: &mut Writer<'_>) -> bool {
        match self {
            Draining::Hash(drain) => drain.copied(page, &mut |entry| write_pair(writer, entry)),
            Draining::Lasting(drain) => {
                let first = drain.first();
                drain.copied(page, &mut |entry, at| {
                    write_lasting(writer, first, entry, at)
                })
            }
            Draining::Set(drain) => drain.copied(page, &mut |entry| writer.string(entry.key)),
            Draining::Zset(drain) => drain.copied(page, &mut |member, score| {
                write_member(writer, member, score)
            }),
        }
    }
}
