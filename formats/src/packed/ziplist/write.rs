//! Ziplists as Redis 6.2 would write them, for files that old servers are to read.

use super::{EOF, HEADER, WIDE_PREVIOUS};
use crate::packed::parse_int;

/// Redis refuses to let a ziplist grow beyond this.
const MAX_BYTES: usize = 1 << 30;
/// An entry takes no more than this beside its text.
const MAX_OVERHEAD: usize = 10;
/// Texts of this length and longer are never looked at as integers.
const LONG_TEXT: usize = 32;
/// Integers up to this one take no byte of their own.
const MAX_IMMEDIATE: i64 = 12;

/// A ziplist to whose end elements are pushed.
#[derive(Debug, Clone)]
pub struct ZiplistWriter {
    buf: Vec<u8>,
    /// Where the last entry begins, and its size.
    tail: usize,
    previous: usize,
    /// Stays at the greatest value, which stands for many.
    count: u16,
}

impl Default for ZiplistWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ZiplistWriter {
    /// An empty ziplist.
    pub fn new() -> Self {
        Self {
            buf: vec![0; HEADER],
            tail: HEADER,
            previous: 0,
            count: 0,
        }
    }

    /// Appends an element, as an integer if it spells one; false, and nothing is appended, if
    /// the ziplist would become larger than Redis allows.
    #[must_use]
    pub fn push(&mut self, text: &[u8]) -> bool {
        let int = match text.len() < LONG_TEXT {
            true => parse_int(text),
            false => None,
        };
        match int {
            Some(int) => self.push_int(int),
            None => self.push_text(text),
        }
    }

    fn push_text(&mut self, text: &[u8]) -> bool {
        if !self.begin(text.len()) {
            return false;
        }
        match text.len() {
            len @ 0..0x40 => self.buf.push(len as u8),
            len @ 0x40..0x4000 => {
                let head = 0x4000 | len as u16;
                self.buf.extend_from_slice(&head.to_be_bytes());
            }
            len => {
                self.buf.push(0x80);
                // Below MAX_BYTES.
                self.buf.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
        self.buf.extend_from_slice(text);
        self.end()
    }

    /// Appends an integer; false as for [`ZiplistWriter::push`].
    #[must_use]
    pub fn push_int(&mut self, int: i64) -> bool {
        if !self.begin(0) {
            return false;
        }
        let [a, b, c, ..] = int.to_le_bytes();
        if (0..=MAX_IMMEDIATE).contains(&int) {
            self.buf.push(0xf1 + a);
        } else if let Ok(int) = i8::try_from(int) {
            self.buf.push(0xfe);
            self.buf.extend_from_slice(&int.to_le_bytes());
        } else if let Ok(int) = i16::try_from(int) {
            self.buf.push(0xc0);
            self.buf.extend_from_slice(&int.to_le_bytes());
        } else if (-(1 << 23)..1 << 23).contains(&int) {
            self.buf.extend_from_slice(&[0xf0, a, b, c]);
        } else if let Ok(int) = i32::try_from(int) {
            self.buf.push(0xd0);
            self.buf.extend_from_slice(&int.to_le_bytes());
        } else {
            self.buf.push(0xe0);
            self.buf.extend_from_slice(&int.to_le_bytes());
        }
        self.end()
    }

    /// Begins an entry with the size of the one before, if it fits.
    fn begin(&mut self, text: usize) -> bool {
        let needed = text.saturating_add(MAX_OVERHEAD + 1);
        if self.buf.len().saturating_add(needed) > MAX_BYTES {
            return false;
        }
        self.tail = self.buf.len();
        match u8::try_from(self.previous) {
            Ok(size) if size < WIDE_PREVIOUS => self.buf.push(size),
            _ => {
                self.buf.push(WIDE_PREVIOUS);
                // Below MAX_BYTES.
                let size = self.previous as u32;
                self.buf.extend_from_slice(&size.to_le_bytes());
            }
        }
        true
    }

    fn end(&mut self) -> bool {
        self.previous = self.buf.len() - self.tail;
        self.count = self.count.saturating_add(1);
        true
    }

    /// The ziplist.
    pub fn finish(mut self) -> Vec<u8> {
        self.buf.push(EOF);
        let (total, tail) = (self.buf.len() as u32, self.tail as u32);
        let parts = [
            &total.to_le_bytes()[..],
            &tail.to_le_bytes(),
            &self.count.to_le_bytes(),
        ];
        for (slot, byte) in self.buf.iter_mut().zip(parts.concat()) {
            *slot = byte;
        }
        self.buf
    }
}

#[cfg(test)]
mod tests {
    use super::super::to_listpack;
    use super::*;
    use proptest::prelude::*;

    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let mut list = ZiplistWriter::new();
        assert!(elements.iter().all(|element| list.push(element)));
        list.finish()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        assert_eq!(
            ziplist(&[]),
            [11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff],
            "empty"
        );
        assert_eq!(
            ziplist(&[b"foo", b"12", b"13", b"-1", b"40000"]),
            b"\x1d\0\0\0\x17\0\0\0\x05\0\
              \0\x03foo\x05\xfd\x02\xfe\x0d\x03\xfe\xff\x03\xf0\x40\x9c\0\xff"
                .to_vec()
        );
        for (text, encoding) in [
            (&b"128"[..], 0xc0),
            (b"-32769", 0xf0),
            (b"8388608", 0xd0),
            (b"-2147483649", 0xe0),
            (b"01", 0x02),
            (b"", 0x00),
        ] {
            assert_eq!(ziplist(&[text])[11], encoding, "{text:?}");
        }
        let wide = ziplist(&[&[b'x'; 250], &[b'y'; 251], b"z"]);
        assert_eq!(wide[10..13], [0, 0x40, 250]);
        assert_eq!(wide[263..266], [253, 0x40, 251]);
        assert_eq!(wide[517..522], [0xfe, 254, 0, 0, 0]);
    }

    #[test]
    fn size_is_bounded() {
        let mut list = ZiplistWriter::new();
        let large = vec![b'x'; MAX_BYTES - HEADER];
        assert!(!list.push(&large));
        assert!(list.push(&large[..1000]));
        assert!(!list.push(&large[..MAX_BYTES - 1020]));
        assert!(to_listpack(&list.finish()).is_ok());
    }

    proptest! {
        #[test]
        fn elements_come_back(elements in prop::collection::vec(prop_oneof![
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            (-200i64..200).prop_map(|n| n.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..400),
        ], 0..40)) {
            let texts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            let list = to_listpack(&ziplist(&texts)).unwrap();
            let back: Vec<_> = list.iter().map(|entry| entry.to_vec()).collect();
            prop_assert_eq!(back, elements);
        }
    }
}
