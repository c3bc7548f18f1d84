//! LZF, the compression of strings in RDB files and `DUMP` payloads.
//!
//! ```text
//! 000nnnnn                     n + 1 literal bytes follow
//! nnnooooo oooooooo            n + 2 bytes from o + 1 bytes back, n in 1..=6
//! 111ooooo nnnnnnnn oooooooo   n + 9 bytes from o + 1 bytes back
//! ```
//!
//! A copy may overlap what it produces. No sequence yields more than 88 bytes
//! per byte read, and the sequences are summed up before anything is allocated
//! for a claimed length.
//!
//! The compressor makes the choices of liblzf as Redis builds it (65536 hash
//! slots, the last two positions of a copy entered, the same early refusals), so
//! that a `DUMP` payload has the bytes Redis's would have. Redis does not clear
//! its table between strings: what an earlier string left there can make it find
//! a copy that it would miss otherwise. That chance is not imitated.

/// Longest run of literals.
const MAX_LITERALS: usize = 32;
/// Longest distance of a copy.
const MAX_DISTANCE: usize = 8192;
/// Longest copy.
const MAX_COPY: usize = 264;
/// Shortest copy looked for.
const MIN_COPY: usize = 3;
/// Copies of 264 bytes take three.
const MAX_EXPANSION: usize = 88;
/// Slots of the table, as a power of two; fixed by what Redis finds.
const HASH_BITS: u32 = 16;
/// What the bookkeeping of a copy may take at most, besides the run before it.
const COPY_ROOM: usize = 4;
/// Bytes at the end that are never looked up, with the header of their run.
const TAIL_ROOM: usize = 3;

/// Why compressed bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LzfError {
    /// The claimed length is above the caller's cap.
    #[error("claimed length {expected} is above the limit of {cap} bytes")]
    AboveCap {
        /// Claimed length.
        expected: usize,
        /// The caller's limit.
        cap: usize,
    },
    /// The result has another length than claimed.
    #[error("{found} bytes or more cannot be the claimed {expected}")]
    WrongLength {
        /// Claimed length.
        expected: usize,
        /// Length that was reached, or could at most have been.
        found: usize,
    },
    /// The input ends inside a sequence.
    #[error("compressed bytes end inside a sequence (offset {offset})")]
    Truncated {
        /// Where the sequence starts.
        offset: usize,
    },
    /// A copy reaches before the first byte.
    #[error("copy from {distance} bytes back reaches before the start (offset {offset})")]
    BadDistance {
        /// Distance of the copy.
        distance: usize,
        /// Where its sequence starts.
        offset: usize,
    },
}

/// Appends the decompressed `input` to `out`. It must have exactly `expected`
/// bytes, and `expected` must not exceed `cap`. On error `out` is unchanged.
///
/// # Errors
///
/// The lengths do not fit, or the input is damaged.
pub fn decompress(
    input: &[u8],
    expected: usize,
    cap: usize,
    out: &mut Vec<u8>,
) -> Result<(), LzfError> {
    if expected > cap {
        return Err(LzfError::AboveCap { expected, cap });
    }
    let most = input.len().saturating_mul(MAX_EXPANSION);
    if expected > most {
        let found = most;
        return Err(LzfError::WrongLength { expected, found });
    }
    let found = expanded_len(input)?;
    if found != expected {
        return Err(LzfError::WrongLength { expected, found });
    }
    let start = out.len();
    out.reserve_exact(expected);
    let result = expand(input, start, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// What a control byte says is next.
enum Sequence<'a> {
    Literals(&'a [u8]),
    Copy { distance: usize, len: usize },
}

/// The sequence at the start of `rest`, and what follows it.
fn sequence(rest: &[u8]) -> Option<(Sequence<'_>, &[u8])> {
    let (&control, tail) = rest.split_first()?;
    let control = usize::from(control);
    if control < MAX_LITERALS {
        let (literals, tail) = tail.split_at_checked(control + 1)?;
        return Some((Sequence::Literals(literals), tail));
    }
    let (len, low, tail) = match (control >> 5, tail) {
        (7, [more, low, tail @ ..]) => (usize::from(*more) + 9, *low, tail),
        (len @ ..7, [low, tail @ ..]) => (len + 2, *low, tail),
        _ => return None,
    };
    let distance = ((control & 0x1f) << 8 | usize::from(low)) + 1;
    Some((Sequence::Copy { distance, len }, tail))
}

/// How long the decompressed `input` is: so that nothing is allocated for a lie.
///
/// # Errors
/// [`LzfError::Truncated`].
pub fn expanded_len(input: &[u8]) -> Result<usize, LzfError> {
    let (mut rest, mut total) = (input, 0usize);
    while !rest.is_empty() {
        let offset = input.len() - rest.len();
        let (next, tail) = sequence(rest).ok_or(LzfError::Truncated { offset })?;
        let len = match next {
            Sequence::Literals(literals) => literals.len(),
            Sequence::Copy { len, .. } => len,
        };
        total = total.saturating_add(len);
        rest = tail;
    }
    Ok(total)
}

fn expand(input: &[u8], start: usize, out: &mut Vec<u8>) -> Result<(), LzfError> {
    let mut rest = input;
    while !rest.is_empty() {
        let offset = input.len() - rest.len();
        let (next, tail) = sequence(rest).ok_or(LzfError::Truncated { offset })?;
        match next {
            Sequence::Literals(literals) => out.extend_from_slice(literals),
            Sequence::Copy { distance, len } => {
                if distance > out.len() - start {
                    return Err(LzfError::BadDistance { distance, offset });
                }
                copy_back(out, distance, len);
            }
        }
        rest = tail;
    }
    Ok(())
}

/// Appends `len` bytes from `distance` back, where `distance` is at most the
/// length of `out`. What is copied repeats with period `distance`, so each
/// round may take all that is there.
fn copy_back(out: &mut Vec<u8>, distance: usize, len: usize) {
    let from = out.len() - distance;
    let mut left = len;
    while left > 0 {
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
}

/// Compressor with a table that is reused from one input to the next.
pub struct Compressor {
    /// Where each hash was seen last: `base` plus one plus the position, so
    /// that entries of earlier inputs, being at most `base`, are recognised.
    table: Vec<u32>,
    base: u32,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor {
    /// A compressor, whose table takes 256 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: vec![0; 1 << HASH_BITS],
            base: 0,
        }
    }

    /// Appends the compressed `input` to `out` and returns true, if Redis would
    /// find it to take at most `max_len` bytes; otherwise leaves `out` unchanged.
    /// Redis gives up early: up to four bytes may be left when it does. Empty
    /// inputs, and those of 4 GiB or more, are never compressed.
    pub fn compress(&mut self, input: &[u8], max_len: usize, out: &mut Vec<u8>) -> bool {
        let Ok(len) = u32::try_from(input.len()) else {
            return false;
        };
        if len == 0 || len == u32::MAX {
            return false;
        }
        if self.base.checked_add(len).is_none() {
            self.table.fill(0);
            self.base = 0;
        }
        let start = out.len();
        let fits = self.shrink(input, max_len, out);
        // Cannot wrap: checked above, and zero was tried.
        self.base = self.base.saturating_add(len);
        if !fits {
            out.truncate(start);
        }
        fits
    }

    fn shrink(&mut self, input: &[u8], max_len: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let (mut pos, mut literals_from) = (0, 0);
        // Bytes taken, with the run of literals that is open and its header.
        let used = |out: &[u8], run: usize| out.len() - start + 1 + run;
        while let Some(next) = three(input, pos) {
            let run = pos - literals_from;
            let Some((distance, len)) = self.find_copy(input, pos, next) else {
                if used(out, run) >= max_len {
                    return false;
                }
                pos += 1;
                if run + 1 == MAX_LITERALS {
                    literals(input.get(literals_from..pos).unwrap_or(&[]), out);
                    literals_from = pos;
                }
                continue;
            };
            if used(out, run) - usize::from(run == 0) + COPY_ROOM >= max_len {
                return false;
            }
            literals(input.get(literals_from..pos).unwrap_or(&[]), out);
            copy(distance, len, out);
            // Of the positions inside a copy only the last two are entered.
            pos += len;
            literals_from = pos;
            if three(input, pos).is_some() {
                for inside in pos - 2..pos {
                    if let Some(bytes) = three(input, inside) {
                        self.enter(inside, bytes);
                    }
                }
            }
        }
        if used(out, pos - literals_from) + TAIL_ROOM > max_len {
            return false;
        }
        literals(input.get(literals_from..).unwrap_or(&[]), out);
        true
    }

    /// Looks for an earlier occurrence of what stands at `pos`, and enters
    /// `pos` for later ones. Returns its distance and length. The first byte of
    /// the input is never found.
    fn find_copy(&mut self, input: &[u8], pos: usize, bytes: [u8; 3]) -> Option<(usize, usize)> {
        let seen = self.enter(pos, bytes).checked_sub(self.base)?;
        let from = usize::try_from(seen).ok()?.checked_sub(1)?;
        let distance = pos.checked_sub(from)?;
        if from == 0 || distance == 0 || distance > MAX_DISTANCE || three(input, from)? != bytes {
            return None;
        }
        let (old, new) = (input.get(from..)?, input.get(pos..)?);
        let same = old
            .iter()
            .zip(new)
            .take(longest_copy(new.len()))
            .take_while(|(a, b)| a == b);
        Some((distance, same.count()))
    }

    /// Enters `pos` in the table; returns what stood there.
    fn enter(&mut self, pos: usize, [a, b, c]: [u8; 3]) -> u32 {
        let value = u32::from_be_bytes([0, a, b, c]);
        let hash = (value >> (24 - HASH_BITS)).wrapping_sub(value.wrapping_mul(5));
        let entry = self.base + 1 + u32::try_from(pos).unwrap_or(0);
        let mask = (1 << HASH_BITS) - 1;
        match self.table.get_mut((hash & mask) as usize) {
            Some(slot) => std::mem::replace(slot, entry),
            None => 0,
        }
    }
}

/// How far a copy may go with `left` bytes of input. Two bytes are kept back,
/// except that the first bytes are compared in blocks: 3, or 19 if there are as
/// many.
fn longest_copy(left: usize) -> usize {
    let most = left.saturating_sub(2).min(MAX_COPY);
    most.max(if most > 16 { 19 } else { MIN_COPY })
}

fn three(input: &[u8], pos: usize) -> Option<[u8; 3]> {
    input.get(pos..)?.first_chunk::<MIN_COPY>().copied()
}

fn literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(MAX_LITERALS) {
        out.push(u8::try_from(run.len() - 1).unwrap_or(0));
        out.extend_from_slice(run);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by the constants")]
fn copy(distance: usize, len: usize, out: &mut Vec<u8>) {
    let (offset, len) = (distance - 1, len - 2);
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    if len < 7 {
        out.extend_from_slice(&[(len as u8) << 5 | high, low]);
    } else {
        out.extend_from_slice(&[7 << 5 | high, (len - 7) as u8, low]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(input: &[u8], expected: usize) -> Result<Vec<u8>, LzfError> {
        let mut out = b"kept".to_vec();
        let result = decompress(input, expected, 1 << 20, &mut out);
        assert!(result.is_ok() || out == b"kept");
        result.map(|()| out.split_off(4))
    }

    #[test]
    fn sequences() {
        assert_eq!(expanded(&[2, b'a', b'b', b'c'], 3), Ok(b"abc".to_vec()));
        assert_eq!(expanded(&[0, b'a', 0x20, 0], 4), Ok(b"aaaa".to_vec()));
        assert_eq!(
            expanded(&[1, b'a', b'b', 0xe0, 0, 1], 11),
            Ok(b"abababababa".to_vec())
        );
        assert_eq!(expanded(&[], 0), Ok(vec![]));
    }

    #[test]
    fn faults() {
        let wrong = |expected, found| Err(LzfError::WrongLength { expected, found });
        let truncated = |offset| Err(LzfError::Truncated { offset });
        assert_eq!(expanded(&[0, b'a'], 2), wrong(2, 1));
        assert_eq!(expanded(&[1, b'a', b'b'], 1), wrong(1, 2));
        assert_eq!(expanded(&[0, b'a', 0x20, 0], 3), wrong(3, 4));
        assert_eq!(expanded(&[3, b'a'], 4), truncated(0));
        assert_eq!(expanded(&[0, b'a', 0x20], 4), truncated(2));
        assert_eq!(expanded(&[0, b'a', 0xe0, 1], 11), truncated(2));
        let distance = 2;
        let offset = 2;
        assert_eq!(
            expanded(&[0, b'a', 0x20, 1], 4),
            Err(LzfError::BadDistance { distance, offset })
        );
    }

    #[test]
    fn claimed_length_is_bounded_before_allocation() {
        let mut out = Vec::new();
        let (expected, cap) = (11, 10);
        let got = decompress(&[0; 100], expected, cap, &mut out);
        assert_eq!(got, Err(LzfError::AboveCap { expected, cap }));
        let got = decompress(&[0; 3], usize::MAX, usize::MAX, &mut out);
        assert!(matches!(got, Err(LzfError::WrongLength { found: 264, .. })));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn runs_shrink_well() {
        let (mut compressor, mut out) = (Compressor::new(), Vec::new());
        assert!(compressor.compress(&[7; 26_400], 320, &mut out));
        assert_eq!(expanded(&out, 26_400), Ok(vec![7; 26_400]));
    }

    /// What `DUMP` of Redis 7.2.4 made of the same strings, which it lets take 4 bytes less.
    #[test]
    fn bytes_are_those_of_redis() {
        let mut compressor = Compressor::new();
        let mut packed = |input: &[u8]| {
            let mut out = Vec::new();
            let fits = compressor.compress(input, input.len() - 4, &mut out);
            fits.then_some(out)
        };
        for (input, expected) in [
            (&[b'a'; 21][..], &b"\x01aa\xe0\n\x00"[..]),
            (&[b'a'; 22], b"\x01aa\xe0\n\x00\x00a"),
            (&[b'a'; 23], b"\x01aa\xe0\n\x00\x01aa"),
            (&[b'a'; 24], b"\x01aa\xe0\x0b\x00\x01aa"),
            (&[b'a'; 27], b"\x01aa\xe0\x0e\x00\x01aa"),
            (&b"abc".repeat(8), b"\x03abca\xe0\n\x02\x00c"),
            (&b"abc".repeat(9), b"\x03abca\xe0\x0c\x02\x01bc"),
            (
                b"xabababababababababababababab",
                b"\x02xab\xe0\x0f\x01\x01ab",
            ),
            (&b"0123456789".repeat(4), b"\n01234567890\xe0\x12\t\x0189"),
            (
                b"the quick brown fox, the quick brown dog",
                b"\x15the quick brown fox, t\xe0\x06\x14\x02dog",
            ),
            (
                &[b'a'; 600],
                b"\x01aa\xe0\xff\x00\xe0\xff\x00\xe0;\x00\x01aa",
            ),
            (b"hello hello hello hel", b"\x06hello h\xe0\x03\x05\x01el"),
            (b"1234567-1234567-12345", b"\x081234567-1\xe0\x01\x07\x0145"),
        ] {
            assert_eq!(packed(input).as_deref(), Some(expected), "{input:?}");
        }
        let distinct: Vec<u8> = (0..33).collect();
        for len in [8, 9, 12] {
            assert_eq!(packed(&[&distinct[..], &b"!".repeat(len)].concat()), None);
        }
        for (len, items, size, crc) in [
            (100_000, false, 60062, 0xae37_3690_8a55_f057),
            (100_000, true, 35998, 0x7f87_536c_0097_2d29),
            (9_000, true, 3532, 0x2adf_7179_1aa5_8e40),
        ] {
            let out = packed(&drawn(len, items)).expect("it fits");
            assert_eq!((out.len(), crate::crc64::crc64(0, &out)), (size, crc));
        }
    }

    /// Letters, or words with numbers, from a generator that any language can repeat.
    fn drawn(len: usize, items: bool) -> Vec<u8> {
        let (mut state, mut text) = (12_345u64, Vec::new());
        while text.len() < len {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = state >> 33;
            if items {
                text.extend_from_slice(format!("item:{} ", random % 1000).as_bytes());
            } else {
                text.push(b"abcd"[(random % 4) as usize]);
            }
        }
        text.truncate(len);
        text
    }

    #[test]
    fn table_survives_the_end_of_its_range() {
        let mut compressor = Compressor::new();
        let input = b"abcabcabcabcabcabcabcabc";
        for base in [u32::MAX - 24, u32::MAX - 23, u32::MAX] {
            compressor.base = base;
            let mut out = Vec::new();
            assert!(compressor.compress(input, 20, &mut out));
            assert_eq!(expanded(&out, 24), Ok(input.to_vec()));
        }
    }

    fn inputs() -> impl Strategy<Value = Vec<u8>> {
        let words = proptest::collection::vec(any::<u8>(), 1..20);
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..300),
            proptest::collection::vec(0u8..2, 1..600),
            (
                proptest::collection::vec(words, 1..6),
                any::<u64>(),
                1usize..400
            )
                .prop_map(|(words, mut seed, count)| {
                    let mut text = Vec::new();
                    for _ in 0..count {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        text.extend_from_slice(&words[(seed >> 33) as usize % words.len()]);
                    }
                    text
                }),
        ]
    }

    proptest! {
        #[test]
        fn round_trip(inputs in proptest::collection::vec(inputs(), 1..4)) {
            let mut compressor = Compressor::new();
            for input in inputs {
                let mut out = Vec::new();
                prop_assert!(compressor.compress(&input, usize::MAX, &mut out));
                prop_assert!(out.len() <= input.len() + input.len().div_ceil(32));
                prop_assert_eq!(expanded(&out, input.len()), Ok(input.clone()));
                let packed = out.clone();
                prop_assert!(!compressor.compress(&input, packed.len() - 1, &mut out));
                prop_assert_eq!(&out, &packed);
                out.clear();
                prop_assert!(compressor.compress(&input, packed.len() + COPY_ROOM, &mut out));
                prop_assert_eq!(&out, &packed);
            }
        }

        #[test]
        fn any_bytes_do_not_panic(input in proptest::collection::vec(any::<u8>(), 0..60), len in 0usize..500) {
            if let Ok(out) = expanded(&input, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
