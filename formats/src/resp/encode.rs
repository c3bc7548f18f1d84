//! Reply encoder: appends RESP2 or RESP3 to a byte vector.
//!
//! Functions that take a [`Protocol`] write what that version offers: RESP2 has
//! no map, set, double, boolean, big number, verbatim string or attribute, so
//! each becomes the older type Redis sends in its place. Status and error texts
//! never break the framing: line ends inside them are written as spaces.

use crate::num::format_f64;

/// Which protocol a client chose with `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2, the protocol of a new connection.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

impl Protocol {
    /// 2 or 3, as `HELLO` and `CLIENT LIST` print it.
    #[must_use]
    pub fn version(self) -> u8 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }

    /// True for RESP3.
    #[must_use]
    pub fn is_resp3(self) -> bool {
        self == Self::Resp3
    }
}

/// `+OK\r\n`
pub const OK: &[u8] = b"+OK\r\n";

/// Writes a type byte, a number and the line end.
#[inline(always)]
fn header(out: &mut Vec<u8>, kind: u8, value: usize) {
    // Nearly all headers have one or two digits.
    #[expect(clippy::cast_possible_truncation, reason = "below 100")]
    if value < 10 {
        out.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']);
    } else if value < 100 {
        let (tens, ones) = (value as u8 / 10, value as u8 % 10);
        out.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
    } else {
        long_header(out, kind, value);
    }
}

#[cold]
fn long_header(out: &mut Vec<u8>, kind: u8, value: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(text);
    for byte in out.iter_mut().skip(start) {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A status: `+text`.
pub fn simple(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'+', text);
}

/// An error: `-text`, where `text` begins with its code (`ERR ...`). Trailing
/// line ends are dropped.
pub fn error(out: &mut Vec<u8>, text: &[u8]) {
    let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
    let end = text
        .iter()
        .rposition(|b| !is_break(b))
        .map_or(0, |at| at + 1);
    line(out, b'-', text.get(..end).unwrap_or(text));
}

/// An integer: `:value`.
#[inline]
pub fn integer(out: &mut Vec<u8>, value: i64) {
    match usize::try_from(value) {
        Ok(value) => header(out, b':', value),
        Err(_) => {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The header of a bulk string; `len` bytes and `\r\n` must follow.
#[inline]
pub fn bulk_header(out: &mut Vec<u8>, len: usize) {
    header(out, b'$', len);
}

/// A bulk string.
#[inline]
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().saturating_add(16));
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A command as a client sends it: an array of bulk strings.
pub fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
    // Room for all first, so that what follows does not grow the vector word by word.
    let words: usize = args.iter().map(|arg| arg.len()).sum();
    out.reserve(words.saturating_add(args.len().saturating_add(1).saturating_mul(16)));
    header(out, b'*', args.len());
    for arg in args {
        header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// An integer as a bulk string, as for a string value held as a number.
pub fn bulk_integer(out: &mut Vec<u8>, value: i64) {
    bulk(out, itoa::Buffer::new().format(value).as_bytes());
}

/// The absence of a value: `$-1`, or `_` in RESP3.
pub fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// The absence of an array: `*-1`, or `_` in RESP3.
pub fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// The header of an array of `len` replies.
#[inline]
pub fn array(out: &mut Vec<u8>, len: usize) {
    header(out, b'*', len);
}

/// The header of a map of `pairs` pairs; in RESP2 an array of twice as many.
pub fn map(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Resp2 => header(out, b'*', pairs.saturating_mul(2)),
        Protocol::Resp3 => header(out, b'%', pairs),
    }
}

/// The header of a set of `len` members; in RESP2 an array.
pub fn set(out: &mut Vec<u8>, protocol: Protocol, len: usize) {
    let kind = if protocol.is_resp3() { b'~' } else { b'*' };
    header(out, kind, len);
}

/// The header of an out-of-band message of `len` parts; in RESP2 an array.
pub fn push(out: &mut Vec<u8>, protocol: Protocol, len: usize) {
    let kind = if protocol.is_resp3() { b'>' } else { b'*' };
    header(out, kind, len);
}

/// The header of `pairs` attributes of the reply that follows them. RESP2 has
/// none: nothing is written and the result is false, so leave the pairs out.
#[must_use]
pub fn attribute(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) -> bool {
    if protocol.is_resp3() {
        header(out, b'|', pairs);
    }
    protocol.is_resp3()
}

/// A floating point number; in RESP2 a bulk string with the same digits.
pub fn double(out: &mut Vec<u8>, protocol: Protocol, value: f64) {
    let mut text = Vec::with_capacity(32);
    format_f64(value, &mut text);
    double_text(out, protocol, &text);
}

/// A floating point number already formatted, as for `INCRBYFLOAT`.
pub fn double_text(out: &mut Vec<u8>, protocol: Protocol, text: &[u8]) {
    match protocol {
        Protocol::Resp2 => bulk(out, text),
        Protocol::Resp3 => line(out, b',', text),
    }
}

/// A truth value: `#t` or `#f`; in RESP2 the integer 1 or 0.
pub fn boolean(out: &mut Vec<u8>, protocol: Protocol, value: bool) {
    out.extend_from_slice(match (protocol, value) {
        (Protocol::Resp2, true) => b":1\r\n",
        (Protocol::Resp2, false) => b":0\r\n",
        (Protocol::Resp3, true) => b"#t\r\n",
        (Protocol::Resp3, false) => b"#f\r\n",
    });
}

/// An integer of any size as decimal digits; in RESP2 a bulk string.
pub fn big_number(out: &mut Vec<u8>, protocol: Protocol, digits: &[u8]) {
    match protocol {
        Protocol::Resp2 => bulk(out, digits),
        Protocol::Resp3 => line(out, b'(', digits),
    }
}

/// Text with a format of three bytes (`txt`, `mkd`), cut or padded with
/// spaces; in RESP2 a bulk string without the format.
pub fn verbatim(out: &mut Vec<u8>, protocol: Protocol, format: &[u8], text: &[u8]) {
    if !protocol.is_resp3() {
        return bulk(out, text);
    }
    header(out, b'=', text.len().saturating_add(4));
    for i in 0..3 {
        out.push(format.get(i).copied().unwrap_or(b' '));
    }
    out.push(b':');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::Protocol::{Resp2, Resp3};
    use super::*;
    use proptest::prelude::*;

    fn built(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        for len in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12345] {
            let word = vec![b'x'; len];
            let args: Vec<&[u8]> = vec![b"SET", &word, b"", &word];
            let mut expected = Vec::new();
            array(&mut expected, args.len());
            args.iter().for_each(|arg| bulk(&mut expected, arg));
            let mut out = b"before".to_vec();
            command(&mut out, &args);
            assert_eq!(out, [b"before", &expected[..]].concat());
        }
        let mut out = Vec::new();
        command(&mut out, &[]);
        assert_eq!(out, b"*0\r\n");
    }

    #[test]
    fn resp2() {
        assert_eq!(built(|o| null(o, Resp2)), "$-1\r\n");
        assert_eq!(built(|o| null_array(o, Resp2)), "*-1\r\n");
        assert_eq!(built(|o| map(o, Resp2, 3)), "*6\r\n");
        assert_eq!(built(|o| set(o, Resp2, 3)), "*3\r\n");
        assert_eq!(built(|o| push(o, Resp2, 3)), "*3\r\n");
        assert_eq!(built(|o| assert!(!attribute(o, Resp2, 1))), "");
        assert_eq!(built(|o| double(o, Resp2, 1.5)), "$3\r\n1.5\r\n");
        assert_eq!(built(|o| boolean(o, Resp2, true)), ":1\r\n");
        assert_eq!(built(|o| big_number(o, Resp2, b"12")), "$2\r\n12\r\n");
        assert_eq!(built(|o| verbatim(o, Resp2, b"txt", b"a")), "$1\r\na\r\n");
    }

    #[test]
    fn resp3() {
        assert_eq!(built(|o| null(o, Resp3)), "_\r\n");
        assert_eq!(built(|o| null_array(o, Resp3)), "_\r\n");
        assert_eq!(built(|o| map(o, Resp3, 3)), "%3\r\n");
        assert_eq!(built(|o| set(o, Resp3, 3)), "~3\r\n");
        assert_eq!(built(|o| push(o, Resp3, 3)), ">3\r\n");
        assert_eq!(built(|o| assert!(attribute(o, Resp3, 1))), "|1\r\n");
        assert_eq!(built(|o| double(o, Resp3, 1.5)), ",1.5\r\n");
        assert_eq!(built(|o| double(o, Resp3, f64::NEG_INFINITY)), ",-inf\r\n");
        assert_eq!(built(|o| boolean(o, Resp3, false)), "#f\r\n");
        assert_eq!(built(|o| big_number(o, Resp3, b"12")), "(12\r\n");
        assert_eq!(
            built(|o| verbatim(o, Resp3, b"md", b"a")),
            "=5\r\nmd :a\r\n"
        );
    }

    #[test]
    fn texts_cannot_break_the_framing() {
        assert_eq!(built(|o| simple(o, b"a\r\nb")), "+a  b\r\n");
        assert_eq!(built(|o| error(o, b"ERR a\nb\r\n\n")), "-ERR a b\r\n");
        assert_eq!(built(|o| error(o, b"\n")), "-\r\n");
    }

    proptest! {
        #[test]
        fn integers_and_headers(value in prop_oneof![any::<i64>(), -200i64..20000]) {
            prop_assert_eq!(built(|o| integer(o, value)), format!(":{value}\r\n"));
            let len = value.unsigned_abs() as usize;
            prop_assert_eq!(built(|o| array(o, len)), format!("*{len}\r\n"));
            prop_assert_eq!(built(|o| bulk_header(o, len)), format!("${len}\r\n"));
            let text = value.to_string();
            prop_assert_eq!(built(|o| bulk_integer(o, value)),
                format!("${}\r\n{text}\r\n", text.len()));
        }
    }
}
