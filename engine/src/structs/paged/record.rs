//! The bytes of one page: a header, the index and the entry records.
//!
//! ```text
//! 0     4     8     12     16     24       24+cap       24+cap*(1+w)     used    end
//! | len | cap | used | dead | hint | tags[cap] | offsets[cap] | records ... | free |
//! ```
//!
//! All numbers are little-endian; `w`, the width of an offset, is 2, or 4 in the
//! rare page longer than 64 KiB. Entries stand in the index in ascending order of
//! hash; the tag of an entry is the 8 bits of its hash that follow the bits shared
//! by the whole hash range of the page (see [`Span`]), so tags are sorted as well
//! and one scan finds both a key and the place for a new one.
//!
//! A record is one of
//!
//! ```text
//! plain    klen (0x00..=0xef) | plen varint | key | payload
//! flagged  0xf0 | flags       | klen varint | plen varint | [obj u24] | key | payload
//! ```
//!
//! Under `KEY_BLOB` or `PAY_BLOB` the key or payload is a u24 index into the
//! blobs of the page's side. `dead` counts record bytes no longer referred to.

use super::size;

/// Header length: len, cap, used, dead as u32 and hint as u64.
pub(super) const HEADER: usize = 24;
/// Longest key or payload kept inside the arena; longer ones are boxed.
pub(super) const INLINE_MAX: usize = 512;
/// The record carries the index of an out-of-line object.
pub(super) const OBJ: u8 = 1;
/// The key is boxed.
pub(super) const KEY_BLOB: u8 = 2;
/// The payload is boxed.
pub(super) const PAY_BLOB: u8 = 4;

const FLAGGED: u8 = 0xf0;
const INDEX_LEN: usize = 3;

/// A closed range of hashes: what a page or subtree covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub lo: u64,
    pub hi: u64,
}

impl Span {
    pub const FULL: Span = Span {
        lo: 0,
        hi: u64::MAX,
    };

    /// The 8 bits of `h` below the prefix common to the span; monotone in `h`.
    #[inline]
    pub fn tag(self, h: u64) -> u8 {
        let common = (self.lo ^ self.hi).leading_zeros().min(56);
        (h >> (56 - common)) as u8
    }

    /// How many leading bits all hashes of the span share.
    pub fn common_bits(self) -> u32 {
        (self.lo ^ self.hi).leading_zeros()
    }
}

#[inline]
fn get_u32(b: &[u8], at: usize) -> usize {
    let mut w = [0; 4];
    w.copy_from_slice(&b[at..at + 4]);
    u32::from_le_bytes(w) as usize
}

#[inline]
fn set_u32(b: &mut [u8], at: usize, v: usize) {
    b[at..at + 4].copy_from_slice(&(v as u32).to_le_bytes());
}

/// Reads a u24 side index.
#[inline]
pub(super) fn get_index(b: &[u8], at: usize) -> usize {
    usize::from(b[at]) | usize::from(b[at + 1]) << 8 | usize::from(b[at + 2]) << 16
}

/// Writes a u24 side index.
#[inline]
pub(super) fn set_index(b: &mut [u8], at: usize, v: usize) {
    b[at..at + INDEX_LEN].copy_from_slice(&(v as u32).to_le_bytes()[..INDEX_LEN]);
}

fn varint_len(v: usize) -> usize {
    if v < 0x80 { 1 } else { 2 }
}

/// Writes a length of at most 14 bits (inline fields are at most [`INLINE_MAX`]).
#[inline]
fn put_varint(b: &mut [u8], at: usize, v: usize) -> usize {
    if v < 0x80 {
        b[at] = v as u8;
        at + 1
    } else {
        b[at] = (v & 0x7f) as u8 | 0x80;
        b[at + 1] = (v >> 7) as u8;
        at + 2
    }
}

#[inline(always)]
fn get_varint(b: &[u8], at: usize) -> (usize, usize) {
    let first = b[at];
    if first < 0x80 {
        (usize::from(first), at + 1)
    } else {
        (
            usize::from(first & 0x7f) | usize::from(b[at + 1]) << 7,
            at + 2,
        )
    }
}

/// Where the parts of one record lie in the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rec {
    pub start: usize,
    pub flags: u8,
    pub obj_at: usize,
    pub key_at: usize,
    pub key_len: usize,
    pub pay_len: usize,
}

impl Rec {
    #[inline(always)]
    pub fn parse(b: &[u8], start: usize) -> Rec {
        let first = b[start];
        if first < FLAGGED {
            let (pay_len, key_at) = get_varint(b, start + 1);
            return Rec {
                start,
                flags: 0,
                obj_at: 0,
                key_at,
                key_len: usize::from(first),
                pay_len,
            };
        }
        let flags = first & 0x0f;
        let (key_len, at) = get_varint(b, start + 1);
        let (pay_len, obj_at) = get_varint(b, at);
        let key_at = obj_at + if flags & OBJ != 0 { INDEX_LEN } else { 0 };
        Rec {
            start,
            flags,
            obj_at,
            key_at,
            key_len,
            pay_len,
        }
    }

    #[inline]
    pub fn pay_at(&self) -> usize {
        self.key_at + self.key_len
    }

    #[inline]
    pub fn end(&self) -> usize {
        self.pay_at() + self.pay_len
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.end() - self.start
    }
}

/// The shape of a record about to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub flags: u8,
    pub key_len: usize,
    pub pay_len: usize,
}

impl Shape {
    pub fn of(key_len: usize, pay_len: usize, has_obj: bool) -> Shape {
        let mut s = Shape {
            flags: if has_obj { OBJ } else { 0 },
            key_len,
            pay_len,
        };
        if key_len > INLINE_MAX {
            s.flags |= KEY_BLOB;
            s.key_len = INDEX_LEN;
        }
        if pay_len > INLINE_MAX {
            s.flags |= PAY_BLOB;
            s.pay_len = INDEX_LEN;
        }
        s
    }

    fn plain(&self) -> bool {
        self.flags == 0 && self.key_len < usize::from(FLAGGED)
    }

    /// Length of the whole record.
    pub fn len(&self) -> usize {
        let body = self.key_len + self.pay_len + varint_len(self.pay_len) + 1;
        if self.plain() {
            body
        } else {
            let obj = if self.flags & OBJ != 0 { INDEX_LEN } else { 0 };
            body + varint_len(self.key_len) + obj
        }
    }

    /// Writes the record's head at `start` and says where its parts go.
    pub fn write_head(&self, b: &mut [u8], start: usize) -> Rec {
        if self.plain() {
            b[start] = self.key_len as u8;
            put_varint(b, start + 1, self.pay_len);
        } else {
            b[start] = FLAGGED | self.flags;
            let at = put_varint(b, start + 1, self.key_len);
            put_varint(b, at, self.pay_len);
        }
        Rec::parse(b, start)
    }
}

/// Read access to the bytes of a page.
#[derive(Clone, Copy)]
pub(super) struct View<'a>(pub &'a [u8]);

impl<'a> View<'a> {
    /// A header word; every arena is at least a header long.
    #[inline(always)]
    fn word(self, at: usize) -> usize {
        match self.0.first_chunk::<HEADER>() {
            Some(h) => u32::from_le_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]) as usize,
            None => 0,
        }
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.word(0)
    }

    #[inline(always)]
    pub fn cap(self) -> usize {
        self.word(4)
    }

    #[inline(always)]
    pub fn used(self) -> usize {
        self.word(8)
    }

    #[inline(always)]
    pub fn dead(self) -> usize {
        self.word(12)
    }

    #[inline(always)]
    pub fn hint(self) -> u64 {
        self.word(16) as u64 | (self.word(20) as u64) << 32
    }

    #[inline]
    fn width(self) -> usize {
        size::offset_width(self.0.len())
    }

    #[inline]
    pub fn tags(self) -> &'a [u8] {
        &self.0[HEADER..HEADER + self.len()]
    }

    #[inline(always)]
    pub fn offset(self, i: usize) -> usize {
        offset(self.0, self.cap(), i)
    }

    #[inline(always)]
    pub fn rec(self, i: usize) -> Rec {
        Rec::parse(self.0, self.offset(i))
    }

    /// The offsets as bytes, in `width()` each.
    #[inline]
    fn offsets(self) -> &'a [u8] {
        let at = HEADER + self.cap();
        &self.0[at..at + self.len() * self.width()]
    }

    /// Where the records begin.
    pub fn base(self) -> usize {
        HEADER + self.cap() * (1 + self.width())
    }

    /// Bytes of the records still referred to.
    pub fn live(self) -> usize {
        self.used() - self.base() - self.dead()
    }
}

#[inline(always)]
fn offset(b: &[u8], cap: usize, i: usize) -> usize {
    if size::offset_width(b.len()) == 2 {
        let at = HEADER + cap + 2 * i;
        usize::from(u16::from_le_bytes([b[at], b[at + 1]]))
    } else {
        get_u32(b, HEADER + cap + 4 * i)
    }
}

/// Write access to the bytes of a page; the fields keep the header's numbers.
pub(super) struct Edit<'a>(pub &'a mut [u8]);

impl Edit<'_> {
    #[inline]
    pub fn view(&self) -> View<'_> {
        View(self.0)
    }

    pub fn set_len(&mut self, v: usize) {
        set_u32(self.0, 0, v);
    }

    pub fn set_cap(&mut self, v: usize) {
        set_u32(self.0, 4, v);
    }

    pub fn set_used(&mut self, v: usize) {
        set_u32(self.0, 8, v);
    }

    pub fn set_dead(&mut self, v: usize) {
        set_u32(self.0, 12, v);
    }

    #[inline]
    pub fn set_hint(&mut self, v: u64) {
        self.0[16..24].copy_from_slice(&v.to_le_bytes());
    }

    pub fn set_tag(&mut self, i: usize, tag: u8) {
        self.0[HEADER + i] = tag;
    }

    #[inline]
    pub fn set_offset(&mut self, i: usize, off: usize) {
        let offs = HEADER + self.view().cap();
        if self.view().width() == 2 {
            let at = offs + 2 * i;
            self.0[at..at + 2].copy_from_slice(&(off as u16).to_le_bytes());
        } else {
            set_u32(self.0, offs + 4 * i, off);
        }
    }

    /// Copies all offsets of `from`, whose records now begin at this page's base.
    pub fn copy_offsets(&mut self, from: View<'_>) {
        let (base, old_base) = (self.view().base(), from.base());
        if self.view().width() != 2 || from.width() != 2 {
            for i in 0..from.len() {
                self.set_offset(i, from.offset(i) - old_base + base);
            }
            return;
        }
        let shift = (base as u16).wrapping_sub(old_base as u16);
        let at = HEADER + self.view().cap();
        let to = self.0[at..base].as_chunks_mut::<2>().0;
        for (to, from) in to.iter_mut().zip(from.offsets().as_chunks::<2>().0) {
            *to = u16::from_le_bytes(*from).wrapping_add(shift).to_le_bytes();
        }
    }

    /// Opens the index at `pos` for an entry with this tag and record offset.
    pub fn insert_index(&mut self, pos: usize, tag: u8, off: usize) {
        let (n, cap, w) = (self.view().len(), self.view().cap(), self.view().width());
        self.0
            .copy_within(HEADER + pos..HEADER + n, HEADER + pos + 1);
        let offs = HEADER + cap;
        self.0
            .copy_within(offs + pos * w..offs + n * w, offs + (pos + 1) * w);
        self.set_tag(pos, tag);
        self.set_offset(pos, off);
        self.set_len(n + 1);
    }

    /// Closes the index over entry `pos`.
    pub fn remove_index(&mut self, pos: usize) {
        let (n, cap, w) = (self.view().len(), self.view().cap(), self.view().width());
        self.0
            .copy_within(HEADER + pos + 1..HEADER + n, HEADER + pos);
        let offs = HEADER + cap;
        self.0
            .copy_within(offs + (pos + 1) * w..offs + n * w, offs + pos * w);
        self.set_len(n - 1);
    }

    /// Gives up the bytes `start..end` of the record area.
    pub fn free(&mut self, start: usize, end: usize) {
        if self.view().used() == end {
            self.set_used(start);
        } else {
            let dead = self.view().dead() + (end - start);
            self.set_dead(dead);
        }
    }
}

/// How many leading tags are smaller than `tag`.
///
/// Tags are sorted and spread evenly, so the answer is most often within 8 places
/// of where proportion puts it: one step of 16 tags finds it without a loop.
#[inline]
pub(super) fn lower_bound(tags: &[u8], tag: u8) -> usize {
    let n = tags.len();
    if n >= 16 {
        let guess = (n * usize::from(tag)) >> 8;
        let at = guess.saturating_sub(8).min(n - 16);
        if let Some(window) = tags[at..].first_chunk::<16>() {
            let below = count_below(window, tag);
            if (below > 0 || at == 0) && (below < 16 || at + 16 == n) {
                return at + below;
            }
        }
    }
    let (chunks, rest) = tags.as_chunks::<16>();
    let whole: usize = chunks.iter().map(|c| count_below(c, tag)).sum();
    let part: usize = rest.iter().map(|t| usize::from(*t < tag)).sum();
    whole + part
}

/// How many of 16 tags are smaller than `tag`; compiles to a vector compare.
#[inline(always)]
fn count_below(tags: &[u8; 16], tag: u8) -> usize {
    let mut mask = 0u16;
    for (i, t) in tags.iter().enumerate() {
        mask |= u16::from(*t < tag) << i;
    }
    mask.trailing_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_bound_agrees_with_a_plain_search() {
        for n in 0..100usize {
            for (first, step) in [(0, 2), (0, 0), (255, 0), (5, 1), (150, 1)] {
                let tags: Vec<u8> = (0..n).map(|i| (first + i * step).min(255) as u8).collect();
                for tag in 0..=255 {
                    assert_eq!(
                        lower_bound(&tags, tag),
                        tags.partition_point(|t| *t < tag),
                        "{tags:?} {tag}"
                    );
                }
            }
        }
    }

    #[test]
    fn records_of_every_shape_parse_back() {
        for key_len in [0, 1, 127, 128, 239, 240, 512, 513] {
            for pay_len in [0, 1, 127, 128, 512, 513] {
                for has_obj in [false, true] {
                    let shape = Shape::of(key_len, pay_len, has_obj);
                    let mut bytes = vec![0xee; shape.len() + 7];
                    let rec = shape.write_head(&mut bytes, 3);
                    assert_eq!(rec.len(), shape.len());
                    assert_eq!((rec.key_len, rec.pay_len), (shape.key_len, shape.pay_len));
                    assert_eq!(rec.flags, shape.flags);
                    assert_eq!(rec.flags & OBJ != 0, has_obj);
                    assert_eq!(rec.flags & KEY_BLOB != 0, key_len > INLINE_MAX);
                    assert_eq!(rec.flags & PAY_BLOB != 0, pay_len > INLINE_MAX);
                }
            }
        }
    }
}
