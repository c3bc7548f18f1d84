//! Streams without what their older layouts have no place for.
//!
//! The layouts differ in numbers that were added over time, see
//! [`skip_value`](super::super::skip_value); all else is copied as it is, the nodes and what
//! is pending included, so nothing here depends on what they contain.

use super::super::{ObjectType, RdbError, Reader, Writer};

/// Bytes of a stream ID and a time.
const RAW_ID: u64 = 16;
const TIME: u64 = 8;

/// Copies from a body to a writer, but for what is dropped.
struct Copier<'r, 'a, 'w> {
    body: &'a [u8],
    reader: Reader<'a>,
    /// What comes before was copied.
    copied: usize,
    out: &'r mut Writer<'w>,
}

impl<'a> Copier<'_, 'a, '_> {
    /// Copies what was read since the last copy.
    fn copy(&mut self) {
        let end = self.reader.offset();
        self.out.raw(self.body.get(self.copied..end).unwrap_or(&[]));
        self.copied = end;
    }

    /// Copies what was read, and passes over what `read` reads.
    fn drop(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<(), RdbError>,
    ) -> Result<(), RdbError> {
        self.copy();
        read(&mut self.reader)?;
        self.copied = self.reader.offset();
        Ok(())
    }
}

fn lengths(reader: &mut Reader<'_>, count: usize) -> Result<(), RdbError> {
    for _ in 0..count {
        reader.length()?;
    }
    Ok(())
}

/// Writes a body of the layout `from` in the older layout `to`.
pub(super) fn recode(
    from: ObjectType,
    to: ObjectType,
    body: &[u8],
    out: &mut Writer<'_>,
) -> Result<(), RdbError> {
    let mut copier = Copier {
        body,
        reader: Reader::new(body),
        copied: 0,
        out,
    };
    let offsets = to == ObjectType::StreamListpacks2;
    let active_times = from == ObjectType::StreamListpacks3;
    let nodes = copier.reader.length()?;
    for _ in 0..nodes {
        copier.reader.skip_string()?;
        copier.reader.skip_string()?;
    }
    // Length and last ID.
    lengths(&mut copier.reader, 3)?;
    // First ID, greatest deleted ID, entries ever added.
    match offsets {
        true => lengths(&mut copier.reader, 5)?,
        false => copier.drop(|reader| lengths(reader, 5))?,
    }
    let groups = copier.reader.length()?;
    for _ in 0..groups {
        copier.reader.skip_string()?;
        lengths(&mut copier.reader, 2)?;
        // Entries read.
        match offsets {
            true => lengths(&mut copier.reader, 1)?,
            false => copier.drop(|reader| lengths(reader, 1))?,
        }
        let pending = copier.reader.length()?;
        for _ in 0..pending {
            copier.reader.bytes(RAW_ID + TIME)?;
            copier.reader.length()?;
        }
        let consumers = copier.reader.length()?;
        for _ in 0..consumers {
            copier.reader.skip_string()?;
            copier.reader.bytes(TIME)?;
            if active_times {
                copier.drop(|reader| reader.bytes(TIME).map(|_| ()))?;
            }
            let pending = copier.reader.length()?;
            copier.reader.bytes(pending.saturating_mul(RAW_ID))?;
        }
    }
    copier.copy();
    Ok(())
}
