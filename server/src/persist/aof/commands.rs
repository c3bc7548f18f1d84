//! A base in commands (`aof-use-rdb-preamble no`), from a snapshot file.
//!
//! The snapshot is written as an RDB file first and then turned into commands one value at a
//! time, so that memory does not grow with the data, and so that there is one way only to walk
//! a snapshot. The commands are those Redis writes: collections in pieces of 64 elements,
//! expiry as `PEXPIREAT`.

use std::io;

use basalt_engine::value::serial::{Limits, load};
use basalt_engine::value::stream::StreamId;
use basalt_engine::value::{Stream, Value};
use basalt_formats::num::format_f64_shortest;
use basalt_formats::rdb::Reader;
use basalt_formats::rdb::file::{FileReader, KeyRecord, Record};
use basalt_formats::resp::encode::command;

/// Elements of one command.
const ITEMS: usize = 64;

/// Where commands go, one or more at a time, always whole.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8], u32) -> io::Result<()>;

fn bad(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Turns a whole RDB file of ours into commands.
///
/// # Errors
/// What `take` answers.
pub(super) fn convert(input: &[u8], limits: &Limits, take: Take<'_>) -> io::Result<()> {
    let mut reader = FileReader::new(input).map_err(bad)?;
    let mut db = 0u32;
    let mut out = Vec::new();
    loop {
        out.clear();
        match reader.next_record().map_err(bad)? {
            Record::SelectDb(number) => {
                db = u32::try_from(number).map_err(bad)?;
                command(&mut out, &[b"SELECT", number.to_string().as_bytes()]);
            }
            Record::Function(code) => command(&mut out, &[b"FUNCTION", b"LOAD", &code]),
            Record::Key(record) => key(&mut out, &record, limits)?,
            Record::Eof { .. } => return Ok(()),
            _ => continue,
        }
        take(&out, db)?;
    }
}

fn key(out: &mut Vec<u8>, record: &KeyRecord<'_>, limits: &Limits) -> io::Result<()> {
    let key = record.key.as_ref();
    let mut body = Reader::new(record.body);
    match load(record.kind, &mut body, limits).map_err(bad)? {
        Value::Str(bytes) => command(out, &[b"SET", key, &bytes]),
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(|entry| entry.to_vec()).collect();
            pieces(
                out,
                b"RPUSH",
                key,
                items.iter().map(|item| [item.as_slice()]),
            );
        }
        Value::Set(set) => {
            let items: Vec<_> = set.iter().map(|entry| entry.to_vec()).collect();
            pieces(
                out,
                b"SADD",
                key,
                items.iter().map(|item| [item.as_slice()]),
            );
        }
        Value::Hash(hash) => {
            let items: Vec<_> = hash
                .iter()
                .map(|(field, value)| (field.to_vec(), value.to_vec()))
                .collect();
            let pairs = items
                .iter()
                .map(|(field, value)| [field.as_slice(), value.as_slice()]);
            pieces(out, b"HMSET", key, pairs);
            hash.for_each_expiry(|field, at| {
                let at = at.to_string();
                command(
                    out,
                    &[b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", b"1", field],
                );
            });
        }
        Value::Zset(zset) => {
            let items: Vec<_> = zset
                .iter()
                .map(|(member, score)| {
                    let mut text = Vec::new();
                    format_f64_shortest(score, &mut text);
                    (text, member.to_vec())
                })
                .collect();
            let pairs = items
                .iter()
                .map(|(score, member)| [score.as_slice(), member.as_slice()]);
            pieces(out, b"ZADD", key, pairs);
        }
        Value::Stream(stream) => self::stream(out, key, &stream),
    }
    if let Some(at_ms) = record.expire_ms {
        command(out, &[b"PEXPIREAT", key, at_ms.to_string().as_bytes()]);
    }
    Ok(())
}

/// Elements of `N` words each, so many to a command.
fn pieces<'a, const N: usize>(
    out: &mut Vec<u8>,
    name: &'a [u8],
    key: &'a [u8],
    items: impl Iterator<Item = [&'a [u8]; N]>,
) {
    let mut words: Vec<&[u8]> = Vec::with_capacity(2 + ITEMS * N);
    let mut items = items.peekable();
    while items.peek().is_some() {
        words.clear();
        words.extend([name, key]);
        words.extend(items.by_ref().take(ITEMS).flatten());
        command(out, &words);
    }
}

fn text(id: StreamId) -> Vec<u8> {
    id.to_string().into_bytes()
}

fn stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    if stream.is_empty() {
        // An entry that goes at once leaves an empty stream.
        command(out, &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let id = text(entry.id);
        let fields: Vec<_> = entry
            .pairs()
            .map(|(field, value)| (field.to_vec(), value.to_vec()))
            .collect();
        let mut words: Vec<&[u8]> = vec![b"XADD", key, &id];
        for (field, value) in &fields {
            words.extend([field.as_slice(), value.as_slice()]);
        }
        command(out, &words);
    }
    let extent = stream.extent();
    command(
        out,
        &[
            b"XSETID",
            key,
            &text(stream.last_id()),
            b"ENTRIESADDED",
            extent.entries_added.to_string().as_bytes(),
            b"MAXDELETEDID",
            &text(extent.max_deleted_id),
        ],
    );
    for (name, group) in stream.groups.iter() {
        let read = group
            .entries_read
            .map_or(-1, |read| i64::try_from(read).unwrap_or(-1));
        command(
            out,
            &[
                b"XGROUP",
                b"CREATE",
                key,
                name,
                &text(group.last_id),
                b"ENTRIESREAD",
                read.to_string().as_bytes(),
            ],
        );
        let pending = &group.pending;
        for consumer in pending.consumers() {
            command(
                out,
                &[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()],
            );
        }
        for (id, nack) in pending.entries().iter() {
            command(
                out,
                &[
                    b"XCLAIM",
                    key,
                    name,
                    pending.name(nack.consumer),
                    b"0",
                    &text(*id),
                    b"TIME",
                    nack.delivery_time.to_string().as_bytes(),
                    b"RETRYCOUNT",
                    nack.delivery_count.to_string().as_bytes(),
                    b"JUSTID",
                    b"FORCE",
                ],
            );
        }
    }
}
