//! One leaf of a [`RankTree`](super::RankTree): a slotted page of records kept
//! in (score, member) order, in a single shared allocation.
//!
//! ```text
//! +------+-------+------+---------------------------+------+----------------+
//! | used | count | dead | records, in arrival order | free | slots, sorted  |
//! | u32  | u16   | u16  |                           |      | u16 each       |
//! +------+-------+------+---------------------------+------+----------------+
//! 0      4       6      8                           used                  end
//!
//! record: tag (1) | member length (varint, only if >= 27) | score (0-8) | member
//! tag = score bytes * 28 + min(member length, 27)
//! ```
//!
//! An insert appends a record and shifts at most the slots; a delete shifts the
//! slots and leaves a hole, and the page is rebuilt when over a quarter of it
//! is holes. A score is its big-endian bits without the zero bytes at the end,
//! so whole numbers below 2^20 take four bytes or fewer.
//!
//! Invariants: `used` is where free space begins; slots point at record starts
//! and ascend strictly; a page larger than [`PAGE_MAX`] holds exactly one
//! record, so that every offset fits in 16 bits and a huge member is never
//! copied because of a neighbour.

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

/// Bytes that the reference counts of an `Arc` put before the page.
pub(super) const ARC_HEADER: usize = 16;
/// Largest page that may hold more than one record, in bytes.
pub(super) const PAGE_MAX: usize = 2048 - ARC_HEADER;
/// Most records in one page: bounds the slots moved by an insert.
pub(super) const PAGE_RECORDS: usize = 128;

const HEADER: usize = 8;
const SLOT: usize = 2;
/// Member lengths below this fit in the tag.
const LEN_ESCAPE: usize = 27;
const TAG_STEP: usize = LEN_ESCAPE + 1;

static ZEROS: [u8; PAGE_MAX] = [0; PAGE_MAX];

/// A position in the order: score first, then member bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub score: f64,
    pub member: &'a [u8],
}

impl Key<'_> {
    pub fn cmp(&self, other: &Key<'_>) -> Ordering {
        cmp_score(self.score, other.score).then_with(|| self.member.cmp(other.member))
    }
}

/// Orders two scores; both zeros are equal and NaN never enters a tree.
#[inline]
pub(super) fn cmp_score(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// A record as it lies in a page.
pub(super) type Record = SmallVec<[u8; 64]>;

/// Encodes one record.
pub(super) fn encode(key: &Key<'_>) -> Record {
    let bits = key.score.to_bits();
    let score_len = 8 - (bits.trailing_zeros() / 8) as usize;
    let len = key.member.len();
    let mut out = Record::with_capacity(1 + 10 + score_len + len);
    out.push((score_len * TAG_STEP + len.min(LEN_ESCAPE)) as u8);
    if len >= LEN_ESCAPE {
        let mut rest = len;
        while rest >= 0x80 {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(&bits.to_be_bytes()[..score_len]);
    out.extend_from_slice(key.member);
    out
}

/// Where the parts of a record lie.
#[derive(Clone, Copy)]
struct Parts {
    score_at: usize,
    score_len: usize,
    member_at: usize,
    end: usize,
}

/// An immutable view is shared; mutation copies the page first if it is shared.
#[derive(Clone, Debug)]
pub(super) struct Page(Arc<[u8]>);

impl Page {
    /// Builds a page from encoded records already in order.
    pub fn build(records: &[&[u8]]) -> Page {
        let bytes: usize = records.iter().map(|r| r.len()).sum();
        let mut page = Page::blank(HEADER + bytes + SLOT * records.len());
        let buf = page.bytes_mut();
        let slots = buf.len() - SLOT * records.len();
        let mut at = HEADER;
        for (i, record) in records.iter().enumerate() {
            buf[at..at + record.len()].copy_from_slice(record);
            put_u16(buf, slots + SLOT * i, at);
            at += record.len();
        }
        put_header(buf, at, records.len(), 0);
        page
    }

    /// Bytes that `records` need in one page, before rounding.
    pub fn space_for(records: &[&[u8]]) -> usize {
        HEADER + records.iter().map(|r| r.len() + SLOT).sum::<usize>()
    }

    fn blank(need: usize) -> Page {
        let cap = size_class(need + ARC_HEADER) - ARC_HEADER;
        let mut page = Page(match ZEROS.get(..cap) {
            Some(zeros) => Arc::from(zeros),
            None => Arc::from(vec![0; cap]),
        });
        put_header(page.bytes_mut(), HEADER, 0, 0);
        page
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        Arc::make_mut(&mut self.0)
    }

    /// Records in the page.
    #[inline]
    pub fn count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[4], self.0[5]]))
    }

    fn used(&self) -> usize {
        u32::from_le_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]) as usize
    }

    fn dead(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[6], self.0[7]]))
    }

    /// Bytes that the page would need without holes and free space.
    pub fn live_bytes(&self) -> usize {
        self.used() - self.dead() + SLOT * self.count()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + ARC_HEADER
    }

    /// True when the page holds one record too large to share a page.
    pub fn is_oversize(&self) -> bool {
        self.0.len() > PAGE_MAX
    }

    #[inline]
    fn slot(&self, idx: usize) -> usize {
        let at = self.0.len() - SLOT * (self.count() - idx);
        usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }

    #[inline]
    fn parts(&self, at: usize) -> Parts {
        let tag = usize::from(self.0[at]);
        let score_len = tag / TAG_STEP;
        let mut len = tag % TAG_STEP;
        let mut score_at = at + 1;
        if len == LEN_ESCAPE {
            len = 0;
            let mut shift = 0;
            loop {
                let byte = self.0[score_at];
                score_at += 1;
                len |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let member_at = score_at + score_len;
        Parts {
            score_at,
            score_len,
            member_at,
            end: member_at + len,
        }
    }

    #[inline]
    fn score(&self, parts: &Parts) -> f64 {
        let (at, len) = (parts.score_at, parts.score_len);
        if len == 0 {
            return 0.0;
        }
        let bits = match self.0.get(at..at + 8) {
            Some(word) => {
                let mut be = [0; 8];
                be.copy_from_slice(word);
                u64::from_be_bytes(be) & (u64::MAX << (64 - 8 * len))
            }
            None => {
                let mut be = [0; 8];
                be[..len].copy_from_slice(&self.0[at..at + len]);
                u64::from_be_bytes(be)
            }
        };
        f64::from_bits(bits)
    }

    /// The record at `idx`, which must be below [`count`](Self::count).
    #[inline]
    pub fn key(&self, idx: usize) -> Key<'_> {
        let parts = self.parts(self.slot(idx));
        Key {
            score: self.score(&parts),
            member: &self.0[parts.member_at..parts.end],
        }
    }

    /// The encoded record at `idx`.
    pub fn raw(&self, idx: usize) -> &[u8] {
        let at = self.slot(idx);
        &self.0[at..self.parts(at).end]
    }

    /// All encoded records, in order.
    pub fn raws(&self) -> SmallVec<[&[u8]; PAGE_RECORDS]> {
        (0..self.count()).map(|i| self.raw(i)).collect()
    }

    /// How many records from the front satisfy `pred`, which must hold for a
    /// prefix of the page.
    #[inline]
    pub fn partition(&self, mut pred: impl FnMut(Key<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let mid = low + (high - low) / 2;
            if pred(self.key(mid)) {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        low
    }

    /// Finds `key`: its index, or where it belongs.
    pub fn search(&self, key: &Key<'_>) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let mid = low + (high - low) / 2;
            match self.key(mid).cmp(key) {
                Ordering::Less => low = mid + 1,
                Ordering::Greater => high = mid,
                Ordering::Equal => return Ok(mid),
            }
        }
        Err(low)
    }

    /// Puts an encoded record at `idx`. Returns false, changing nothing, when
    /// the page must be split first.
    pub fn insert(&mut self, idx: usize, record: &[u8]) -> bool {
        let (count, used) = (self.count(), self.used());
        let free = self.0.len() - used - SLOT * count;
        let need = record.len() + SLOT;
        let total = self.live_bytes() + need;
        if count > 0 && (total > PAGE_MAX || count >= PAGE_RECORDS) {
            return false;
        }
        if free < need {
            let mut grown = Page::blank(total);
            let buf = grown.bytes_mut();
            let slots = buf.len() - SLOT * count;
            if self.dead() == 0 {
                buf[HEADER..used].copy_from_slice(&self.0[HEADER..used]);
                buf[slots..].copy_from_slice(&self.0[self.0.len() - SLOT * count..]);
                put_header(buf, used, count, 0);
            } else {
                let mut at = HEADER;
                for i in 0..count {
                    let raw = self.raw(i);
                    buf[at..at + raw.len()].copy_from_slice(raw);
                    put_u16(buf, slots + SLOT * i, at);
                    at += raw.len();
                }
                put_header(buf, at, count, 0);
            }
            *self = grown;
        }
        let (used, dead) = (self.used(), self.dead());
        let buf = self.bytes_mut();
        let slots = buf.len() - SLOT * count;
        buf.copy_within(slots..slots + SLOT * idx, slots - SLOT);
        put_u16(buf, slots - SLOT + SLOT * idx, used);
        buf[used..used + record.len()].copy_from_slice(record);
        put_header(buf, used + record.len(), count + 1, dead);
        true
    }

    /// Takes out the record at `idx`.
    pub fn remove(&mut self, idx: usize) {
        let (count, used, dead) = (self.count(), self.used(), self.dead());
        let at = self.slot(idx);
        let len = self.parts(at).end - at;
        let live = used - dead - len + SLOT * (count - 1);
        let holes = dead + len;
        if self.is_oversize()
            || holes * 4 > used
            || size_class(live + ARC_HEADER) * 2 <= self.heap_bytes()
        {
            let mut records = self.raws();
            records.remove(idx);
            let rebuilt = Page::build(&records);
            drop(records);
            *self = rebuilt;
            return;
        }
        let buf = self.bytes_mut();
        let slots = buf.len() - SLOT * count;
        buf.copy_within(slots..slots + SLOT * idx, slots + SLOT);
        if at + len == used {
            put_header(buf, at, count - 1, dead);
        } else {
            put_header(buf, used, count - 1, holes);
        }
    }

    /// Takes out `count` records from `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        if count == 1 {
            return self.remove(start);
        }
        let mut records = self.raws();
        records.drain(start..start + count);
        let rebuilt = Page::build(&records);
        drop(records);
        *self = rebuilt;
    }

    /// True when both pages hold the same allocation.
    pub fn shares_with(&self, other: &Page) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Checks every invariant of the layout.
    #[cfg(test)]
    pub fn check(&self) {
        let mut live = 0;
        for i in 0..self.count() {
            live += self.raw(i).len();
            if i > 0 {
                assert_eq!(self.key(i - 1).cmp(&self.key(i)), Ordering::Less);
            }
        }
        assert_eq!(self.used(), HEADER + live + self.dead());
        assert!(self.used() + SLOT * self.count() <= self.0.len());
        assert!(!self.is_oversize() || self.count() == 1);
    }
}

/// Distributes records in order over pages that keep to the limits, about
/// equal in bytes.
pub(super) fn pack(records: &[&[u8]], out: &mut SmallVec<[Page; 4]>) {
    let space = Page::space_for(records);
    if records.len() <= 1 || (space <= PAGE_MAX && records.len() <= PAGE_RECORDS) {
        out.push(Page::build(records));
        return;
    }
    let half = space / 2;
    let mut sum = 0;
    let mut cut = 0;
    for record in records {
        let next = sum + record.len() + SLOT;
        // Stop before the record that crosses the middle if most of it lies beyond.
        if next > half && next - half > half.saturating_sub(sum) {
            break;
        }
        sum = next;
        cut += 1;
    }
    let cut = cut.clamp(1, records.len() - 1);
    pack(&records[..cut], out);
    pack(&records[cut..], out);
}

/// Rounds up to the allocation sizes of jemalloc, so that what we ask for is
/// what is used: sixteen-byte steps to 128, then four steps per doubling.
pub(super) fn size_class(bytes: usize) -> usize {
    let step = if bytes <= 128 {
        16
    } else {
        (bytes.next_power_of_two() / 8).min(4096)
    };
    bytes.next_multiple_of(step)
}

fn put_u16(buf: &mut [u8], at: usize, value: usize) {
    buf[at..at + SLOT].copy_from_slice(&(value as u16).to_le_bytes());
}

fn put_header(buf: &mut [u8], used: usize, count: usize, dead: usize) {
    buf[..4].copy_from_slice(&(used as u32).to_le_bytes());
    put_u16(buf, 4, count);
    put_u16(buf, 6, dead);
}
