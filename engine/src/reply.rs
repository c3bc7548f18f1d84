//! Where handlers write their reply: RESP2 or RESP3 bytes appended to a buffer.

use basalt_formats::num;
use basalt_formats::resp::encode::{self, Protocol};

use crate::error::ReplyError;

/// Position of a header whose count is not known yet; see [`Reply::deferred`].
#[must_use = "the header must be closed with Reply::close"]
#[derive(Debug)]
pub struct Deferred {
    at: usize,
}

/// What a deferred header introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RESP aggregate types")]
pub enum Aggregate {
    Array,
    Set,
    Map,
    Push,
}

/// A reply buffer that knows the protocol version of its reader.
#[derive(Debug, Default)]
pub struct Reply {
    /// Encoded replies.
    pub buf: Vec<u8>,
    /// What the reader speaks.
    pub protocol: Protocol,
}

impl Reply {
    /// An empty buffer for protocol `resp` (2 or 3).
    pub fn new(resp: u8) -> Reply {
        Reply {
            buf: Vec::new(),
            protocol: if resp >= 3 {
                Protocol::Resp3
            } else {
                Protocol::Resp2
            },
        }
    }

    /// Whether the reader speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol.is_resp3()
    }

    /// `+text`; the text must hold no CR or LF.
    pub fn simple(&mut self, text: &str) {
        encode::simple(&mut self.buf, text.as_bytes());
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// `-text`; CR and LF inside become spaces.
    pub fn error(&mut self, error: &ReplyError) {
        encode::error(&mut self.buf, &error.wire_bytes());
    }

    /// `:n`.
    pub fn int(&mut self, n: i64) {
        encode::integer(&mut self.buf, n);
    }

    /// A count as integer reply.
    pub fn count(&mut self, n: usize) {
        self.int(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// `$len bytes`.
    pub fn bulk(&mut self, bytes: &[u8]) {
        encode::bulk(&mut self.buf, bytes);
    }

    /// A bulk string holding a decimal integer.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// A bulk string, or null.
    pub fn bulk_opt(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(b) => self.bulk(b),
            None => self.null(),
        }
    }

    /// Null: `_` in RESP3, `$-1` in RESP2.
    pub fn null(&mut self) {
        encode::null(&mut self.buf, self.protocol);
    }

    /// Null where RESP2 has a null array: `_` in RESP3, `*-1` in RESP2.
    pub fn null_array(&mut self) {
        encode::null_array(&mut self.buf, self.protocol);
    }

    /// Header of an array of `n` replies.
    pub fn array(&mut self, n: usize) {
        encode::array(&mut self.buf, n);
    }

    /// Header of a map of `n` pairs; RESP2: an array of `2n`.
    pub fn map(&mut self, n: usize) {
        encode::map(&mut self.buf, self.protocol, n);
    }

    /// Header of a set of `n` replies; RESP2: an array.
    pub fn set(&mut self, n: usize) {
        encode::set(&mut self.buf, self.protocol, n);
    }

    /// Header of a push of `n` replies; RESP2: an array.
    pub fn push(&mut self, n: usize) {
        encode::push(&mut self.buf, self.protocol, n);
    }

    /// Header of an attribute of `n` pairs. Returns false for RESP2 readers, who get none: the
    /// pairs must then be left out too.
    #[must_use]
    pub fn attribute(&mut self, n: usize) -> bool {
        encode::attribute(&mut self.buf, self.protocol, n)
    }

    /// A double: `,x` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, x: f64) {
        encode::double(&mut self.buf, self.protocol, x);
    }

    /// A double that is already text: `,x` in RESP3, a bulk string in RESP2.
    pub fn double_text(&mut self, text: &str) {
        encode::double_text(&mut self.buf, self.protocol, text.as_bytes());
    }

    /// A double as a bulk string in both protocols, written as scores are.
    pub fn bulk_double(&mut self, x: f64) {
        let mut text = Vec::with_capacity(24);
        num::format_f64(x, &mut text);
        self.bulk(&text);
    }

    /// A boolean: `#t`/`#f` in RESP3, `:1`/`:0` in RESP2.
    pub fn boolean(&mut self, b: bool) {
        encode::boolean(&mut self.buf, self.protocol, b);
    }

    /// A big number: `(digits` in RESP3, a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        encode::big_number(&mut self.buf, self.protocol, digits.as_bytes());
    }

    /// A verbatim string with its 3-letter format; RESP2: a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        encode::verbatim(&mut self.buf, self.protocol, format.as_bytes(), text);
    }

    /// Starts an aggregate whose size is known only at its end. O(1); closing moves the bytes
    /// written since by the length of the header.
    pub fn deferred(&mut self) -> Deferred {
        Deferred { at: self.buf.len() }
    }

    /// Writes the header of the aggregate opened by `deferred`; for maps `n` counts pairs.
    pub fn close(&mut self, deferred: Deferred, kind: Aggregate, n: usize) {
        let mut header = Vec::with_capacity(16);
        match kind {
            Aggregate::Array => encode::array(&mut header, n),
            Aggregate::Set => encode::set(&mut header, self.protocol, n),
            Aggregate::Map => encode::map(&mut header, self.protocol, n),
            Aggregate::Push => encode::push(&mut header, self.protocol, n),
        }
        self.buf.splice(deferred.at..deferred.at, header);
    }

    /// An array of bulk strings, as HELP subcommands answer (status replies).
    pub fn help(&mut self, command: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        let upper = command.to_uppercase();
        self.simple(&format!(
            "{upper} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        ));
        for line in lines {
            self.simple(line);
        }
        self.simple("HELP");
        self.simple("    Print this help.");
    }
}
