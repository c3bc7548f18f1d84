//! An RDB file at the start of an AOF: the base of Redis 7, or all but the tail of a file of Redis 4 to 6.
//!
//! Its end is found by its checksum alone: it is where `0xff` stands with the CRC-64 of all bytes up to and with it behind it.
//! One pass, no values read; what the values say is for the RDB loader to judge.

use crate::crc64::crc64;

/// What an RDB file begins with.
const MAGIC: &[u8] = b"REDIS";
/// The same of Valkey 9.
const VALKEY_MAGIC: &[u8] = b"VALKEY";
/// The byte that ends the keys.
const EOF: u8 = 0xff;

/// Why a preamble has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreambleError {
    /// No end with the right checksum.
    #[error(
        "the RDB preamble has no end with a valid checksum: it is damaged, cut, or was written without one"
    )]
    NoEnd,
}

/// True if `input` begins with an RDB file.
#[must_use]
pub fn has_preamble(input: &[u8]) -> bool {
    input.starts_with(MAGIC) || input.starts_with(VALKEY_MAGIC)
}

/// Where the RDB file at the start of `input` ends.
///
/// # Errors
/// [`PreambleError`].
pub fn preamble_end(input: &[u8]) -> Result<usize, PreambleError> {
    let mut sum = 0;
    let mut done = 0;
    loop {
        let rest = input.get(done..).unwrap_or_default();
        let at = rest
            .iter()
            .position(|byte| *byte == EOF)
            .ok_or(PreambleError::NoEnd)?;
        let (covered, behind) = rest.split_at(at + 1);
        sum = crc64(sum, covered);
        done += at + 1;
        match behind.first_chunk::<8>() {
            Some(stored) if u64::from_le_bytes(*stored) == sum => return Ok(done + 8),
            Some(_) => {}
            None => return Err(PreambleError::NoEnd),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An RDB file without keys, but with bytes that look like its end.
    pub fn sample() -> Vec<u8> {
        let mut file = b"REDIS0011\xfa\x01x\x04\xff\xff\xff\xff\xff".to_vec();
        file.extend_from_slice(&crc64(0, &file).to_le_bytes());
        file
    }

    #[test]
    fn the_end_is_found() {
        let mut file = sample();
        let end = file.len();
        assert!(has_preamble(&file));
        assert_eq!(preamble_end(&file), Ok(end));
        file.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(preamble_end(&file), Ok(end));
        for cut in 0..end {
            assert_eq!(
                preamble_end(&file[..cut]),
                Err(PreambleError::NoEnd),
                "{cut}"
            );
        }
        for bit in 0..end * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(preamble_end(&file), Err(PreambleError::NoEnd), "{bit}");
        }
        assert!(!has_preamble(b"REDI"));
    }
}
