//! Distances in metres on a sphere, by the haversine formula.

use super::Point;

/// Radius of the sphere.
pub(super) const EARTH_RADIUS: f64 = 6_372_797.560_856;

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// The distance along a meridian.
fn along_meridian(from: f64, to: f64) -> f64 {
    EARTH_RADIUS * (radians(to) - radians(from)).abs()
}

/// The distance of two points.
pub fn between(a: Point, b: Point) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return along_meridian(a.latitude, b.latitude);
    }
    let (from, to) = (radians(a.latitude), radians(b.latitude));
    let u = ((to - from) / 2.0).sin();
    let h = u * u + from.cos() * to.cos() * v * v;
    2.0 * EARTH_RADIUS * h.sqrt().asin()
}

/// The distance of a point from the centre of a box in metres, if it is inside: not further north
/// or south than half the height, and, on its own parallel, not further east or west than half
/// the width.
pub fn within_box(width: f64, height: f64, centre: Point, point: Point) -> Option<f64> {
    let beyond = |distance: f64, limit: f64| distance > limit;
    if beyond(
        along_meridian(point.latitude, centre.latitude),
        height / 2.0,
    ) {
        return None;
    }
    let beside = Point {
        latitude: point.latitude,
        ..centre
    };
    if beyond(between(point, beside), width / 2.0) {
        return None;
    }
    Some(between(centre, point))
}
