//! Geo commands: sorted sets whose scores are geohashes (`structs/geohash`).

mod geoadd;
mod georadius;
mod geosearch;
mod places;
mod request;
mod search;
mod words;

use basalt_formats::num;

use super::args;
use super::spec::{CommandSpec, concat};
use crate::error::ReplyError;
use crate::reply::Reply;
use crate::structs::geohash::Point;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &concat::<10>(&[
    geoadd::SPECS,
    places::SPECS,
    georadius::SPECS,
    geosearch::SPECS,
]);

/// A point that can be in an index.
fn point_of(longitude: &[u8], latitude: &[u8]) -> Result<Point, ReplyError> {
    let longitude = args::float(longitude)?;
    let latitude = args::float(latitude)?;
    let point = Point {
        longitude,
        latitude,
    };
    if point.is_valid() {
        return Ok(point);
    }
    Err(ReplyError::err(format_args!(
        "invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
    )))
}

/// Metres in a unit.
fn metres_of(unit: &[u8]) -> Result<f64, ReplyError> {
    [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)]
        .into_iter()
        .find_map(|(name, metres)| args::is(unit, name).then_some(metres))
        .ok_or_else(|| ReplyError::err("unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance as it is replied, with four digits behind the point.
fn distance_text(distance: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    if !num::format_f64_fixed(distance, 4, &mut text) {
        // What Redis prints for distances that are no number, as those of some antipodes.
        text.extend_from_slice(b"-922337203685477.5808");
    }
    text
}

/// Longitude and latitude, with all digits up to the 17th behind the point.
fn coordinates(out: &mut Reply, point: Point) {
    out.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        out.double_text(if text == "-0" { "0" } else { text });
    }
}

#[cfg(test)]
mod tests;
