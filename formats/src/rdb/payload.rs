//! The footer of a `DUMP` payload: format version and checksum.

use super::VERSION;
use crate::crc64::crc64;

/// Bytes of version and checksum.
pub const FOOTER: usize = 10;

/// Why a payload is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// No room for the footer.
    #[error("payload of {0} bytes has no footer")]
    TooShort(usize),
    /// Written by a version not known here.
    #[error("payload of version {found}, newest known is {VERSION}")]
    TooNew {
        /// Its version.
        found: u16,
    },
    /// Damaged on the way.
    #[error("checksum {found:#018x} does not match {expected:#018x}")]
    ChecksumMismatch {
        /// What the footer says.
        expected: u64,
        /// What the content has.
        found: u64,
    },
}

/// Makes a payload of a type byte and body.
#[must_use]
pub fn seal_payload(mut value: Vec<u8>) -> Vec<u8> {
    value.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(0, &value);
    value.extend_from_slice(&sum.to_le_bytes());
    value
}

/// The type byte and body within a payload. `check` is false where checksums are not
/// looked at (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
///
/// # Errors
/// [`PayloadError`]. A checksum of zero is no exception, as it is in files.
pub fn open_payload(payload: &[u8], check: bool) -> Result<&[u8], PayloadError> {
    let Some((rest, sum)) = payload.split_last_chunk::<8>() else {
        return Err(PayloadError::TooShort(payload.len()));
    };
    let Some((value, version)) = rest.split_last_chunk::<2>() else {
        return Err(PayloadError::TooShort(payload.len()));
    };
    let version = u16::from_le_bytes(*version);
    if version > VERSION {
        return Err(PayloadError::TooNew { found: version });
    }
    let expected = u64::from_le_bytes(*sum);
    let found = crc64(0, rest);
    if check && found != expected {
        return Err(PayloadError::ChecksumMismatch { expected, found });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footer() {
        let payload = seal_payload(vec![0, 1, b'x']);
        assert_eq!(payload.len(), 3 + FOOTER);
        assert_eq!(open_payload(&payload, true), Ok(&[0, 1, b'x'][..]));
        assert_eq!(open_payload(&[0; 9], true), Err(PayloadError::TooShort(9)));
        let mut broken = payload.clone();
        broken[1] ^= 1;
        assert!(matches!(
            open_payload(&broken, true),
            Err(PayloadError::ChecksumMismatch { .. })
        ));
        assert!(open_payload(&broken, false).is_ok());
        let mut newer = payload;
        newer[3] = 12;
        assert_eq!(
            open_payload(&newer, true),
            Err(PayloadError::TooNew { found: 12 })
        );
    }
}
