//! The options of XADD and XTRIM, most of which are about trimming.

use super::args::{self as ids, NewId};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::Args;
use crate::error::ReplyError;
use crate::value::stream::{Stream, Trim, TrimTo};

/// Nodes an approximate trim without LIMIT removes at most.
const NODES_AT_ONCE: u64 = 100;
/// Entries it removes at most, where nodes have no limit or a large one.
const ENTRIES_AT_ONCE: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const ENTRIES_WITHOUT_LIMIT: u64 = 10_000;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// How to trim, if at all.
    pub trim: Option<Trim>,
    /// Where the threshold stands among the words.
    threshold_at: usize,
    /// XADD only: make no new stream.
    pub no_mkstream: bool,
    /// XADD only: the ID, and where it stands.
    pub id: NewId,
    /// One behind the last word if there is no ID.
    pub id_at: usize,
}

/// Reads the options from the third word on; XADD's end with an ID.
///
/// # Errors
/// Redis's, in its order.
pub(super) fn parse(ctx: &Ctx<'_>, words: Args<'_>, xadd: bool) -> Result<Options, ReplyError> {
    let mut options = Options {
        trim: None,
        threshold_at: 0,
        no_mkstream: false,
        id: NewId::Auto,
        id_at: words.len(),
    };
    let mut limit = None;
    let mut at = 2;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1);
        match (*word, next) {
            (b"*", _) if xadd => {
                options.id_at = at;
                break;
            }
            (word, Some(_)) if args::is(word, "maxlen") || args::is(word, "minid") => {
                at = threshold(words, at, &mut options)?;
            }
            (word, Some(next)) if args::is(word, "limit") => {
                let given = u64::try_from(args::int(next)?)
                    .map_err(|_| ReplyError::err("The LIMIT argument must be >= 0."))?;
                limit = Some(given);
                at += 1;
            }
            (word, _) if xadd && args::is(word, "nomkstream") => options.no_mkstream = true,
            (word, _) if xadd => {
                options.id = ids::new_id(word)?;
                options.id_at = at;
                break;
            }
            _ => return Err(ReplyError::SYNTAX),
        }
        at += 1;
    }
    settle_limit(ctx, &mut options, limit, xadd)?;
    Ok(options)
}

/// Reads `MAXLEN|MINID [=|~] threshold` from word `at`; where the threshold stands.
fn threshold(words: Args<'_>, at: usize, options: &mut Options) -> Result<usize, ReplyError> {
    if options.trim.is_some() {
        return Err(ReplyError::err(
            "syntax error, MAXLEN and MINID options at the same time are not compatible",
        ));
    }
    let operator = match words.get(at + 1..at + 3) {
        Some([operator @ (b"~" | b"="), _]) => Some(*operator),
        _ => None,
    };
    let place = at + 1 + usize::from(operator.is_some());
    let word = words.get(place).ok_or(ReplyError::SYNTAX)?;
    let to = if args::is(words[at], "maxlen") {
        let max = u64::try_from(args::int(word)?)
            .map_err(|_| ReplyError::err("The MAXLEN argument must be >= 0."))?;
        TrimTo::MaxLen(max)
    } else {
        TrimTo::MinId(ids::strict_id(word, 0)?)
    };
    options.trim = Some(Trim {
        to,
        approx: operator == Some(b"~"),
        limit: 0,
    });
    options.threshold_at = place;
    Ok(place)
}

fn settle_limit(
    ctx: &Ctx<'_>,
    options: &mut Options,
    limit: Option<u64>,
    xadd: bool,
) -> Result<(), ReplyError> {
    let error = |text: &str| Err(ReplyError::err(format_args!("syntax error, {text}")));
    let approx = options.trim.is_some_and(|trim| trim.approx);
    match (&mut options.trim, limit) {
        (None, Some(1..)) => error("LIMIT cannot be used without specifying a trimming strategy"),
        (None, _) if !xadd => error("XTRIM must be called with a trimming strategy"),
        // What was logged was trimmed to what is told, without a limit.
        _ if ctx.session.replaying => Ok(()),
        (_, Some(_)) if !approx => error("LIMIT cannot be used without the special ~ option"),
        (Some(trim), Some(limit)) => {
            trim.limit = limit;
            Ok(())
        }
        (Some(trim), None) if approx => {
            trim.limit = match ctx.engine().settings.stream_limits().node_max_entries {
                0 => ENTRIES_WITHOUT_LIMIT,
                entries => entries
                    .saturating_mul(NODES_AT_ONCE)
                    .clamp(*ENTRIES_AT_ONCE.start(), *ENTRIES_AT_ONCE.end()),
            };
            Ok(())
        }
        _ => Ok(()),
    }
}

/// How an approximate trim is logged: as an exact one with the outcome as threshold, so that
/// whoever replays it gets the same. Gives what to put in place of which words.
pub(super) fn rewritten(options: &Options, stream: &Stream) -> Option<Rewrite> {
    let trim = options.trim.filter(|trim| trim.approx)?;
    Some(Rewrite {
        at: options.threshold_at,
        threshold: match trim.to {
            TrimTo::MaxLen(_) => stream.len().to_string().into_bytes(),
            TrimTo::MinId(_) => stream.first_id_with_deleted().text().to_vec(),
        },
    })
}

/// A new threshold, and the operator in front of it made exact.
pub(super) struct Rewrite {
    at: usize,
    threshold: Vec<u8>,
}

impl Rewrite {
    /// Changes the words of a request.
    pub(super) fn apply<'w>(&'w self, words: &mut [&'w [u8]]) {
        words[self.at - 1] = b"=";
        words[self.at] = &self.threshold;
    }
}
