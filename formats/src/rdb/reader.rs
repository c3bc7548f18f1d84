//! Lengths, strings and numbers read from a slice.
//!
//! ```text
//! 00nnnnnn                      length of 6 bits
//! 01nnnnnn nnnnnnnn             14 bits, high first
//! 10000000 + 4 bytes            32 bits, big-endian
//! 10000001 + 8 bytes            64 bits, big-endian
//! 11000000 + 1 byte             string that is an integer of 8 bits
//! 11000001 + 2 bytes            16 bits, little-endian
//! 11000010 + 4 bytes            32 bits, little-endian
//! 11000011 + lengths c, n       string of n bytes, compressed to the c that follow
//! ```

use std::borrow::Cow;

use super::RdbError;
use crate::lzf;
use crate::num::parse_f64;

/// Longest string that is decompressed. The compressor takes no input beyond this.
const MAX_STRING: usize = u32::MAX as usize;

/// What begins a string or a count.
enum Length {
    Bytes(u64),
    Int8,
    Int16,
    Int32,
    Compressed,
}

/// Takes values off the front of a byte string.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            len: input.len(),
        }
    }

    /// How many bytes were taken.
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    fn truncated(&self, needed: u64) -> RdbError {
        RdbError::Truncated {
            offset: self.offset(),
            needed,
            left: self.rest.len(),
        }
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`RdbError::Truncated`].
    pub fn bytes(&mut self, count: u64) -> Result<&'a [u8], RdbError> {
        let (taken, rest) = usize::try_from(count)
            .ok()
            .and_then(|count| self.rest.split_at_checked(count))
            .ok_or_else(|| self.truncated(count))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.truncated(N as u64))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Checks that the input holds `count` more bytes.
    ///
    /// # Errors
    /// [`RdbError::Truncated`].
    pub fn holds(&self, count: u64) -> Result<(), RdbError> {
        match count <= self.rest.len() as u64 {
            true => Ok(()),
            false => Err(self.truncated(count)),
        }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`RdbError::Truncated`].
    pub fn byte(&mut self) -> Result<u8, RdbError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn prefix(&mut self) -> Result<Length, RdbError> {
        let offset = self.offset();
        let byte = self.byte()?;
        let low = u64::from(byte & 0x3f);
        Ok(match byte {
            0x00..=0x3f => Length::Bytes(low),
            0x40..=0x7f => Length::Bytes(low << 8 | u64::from(self.byte()?)),
            0x80 => Length::Bytes(u32::from_be_bytes(self.array()?).into()),
            0x81 => Length::Bytes(u64::from_be_bytes(self.array()?)),
            0xc0 => Length::Int8,
            0xc1 => Length::Int16,
            0xc2 => Length::Int32,
            0xc3 => Length::Compressed,
            _ => return Err(RdbError::BadLength { offset, byte }),
        })
    }

    /// Takes a length that is not the beginning of an encoded string.
    ///
    /// # Errors
    /// The input ends, or no such length is there.
    pub fn length(&mut self) -> Result<u64, RdbError> {
        let offset = self.offset();
        let byte = self.rest.first().copied().unwrap_or(0);
        match self.prefix()? {
            Length::Bytes(len) => Ok(len),
            _ => Err(RdbError::BadLength { offset, byte }),
        }
    }

    /// Takes the number of elements of a collection, each of which takes `each` bytes or
    /// more: what the input cannot hold is refused here.
    ///
    /// # Errors
    /// As [`Reader::length`]; [`RdbError::Empty`] for none.
    pub fn count(&mut self, each: u64) -> Result<usize, RdbError> {
        let count = self.length()?;
        if count == 0 {
            return Err(RdbError::Empty);
        }
        let needed = count.saturating_mul(each);
        match usize::try_from(count) {
            Ok(count) if needed <= self.rest.len() as u64 => Ok(count),
            _ => Err(self.truncated(needed)),
        }
    }

    /// Takes a string; it is borrowed where the input holds it as it is.
    ///
    /// # Errors
    /// The input ends or the string is damaged.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, RdbError> {
        let int = match self.prefix()? {
            Length::Bytes(len) => return Ok(Cow::Borrowed(self.bytes(len)?)),
            Length::Compressed => return Ok(Cow::Owned(self.compressed()?)),
            Length::Int8 => i8::from_le_bytes(self.array()?).into(),
            Length::Int16 => i16::from_le_bytes(self.array()?).into(),
            Length::Int32 => i32::from_le_bytes(self.array()?),
        };
        let text = itoa::Buffer::new().format(int).as_bytes().to_vec();
        Ok(Cow::Owned(text))
    }

    fn compressed(&mut self) -> Result<Vec<u8>, RdbError> {
        let packed = self.length()?;
        let len = usize::try_from(self.length()?).unwrap_or(usize::MAX);
        let packed = self.bytes(packed)?;
        let mut text = Vec::new();
        lzf::decompress(packed, len, MAX_STRING, &mut text)?;
        Ok(text)
    }

    /// Takes a string without looking at its content.
    ///
    /// # Errors
    /// The input ends, or what begins here is no string.
    pub fn skip_string(&mut self) -> Result<(), RdbError> {
        let len = match self.prefix()? {
            Length::Bytes(len) => len,
            Length::Int8 => 1,
            Length::Int16 => 2,
            Length::Int32 => 4,
            Length::Compressed => {
                let packed = self.length()?;
                self.length()?;
                packed
            }
        };
        self.bytes(len).map(|_| ())
    }

    /// Takes a number of eight bytes.
    ///
    /// # Errors
    /// [`RdbError::Truncated`].
    pub fn double(&mut self) -> Result<f64, RdbError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// Takes a number written as text, as old versions did: a length byte, or one of three
    /// that stand for infinities and no number.
    ///
    /// # Errors
    /// The input ends, or the text is not a number.
    pub fn text_double(&mut self) -> Result<f64, RdbError> {
        let offset = self.offset();
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            len => parse_f64(self.bytes(len.into())?).ok_or(RdbError::BadScore { offset }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let read = |bytes: &[u8]| Reader::new(bytes).length();
        assert_eq!(read(&[0x3f]), Ok(63));
        assert_eq!(read(&[0x40, 0x40]), Ok(64));
        assert_eq!(read(&[0x7f, 0xff]), Ok(16_383));
        assert_eq!(read(&[0x80, 0, 0, 0x40, 0]), Ok(16_384));
        assert_eq!(read(&[0x81, 0, 0, 0, 1, 0, 0, 0, 0]), Ok(1 << 32));
        for byte in [0x82, 0xbf, 0xc0, 0xc3, 0xc4, 0xff] {
            let offset = 0;
            assert_eq!(
                read(&[byte, 0, 0, 0, 0]),
                Err(RdbError::BadLength { offset, byte })
            );
        }
        assert!(matches!(read(&[]), Err(RdbError::Truncated { .. })));
        assert!(matches!(read(&[0x80, 1]), Err(RdbError::Truncated { .. })));
    }

    #[test]
    fn strings() {
        let read = |bytes: &[u8]| Reader::new(bytes).string().map(Cow::into_owned);
        assert_eq!(read(b"\x03abc"), Ok(b"abc".to_vec()));
        assert_eq!(read(b"\xc0\x80"), Ok(b"-128".to_vec()));
        assert_eq!(read(b"\xc1\x00\x01"), Ok(b"256".to_vec()));
        assert_eq!(
            read(b"\xc2\xff\xff\xff\x7f"),
            Ok(i32::MAX.to_string().into_bytes())
        );
        assert_eq!(read(b"\xc3\x04\x0a\x00a\xe0\x00"), {
            // A copy of nine bytes from one back lacks its last byte.
            Err(RdbError::Lzf(lzf::LzfError::Truncated { offset: 2 }))
        });
        assert_eq!(read(b"\xc3\x05\x0a\x00a\xe0\x00\x00"), Ok(b"a".repeat(10)));
    }

    #[test]
    fn lengths_beyond_the_input_allocate_nothing() {
        let huge = b"\x81\xff\xff\xff\xff\xff\xff\xff\xff";
        assert!(Reader::new(huge).string().is_err());
        assert!(Reader::new(huge).count(1).is_err());
        let mut bomb = b"\xc3\x01".to_vec();
        bomb.extend_from_slice(huge);
        bomb.push(0);
        assert!(matches!(
            Reader::new(&bomb).string(),
            Err(RdbError::Lzf(lzf::LzfError::AboveCap { .. }))
        ));
        assert_eq!(Reader::new(&[0]).count(1), Err(RdbError::Empty));
    }

    #[test]
    fn numbers_as_text() {
        let read = |bytes: &[u8]| Reader::new(bytes).text_double();
        assert_eq!(read(b"\x041.25"), Ok(1.25));
        assert_eq!(read(b"\xfe"), Ok(f64::INFINITY));
        assert_eq!(read(b"\xff"), Ok(f64::NEG_INFINITY));
        assert!(read(b"\xfd").is_ok_and(f64::is_nan));
        assert_eq!(read(b"\x01x"), Err(RdbError::BadScore { offset: 0 }));
    }
}
