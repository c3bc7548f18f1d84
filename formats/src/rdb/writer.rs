//! Lengths, strings and numbers written as Redis 7.2 writes them; the bytes are drawn in
//! `reader.rs`.

use crate::lzf::Compressor;
use crate::num::parse_i64;

use super::ObjectType;

/// Longest text that may be an integer of 32 bits.
const MAX_INT_CHARS: usize = 11;
/// Shortest string worth compressing is one byte longer.
const MIN_COMPRESSED: usize = 20;
/// Bytes that compression must save at least.
const MIN_SAVED: usize = 4;

/// Takes a full buffer and gives an empty one back.
pub type Spill<'s> = Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send + 's>;

/// Appends values to a buffer.
#[derive(Default)]
pub struct Writer<'s> {
    spill: Option<(usize, Spill<'s>)>,
    buf: Vec<u8>,
    packed: Vec<u8>,
    compress: bool,
    compressor: Option<Compressor>,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("len", &self.buf.len())
            .field("compress", &self.compress)
            .finish_non_exhaustive()
    }
}

impl<'s> Writer<'s> {
    /// A writer whose buffer is handed to `spill` whenever it holds `limit` bytes or more
    /// after a string, so that a value of any size is written in bounded memory.
    pub fn spilling(compress: bool, limit: usize, spill: Spill<'s>) -> Self {
        Self {
            compress,
            spill: Some((limit, spill)),
            ..Self::default()
        }
    }

    /// Hands the buffer over if it is full.
    #[inline]
    pub(super) fn spill_if_full(&mut self) {
        if let Some((limit, spill)) = &mut self.spill
            && self.buf.len() >= *limit
        {
            self.buf = spill(std::mem::take(&mut self.buf));
        }
    }

    /// Hands over what is in the buffer, however little.
    pub fn flush(&mut self) {
        if let Some((_, spill)) = &mut self.spill
            && !self.buf.is_empty()
        {
            self.buf = spill(std::mem::take(&mut self.buf));
        }
    }

    /// An empty writer; with `compress` strings are compressed where that saves bytes
    /// (`rdbcompression`).
    pub fn new(compress: bool) -> Self {
        Self {
            compress,
            ..Self::default()
        }
    }

    /// What was written since the last [`Writer::clear`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Forgets what was written and keeps the buffers.
    pub fn clear(&mut self) {
        self.buf.clear();
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Writes the type of a value.
    pub fn kind(&mut self, kind: ObjectType) {
        self.buf.push(kind.byte());
    }

    /// Writes a length or number of elements.
    pub fn len(&mut self, len: usize) {
        self.number(len as u64);
    }

    /// Writes a number that is not negative, as lengths are written.
    pub fn number(&mut self, number: u64) {
        match number {
            0..0x40 => self.buf.push(number as u8),
            0x40..0x4000 => self
                .buf
                .extend_from_slice(&(0x4000 | number as u16).to_be_bytes()),
            _ => match u32::try_from(number) {
                Ok(number) => {
                    self.buf.push(0x80);
                    self.buf.extend_from_slice(&number.to_be_bytes());
                }
                Err(_) => {
                    self.buf.push(0x81);
                    self.buf.extend_from_slice(&number.to_be_bytes());
                }
            },
        }
    }

    /// Writes a string, as an integer if it spells one of 32 bits.
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= MAX_INT_CHARS
            && let Some(int) = parse_i64(text)
            && let Ok(int) = i32::try_from(int)
        {
            return self.int(int);
        }
        if !(self.compress && text.len() > MIN_COMPRESSED && self.compressed(text)) {
            self.len(text.len());
            self.raw(text);
        }
        self.spill_if_full();
    }

    fn int(&mut self, int: i32) {
        if let Ok(int) = i8::try_from(int) {
            self.buf.push(0xc0);
            self.raw(&int.to_le_bytes());
        } else if let Ok(int) = i16::try_from(int) {
            self.buf.push(0xc1);
            self.raw(&int.to_le_bytes());
        } else {
            self.buf.push(0xc2);
            self.raw(&int.to_le_bytes());
        }
    }

    /// Writes a string compressed; false, and nothing is written, if that saves too little.
    fn compressed(&mut self, text: &[u8]) -> bool {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        let compressor = self.compressor.get_or_insert_default();
        let done = compressor.compress(text, text.len() - MIN_SAVED, &mut packed);
        if done {
            self.buf.push(0xc3);
            self.len(packed.len());
            self.len(text.len());
            self.raw(&packed);
        }
        self.packed = packed;
        done
    }

    /// Writes a number in eight bytes.
    pub fn double(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use proptest::prelude::*;

    fn string(text: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(true);
        writer.string(text);
        writer.into_bytes()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        assert_eq!(string(b""), [0]);
        assert_eq!(string(b"-128"), [0xc0, 0x80]);
        assert_eq!(string(b"128"), [0xc1, 0x80, 0]);
        assert_eq!(string(b"-32769"), [0xc2, 0xff, 0x7f, 0xff, 0xff]);
        assert_eq!(string(b"2147483648")[..2], [10, b'2']);
        assert_eq!(string(b"01"), [2, b'0', b'1']);
        assert_eq!(string(&[b'a'; 20])[0], 20);
        assert_eq!(string(&[b'a'; 21])[0], 0xc3);
        let mut plain = Writer::new(false);
        plain.string(&[b'a'; 21]);
        assert_eq!(plain.as_bytes()[0], 21);
    }

    proptest! {
        #[test]
        fn strings_come_back(
            text in prop_oneof![
                any::<i64>().prop_map(|n| n.to_string().into_bytes()),
                prop::collection::vec(any::<u8>(), 0..100),
                prop::collection::vec(0..4u8, 0..20_000),
            ],
            compress in any::<bool>(),
        ) {
            let mut writer = Writer::new(compress);
            writer.string(&text);
            let mut reader = Reader::new(writer.as_bytes());
            prop_assert_eq!(&*reader.string().unwrap(), &text[..]);
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn lengths_come_back(len in prop_oneof![0..100usize, 0..100_000usize, any::<usize>()]) {
            let mut writer = Writer::new(false);
            writer.len(len);
            prop_assert_eq!(Reader::new(writer.as_bytes()).length(), Ok(len as u64));
        }
    }
}
