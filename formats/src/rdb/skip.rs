//! Finding the end of a value without decoding it.
//!
//! Only lengths are looked at, so that a file is cut into values much faster than they are
//! decoded, which may then happen elsewhere and in parallel. What [`skip_value`] passes may
//! still be refused by [`Body`](super::Body); what it refuses, no reader accepts.
//!
//! Invariant: every element takes at least one byte, so the work is bounded by the input,
//! whatever counts are claimed.

use super::{ObjectType, RdbError, Reader};

/// Bytes of a stream ID, and of a time.
const RAW_ID: u64 = 16;
const TIME: u64 = 8;
/// Infinities and no number, as length of a score written as text.
const SPECIAL_SCORES: std::ops::RangeInclusive<u8> = 253..=255;

/// What stands in front of the parts of a module's value.
mod module {
    pub const EOF: u64 = 0;
    pub const SINT: u64 = 1;
    pub const UINT: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// Moves the reader behind the value that begins where it stands.
///
/// # Errors
/// The input ends inside the value, or its lengths are damaged.
pub fn skip_value(kind: ObjectType, reader: &mut Reader<'_>) -> Result<(), RdbError> {
    match kind {
        ObjectType::String
        | ObjectType::HashZipmap
        | ObjectType::ListZiplist
        | ObjectType::SetIntset
        | ObjectType::ZsetZiplist
        | ObjectType::HashZiplist
        | ObjectType::HashListpack
        | ObjectType::ZsetListpack
        | ObjectType::SetListpack
        | ObjectType::HashListpackExPreGa => reader.skip_string(),
        ObjectType::HashListpackEx => {
            reader.bytes(TIME)?;
            reader.skip_string()
        }
        ObjectType::List | ObjectType::Set | ObjectType::ListQuicklist => {
            each(reader, 1, Reader::skip_string)
        }
        ObjectType::Hash => each(reader, 2, |reader| {
            reader.skip_string()?;
            reader.skip_string()
        }),
        ObjectType::Zset => each(reader, 2, |reader| {
            reader.skip_string()?;
            let len = reader.byte()?;
            if !SPECIAL_SCORES.contains(&len) {
                reader.bytes(len.into())?;
            }
            Ok(())
        }),
        ObjectType::Zset2 => each(reader, 9, |reader| {
            reader.skip_string()?;
            reader.double().map(|_| ())
        }),
        ObjectType::ListQuicklist2 => each(reader, 2, |reader| {
            reader.length()?;
            reader.skip_string()
        }),
        ObjectType::HashMetadata => {
            reader.bytes(TIME)?;
            each(reader, 3, hash_field)
        }
        ObjectType::HashMetadataPreGa => each(reader, 3, hash_field),
        ObjectType::ValkeyHash2 => each(reader, 10, |reader| {
            reader.skip_string()?;
            reader.skip_string()?;
            reader.bytes(TIME).map(|_| ())
        }),
        ObjectType::StreamListpacks => stream(reader, 1),
        ObjectType::StreamListpacks2 => stream(reader, 2),
        ObjectType::StreamListpacks3 => stream(reader, 3),
        ObjectType::Module2 => {
            reader.length()?;
            module_parts(reader)
        }
    }
}

/// Takes a count, and as many elements of `least` bytes or more.
fn each<'a>(
    reader: &mut Reader<'a>,
    least: u64,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<(), RdbError>,
) -> Result<(), RdbError> {
    let count = reader.length()?;
    reader.holds(count.saturating_mul(least))?;
    for _ in 0..count {
        element(reader)?;
    }
    Ok(())
}

fn hash_field(reader: &mut Reader<'_>) -> Result<(), RdbError> {
    reader.length()?;
    reader.skip_string()?;
    reader.skip_string()
}

fn lengths(reader: &mut Reader<'_>, count: usize) -> Result<(), RdbError> {
    for _ in 0..count {
        reader.length()?;
    }
    Ok(())
}

/// A stream in the first, second or third layout.
fn stream(reader: &mut Reader<'_>, layout: u8) -> Result<(), RdbError> {
    each(reader, 2, |reader| {
        reader.skip_string()?;
        reader.skip_string()
    })?;
    // Length and last ID; then first ID, greatest deleted ID and entries added.
    lengths(reader, if layout >= 2 { 8 } else { 3 })?;
    each(reader, 5, |reader| group(reader, layout))
}

fn group(reader: &mut Reader<'_>, layout: u8) -> Result<(), RdbError> {
    reader.skip_string()?;
    // Last delivered ID, and entries read.
    lengths(reader, if layout >= 2 { 3 } else { 2 })?;
    each(reader, RAW_ID + TIME + 1, |reader| {
        reader.bytes(RAW_ID + TIME)?;
        reader.length().map(|_| ())
    })?;
    // Times a consumer was seen, and was active.
    let times = if layout >= 3 { 2 * TIME } else { TIME };
    each(reader, times + 2, |reader| {
        reader.skip_string()?;
        reader.bytes(times)?;
        each(reader, RAW_ID, |reader| reader.bytes(RAW_ID).map(|_| ()))
    })
}

/// Moves behind what a module wrote, which says of each part what it is.
///
/// # Errors
/// The input ends, or a part is of no known kind.
pub(super) fn module_parts(reader: &mut Reader<'_>) -> Result<(), RdbError> {
    loop {
        let offset = reader.offset();
        match reader.length()? {
            module::EOF => return Ok(()),
            module::SINT | module::UINT => {
                reader.length()?;
            }
            module::FLOAT => {
                reader.bytes(4)?;
            }
            module::DOUBLE => {
                reader.bytes(8)?;
            }
            module::STRING => reader.skip_string()?,
            opcode => return Err(RdbError::BadModuleOpcode { offset, opcode }),
        }
    }
}
