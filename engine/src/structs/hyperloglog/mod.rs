//! HyperLogLog: how many distinct elements were seen, estimated from 16384 registers.
//!
//! The value is a string that clients may read, write and carry between servers, so its bytes
//! are those of Redis:
//!
//! ```text
//! "HYLL"  encoding  0 0 0  cardinality (8 bytes)   registers
//!  0..4   4         5..8   8..16                   16..
//! ```
//!
//! Encoding 0 is dense (`dense.rs`, 6 bits for each register), 1 is sparse (`sparse.rs`, runs of
//! equal registers). The cardinality is the last estimate, little endian; its highest bit says
//! that it is out of date.
//!
//! Strings come from anywhere: [`encoding_of`] decides what counts as a HyperLogLog at all, and
//! every walk of runs is bounded by the registers there are. [`Corrupt`] is the answer to runs
//! that do not cover exactly 16384 registers.

mod dense;
mod estimate;
mod murmur;
mod sparse;

pub use estimate::estimate;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are counted.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
/// Bytes before the registers.
pub const HEADER: usize = 16;
/// Length of a dense value.
pub const DENSE_LEN: usize = HEADER + dense::BYTES;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const STALE: u8 = 0x80;
/// Seed of the hash.
const SEED: u64 = 0xadc8_3b19;

/// How the registers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs.
    Sparse,
}

/// Runs that do not cover the registers exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("sparse HyperLogLog whose runs do not cover 16384 registers")]
pub struct Corrupt;

/// All registers, one byte each.
pub type Registers = [u8; REGISTERS];

/// The encoding of a value; `None` when the bytes are no HyperLogLog.
pub fn encoding_of(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// A HyperLogLog that has seen nothing.
pub fn empty() -> Vec<u8> {
    let mut bytes = header(Encoding::Sparse);
    sparse::push_run(&mut bytes, 0, REGISTERS);
    bytes
}

fn header(encoding: Encoding) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = u8::from(encoding == Encoding::Sparse);
    bytes
}

/// Which register an element belongs to, and the rank of the lowest set bit in the rest of its
/// hash, 1 to 51.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur::hash64(element, SEED);
    let index = hash & (REGISTERS as u64 - 1);
    let rest = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    #[expect(clippy::cast_possible_truncation, reason = "14 bits, and at most 51")]
    (index as usize, rest.trailing_zeros() as u8 + 1)
}

/// Raises a register to `count` if it is lower; whether it was. A sparse value becomes dense when
/// it would get longer than `sparse_max_bytes`, or for a count that runs cannot hold. `bytes`
/// must have passed [`encoding_of`].
///
/// # Errors
/// [`Corrupt`] if the runs do not reach the register, or cannot be made dense.
pub fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    count: u8,
    sparse_max_bytes: usize,
) -> Result<bool, Corrupt> {
    if encoding_of(bytes) == Some(Encoding::Sparse) {
        match sparse::raise(bytes, index, count, sparse_max_bytes)? {
            sparse::Raised::No => return Ok(false),
            sparse::Raised::Yes => {
                make_stale(bytes);
                return Ok(true);
            }
            sparse::Raised::DoesNotFit => {
                make_dense(bytes)?;
            }
        }
    }
    Ok(dense::raise(
        bytes.get_mut(HEADER..).unwrap_or_default(),
        index,
        count,
    ))
}

/// The value of a register of a dense value; `None` for other bytes.
pub fn dense_register(bytes: &[u8], index: usize) -> Option<u8> {
    let is_dense = encoding_of(bytes) == Some(Encoding::Dense);
    is_dense.then(|| dense::get(&bytes[HEADER..], index))
}

/// Makes a sparse value dense; whether it was sparse.
///
/// # Errors
/// [`Corrupt`], and the value is as before.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if encoding_of(bytes) != Some(Encoding::Sparse) {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_LEN];
    let (head, registers) = dense.split_at_mut(HEADER);
    head.copy_from_slice(&bytes[..HEADER]);
    head[ENCODING_AT] = 0;
    sparse::for_each(&bytes[HEADER..], |index, value| {
        dense::raise(registers, index, value);
    })?;
    *bytes = dense;
    Ok(true)
}

/// Raises each of `registers` to what the value holds.
///
/// # Errors
/// [`Corrupt`]; some registers may have been raised.
pub fn merge_into(registers: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    match encoding_of(bytes) {
        Some(Encoding::Dense) => {
            for (register, value) in registers.iter_mut().zip(dense::values(&bytes[HEADER..])) {
                *register = value.max(*register);
            }
            Ok(())
        }
        Some(Encoding::Sparse) => sparse::for_each(&bytes[HEADER..], |index, value| {
            registers[index] = value.max(registers[index]);
        }),
        None => Err(Corrupt),
    }
}

/// The cardinality estimated from the registers of a value; the stored one is not looked at.
///
/// # Errors
/// [`Corrupt`].
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0; 64];
    match encoding_of(bytes) {
        Some(Encoding::Dense) => {
            for value in dense::values(&bytes[HEADER..]) {
                histogram[usize::from(value)] += 1;
            }
        }
        Some(Encoding::Sparse) => sparse::histogram(&bytes[HEADER..], &mut histogram)?,
        None => return Err(Corrupt),
    }
    Ok(estimate(&histogram))
}

/// The cardinality estimated from registers of at most 63.
pub fn count_registers(registers: &Registers) -> u64 {
    let mut histogram = [0; 64];
    for value in registers {
        histogram[usize::from(value & 63)] += 1;
    }
    estimate(&histogram)
}

/// The stored cardinality, unless it is out of date.
pub fn stored_count(bytes: &[u8]) -> Option<u64> {
    let field = bytes.get(CARDINALITY_AT..HEADER)?;
    let count = u64::from_le_bytes(field.try_into().ok()?);
    (field[7] & STALE == 0).then_some(count)
}

/// Stores a cardinality.
pub fn store_count(bytes: &mut [u8], count: u64) {
    if let Some(field) = bytes.get_mut(CARDINALITY_AT..HEADER) {
        field.copy_from_slice(&count.to_le_bytes());
    }
}

/// Marks the stored cardinality as out of date.
pub fn make_stale(bytes: &mut [u8]) {
    if let Some(byte) = bytes.get_mut(HEADER - 1) {
        *byte |= STALE;
    }
}

/// The runs of a sparse value as text: `z:3 v:1,2 Z:16379`.
pub fn describe(bytes: &[u8]) -> String {
    sparse::describe(bytes.get(HEADER..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
