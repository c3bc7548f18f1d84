//! Unions, intersections and differences of sorted sets: what their commands
//! share.
//!
//! An input may be a set too, every member counting with score 1. Inputs are
//! held as shared values, so that the destination of a `STORE` command may be
//! one of them. A sum that is not a number (`inf - inf`) counts as 0.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{member, members_header, store};
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{Args, CmdResult};
use crate::error::ReplyError;
use crate::keyspace::Look;
use crate::value::{Set, Value, Zset};

/// What is done with the inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Reply,
    Store,
    Count,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum => or_zero(a + b),
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            _ => a,
        }
    }
}

fn or_zero(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x }
}

enum Members {
    None,
    Set(Arc<Set>),
    Zset(Arc<Zset>),
}

struct Source {
    members: Members,
    weight: f64,
}

impl Source {
    /// # Errors
    /// `WRONGTYPE` if the key holds neither kind of set.
    fn read(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Source, ReplyError> {
        let members = match ctx.ks.look(key, Look::READ) {
            None => Members::None,
            Some(found) => match found.value {
                Some(Value::Set(set)) => Members::Set(set.clone()),
                Some(Value::Zset(zset)) => Members::Zset(zset.clone()),
                _ => return Err(ReplyError::WRONG_TYPE),
            },
        };
        Ok(Source {
            members,
            weight: 1.0,
        })
    }

    fn len(&self) -> usize {
        match &self.members {
            Members::None => 0,
            Members::Set(set) => set.len(),
            Members::Zset(zset) => zset.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.members {
            Members::None => None,
            Members::Set(set) => set.contains(member).then_some(1.0),
            Members::Zset(zset) => zset.score(member),
        }
    }

    /// Shows members with their scores to `f` until it breaks.
    fn visit(&self, mut f: impl FnMut(&[u8], f64) -> ControlFlow<()>) {
        let _broken = match &self.members {
            Members::None => ControlFlow::Continue(()),
            Members::Set(set) => set
                .iter()
                .try_for_each(|element| element.with_bytes(|member| f(member, 1.0))),
            Members::Zset(zset) => zset
                .iter()
                .try_for_each(|(member, score)| member.with_bytes(|member| f(member, score))),
        };
    }
}

/// The members of a result with their scores, in no order yet.
type Found = Vec<(Vec<u8>, f64)>;

/// The words of a request from `numkeys` on, with the inputs looked up.
struct Request {
    sources: Vec<Source>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Most members to count; 0 for all.
    limit: usize,
}

impl Request {
    /// Keys are looked up before options are read, as in Redis: a wrong type
    /// comes before a syntax error.
    fn parse(
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        count_at: usize,
        op: Op,
        purpose: Purpose,
    ) -> Result<Request, ReplyError> {
        let numkeys = args::int(args[count_at])?;
        if numkeys < 1 {
            return Err(ReplyError::err(format_args!(
                "at least 1 input key is needed for '{}' command",
                ctx.name()
            )));
        }
        let rest = &args[count_at + 1..];
        let keys = usize::try_from(numkeys)
            .ok()
            .and_then(|n| rest.get(..n))
            .ok_or(ReplyError::SYNTAX)?;
        let mut sources = Vec::with_capacity(keys.len());
        for key in keys {
            sources.push(Source::read(ctx, key)?);
        }
        let mut request = Request {
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        request.options(&mut Cursor::new(rest, keys.len()), op, purpose)?;
        Ok(request)
    }

    fn options(
        &mut self,
        words: &mut Cursor<'_>,
        op: Op,
        purpose: Purpose,
    ) -> Result<(), ReplyError> {
        let scored = op != Op::Diff && purpose != Purpose::Count;
        while let Some(word) = words.next() {
            let left = words.remaining();
            if scored && left >= self.sources.len() && args::is(word, "weights") {
                for source in &mut self.sources {
                    source.weight = args::float(words.required()?)
                        .map_err(|_| ReplyError::err("weight value is not a float"))?;
                }
            } else if scored && left >= 1 && args::is(word, "aggregate") {
                self.aggregate = match words.required()? {
                    word if args::is(word, "sum") => Aggregate::Sum,
                    word if args::is(word, "min") => Aggregate::Min,
                    word if args::is(word, "max") => Aggregate::Max,
                    _ => return Err(ReplyError::SYNTAX),
                };
            } else if purpose == Purpose::Reply && args::is(word, "withscores") {
                self.with_scores = true;
            } else if purpose == Purpose::Count && left >= 1 && args::is(word, "limit") {
                let limit = words.required()?;
                let limit = args::int_in(limit, 0, i64::MAX, "LIMIT can't be negative")?;
                self.limit = usize::try_from(limit).unwrap_or(usize::MAX);
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(())
    }

    /// Members found, in order of score and then member.
    fn run(mut self, op: Op) -> Found {
        let mut found = Vec::new();
        match op {
            Op::Union => found = self.union(),
            Op::Inter => self.intersect(|member, score| {
                found.push((member.to_vec(), score));
                ControlFlow::Continue(())
            }),
            Op::Diff => found = self.difference(),
        }
        found.sort_unstable_by(|(m1, s1), (m2, s2)| {
            s1.partial_cmp(s2)
                .unwrap_or(std::cmp::Ordering::Equal)
                .then_with(|| m1.cmp(m2))
        });
        found
    }

    /// O(all members). Smallest input first: sums of floats depend on the order.
    fn union(&mut self) -> Found {
        self.sources.sort_by_key(Source::len);
        let largest = self.sources.last().map_or(0, Source::len);
        let mut scores: HashMap<Vec<u8>, f64> = HashMap::with_capacity(largest);
        for source in &self.sources {
            source.visit(|member, score| {
                let score = or_zero(source.weight * score);
                match scores.get_mut(member) {
                    Some(sum) => *sum = self.aggregate.combine(*sum, score),
                    None => {
                        scores.insert(member.to_vec(), score);
                    }
                }
                ControlFlow::Continue(())
            });
        }
        scores.into_iter().collect()
    }

    /// O(members of the smallest input times inputs).
    fn intersect(&mut self, mut f: impl FnMut(&[u8], f64) -> ControlFlow<()>) {
        self.sources.sort_by_key(Source::len);
        let Some((smallest, others)) = self.sources.split_first() else {
            return;
        };
        smallest.visit(|member, score| {
            let mut sum = or_zero(smallest.weight * score);
            for other in others {
                match other.score(member) {
                    Some(score) => sum = self.aggregate.combine(sum, score * other.weight),
                    None => return ControlFlow::Continue(()),
                }
            }
            f(member, sum)
        });
    }

    /// Asks the others for each member of the first, or strikes theirs out of
    /// it, whichever looks like less work.
    fn difference(&mut self) -> Found {
        let Some((first, others)) = self.sources.split_first_mut() else {
            return Vec::new();
        };
        let asking = first.len().saturating_mul(others.len() + 1) / 2;
        let striking = others
            .iter()
            .fold(first.len(), |sum, other| sum.saturating_add(other.len()));
        if asking <= striking {
            let mut found = Vec::new();
            others.sort_by_key(|other| Reverse(other.len()));
            first.visit(|member, score| {
                if others.iter().all(|other| other.score(member).is_none()) {
                    found.push((member.to_vec(), score));
                }
                ControlFlow::Continue(())
            });
            return found;
        }
        let mut kept: HashMap<Vec<u8>, f64> = HashMap::with_capacity(first.len());
        first.visit(|member, score| {
            kept.insert(member.to_vec(), score);
            ControlFlow::Continue(())
        });
        for other in others.iter() {
            other.visit(|member, _| {
                kept.remove(member);
                if kept.is_empty() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        }
        kept.into_iter().collect()
    }
}

/// Runs `name numkeys key ... [options]`.
pub(super) fn reply_result(ctx: &mut Ctx<'_>, args: Args<'_>, op: Op) -> CmdResult {
    let request = Request::parse(ctx, args, 1, op, Purpose::Reply)?;
    let with_scores = request.with_scores;
    let found = request.run(op);
    members_header(ctx.out, found.len(), with_scores);
    for (own, score) in &found {
        member(ctx.out, own, with_scores.then_some(*score));
    }
    Ok(())
}

/// Runs `name destination numkeys key ... [options]`.
pub(super) fn store_result(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    op: Op,
    event: &'static str,
) -> CmdResult {
    let found = Request::parse(ctx, args, 2, op, Purpose::Store)?.run(op);
    let limits = ctx.ks.engine.settings.zset_limits();
    let mut result = Zset::new_tree();
    let (mut longest, mut total) = (0, 0);
    for (member, score) in &found {
        longest = longest.max(member.len());
        total += member.len();
        result.add(&limits, *score, member, Default::default());
    }
    result.pack_if_small(longest, total, &limits);
    store(ctx, args[1], result, event);
    Ok(())
}

/// Runs `name numkeys key ... [LIMIT limit]`, replying with the size of the
/// intersection.
pub(super) fn count_result(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut request = Request::parse(ctx, args, 1, Op::Inter, Purpose::Count)?;
    let (mut count, limit) = (0, request.limit);
    request.intersect(|_, _| {
        count += 1;
        if count == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    ctx.out.count(count);
    Ok(())
}
