//! The bytes in front of a keyspace entry's value.
//!
//! ```text
//! payload = | kind:3 ttl:1 fields:1 | lru 3 bytes | expire 8 bytes (ttl only)
//!           | fields 8 bytes (fields only) | inline string |
//! ```
//! `fields` is when the first field of a hash expires, or earlier: a hash that holds none of
//! that kind has no such bytes.
//!
//! Strings up to [`INLINE_MAX`] bytes live in the payload itself, so key, header, expiry
//! and value share the page's one allocation. Everything else is the entry's object, a
//! [`Value`](crate::value::Value).

/// Longest string kept inside a page.
pub const INLINE_MAX: usize = 192;

/// Bits of the LRU/LFU field.
pub const LRU_BITS: u32 = 24;

/// Type and string encoding of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(
    missing_docs,
    reason = "the types and encodings are the field's own terms"
)]
pub enum Kind {
    Int = 0,
    Embstr = 1,
    Raw = 2,
    List = 3,
    Set = 4,
    Hash = 5,
    Zset = 6,
    Stream = 7,
}

impl Kind {
    fn from_bits(bits: u8) -> Kind {
        match bits & KIND_BITS {
            0 => Kind::Int,
            1 => Kind::Embstr,
            2 => Kind::Raw,
            3 => Kind::List,
            4 => Kind::Set,
            5 => Kind::Hash,
            6 => Kind::Zset,
            _ => Kind::Stream,
        }
    }

    /// What `TYPE` answers.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Int | Kind::Embstr | Kind::Raw => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
            Kind::Zset => "zset",
            Kind::Stream => "stream",
        }
    }

    /// Whether it is one of the string encodings.
    pub fn is_string(self) -> bool {
        matches!(self, Kind::Int | Kind::Embstr | Kind::Raw)
    }
}

const KIND_BITS: u8 = 0x07;
const TTL_BIT: u8 = 0x08;
const FIELDS_BIT: u8 = 0x10;
/// Length of the longest header.
pub const LONG: usize = 20;
const SHORT: usize = 4;

/// A decoded header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Type and string encoding.
    pub kind: Kind,
    /// Absolute expiry in Unix milliseconds.
    pub expire_ms: Option<i64>,
    /// LRU clock in seconds, or LFU minutes and counter; 24 bits.
    pub lru: u32,
    /// When the first field of a hash expires, or a time before that.
    pub fields_ms: Option<i64>,
}

impl Header {
    /// Splits a payload into header and inline bytes. Payloads are only ever written by
    /// [`Header::encode`]; anything shorter reads as an empty string entry.
    #[inline]
    pub fn decode(payload: &[u8]) -> (Header, &[u8]) {
        let mut header = Header {
            kind: Kind::Embstr,
            expire_ms: None,
            lru: 0,
            fields_ms: None,
        };
        let Some((head, mut rest)) = payload.split_first_chunk::<SHORT>() else {
            return (header, &[]);
        };
        header.lru = u32::from_le_bytes([head[1], head[2], head[3], 0]);
        header.kind = Kind::from_bits(head[0]);
        if head[0] & TTL_BIT != 0
            && let Some((expire, behind)) = rest.split_first_chunk::<8>()
        {
            header.expire_ms = Some(i64::from_le_bytes(*expire));
            rest = behind;
        }
        if head[0] & FIELDS_BIT != 0
            && let Some((first, behind)) = rest.split_first_chunk::<8>()
        {
            header.fields_ms = Some(i64::from_le_bytes(*first));
            rest = behind;
        }
        (header, rest)
    }

    /// Writes the header into `buf` and returns the part used.
    #[inline]
    pub fn encode<'b>(&self, buf: &'b mut [u8; LONG]) -> &'b [u8] {
        let lru = self.lru.to_le_bytes();
        buf[0] = self.kind as u8;
        buf[1..4].copy_from_slice(&lru[..3]);
        let mut len = SHORT;
        for (time, bit) in [(self.expire_ms, TTL_BIT), (self.fields_ms, FIELDS_BIT)] {
            if let Some(at) = time
                && let Some(room) = buf.get_mut(len..len + 8)
            {
                room.copy_from_slice(&at.to_le_bytes());
                buf[0] |= bit;
                len += 8;
            }
        }
        buf.get(..len).unwrap_or_default()
    }

    /// Length of the encoded header.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let times = usize::from(self.expire_ms.is_some()) + usize::from(self.fields_ms.is_some());
        SHORT + 8 * times
    }

    /// Overwrites kind and LRU field of a payload in place, keeping its length.
    #[inline]
    pub fn patch(payload: &mut [u8], kind: Kind, lru: u32) {
        if let Some(head) = payload.first_chunk_mut::<SHORT>() {
            head[0] = (head[0] & !KIND_BITS) | kind as u8;
            head[1..4].copy_from_slice(&lru.to_le_bytes()[..3]);
        }
    }

    /// Whether the entry is past its time at `now_ms`.
    #[inline]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_ms.is_some_and(|at| now_ms > at)
    }

    /// Whether a field of the entry may be past its time at `now_ms`.
    #[inline]
    pub fn fields_due(&self, now_ms: i64) -> bool {
        self.fields_ms.is_some_and(|at| now_ms > at)
    }
}

/// Expiry of a payload, or of a field in it, as the page hint: the earliest is the page's
/// lower bound.
#[inline]
pub fn expire_hint(payload: &[u8]) -> u64 {
    let header = Header::decode(payload).0;
    let hint = |time: Option<i64>| time.map_or(u64::MAX, |at| u64::try_from(at).unwrap_or(0));
    hint(header.expire_ms).min(hint(header.fields_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for kind in [
            Kind::Int,
            Kind::Embstr,
            Kind::Raw,
            Kind::List,
            Kind::Set,
            Kind::Hash,
            Kind::Zset,
            Kind::Stream,
        ] {
            let times = [None, Some(0), Some(i64::MAX), Some(1_700_000_000_000)];
            for (expire_ms, fields_ms) in times
                .into_iter()
                .flat_map(|time| times.map(|fields| (time, fields)))
            {
                let header = Header {
                    kind,
                    expire_ms,
                    lru: 0xabcdef,
                    fields_ms,
                };
                let mut buf = [0; LONG];
                let mut payload = header.encode(&mut buf).to_vec();
                assert_eq!(payload.len(), header.encoded_len());
                payload.extend_from_slice(b"value");
                assert_eq!(Header::decode(&payload), (header, &b"value"[..]));
            }
        }
    }

    #[test]
    fn patch_keeps_the_expiry() {
        let header = Header {
            kind: Kind::Int,
            expire_ms: Some(7),
            lru: 1,
            fields_ms: Some(9),
        };
        let mut buf = [0; LONG];
        let mut payload = header.encode(&mut buf).to_vec();
        Header::patch(&mut payload, Kind::Raw, 2);
        assert_eq!(
            Header::decode(&payload).0,
            Header {
                kind: Kind::Raw,
                expire_ms: Some(7),
                lru: 2,
                fields_ms: Some(9)
            }
        );
    }

    #[test]
    fn expired_strictly_after_its_time() {
        let header = Header {
            kind: Kind::Int,
            expire_ms: Some(100),
            lru: 0,
            fields_ms: Some(50),
        };
        assert!(!header.is_expired(100));
        assert!(header.is_expired(101));
        assert!(!header.fields_due(50));
        assert!(header.fields_due(51));
        let mut buf = [0; LONG];
        assert_eq!(expire_hint(header.encode(&mut buf)), 50);
    }
}
