//! Sorted set commands.
//!
//! A file holds the commands that share code; what several files need is here:
//! the shape of replies with scores, and what follows when a result is stored
//! or a set becomes empty.

mod aggregate;
mod bounds;
#[cfg(test)]
mod effects_tests;
mod zadd;
mod zdiff;
mod zinter;
mod zmpop;
mod zpop;
mod zrandmember;
mod zrange;
mod zrangeby;
mod zrank;
mod zrem;
mod zscan;
mod zscore;
mod zunion;

use std::sync::Arc;

pub(super) use zadd::zadd;

use super::ctx::Ctx;
use super::spec::{CommandSpec, concat};
use crate::keyspace::NotifyClass;
use crate::reply::Reply;
use crate::value::{Value, Zset};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<35>(&[
    zadd::SPECS,
    zdiff::SPECS,
    zinter::SPECS,
    zmpop::SPECS,
    zpop::SPECS,
    zrandmember::SPECS,
    zrange::SPECS,
    zrangeby::SPECS,
    zrank::SPECS,
    zrem::SPECS,
    zscan::SPECS,
    zscore::SPECS,
    zunion::SPECS,
]);

/// Header of a list of `n` members: with scores it is flat in RESP2 and a list
/// of pairs in RESP3.
fn members_header(out: &mut Reply, n: usize, with_scores: bool) {
    if with_scores && !out.is_resp3() {
        out.array(n.saturating_mul(2));
    } else {
        out.array(n);
    }
}

/// One member under [`members_header`], with its score if that is wanted.
fn member(out: &mut Reply, member: &[u8], score: Option<f64>) {
    match score {
        Some(score) => {
            if out.is_resp3() {
                out.array(2);
            }
            out.bulk(member);
            out.double(score);
        }
        None => out.bulk(member),
    }
}

/// Removes a key whose sorted set has become empty, with the event of that.
fn remove_emptied(ctx: &mut Ctx<'_>, key: &[u8]) {
    ctx.ks.remove(key);
    ctx.ks.notify(NotifyClass::GENERIC, "del", key);
}

/// Ends a `STORE` command: puts the result over the destination, or removes
/// that if there is none, and replies with the number of members.
fn store(ctx: &mut Ctx<'_>, destination: &[u8], result: Zset, event: &'static str) {
    let len = result.len();
    if len == 0 {
        if ctx.ks.remove(destination) {
            ctx.ks.modified(destination);
            ctx.ks.notify(NotifyClass::GENERIC, "del", destination);
            ctx.ks.dirty += 1;
        }
    } else {
        ctx.ks
            .insert(destination, Value::Zset(Arc::new(result)), None);
        ctx.ks.modified(destination);
        ctx.ks.notify(NotifyClass::ZSET, event, destination);
        ctx.ks.dirty += 1;
    }
    ctx.out.count(len);
}
