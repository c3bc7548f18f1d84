//! One listpack entry: choosing, writing and reading its encoding.
//!
//! ```text
//! first byte   rest                     holds
//! 0xxxxxxx                              integer 0..=127
//! 10llllll     bytes                    string under 64 bytes
//! 110iiiii     i                        integer of 13 bits
//! 1110llll     l, bytes                 string under 4096 bytes
//! 11110000     l l l l (LE), bytes      any longer string
//! 11110001     2 bytes LE               integer of 16 bits
//! 11110010     3 bytes LE               integer of 24 bits
//! 11110011     4 bytes LE               integer of 32 bits
//! 11110100     8 bytes LE               integer of 64 bits
//! 11111111                              end of the listpack
//! ```
//!
//! Behind the entry comes its own length (without this field) in base 128,
//! most significant group first, every byte but the first with the top bit
//! set, so that it can be read backwards.

/// Longest string that can spell a 64-bit integer, with room as in Redis.
const INT_TEXT_MAX: usize = 21;

/// Marks the end of a listpack.
pub(super) const EOF: u8 = 0xFF;

/// An element as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Stored as an integer; its value is the decimal text.
    Int(i64),
    /// Stored as bytes.
    Str(&'a [u8]),
}

impl Entry<'_> {
    /// Appends the element's bytes (decimal text for an integer).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Entry::Int(value) => {
                out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes())
            }
            Entry::Str(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The element's bytes, owned.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    /// Calls `f` with the element's bytes, without allocating.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Entry::Int(value) => f(itoa::Buffer::new().format(*value).as_bytes()),
            Entry::Str(bytes) => f(bytes),
        }
    }

    /// Length of the element's bytes.
    pub fn byte_len(&self) -> usize {
        match self {
            Entry::Int(value) => itoa::Buffer::new().format(*value).len(),
            Entry::Str(bytes) => bytes.len(),
        }
    }

    /// Whether the element's bytes are these. Use a [`Needle`] for many
    /// comparisons with the same bytes.
    pub fn eq_bytes(&self, bytes: &[u8]) -> bool {
        match self {
            Entry::Int(value) => parse_int(bytes) == Some(*value),
            Entry::Str(own) => *own == bytes,
        }
    }
}

/// Bytes to look for, with their integer reading worked out once.
#[derive(Debug, Clone, Copy)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Prepares a search for `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            int: parse_int(bytes),
        }
    }

    /// The bytes searched for.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the entry's bytes are the ones searched for.
    pub fn matches(&self, entry: Entry<'_>) -> bool {
        match entry {
            Entry::Int(value) => self.int == Some(value),
            Entry::Str(bytes) => self.bytes == bytes,
        }
    }
}

/// The integer these bytes spell in canonical decimal form: no sign but a
/// minus, no leading zero, no blanks, within 64 bits. Formatting the result
/// gives the input back.
pub fn parse_int(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > INT_TEXT_MAX {
        return None;
    }
    let (negative, digits) = match bytes {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut magnitude: u64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// An element laid out for writing: prefix, string bytes, back length.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    body: &'a [u8],
    back: [u8; 5],
    back_len: usize,
}

impl<'a> Encoded<'a> {
    /// The encoding Redis chooses for these bytes.
    pub(super) fn bytes(value: &'a [u8]) -> Self {
        match parse_int(value) {
            Some(int) => Self::int(int),
            None => Self::string(value),
        }
    }

    /// The encoding Redis chooses for this integer.
    pub(super) fn int(value: i64) -> Self {
        let mut head = [0; 9];
        let le = value.to_le_bytes();
        let head_len = match value {
            0..=127 => {
                head[0] = le[0];
                1
            }
            -4096..=4095 => {
                head[0] = 0xC0 | (le[1] & 0x1F);
                head[1] = le[0];
                2
            }
            _ => {
                let (code, width) = match value {
                    -0x8000..=0x7FFF => (0xF1, 2),
                    -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                    -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                head[0] = code;
                head[1..=width].copy_from_slice(&le[..width]);
                1 + width
            }
        };
        Self::finish(head, head_len, &[])
    }

    fn string(body: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let le = (body.len() as u64).to_le_bytes();
        let head_len = match body.len() {
            0..=63 => {
                head[0] = 0x80 | le[0];
                1
            }
            64..=4095 => {
                head[0] = 0xE0 | le[1];
                head[1] = le[0];
                2
            }
            _ => {
                head[0] = 0xF0;
                head[1..5].copy_from_slice(&le[..4]);
                5
            }
        };
        Self::finish(head, head_len, body)
    }

    fn finish(head: [u8; 9], head_len: usize, body: &'a [u8]) -> Self {
        let (back, back_len) = backlen(head_len + body.len());
        Self {
            head,
            head_len,
            body,
            back,
            back_len,
        }
    }

    /// Bytes the whole entry takes.
    pub(super) fn len(&self) -> usize {
        self.head_len + self.body.len() + self.back_len
    }

    /// Appends the entry.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head[..self.head_len]);
        out.extend_from_slice(self.body);
        out.extend_from_slice(&self.back[..self.back_len]);
    }

    /// Writes the entry over `slot`, which is exactly [`Self::len`] long.
    pub(super) fn write_over(&self, slot: &mut [u8]) {
        let (head, rest) = slot.split_at_mut(self.head_len);
        let (body, back) = rest.split_at_mut(self.body.len());
        head.copy_from_slice(&self.head[..self.head_len]);
        body.copy_from_slice(self.body);
        back.copy_from_slice(&self.back[..self.back_len]);
    }
}

/// Size of the back length field of an entry of `len` bytes. The limits one
/// below a power of two are Redis's, and part of the format.
pub(super) fn backlen_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// The back length field of an entry of `len` bytes, and its size.
pub(super) fn backlen(len: usize) -> ([u8; 5], usize) {
    let size = backlen_size(len);
    let mut field = [0; 5];
    let mut rest = len;
    for (index, slot) in field[..size].iter_mut().enumerate().rev() {
        let mark = if index == 0 { 0 } else { 0x80 };
        *slot = (rest & 0x7F) as u8 | mark;
        rest >>= 7;
    }
    (field, size)
}

/// Length of the entry (without back length) that ends where `before` ends,
/// `before` ending with a valid back length.
pub(super) fn read_backlen(before: &[u8]) -> usize {
    let mut len = 0;
    for (index, byte) in before.iter().rev().take(5).enumerate() {
        len |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    len
}

/// Length of the entry at the start of `at`, without its back length; `None`
/// when no encoding starts so or the prefix is cut off. The entry itself may
/// be longer than `at`.
pub(super) fn entry_len(at: &[u8]) -> Option<usize> {
    Some(match *at.first()? {
        0..=0x7F => 1,
        first @ 0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        first @ 0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*at.get(1)?)),
        0xF0 => {
            let len = at.get(1..5)?.first_chunk::<4>()?;
            5usize.checked_add(u32::from_le_bytes(*len) as usize)?
        }
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => return None,
    })
}

/// Reads the valid entry at the start of `at`; also its length without the
/// back length.
pub(super) fn decode(at: &[u8]) -> (Entry<'_>, usize) {
    match at[0] {
        first @ 0..=0x7F => (Entry::Int(i64::from(first)), 1),
        first @ 0x80..=0xBF => {
            let len = 1 + usize::from(first & 0x3F);
            (Entry::Str(&at[1..len]), len)
        }
        first @ 0xC0..=0xDF => {
            let raw = i16::from_be_bytes([first & 0x1F, at[1]]);
            // Moves the sign from bit 12 to bit 15 and back.
            (Entry::Int(i64::from(raw << 3 >> 3)), 2)
        }
        first @ 0xE0..=0xEF => {
            let len = 2 + (usize::from(first & 0x0F) << 8 | usize::from(at[1]));
            (Entry::Str(&at[2..len]), len)
        }
        0xF0 => {
            let len = 5 + u32::from_le_bytes([at[1], at[2], at[3], at[4]]) as usize;
            (Entry::Str(&at[5..len]), len)
        }
        0xF1 => (Entry::Int(signed(&at[1..3])), 3),
        0xF2 => (Entry::Int(signed(&at[1..4])), 4),
        0xF3 => (Entry::Int(signed(&at[1..5])), 5),
        _ => (Entry::Int(signed(&at[1..9])), 9),
    }
}

/// A little-endian two's complement integer of up to eight bytes.
fn signed(le: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - le.len()..].copy_from_slice(le);
    i64::from_le_bytes(wide) >> (64 - 8 * le.len())
}
