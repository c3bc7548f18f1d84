//! A value with its strings uncompressed, in the layout it has.
//!
//! Only what is made of strings is rewritten. What follows the nodes of a stream (IDs, counters,
//! names of groups and consumers) and values of modules stay as they are, as they have no strings
//! worth a thought.

use basalt_formats::rdb::{ObjectType, RdbError, Reader, Writer};

/// Infinities and no number, as length of a score written as text.
const SPECIAL_SCORES: u8 = 253;
/// Bytes of a score.
const SCORE: u64 = 8;

/// What stands behind a string.
enum Tail {
    Nothing,
    TextScore,
    Score,
}

/// Copies the body of a value.
///
/// # Errors
/// It is damaged.
pub(super) fn copy(kind: ObjectType, body: &[u8], out: &mut Writer) -> Result<(), RdbError> {
    let mut reader = Reader::new(body);
    let reader = &mut reader;
    match kind {
        ObjectType::String
        | ObjectType::HashZipmap
        | ObjectType::ListZiplist
        | ObjectType::SetIntset
        | ObjectType::ZsetZiplist
        | ObjectType::HashZiplist
        | ObjectType::HashListpack
        | ObjectType::ZsetListpack
        | ObjectType::SetListpack => out.string(&reader.string()?),
        ObjectType::List | ObjectType::Set | ObjectType::ListQuicklist => {
            run(reader, out, 1, Tail::Nothing)?;
        }
        ObjectType::Hash => run(reader, out, 2, Tail::Nothing)?,
        ObjectType::Zset => run(reader, out, 1, Tail::TextScore)?,
        ObjectType::Zset2 => run(reader, out, 1, Tail::Score)?,
        ObjectType::StreamListpacks
        | ObjectType::StreamListpacks2
        | ObjectType::StreamListpacks3 => run(reader, out, 2, Tail::Nothing)?,
        ObjectType::ListQuicklist2 => {
            let nodes = reader.length()?;
            out.number(nodes);
            for _ in 0..nodes {
                out.number(reader.length()?);
                out.string(&reader.string()?);
            }
        }
        _ => {}
    }
    out.raw(reader.bytes(reader.left() as u64)?);
    Ok(())
}

/// Copies a count, and for each of it some strings and what is behind them.
fn run(
    reader: &mut Reader<'_>,
    out: &mut Writer,
    strings: usize,
    tail: Tail,
) -> Result<(), RdbError> {
    let count = reader.length()?;
    out.number(count);
    for _ in 0..count {
        for _ in 0..strings {
            out.string(&reader.string()?);
        }
        match tail {
            Tail::Nothing => {}
            Tail::Score => out.raw(reader.bytes(SCORE)?),
            Tail::TextScore => {
                let len = reader.byte()?;
                out.raw(&[len]);
                if len < SPECIAL_SCORES {
                    out.raw(reader.bytes(len.into())?);
                }
            }
        }
    }
    Ok(())
}
