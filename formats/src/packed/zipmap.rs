//! Zipmap, what small hashes were before Redis 2.6: read only, to convert old values.
//!
//! ```text
//! | fields u8, 254 = ? | field | value | field | value | ... | 0xFF |
//! field = | length | bytes |
//! value = | length | unused bytes u8 | bytes | unused |
//! length = one byte below 254, or 254 and u32 LE
//! ```

use super::{Listpack, PackedError};

const EOF: u8 = 0xff;
const WIDE: u8 = 0xfe;

/// Fields and values in turn as a listpack. Whether a field comes twice is not looked at.
///
/// # Errors
/// The first fault found, see [`PackedError`].
pub fn to_listpack(bytes: &[u8]) -> Result<Listpack, PackedError> {
    let short = PackedError::TooShort {
        found: bytes.len(),
        needed: 2,
    };
    let (&announced, rest) = bytes.split_first().ok_or(short)?;
    let (&last, mut left) = rest.split_last().ok_or(short)?;
    let end = bytes.len() - 1;
    if last != EOF {
        return Err(PackedError::BadTerminator { offset: end });
    }
    let (mut list, mut count) = (Listpack::new(), 0u64);
    while !left.is_empty() {
        let bad = PackedError::BadEntry {
            offset: end - left.len(),
        };
        let (field, value, next) = pair(left).ok_or(bad)?;
        let len = field.len().saturating_add(value.len());
        if !list.fits(len.saturating_add(32)) {
            return Err(bad);
        }
        list.push_back(field);
        list.push_back(value);
        left = next;
        count += 1;
    }
    if announced < WIDE && u64::from(announced) != count {
        return Err(PackedError::CountMismatch {
            expected: announced.into(),
            found: count,
        });
    }
    Ok(list)
}

/// Field and value at the start of `at`, and what follows them.
fn pair(at: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = length(at)?;
    let (field, rest) = rest.split_at_checked(len)?;
    let (len, rest) = length(rest)?;
    let (&unused, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(len)?;
    let (_, rest) = rest.split_at_checked(usize::from(unused))?;
    Some((field, value, rest))
}

fn length(at: &[u8]) -> Option<(usize, &[u8])> {
    match at.split_first()? {
        (&EOF, _) => None,
        (&WIDE, rest) => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        (&len, rest) => Some((usize::from(len), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_and_values() {
        let list = to_listpack(b"\x02\x01a\x01\x000\x03foo\x03\x02bar..\xff").unwrap();
        let texts: Vec<_> = list.iter().map(|entry| entry.to_vec()).collect();
        assert_eq!(texts, [&b"a"[..], b"0", b"foo", b"bar"]);
        assert!(to_listpack(b"\xfe\xfe\x01\0\0\0a\x01\x000\xff").is_ok());
        assert!(to_listpack(b"\x00\xff").unwrap().is_empty());
    }

    #[test]
    fn broken_bytes_are_refused() {
        assert!(to_listpack(b"").is_err());
        assert!(matches!(
            to_listpack(b"\x01\x01a\x01\x000"),
            Err(PackedError::BadTerminator { .. })
        ));
        assert!(matches!(
            to_listpack(b"\x02\x01a\x01\x000\xff"),
            Err(PackedError::CountMismatch { .. })
        ));
        for bytes in [
            &b"\x01\x09a\x01\x000\xff"[..],
            b"\x01\x01a\x09\x000\xff",
            b"\x01\x01a\x01\x090\xff",
            b"\x01\x01a\xff",
            b"\x01\xff\x01\xff",
        ] {
            assert_eq!(to_listpack(bytes), Err(PackedError::BadEntry { offset: 1 }));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 2..80)) {
            bytes.push(EOF);
            let _ = to_listpack(&bytes);
        }
    }
}
