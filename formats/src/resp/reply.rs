//! Reply reader for tests and tools: one RESP2 or RESP3 reply from a buffer.
//!
//! Strict, unlike the request decoder: lines end in `\r\n`, lengths are plain
//! numbers. Nesting is limited to [`MAX_DEPTH`], and memory grows with the bytes
//! read, never with a claimed length.

use crate::num::{parse_f64, parse_i64};

/// Deepest nesting of aggregates that is read.
pub const MAX_DEPTH: usize = 128;

/// One reply. Equality of doubles is that of `f64`.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`, or a RESP3 bulk error.
    Error(Vec<u8>),
    /// `:value`
    Integer(i64),
    /// `$len`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*len`
    Array(Vec<Reply>),
    /// `%len`
    Map(Vec<(Reply, Reply)>),
    /// `~len`
    Set(Vec<Reply>),
    /// `>len`
    Push(Vec<Reply>),
    /// `,value`; a NaN is read as such.
    Double(f64),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(Vec<u8>),
    /// `=len`
    Verbatim {
        /// The three bytes before the colon.
        format: [u8; 3],
        /// What follows the colon.
        text: Vec<u8>,
    },
    /// `|len`, and the reply the attributes belong to.
    Attribute(Vec<(Reply, Reply)>, Box<Reply>),
}

/// Why bytes are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// No reply starts with this byte.
    #[error("no reply type {kind:#04x} (offset {offset})")]
    UnknownType {
        /// The byte found.
        kind: u8,
        /// Where.
        offset: usize,
    },
    /// A number, length or value is malformed.
    #[error("malformed reply (offset {offset})")]
    Malformed {
        /// Where the malformed part starts.
        offset: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("reply nested deeper than {MAX_DEPTH} (offset {offset})")]
    TooDeep {
        /// Where the limit was passed.
        offset: usize,
    },
}

/// Reads the reply at the start of `buf`: the reply and the bytes it took, or
/// `None` if the buffer ends before it does.
///
/// # Errors
///
/// The bytes are not a reply.
pub fn parse(buf: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    let mut reader = Reader { buf, pos: 0 };
    match reader.reply(0) {
        Ok(reply) => Ok(Some((reply, reader.pos))),
        Err(Stop::NeedMore) => Ok(None),
        Err(Stop::Bad(error)) => Err(error),
    }
}

enum Stop {
    NeedMore,
    Bad(ReplyError),
}

struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        let offset = self.pos;
        if depth > MAX_DEPTH {
            return Err(Stop::Bad(ReplyError::TooDeep { offset }));
        }
        let kind = *self.buf.get(self.pos).ok_or(Stop::NeedMore)?;
        self.pos += 1;
        let malformed = || Stop::Bad(ReplyError::Malformed { offset });
        Ok(match kind {
            b'+' => Reply::Simple(self.line()?.to_vec()),
            b'-' => Reply::Error(self.line()?.to_vec()),
            b':' => Reply::Integer(parse_i64(self.line()?).ok_or_else(malformed)?),
            b'(' => Reply::BigNumber(self.line()?.to_vec()),
            b',' => match self.line()? {
                b"nan" => Reply::Double(f64::NAN),
                text => Reply::Double(parse_f64(text).ok_or_else(malformed)?),
            },
            b'#' => match self.line()? {
                b"t" => Reply::Boolean(true),
                b"f" => Reply::Boolean(false),
                _ => return Err(malformed()),
            },
            b'_' => match self.line()? {
                b"" => Reply::Null,
                _ => return Err(malformed()),
            },
            b'$' => match self.length()? {
                None => Reply::NullBulk,
                Some(len) => Reply::Bulk(self.body(len)?.to_vec()),
            },
            b'!' => {
                let len = self.length()?.ok_or_else(malformed)?;
                Reply::Error(self.body(len)?.to_vec())
            }
            b'=' => {
                let len = self.length()?.ok_or_else(malformed)?;
                match self.body(len)? {
                    [a, b, c, b':', text @ ..] => Reply::Verbatim {
                        format: [*a, *b, *c],
                        text: text.to_vec(),
                    },
                    _ => return Err(malformed()),
                }
            }
            b'*' => match self.length()? {
                None => Reply::NullArray,
                Some(len) => Reply::Array(self.list(len, depth)?),
            },
            b'~' => {
                let len = self.length()?.ok_or_else(malformed)?;
                Reply::Set(self.list(len, depth)?)
            }
            b'>' => {
                let len = self.length()?.ok_or_else(malformed)?;
                Reply::Push(self.list(len, depth)?)
            }
            b'%' => {
                let len = self.length()?.ok_or_else(malformed)?;
                Reply::Map(self.pairs(len, depth)?)
            }
            b'|' => {
                let len = self.length()?.ok_or_else(malformed)?;
                let pairs = self.pairs(len, depth)?;
                Reply::Attribute(pairs, Box::new(self.reply(depth + 1)?))
            }
            kind => return Err(Stop::Bad(ReplyError::UnknownType { kind, offset })),
        })
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.buf.get(self.pos..).unwrap_or(&[]);
        let end = rest.windows(2).position(|w| w == b"\r\n");
        let end = end.ok_or(Stop::NeedMore)?;
        self.pos += end + 2;
        Ok(rest.get(..end).unwrap_or(&[]))
    }

    /// A length, or `None` for -1.
    fn length(&mut self) -> Result<Option<usize>, Stop> {
        let offset = self.pos;
        match parse_i64(self.line()?) {
            Some(-1) => Ok(None),
            Some(len) if len >= 0 => Ok(usize::try_from(len).ok()),
            _ => Err(Stop::Bad(ReplyError::Malformed { offset })),
        }
    }

    fn body(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let end = self.pos.checked_add(len).ok_or(Stop::NeedMore)?;
        let next = end.checked_add(2).ok_or(Stop::NeedMore)?;
        let tail = self.buf.get(end..next).ok_or(Stop::NeedMore)?;
        if tail != b"\r\n" {
            return Err(Stop::Bad(ReplyError::Malformed { offset: end }));
        }
        let body = self.buf.get(self.pos..end).ok_or(Stop::NeedMore)?;
        self.pos = next;
        Ok(body)
    }

    fn list(&mut self, len: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(self.reply(depth + 1)?);
        }
        Ok(items)
    }

    fn pairs(&mut self, len: usize, depth: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
        let mut pairs = Vec::new();
        for _ in 0..len {
            let key = self.reply(depth + 1)?;
            pairs.push((key, self.reply(depth + 1)?));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::encode::{self, Protocol};
    use proptest::prelude::*;

    fn whole(buf: &[u8]) -> Reply {
        let (reply, used) = parse(buf).expect("valid").expect("complete");
        assert_eq!(used, buf.len());
        reply
    }

    #[test]
    fn scalars() {
        assert_eq!(whole(b"+OK\r\n"), Reply::Simple(b"OK".to_vec()));
        assert_eq!(whole(b"-ERR x\r\n"), Reply::Error(b"ERR x".to_vec()));
        assert_eq!(whole(b"!5\r\nERR x\r\n"), Reply::Error(b"ERR x".to_vec()));
        assert_eq!(whole(b":-7\r\n"), Reply::Integer(-7));
        assert_eq!(whole(b"$-1\r\n"), Reply::NullBulk);
        assert_eq!(whole(b"*-1\r\n"), Reply::NullArray);
        assert_eq!(whole(b"_\r\n"), Reply::Null);
        assert_eq!(whole(b",-inf\r\n"), Reply::Double(f64::NEG_INFINITY));
        assert!(matches!(whole(b",nan\r\n"), Reply::Double(v) if v.is_nan()));
        assert_eq!(whole(b"(123\r\n"), Reply::BigNumber(b"123".to_vec()));
    }

    #[test]
    fn attribute_wraps_the_next_reply() {
        let reply = whole(b"|1\r\n+k\r\n:1\r\n*0\r\n");
        let pair = (Reply::Simple(b"k".to_vec()), Reply::Integer(1));
        let inner = Box::new(Reply::Array(vec![]));
        assert_eq!(reply, Reply::Attribute(vec![pair], inner));
    }

    #[test]
    fn faults() {
        let malformed = |offset| Err(ReplyError::Malformed { offset });
        let unknown = ReplyError::UnknownType {
            kind: b'x',
            offset: 0,
        };
        assert_eq!(parse(b"x"), Err(unknown));
        assert_eq!(parse(b"$-2\r\n"), malformed(1));
        assert_eq!(parse(b"$1\r\nabc"), malformed(5));
        assert_eq!(parse(b"#x\r\n"), malformed(0));
        assert_eq!(parse(b"=3\r\ntxt\r\n"), malformed(0));
        assert_eq!(parse(b"*9223372036854775807\r\n"), Ok(None));
        let deep = b"*1\r\n".repeat(MAX_DEPTH + 2);
        assert!(matches!(parse(&deep), Err(ReplyError::TooDeep { .. })));
    }

    fn write(out: &mut Vec<u8>, reply: &Reply) {
        let p = Protocol::Resp3;
        match reply {
            Reply::Simple(text) => encode::simple(out, text),
            Reply::Error(text) => encode::error(out, text),
            Reply::Integer(value) => encode::integer(out, *value),
            Reply::Bulk(bytes) => encode::bulk(out, bytes),
            Reply::NullBulk => encode::null(out, Protocol::Resp2),
            Reply::NullArray => encode::null_array(out, Protocol::Resp2),
            Reply::Null => encode::null(out, p),
            Reply::Double(value) => encode::double(out, p, *value),
            Reply::Boolean(value) => encode::boolean(out, p, *value),
            Reply::BigNumber(digits) => encode::big_number(out, p, digits),
            Reply::Verbatim { format, text } => encode::verbatim(out, p, format, text),
            Reply::Array(items) => {
                encode::array(out, items.len());
                items.iter().for_each(|item| write(out, item));
            }
            Reply::Set(items) => {
                encode::set(out, p, items.len());
                items.iter().for_each(|item| write(out, item));
            }
            Reply::Push(items) => {
                encode::push(out, p, items.len());
                items.iter().for_each(|item| write(out, item));
            }
            Reply::Map(pairs) => {
                encode::map(out, p, pairs.len());
                for (key, value) in pairs {
                    write(out, key);
                    write(out, value);
                }
            }
            Reply::Attribute(pairs, inner) => {
                assert!(encode::attribute(out, p, pairs.len()));
                for (key, value) in pairs {
                    write(out, key);
                    write(out, value);
                }
                write(out, inner);
            }
        }
    }

    fn tree() -> impl Strategy<Value = Reply> {
        let text = || proptest::collection::vec(32u8..127, 0..10);
        let bytes = || proptest::collection::vec(any::<u8>(), 0..150);
        let leaf = prop_oneof![
            text().prop_map(Reply::Simple),
            text().prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Integer),
            bytes().prop_map(Reply::Bulk),
            Just(Reply::NullBulk),
            Just(Reply::NullArray),
            Just(Reply::Null),
            any::<bool>().prop_map(Reply::Boolean),
            any::<f64>()
                .prop_filter("nan is not equal to itself", |v| !v.is_nan())
                .prop_map(Reply::Double),
            (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Reply::Verbatim { format, text }),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let list = || proptest::collection::vec(inner.clone(), 0..6);
            let pairs = || proptest::collection::vec((inner.clone(), inner.clone()), 0..3);
            prop_oneof![
                list().prop_map(Reply::Array),
                list().prop_map(Reply::Set),
                list().prop_map(Reply::Push),
                pairs().prop_map(Reply::Map),
                (pairs(), inner.clone()).prop_map(|(p, r)| Reply::Attribute(p, Box::new(r))),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_the_encoder_writes(reply in tree(), cut in any::<prop::sample::Index>()) {
            let mut wire = Vec::new();
            write(&mut wire, &reply);
            prop_assert_eq!(parse(&wire[..cut.index(wire.len())]), Ok(None));
            let used = wire.len();
            wire.extend_from_slice(b"+next");
            prop_assert_eq!(parse(&wire), Ok(Some((reply, used))));
        }

        #[test]
        fn any_bytes_do_not_panic(buf in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&buf);
        }
    }
}
