//! Running a search and answering or storing what it finds.

use std::cmp::Ordering;
use std::sync::Arc;

use super::request::{Form, Order, Request};
use super::{coordinates, distance_text};
use crate::command::ctx::Ctx;
use crate::command::partial_sort::sort_ranks;
use crate::command::spec::{Args, CmdResult};
use crate::keyspace::NotifyClass;
use crate::reply::Reply;
use crate::structs::geohash::{self, Point};
use crate::value::zset::{AddFlags, ScoreRange};
use crate::value::{Value, Zset};

/// One result.
struct Place {
    member: Vec<u8>,
    point: Point,
    score: f64,
    /// From the centre, in metres.
    distance: f64,
}

/// Runs any of the commands.
pub(super) fn run(ctx: &mut Ctx<'_>, args: Args<'_>, form: Form) -> CmdResult {
    let zset = ctx.ks.zset(args[form.source()])?;
    let request = Request::parse(form, args, zset)?;
    let mut places = zset.map_or_else(Vec::new, |zset| find(zset, &request));
    let len = places.len().min(request.limit.unwrap_or(usize::MAX));
    sort(&mut places, len, request.order);
    places.truncate(len);
    match request.store {
        Some(target) => store(ctx, &request, target, places, form),
        None => answer(ctx.out, &request, &places),
    }
    Ok(())
}

/// All places inside, cell by cell.
fn find(zset: &Zset, request: &Request<'_>) -> Vec<Place> {
    let enough = match request.limit {
        Some(limit) if request.any => limit,
        _ => usize::MAX,
    };
    let mut places = Vec::new();
    for cell in geohash::cover(request.shape, request.centre) {
        let (first, end) = cell.scores();
        let range = ScoreRange {
            max_exclusive: true,
            ..ScoreRange::closed(first as f64, end as f64)
        };
        if places.len() >= enough {
            break;
        }
        for (member, score) in zset.iter_span(zset.score_span(&range), false) {
            let point = Point::of_score(score);
            let distance = match &request.polygon {
                Some(polygon) => polygon.distance(point),
                None => request.shape.distance(request.centre, point),
            };
            if let Some(distance) = distance {
                places.push(Place {
                    member: member.to_vec(),
                    point,
                    score,
                    distance,
                });
            }
            if places.len() >= enough {
                break;
            }
        }
    }
    places
}

/// Puts the first `wanted` in order.
fn sort(places: &mut [Place], wanted: usize, order: Option<Order>) {
    let ascending = |a: &Place, b: &Place| {
        let (a, b) = (a.distance, b.distance);
        a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
    };
    let by = |a: &Place, b: &Place| -> Ordering {
        match order {
            Some(Order::Descending) => ascending(b, a),
            _ => ascending(a, b),
        }
    };
    match order {
        None => {}
        Some(_) if wanted == places.len() => places.sort_by(by),
        Some(_) => sort_ranks(places, 0..wanted, by),
    }
}

fn answer(out: &mut Reply, request: &Request<'_>, places: &[Place]) {
    let (with, metres) = (request.with, request.shape.metres());
    out.array(places.len());
    for place in places {
        if with.parts() > 0 {
            out.array(1 + with.parts());
        }
        out.bulk(&place.member);
        if with.distance {
            out.bulk(&distance_text(place.distance / metres));
        }
        if with.hash {
            out.int(geohash::as_i64(place.score));
        }
        if with.coordinates {
            coordinates(out, place.point);
        }
    }
}

fn store(ctx: &mut Ctx<'_>, request: &Request<'_>, target: &[u8], places: Vec<Place>, form: Form) {
    let count = places.len();
    if places.is_empty() {
        if ctx.ks.remove(target) {
            ctx.ks.modified(target);
            ctx.ks.notify(NotifyClass::GENERIC, "del", target);
            ctx.ks.dirty += 1;
        }
    } else {
        let limits = ctx.ks.engine.settings.zset_limits();
        let mut result = Zset::new_tree();
        let (mut longest, mut total) = (0, 0);
        for place in &places {
            longest = longest.max(place.member.len());
            total += place.member.len();
            let score = match request.store_distances {
                true => place.distance / request.shape.metres(),
                false => place.score,
            };
            result.add(&limits, score, &place.member, AddFlags::default());
        }
        result.pack_if_small(longest, total, &limits);
        let event = match form {
            Form::SearchStore => "geosearchstore",
            _ => "georadiusstore",
        };
        ctx.ks.insert(target, Value::Zset(Arc::new(result)), None);
        ctx.ks.modified(target);
        ctx.ks.notify(NotifyClass::ZSET, event, target);
        ctx.ks.dirty += count as u64;
    }
    ctx.out.count(count);
}
