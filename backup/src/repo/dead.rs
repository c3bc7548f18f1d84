//! Which entries of a chunk do not count any more, by their position in it.
//!
//! ```text
//! "01 00 80 01": gap, gap, ... in hexadecimal; a gap is the number of entries that count since the last dead one, LEB128
//!   -> positions 1, 2, 131
//! ```
//!
//! Invariant: positions are in ascending order and each fits 32 bits; a text that is otherwise is refused.

use serde::{Deserialize, Serialize};

/// Positions of entries, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dead {
    gaps: Vec<u8>,
    count: u64,
    /// The position behind the last one.
    end: u64,
}

/// A text is no list of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list of dead entries is hexadecimal LEB128")]
pub struct InvalidDead;

impl Dead {
    /// Adds a position; whether it is behind the last one and fits.
    pub fn push(&mut self, position: u32) -> bool {
        let Some(mut gap) = u64::from(position).checked_sub(self.end) else {
            return false;
        };
        while gap >= 0x80 {
            self.gaps.push((gap & 0x7f) as u8 | 0x80);
            gap >>= 7;
        }
        self.gaps.push((gap & 0x7f) as u8);
        self.count += 1;
        self.end = u64::from(position) + 1;
        true
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The position behind the last one.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The positions.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let (mut bytes, mut next) = (self.gaps.iter(), 0u64);
        std::iter::from_fn(move || {
            let (mut gap, mut shift) = (0u64, 0);
            loop {
                let byte = *bytes.next()?;
                gap |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            let position = next + gap;
            next = position + 1;
            Some(position)
        })
    }
}

impl TryFrom<String> for Dead {
    type Error = InvalidDead;

    fn try_from(text: String) -> Result<Dead, InvalidDead> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidDead),
        };
        let (pairs, rest) = text.as_bytes().as_chunks();
        if !rest.is_empty() {
            return Err(InvalidDead);
        }
        let mut dead = Dead::default();
        let (mut gap, mut shift) = (0u64, 0u32);
        for [high, low] in pairs {
            let byte = digit(*high)? << 4 | digit(*low)?;
            // Five bytes hold 35 bits; nothing of four billion needs more.
            if shift > 28 {
                return Err(InvalidDead);
            }
            gap |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                let position = dead
                    .end
                    .checked_add(gap)
                    .and_then(|at| u32::try_from(at).ok());
                // The shortest form is the only one, and the last position leaves room behind it.
                if !dead.push(position.ok_or(InvalidDead)?) {
                    return Err(InvalidDead);
                }
                (gap, shift) = (0, 0);
            }
        }
        let whole = shift == 0 && dead.gaps.len() == pairs.len();
        whole.then_some(dead).ok_or(InvalidDead)
    }
}

impl From<Dead> for String {
    fn from(dead: Dead) -> String {
        let mut text = String::with_capacity(dead.gaps.len() * 2);
        for byte in &dead.gaps {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn positions() {
        let mut dead = Dead::default();
        for position in [1, 2, 131] {
            assert!(dead.push(position));
        }
        assert!(!dead.push(131) && !dead.push(0));
        assert_eq!(String::from(dead.clone()), "01008001");
        assert_eq!((dead.len(), dead.end()), (3, 132));
        assert_eq!(dead.iter().collect::<Vec<_>>(), [1, 2, 131]);
        assert!(dead.push(u32::MAX));
        let text = String::from(dead.clone());
        assert_eq!(Dead::try_from(text.clone()), Ok(dead));
        // One more would not fit.
        assert!(Dead::try_from(text + "00").is_err());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "0",
            "0g",
            "80",
            "8000",
            "ffffffffff",
            "ffffffff7f",
            "ffffffffff01",
            "0A",
        ] {
            assert_eq!(Dead::try_from(text.to_owned()), Err(InvalidDead), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(positions in prop::collection::btree_set(any::<u32>(), 0..200)) {
            let mut dead = Dead::default();
            positions.iter().for_each(|at| assert!(dead.push(*at)));
            let again = Dead::try_from(String::from(dead.clone())).unwrap();
            prop_assert_eq!(&again, &dead);
            prop_assert!(again.iter().eq(positions.iter().map(|at| u64::from(*at))));
        }
    }
}
