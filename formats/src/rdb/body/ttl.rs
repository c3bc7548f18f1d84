//! Hashes whose fields may expire: four layouts of Redis 7.4 and one of Valkey 9.
//!
//! ```text
//! 22 Redis   | n | when | field | value | ...          when = 0 for never, else milliseconds
//! 23 Redis   | listpack of field, value, when, ... |   likewise
//! 24 Redis   | first u64 LE | n | when | field | ...   likewise, counted from first - 1
//! 25 Redis   | first u64 LE | listpack as in 23 |
//! 22 Valkey  | n | field | value | when i64 LE | ...   when = -1 for never
//! ```
//!
//! Invariant: a time is at most [`MAX_MS`].

use std::borrow::Cow;

use super::super::{ObjectType, RdbError, Reader};
use super::next_of;
use crate::packed::{Entry, Listpack};

/// The latest time a field may expire at in Redis, and the mark for no time behind it.
const MAX_MS: u64 = (1 << 48) - 1;
const NO_FIRST_MS: u64 = MAX_MS + 1;
/// What Valkey writes for a field that does not expire.
const VALKEY_NEVER: i64 = -1;

/// A field of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TtlField<'a> {
    /// Its name.
    pub field: Cow<'a, [u8]>,
    /// Its value.
    pub value: Cow<'a, [u8]>,
    /// When it expires, in milliseconds since 1970.
    pub expire_ms: Option<i64>,
}

/// A run of hash fields with their expiry times.
#[derive(Debug)]
pub struct TtlFields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// Times in front, as distance from this one.
    Relative(u64),
    /// Times in front.
    Absolute,
    /// Times behind.
    Valkey,
    /// A listpack, and the offset of the next field in it.
    Packed(Listpack, Option<usize>),
}

impl<'r, 'a> TtlFields<'r, 'a> {
    pub(super) fn begin(kind: ObjectType, reader: &'r mut Reader<'a>) -> Result<Self, RdbError> {
        let layout = match kind {
            ObjectType::HashMetadata => {
                let offset = reader.offset();
                let first = u64::from_le_bytes(reader.array()?);
                if first > NO_FIRST_MS {
                    return Err(RdbError::BadFieldExpiry { offset });
                }
                Layout::Relative(first)
            }
            ObjectType::ValkeyHash2 => Layout::Valkey,
            ObjectType::HashListpackEx | ObjectType::HashListpackExPreGa => {
                if kind == ObjectType::HashListpackEx {
                    // The earliest time: the fields tell it again.
                    reader.array::<8>()?;
                }
                let list = super::listpack(reader)?;
                let at = list.first();
                Layout::Packed(list, at)
            }
            _ => Layout::Absolute,
        };
        let left = match &layout {
            Layout::Packed(list, _) if list.len() % 3 != 0 => {
                let offset = reader.offset();
                return Err(RdbError::BadFieldExpiry { offset });
            }
            Layout::Packed(list, _) => list.len() / 3,
            Layout::Valkey => reader.count(10)?,
            Layout::Relative(_) | Layout::Absolute => reader.count(3)?,
        };
        Ok(Self {
            reader,
            left,
            layout,
        })
    }

    /// How many are left, unless an error comes.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for TtlFields<'_, 'a> {
    type Item = Result<TtlField<'a>, RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (reader, layout) = (&mut *self.reader, &mut self.layout);
        next_of(&mut self.left, || match layout {
            Layout::Relative(first) => {
                let offset = reader.offset();
                let when = match reader.length()? {
                    0 => 0,
                    distance => (*first)
                        .checked_add(distance - 1)
                        .ok_or(RdbError::BadFieldExpiry { offset })?,
                };
                timed(reader, offset, when)
            }
            Layout::Absolute => {
                let offset = reader.offset();
                let when = reader.length()?;
                timed(reader, offset, when)
            }
            Layout::Valkey => {
                let (field, value) = (reader.string()?, reader.string()?);
                let offset = reader.offset();
                let when = i64::from_le_bytes(reader.array()?);
                if when < VALKEY_NEVER {
                    return Err(RdbError::BadFieldExpiry { offset });
                }
                Ok(TtlField {
                    field,
                    value,
                    expire_ms: (when != VALKEY_NEVER).then_some(when),
                })
            }
            Layout::Packed(list, at) => {
                let offset = reader.offset();
                packed(list, at, offset)
            }
        })
    }
}

/// The time as Redis keeps it, if it may be one.
fn expiry(when: u64, offset: usize) -> Result<Option<i64>, RdbError> {
    match i64::try_from(when) {
        Ok(0) => Ok(None),
        Ok(ms) if when <= MAX_MS => Ok(Some(ms)),
        _ => Err(RdbError::BadFieldExpiry { offset }),
    }
}

/// Field and value behind a time that was read at `offset`.
fn timed<'a>(reader: &mut Reader<'a>, offset: usize, when: u64) -> Result<TtlField<'a>, RdbError> {
    let expire_ms = expiry(when, offset)?;
    Ok(TtlField {
        field: reader.string()?,
        value: reader.string()?,
        expire_ms,
    })
}

fn packed(
    list: &Listpack,
    at: &mut Option<usize>,
    offset: usize,
) -> Result<TtlField<'static>, RdbError> {
    let bad = RdbError::BadFieldExpiry { offset };
    let mut next = || {
        let here = (*at)?;
        *at = list.next(here);
        Some(list.entry(here))
    };
    let (field, value, when) = (next(), next(), next());
    let (Some(field), Some(value), Some(Entry::Int(when))) = (field, value, when) else {
        return Err(bad);
    };
    Ok(TtlField {
        field: Cow::Owned(field.to_vec()),
        value: Cow::Owned(value.to_vec()),
        expire_ms: expiry(u64::try_from(when).map_err(|_| bad)?, offset)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::{Body, skip_value};
    use super::*;

    fn fields(kind: ObjectType, body: &[u8]) -> Result<Vec<(String, Option<i64>)>, RdbError> {
        let mut skipped = Reader::new(body);
        skip_value(kind, &mut skipped).expect("lengths are right in all of these");
        assert_eq!(skipped.left(), 0);
        let mut reader = Reader::new(body);
        let Body::HashTtl(run) = Body::read(kind, &mut reader)? else {
            panic!("a hash with times");
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        run.map(|field| field.map(|f| (text(&f.field) + "=" + &text(&f.value), f.expire_ms)))
            .collect()
    }

    fn pairs(expected: &[(&str, Option<i64>)]) -> Result<Vec<(String, Option<i64>)>, RdbError> {
        Ok(expected
            .iter()
            .map(|(text, at)| (text.to_string(), *at))
            .collect())
    }

    #[test]
    fn redis_runs() {
        let plain = b"\x02\x00\x01a\x011\x05\x01b\x012";
        assert_eq!(
            fields(ObjectType::HashMetadataPreGa, plain),
            pairs(&[("a=1", None), ("b=2", Some(5))])
        );
        let first = 1_000u64.to_le_bytes();
        let relative = [
            &first[..],
            b"\x03\x00\x01a\x011\x01\x01b\x012\x0b\x01c\x013",
        ]
        .concat();
        assert_eq!(
            fields(ObjectType::HashMetadata, &relative),
            pairs(&[("a=1", None), ("b=2", Some(1000)), ("c=3", Some(1010))])
        );
        let late = (MAX_MS + 1).to_le_bytes();
        let none = [&late[..], b"\x01\x00\x01a\x011"].concat();
        assert_eq!(
            fields(ObjectType::HashMetadata, &none),
            pairs(&[("a=1", None)])
        );
        let beyond = [&late[..], b"\x01\x01\x01a\x011"].concat();
        let offset = 9;
        assert_eq!(
            fields(ObjectType::HashMetadata, &beyond),
            Err(RdbError::BadFieldExpiry { offset })
        );
        let wrong = [&(MAX_MS + 2).to_le_bytes()[..], b"\x01\x01\x01a\x011"].concat();
        let offset = 0;
        assert_eq!(
            fields(ObjectType::HashMetadata, &wrong),
            Err(RdbError::BadFieldExpiry { offset })
        );
    }

    #[test]
    fn redis_listpacks() {
        let mut list = Listpack::new();
        for text in ["f1", "v1", "1755000000000", "f2", "v2", "0"] {
            list.push_back(text.as_bytes());
        }
        let packed = |list: &Listpack| {
            let mut body = vec![list.bytes() as u8];
            body.extend_from_slice(list.as_bytes());
            body
        };
        let expected = pairs(&[("f1=v1", Some(1_755_000_000_000)), ("f2=v2", None)]);
        let body = packed(&list);
        assert_eq!(fields(ObjectType::HashListpackExPreGa, &body), expected);
        let with_first = [&[0; 8][..], &body].concat();
        assert_eq!(fields(ObjectType::HashListpackEx, &with_first), expected);
        list.push_back(b"f3");
        let offset = packed(&list).len();
        let error = Err(RdbError::BadFieldExpiry { offset });
        assert_eq!(
            fields(ObjectType::HashListpackExPreGa, &packed(&list)),
            error
        );
        list.push_back(b"v3");
        for text in [&b"soon"[..], b"-1", b"281474976710656"] {
            let mut list = list.clone();
            list.push_back(text);
            let offset = packed(&list).len();
            let error = Err(RdbError::BadFieldExpiry { offset });
            assert_eq!(
                fields(ObjectType::HashListpackExPreGa, &packed(&list)),
                error
            );
        }
        assert_eq!(
            fields(ObjectType::HashListpackExPreGa, &packed(&Listpack::new())),
            Err(RdbError::Empty)
        );
    }

    #[test]
    fn valkey_run() {
        let mut body = b"\x02\x01a\x011".to_vec();
        body.extend_from_slice(&(-1i64).to_le_bytes());
        body.extend_from_slice(b"\x01b\x012");
        body.extend_from_slice(&77i64.to_le_bytes());
        assert_eq!(
            fields(ObjectType::ValkeyHash2, &body),
            pairs(&[("a=1", None), ("b=2", Some(77))])
        );
        let at = body.len() - 8;
        body[at..].copy_from_slice(&(-2i64).to_le_bytes());
        assert_eq!(
            fields(ObjectType::ValkeyHash2, &body),
            Err(RdbError::BadFieldExpiry { offset: at })
        );
        assert_eq!(fields(ObjectType::ValkeyHash2, b"\0"), Err(RdbError::Empty));
    }
}
