//! What SORT is asked for: its options, and the patterns that say where weights and results are.

use std::ops::Range;

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::Args;
use crate::error::ReplyError;
use crate::keyspace::Look;

/// What was asked for.
pub(super) struct Request<'a> {
    pub descending: bool,
    pub alpha: bool,
    offset: i64,
    count: i64,
    pub by: Option<Pattern<'a>>,
    pub get: Vec<Pattern<'a>>,
    pub store: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads the options; the keys that patterns lead to can be anybody's, so those who may not
    /// read all keys cannot have them.
    pub fn parse(
        args: Args<'a>,
        may_store: bool,
        may_read_all: bool,
    ) -> Result<Request<'a>, ReplyError> {
        let mut request = Request {
            descending: false,
            alpha: false,
            offset: 0,
            count: -1,
            by: None,
            get: Vec::new(),
            store: None,
        };
        let mut words = Cursor::new(args, 2);
        while let Some(word) = words.next() {
            if args::is(word, "ASC") {
                request.descending = false;
            } else if args::is(word, "DESC") {
                request.descending = true;
            } else if args::is(word, "ALPHA") {
                request.alpha = true;
            } else if args::is(word, "LIMIT") && words.remaining() >= 2 {
                request.offset = args::int(words.required()?)?;
                request.count = args::int(words.required()?)?;
            } else if may_store && args::is(word, "STORE") {
                request.store = Some(words.required()?);
            } else if args::is(word, "BY") {
                let by = words.required()?;
                if by.contains(&b'*') && !may_read_all {
                    return Err(denied("BY"));
                }
                request.by = Some(Pattern::parse(by));
            } else if args::is(word, "GET") {
                let get = words.required()?;
                if !may_read_all {
                    return Err(denied("GET"));
                }
                request.get.push(Pattern::parse(get));
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(request)
    }

    /// The part of `len` elements that LIMIT leaves.
    pub fn window(&self, len: usize) -> Range<usize> {
        let clamp = |n: i64| usize::try_from(n).unwrap_or(0).min(len);
        let start = clamp(self.offset);
        if self.count < 0 {
            start..len
        } else {
            start..start.saturating_add(clamp(self.count)).min(len)
        }
    }
}

fn denied(option: &str) -> ReplyError {
    ReplyError::err(format_args!(
        "{option} option of SORT denied due to insufficient ACL permissions."
    ))
}

/// A BY or GET pattern: where the value for an element is.
#[derive(Clone, Copy)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No `*`: the same for every element, so nothing.
    Constant,
    /// A string key around the element.
    Key(&'a [u8], &'a [u8]),
    /// A hash key around the element, and a field.
    Field(&'a [u8], &'a [u8], &'a [u8]),
}

impl<'a> Pattern<'a> {
    fn parse(word: &'a [u8]) -> Pattern<'a> {
        if word == b"#" {
            return Pattern::Element;
        }
        let Some(star) = word.iter().position(|&byte| byte == b'*') else {
            return Pattern::Constant;
        };
        let (before, after) = (&word[..star], &word[star + 1..]);
        match after.windows(2).position(|pair| pair == b"->") {
            Some(arrow) if arrow + 2 < after.len() => {
                Pattern::Field(before, &after[..arrow], &after[arrow + 2..])
            }
            _ => Pattern::Key(before, after),
        }
    }

    /// The value for an element; none if the key is missing or of another type.
    pub fn resolve(&self, ctx: &mut Ctx<'_>, element: &[u8]) -> Option<Vec<u8>> {
        match *self {
            Pattern::Element => Some(element.to_vec()),
            Pattern::Constant => None,
            Pattern::Key(before, after) => {
                let key = [before, element, after].concat();
                let found = ctx.ks.string_as(&key, Look::READ).ok()??;
                Some(found.bytes.to_vec())
            }
            Pattern::Field(before, after, field) => {
                let key = [before, element, after].concat();
                let value = ctx.ks.hash(&key).ok()??.get(field)?;
                Some(value.with_bytes(<[u8]>::to_vec))
            }
        }
    }
}
