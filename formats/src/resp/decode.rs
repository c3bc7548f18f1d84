//! Request decoder: a client's bytes in, the ranges of one command's arguments out.
//!
//! Two request forms exist. A multibulk request starts with `*`:
//!
//! ```text
//! *2\r\n $3\r\n GET\r\n $1\r\n k\r\n
//! ^count  ^len   ^bytes, then two bytes that are skipped unread
//! ```
//!
//! Anything else is an inline request, one line of words (see `inline.rs`).
//!
//! Arguments are never copied: [`Request`] holds offsets into the caller's
//! buffer, except for inline words with quotes or escapes, whose bytes exist
//! nowhere in the input and live in an arena inside the request.
//!
//! Invariants:
//! - After [`Progress::NeedMore`] the [`Decoder`] remembers the arguments
//!   already delimited and how far the current line was searched, so no byte is
//!   examined twice however small the pieces are. The caller must present the
//!   same bytes again, with more behind them.
//! - After any other outcome the decoder is in its initial state.
//! - Memory held is proportional to the bytes received, never to a claimed
//!   count or length.
//!
//! Acceptance follows `networking.c` of Redis 7.2, including its oddities: the
//! line searches stop at a NUL byte, and only `\r` ends a count or length, the
//! byte behind it being skipped whatever it is.

use std::fmt;

use super::inline::split_line;
use crate::num::parse_i64;

/// Longest run of bytes without a line end before a request is refused.
pub const DEFAULT_MAX_INLINE: usize = 64 * 1024;
/// Largest argument count accepted from an authenticated client.
pub const DEFAULT_MAX_ARGS: usize = i32::MAX as usize;
/// Default of the directive `proto-max-bulk-len`, in bytes.
pub const DEFAULT_MAX_BULK: usize = 512 * 1024 * 1024;
/// Largest argument count accepted before authentication.
pub const UNAUTHENTICATED_MAX_ARGS: usize = 10;
/// Longest argument accepted before authentication, in bytes.
pub const UNAUTHENTICATED_MAX_BULK: usize = 16384;

/// What a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may wait without a line end, in inline and header lines.
    pub max_inline: usize,
    /// Arguments in one request; more is an invalid multibulk length.
    pub max_args: usize,
    /// Bytes in one argument; more is an invalid bulk length.
    pub max_bulk: usize,
    /// When false, the two `UNAUTHENTICATED_` limits apply as well, each with
    /// its own error text.
    pub authenticated: bool,
}

impl Limits {
    /// Limits with the given `proto-max-bulk-len` and the defaults otherwise.
    #[must_use]
    pub fn new(max_bulk: usize, authenticated: bool) -> Self {
        Self {
            max_inline: DEFAULT_MAX_INLINE,
            max_args: DEFAULT_MAX_ARGS,
            max_bulk,
            authenticated,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_BULK, true)
    }
}

/// The arguments of one request, reusable between calls without allocation.
#[derive(Debug, Default)]
pub struct Request {
    /// Start and end of each argument, in the caller's buffer or in `arena`.
    args: Vec<(usize, usize)>,
    /// Bytes of unquoted inline words; used only when `owned`.
    arena: Vec<u8>,
    owned: bool,
}

impl Request {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of arguments, the command name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// True when no request was decoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// Argument `index`, where `buf` is the buffer given to
    /// [`Decoder::decode`]. Empty if there is no such argument.
    #[must_use]
    pub fn get<'a>(&'a self, index: usize, buf: &'a [u8]) -> &'a [u8] {
        match self.args.get(index) {
            Some(&span) => slice(self.base(buf), span),
            None => &[],
        }
    }

    /// The arguments in order, where `buf` is the buffer given to
    /// [`Decoder::decode`].
    pub fn iter<'a>(&'a self, buf: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> + 'a {
        let base = self.base(buf);
        self.args.iter().map(move |&span| slice(base, span))
    }

    /// Replaces `out` with the arguments in order.
    pub fn fill<'a>(&'a self, buf: &'a [u8], out: &mut Vec<&'a [u8]>) {
        out.clear();
        out.extend(self.iter(buf));
    }

    /// The start and end of argument `index` in the caller's buffer, or `None`
    /// if it has no place there (see [`Request::is_owned`]).
    #[must_use]
    pub fn range(&self, index: usize) -> Option<(usize, usize)> {
        if self.owned {
            return None;
        }
        self.args.get(index).copied()
    }

    /// True when the arguments live in this request, not in the buffer: an
    /// inline request with quotes.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Forgets the arguments and keeps the memory.
    pub fn clear(&mut self) {
        self.args.clear();
        self.arena.clear();
        self.owned = false;
    }

    /// Gives back memory beyond `max_args` arguments and `max_bytes` of arena.
    pub fn shrink_to(&mut self, max_args: usize, max_bytes: usize) {
        self.args.shrink_to(max_args);
        self.arena.shrink_to(max_bytes);
    }

    fn base<'a>(&'a self, buf: &'a [u8]) -> &'a [u8] {
        if self.owned { &self.arena } else { buf }
    }
}

fn slice(base: &[u8], (start, end): (usize, usize)) -> &[u8] {
    base.get(start..end).unwrap_or(&[])
}

/// Outcome of one call of [`Decoder::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// One request is in `Request`; it took `consumed` bytes.
    Complete {
        /// Bytes of the buffer this request occupies.
        consumed: usize,
    },
    /// A blank line, or a count of zero or less: skip it, nothing is replied.
    Empty {
        /// Bytes to skip.
        consumed: usize,
    },
    /// The buffer ends inside a request.
    NeedMore {
        /// Total bytes worth having before the next call, always more than
        /// there are now. It follows the length a client claimed (at most
        /// `max_bulk` plus what is buffered), so cap it before allocating.
        hint: usize,
    },
}

/// Why a connection must be closed. [`fmt::Display`] gives the text that
/// follows `-ERR Protocol error: `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// No line end within the limit.
    #[error("too big inline request")]
    InlineTooBig,
    /// A quote without its end, or one closed in the middle of a word.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// No end of the `*` line within the limit.
    #[error("too big mbulk count string")]
    CountTooBig,
    /// The count is not a number or too large.
    #[error("invalid multibulk length")]
    InvalidCount,
    /// More arguments than allowed before authentication.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedCount,
    /// No end of the `$` line within the limit.
    #[error("too big bulk count string")]
    BulkHeaderTooBig,
    /// Something else where a `$` line must start.
    #[error("expected '$', got '{}'", ExpectedByte(*.0))]
    ExpectedBulk(
        /// The byte found.
        u8,
    ),
    /// The length is not a number, negative or too large.
    #[error("invalid bulk length")]
    InvalidBulk,
    /// A longer argument than allowed before authentication.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
}

impl ProtocolError {
    /// Appends the text of the error as Redis sends it: unlike
    /// [`fmt::Display`], the unexpected byte is not required to be ASCII.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if let Self::ExpectedBulk(byte) = *self {
            out.extend_from_slice(b"expected '$', got '");
            out.push(printable(byte));
            out.push(b'\'');
        } else {
            out.extend_from_slice(self.to_string().as_bytes());
        }
    }
}

/// Line breaks would end the reply early and are sent as spaces.
fn printable(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') {
        b' '
    } else {
        byte
    }
}

struct ExpectedByte(u8);

impl fmt::Display for ExpectedByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = printable(self.0);
        if byte.is_ascii() {
            write!(f, "{}", char::from(byte))
        } else {
            f.write_str("\u{fffd}")
        }
    }
}

/// Where a connection stands inside a partly received request.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Arguments still to come; zero between requests.
    remaining: usize,
    /// Offset of the next byte to interpret.
    pos: usize,
    /// Length of the argument at `pos`, when its header was read.
    bulk: Option<usize>,
    /// The current line holds no terminator before this offset.
    scanned: usize,
    /// Arguments delimited so far, parked here while waiting for bytes.
    partial: Vec<(usize, usize)>,
}

impl Decoder {
    /// Gives back memory that the arguments delimited so far do not need.
    pub fn shrink(&mut self) {
        self.partial.shrink_to_fit();
    }

    /// A decoder at the start of a request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True between requests: no bytes of an unfinished one are pending.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.remaining == 0 && self.scanned == 0
    }

    /// Bytes at the start of an unfinished request that were examined for good: its count, the
    /// arguments delimited so far, and the length of the next.
    #[must_use]
    pub fn delimited(&self) -> usize {
        self.pos
    }

    /// Forgets an unfinished request.
    pub fn reset(&mut self) {
        self.remaining = 0;
        self.pos = 0;
        self.bulk = None;
        self.scanned = 0;
        self.partial.clear();
    }

    /// Tries to decode the request at the start of `buf` into `req`. The
    /// offsets in `req` are relative to the start of `buf`. One `Request` may
    /// serve many decoders, as unfinished arguments are kept here.
    ///
    /// # Errors
    ///
    /// The bytes are not a request: reply with the error and close.
    pub fn decode(
        &mut self,
        buf: &[u8],
        req: &mut Request,
        limits: &Limits,
    ) -> Result<Progress, ProtocolError> {
        let result = self.step(buf, req, limits);
        if !matches!(result, Ok(Progress::NeedMore { .. })) {
            self.reset();
        }
        result
    }

    fn step(
        &mut self,
        buf: &[u8],
        req: &mut Request,
        limits: &Limits,
    ) -> Result<Progress, ProtocolError> {
        req.clear();
        if self.remaining == 0 {
            match buf.first() {
                None => return Ok(Progress::NeedMore { hint: 1 }),
                Some(b'*') => {}
                Some(_) => return self.inline(buf, req, limits),
            }
            let header = fast_header(buf, 0).or_else(|| self.slow_header(buf));
            let Some((count, next)) = header else {
                return self.wait_line(buf, limits, ProtocolError::CountTooBig);
            };
            let count = count.ok_or(ProtocolError::InvalidCount)?;
            if count <= 0 {
                return Ok(Progress::Empty { consumed: next });
            }
            self.remaining = check_count(count, limits)?;
            self.pos = next;
            self.scanned = 0;
        } else {
            std::mem::swap(&mut req.args, &mut self.partial);
        }
        self.bulks(buf, req, limits)
    }

    /// Delimits arguments until all are there or the bytes run out.
    fn bulks(
        &mut self,
        buf: &[u8],
        req: &mut Request,
        limits: &Limits,
    ) -> Result<Progress, ProtocolError> {
        let (mut pos, mut remaining) = (self.pos, self.remaining);
        let mut known = self.bulk.take();
        while remaining > 0 {
            let len = if let Some(len) = known.take() {
                len
            } else {
                let fast = match buf.get(pos) {
                    Some(b'$') => fast_header(buf, pos),
                    _ => None,
                };
                let (len, next) = match fast {
                    Some((Some(len), next)) => (len, next),
                    _ => {
                        (self.pos, self.remaining) = (pos, remaining);
                        match self.slow_bulk_header(buf)? {
                            Some(header) => header,
                            None => {
                                std::mem::swap(&mut req.args, &mut self.partial);
                                return self.wait_line(
                                    buf,
                                    limits,
                                    ProtocolError::BulkHeaderTooBig,
                                );
                            }
                        }
                    }
                };
                pos = next;
                check_bulk(len, limits)?
            };
            // Both terms are bounded by lengths held in memory or by i64::MAX.
            let end = pos.saturating_add(len);
            let next = end.saturating_add(2);
            if next > buf.len() {
                (self.pos, self.remaining) = (pos, remaining);
                self.bulk = Some(len);
                self.scanned = 0;
                std::mem::swap(&mut req.args, &mut self.partial);
                return Ok(Progress::NeedMore { hint: next });
            }
            req.args.push((pos, end));
            pos = next;
            remaining -= 1;
        }
        Ok(Progress::Complete { consumed: pos })
    }

    /// As `slow_header` for the line of an argument, whose type is checked once
    /// the line is whole.
    #[cold]
    fn slow_bulk_header(&mut self, buf: &[u8]) -> Result<Option<(i64, usize)>, ProtocolError> {
        let Some((len, next)) = self.slow_header(buf) else {
            return Ok(None);
        };
        self.scanned = 0;
        match buf.get(self.pos) {
            Some(b'$') => {}
            other => return Err(ProtocolError::ExpectedBulk(other.copied().unwrap_or(0))),
        }
        Ok(Some((len.ok_or(ProtocolError::InvalidBulk)?, next)))
    }

    fn inline(
        &mut self,
        buf: &[u8],
        req: &mut Request,
        limits: &Limits,
    ) -> Result<Progress, ProtocolError> {
        let Some(newline) = self.find(buf, b'\n') else {
            return self.wait_line(buf, limits, ProtocolError::InlineTooBig);
        };
        // Redis reads 16 KiB at a time and refuses before the end of such a line arrives.
        if newline > limits.max_inline {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = buf.get(..newline).unwrap_or(&[]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        req.owned = split_line(line, &mut req.args, &mut req.arena)
            .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        let consumed = newline + 1;
        if req.args.is_empty() {
            Ok(Progress::Empty { consumed })
        } else {
            Ok(Progress::Complete { consumed })
        }
    }

    /// Reads the header line at `pos` in full generality: the number if it is
    /// one, and the offset behind the line. `None` while the line is unfinished.
    #[cold]
    fn slow_header(&mut self, buf: &[u8]) -> Option<(Option<i64>, usize)> {
        let end = self.find(buf, b'\r')?;
        let next = end.checked_add(2).filter(|&next| next <= buf.len())?;
        let digits = buf.get(self.pos + 1..end).unwrap_or(&[]);
        Some((parse_i64(digits), next))
    }

    /// Offset of `wanted` in the current line, or `None` if the bytes end, or a
    /// NUL stands, before it.
    fn find(&mut self, buf: &[u8], wanted: u8) -> Option<usize> {
        let from = self.scanned.max(self.pos);
        let rest = buf.get(from..).unwrap_or(&[]);
        let hit = rest.iter().position(|&b| b == wanted || b == 0);
        let at = from + hit.unwrap_or(rest.len());
        self.scanned = at;
        hit.filter(|_| buf.get(at) == Some(&wanted)).map(|_| at)
    }

    /// The line at `pos` is unfinished: wait, unless it is already too long.
    /// A line whose `\r` arrived is not too long, it lacks one byte only.
    fn wait_line(
        &self,
        buf: &[u8],
        limits: &Limits,
        too_big: ProtocolError,
    ) -> Result<Progress, ProtocolError> {
        let ended = buf.get(self.scanned) == Some(&b'\r');
        let waiting = buf.len().saturating_sub(self.pos);
        if waiting > limits.max_inline && !ended {
            return Err(too_big);
        }
        Ok(Progress::NeedMore {
            hint: buf.len().saturating_add(1),
        })
    }
}

/// Reads the header line at `at` when it is all there, plain and short; any
/// doubt is left to `Decoder::slow_header`.
#[inline]
fn fast_header(buf: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    let digit = |byte: u8| i64::from(byte.wrapping_sub(b'0'));
    match buf.get(at + 1..)? {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((Some(digit(*a)), at + 4)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
            Some((Some(digit(*a) * 10 + digit(*b)), at + 5))
        }
        rest => longer_header(rest, at),
    }
}

fn longer_header(rest: &[u8], at: usize) -> Option<(Option<i64>, usize)> {
    const MAX_DIGITS: usize = 10;
    let shown = rest.get(..MAX_DIGITS + 1).unwrap_or(rest);
    let digits = shown.iter().position(|b| !b.is_ascii_digit())?;
    if rest.get(digits) != Some(&b'\r') || rest.len() < digits + 2 {
        return None;
    }
    let value = parse_i64(rest.get(..digits)?)?;
    Some((Some(value), at + digits + 3))
}

fn check_count(count: i64, limits: &Limits) -> Result<usize, ProtocolError> {
    let count = usize::try_from(count).map_err(|_| ProtocolError::InvalidCount)?;
    if count > limits.max_args {
        return Err(ProtocolError::InvalidCount);
    }
    if !limits.authenticated && count > UNAUTHENTICATED_MAX_ARGS {
        return Err(ProtocolError::UnauthenticatedCount);
    }
    Ok(count)
}

fn check_bulk(len: i64, limits: &Limits) -> Result<usize, ProtocolError> {
    let len = usize::try_from(len).map_err(|_| ProtocolError::InvalidBulk)?;
    if len > limits.max_bulk {
        return Err(ProtocolError::InvalidBulk);
    }
    if !limits.authenticated && len > UNAUTHENTICATED_MAX_BULK {
        return Err(ProtocolError::UnauthenticatedBulk);
    }
    Ok(len)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
