//! An RDB file at the start of an AOF: the base of Redis 7, or all but the tail of a file of Redis 4 to 6.

use crate::rdb::file::{FileError, FileReader, Record};

/// What an RDB file begins with.
const MAGIC: &[u8] = b"REDIS";
/// The same of Valkey 9.
const VALKEY_MAGIC: &[u8] = b"VALKEY";

/// True if `input` begins with an RDB file.
#[must_use]
pub fn has_preamble(input: &[u8]) -> bool {
    input.starts_with(MAGIC) || input.starts_with(VALKEY_MAGIC)
}

/// Where the RDB file at the start of `input` ends. All its records are read, and its checksum compared.
///
/// # Errors
/// What is wrong with it.
pub fn preamble_end(input: &[u8]) -> Result<usize, FileError> {
    let mut reader = FileReader::new(input)?.keep_modules(true).log_behind(true);
    loop {
        if let Record::Eof { end, .. } = reader.next_record()? {
            return Ok(end);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crc64::crc64;

    /// An RDB file without keys, but with bytes that look like its end.
    pub fn sample() -> Vec<u8> {
        let mut file = b"REDIS0011\xfa\x01x\x05\xff\xff\xff\xff\xff\xff".to_vec();
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
            assert!(preamble_end(&file[..cut]).is_err(), "{cut}");
        }
        assert!(!has_preamble(b"REDI"));
    }

    #[test]
    fn eight_bytes_of_log_are_no_checksum() {
        // Of a version without one. A log that is cut anywhere has the same preamble.
        let head = b"REDIS0004\xff";
        for log in [
            &b""[..],
            b"#comme\r\n",
            b"#comme\r\n*",
            b"*1\r\n$4\r\nPING\r\n",
        ] {
            assert_eq!(preamble_end(&[head, log].concat()), Ok(head.len()));
        }
        // One bit makes version 1 of version 11: it is not believed.
        let mut file = sample();
        file[7] ^= 1;
        assert!(preamble_end(&file).is_err());
    }
}
