//! Ziplist, what listpacks were before Redis 7: read to convert old values, and written for
//! old servers.
//!
//! ```text
//! +-----------------+---------------------+--------------+---------+-----+------+
//! | total bytes u32 | offset of the last  | elements u16 | entry 0 | ... | 0xFF |
//! | LE, whole thing | entry u32 LE        | 65535 = ?    |         |     |      |
//! +-----------------+---------------------+--------------+---------+-----+------+
//! entry = | size of the entry before: 1 byte, or 0xFE and u32 LE | encoding | content |
//!
//! 00nnnnnn                     string of n bytes
//! 01nnnnnn nnnnnnnn            string, big-endian length of 14 bits
//! 10...... + 4 bytes           string, big-endian length of 32 bits
//! C0 D0 E0 F0 FE               integer of 2, 4, 8, 3, 1 bytes, little-endian
//! 1111nnnn (n in 1..=13)       the integer n - 1
//! ```

mod write;

pub use write::ZiplistWriter;

use super::{Listpack, PackedError};

const HEADER: usize = 10;
const EOF: u8 = 0xff;
const WIDE_PREVIOUS: u8 = 0xfe;

/// An element: text, or an integer.
enum Element<'a> {
    Text(&'a [u8]),
    Int(i64),
}

/// The same elements as a listpack. O(n).
///
/// # Errors
/// The first fault found, see [`PackedError`].
pub fn to_listpack(bytes: &[u8]) -> Result<Listpack, PackedError> {
    let short = PackedError::TooShort {
        found: bytes.len(),
        needed: HEADER + 1,
    };
    let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(short)?;
    let [a, b, c, d, e, f, g, h, i, j] = *header;
    let total = u32::from_le_bytes([a, b, c, d]);
    if u64::from(total) != bytes.len() as u64 {
        return Err(PackedError::SizeMismatch {
            expected: u64::from(total),
            found: bytes.len() as u64,
        });
    }
    let end = bytes.len() - 1;
    let bad_end = PackedError::BadTerminator { offset: end };
    let (&last, entries) = rest.split_last().ok_or(short)?;
    if last != EOF {
        return Err(bad_end);
    }
    let (mut list, mut count) = (Listpack::with_capacity(bytes.len()), 0u64);
    let (mut left, mut previous) = (entries, 0);
    while !left.is_empty() {
        let offset = end - left.len();
        let bad = PackedError::BadEntry { offset };
        if left.first() == Some(&EOF) {
            return Err(PackedError::BadTerminator { offset });
        }
        let (element, size, told) = entry(left).ok_or(bad)?;
        if told != previous {
            return Err(PackedError::BadBacklen { offset });
        }
        let text_len = match element {
            Element::Text(text) => text.len(),
            Element::Int(_) => 0,
        };
        if !list.fits(text_len.saturating_add(16)) {
            return Err(bad);
        }
        match element {
            Element::Text(text) => list.push_back(text),
            Element::Int(int) => list.push_back_int(int),
        }
        left = left.get(size..).ok_or(bad)?;
        previous = size;
        count += 1;
    }
    let tail = u32::from_le_bytes([e, f, g, h]) as usize;
    let last_at = match count {
        // What an empty ziplist says of its last entry does not matter.
        0 => tail.min(end),
        _ => end - previous,
    };
    if tail != last_at {
        return Err(PackedError::BadEntry { offset: tail });
    }
    let announced = u16::from_le_bytes([i, j]);
    if announced != u16::MAX && u64::from(announced) != count {
        return Err(PackedError::CountMismatch {
            expected: announced.into(),
            found: count,
        });
    }
    Ok(list)
}

/// The entry at the start of `at`, its whole size, and the size it tells of the one before.
fn entry(at: &[u8]) -> Option<(Element<'_>, usize, usize)> {
    let (previous, rest) = match at.split_first()? {
        (&WIDE_PREVIOUS, rest) => {
            let (size, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*size) as usize, rest)
        }
        (&size, rest) => (usize::from(size), rest),
    };
    let (&encoding, rest) = rest.split_first()?;
    let (text_len, rest) = match encoding >> 6 {
        0 => (usize::from(encoding), rest),
        1 => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(encoding & 0x3f) << 8 | usize::from(low), rest)
        }
        2 => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
        _ => {
            let (int, rest) = integer(encoding, rest)?;
            return Some((Element::Int(int), at.len() - rest.len(), previous));
        }
    };
    let (text, rest) = rest.split_at_checked(text_len)?;
    Some((Element::Text(text), at.len() - rest.len(), previous))
}

fn integer(encoding: u8, rest: &[u8]) -> Option<(i64, &[u8])> {
    let width = match encoding {
        0xc0 => 2,
        0xd0 => 4,
        0xe0 => 8,
        0xf0 => 3,
        0xfe => 1,
        0xf1..=0xfd => return Some((i64::from(encoding & 0x0f) - 1, rest)),
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(width)?;
    let mut wide = [0; 8];
    wide.get_mut(8 - width..)?.copy_from_slice(bytes);
    Some((i64::from_le_bytes(wide) >> (64 - 8 * width), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ziplist of these entries, each given without the size of the one before.
    fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        let (mut previous, mut tail) = (0usize, HEADER);
        for content in entries {
            tail = HEADER + body.len();
            let start = body.len();
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(WIDE_PREVIOUS);
                body.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            body.extend_from_slice(content);
            previous = body.len() - start;
        }
        let mut all = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        all.extend_from_slice(&(tail as u32).to_le_bytes());
        all.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        all.extend_from_slice(&body);
        all.push(EOF);
        all
    }

    fn texts(bytes: &[u8]) -> Result<Vec<String>, PackedError> {
        let list = to_listpack(bytes)?;
        let text = |entry: super::super::Entry<'_>| String::from_utf8(entry.to_vec()).unwrap();
        Ok(list.iter().map(text).collect())
    }

    #[test]
    fn every_encoding() {
        let mut long = vec![0x41, 0x2c];
        long.extend_from_slice(&[b'x'; 300]);
        let bytes = ziplist(&[
            b"\x03abc",
            &long,
            b"\x80\x00\x00\x00\x01y",
            b"\xc0\x00\x80",
            b"\xd0\xff\xff\xff\x7f",
            b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xf0\x00\x00\x80",
            b"\xfe\xff",
            b"\xf1",
            b"\xfd",
        ]);
        assert_eq!(
            texts(&bytes).unwrap(),
            [
                "abc",
                &"x".repeat(300),
                "y",
                "-32768",
                "2147483647",
                "-9223372036854775808",
                "-8388608",
                "-1",
                "0",
                "12"
            ]
        );
        assert!(texts(&ziplist(&[])).unwrap().is_empty());
    }

    #[test]
    fn broken_bytes_are_refused() {
        let good = ziplist(&[b"\x01a", b"\x01b"]);
        assert!(to_listpack(&good).is_ok());
        let broken = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            to_listpack(&bytes).unwrap_err()
        };
        assert!(matches!(broken(0, 1), PackedError::SizeMismatch { .. }));
        assert!(matches!(
            broken(4, 11),
            PackedError::BadEntry { offset: 11 }
        ));
        assert!(matches!(broken(8, 3), PackedError::CountMismatch { .. }));
        assert!(matches!(
            broken(11, 0x3f),
            PackedError::BadEntry { offset: 10 }
        ));
        assert!(matches!(
            broken(11, 0xc4),
            PackedError::BadEntry { offset: 10 }
        ));
        assert!(matches!(
            broken(13, 4),
            PackedError::BadBacklen { offset: 13 }
        ));
        assert!(matches!(broken(16, 0), PackedError::BadTerminator { .. }));
        assert!(matches!(
            broken(13, 0xff),
            PackedError::BadTerminator { .. }
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 11..80)) {
            let len = bytes.len();
            bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
            bytes[len - 1] = EOF;
            let _ = to_listpack(&bytes);
        }
    }
}
