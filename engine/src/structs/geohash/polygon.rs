//! Polygons on the map: `GEOSEARCH ... BYPOLYGON`.
//!
//! Edges are straight lines between longitudes and latitudes, as on a plane; a polygon does not
//! reach over the 180th meridian. The centre is that of the corners in space, brought to the
//! surface.

use super::distance::{between, degrees, radians};
use super::{Point, Shape};

/// A polygon given by its corners in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    corners: Vec<Point>,
    /// The place distances are told from.
    pub centre: Point,
}

impl Polygon {
    /// The polygon with these corners.
    pub fn new(corners: Vec<Point>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let centre = Point {
            longitude: degrees(y.atan2(x)),
            latitude: degrees(z.atan2((x * x + y * y).sqrt())),
        };
        Self { corners, centre }
    }

    /// A circle around the centre that holds all of it.
    pub fn circle(&self) -> Shape {
        let fold = |start: Point, pick: fn(f64, f64) -> f64| {
            self.corners.iter().fold(start, |point, corner| Point {
                longitude: pick(point.longitude, corner.longitude),
                latitude: pick(point.latitude, corner.latitude),
            })
        };
        let (low, high) = (fold(self.centre, f64::min), fold(self.centre, f64::max));
        let mut radius = 0.0f64;
        for longitude in [low.longitude, high.longitude] {
            for latitude in [low.latitude, high.latitude] {
                let corner = Point {
                    longitude,
                    latitude,
                };
                radius = radius.max(between(self.centre, corner));
            }
        }
        Shape::Circle {
            radius,
            metres: 1.0,
        }
    }

    /// How far from the centre a place is, if it is inside: a line from it to the east
    /// crosses an odd number of edges.
    pub fn distance(&self, point: Point) -> Option<f64> {
        let mut inside = false;
        let nexts = self.corners.iter().cycle().skip(1);
        for (a, b) in self.corners.iter().zip(nexts) {
            let crosses = (a.latitude > point.latitude) != (b.latitude > point.latitude);
            if crosses {
                let part = (point.latitude - a.latitude) / (b.latitude - a.latitude);
                let at = a.longitude + part * (b.longitude - a.longitude);
                inside ^= point.longitude < at;
            }
        }
        inside.then(|| between(self.centre, point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(longitude: f64, latitude: f64) -> Point {
        Point {
            longitude,
            latitude,
        }
    }

    #[test]
    fn inside_and_outside() {
        // A square with a notch from above.
        let corners = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)];
        let corners = corners.map(|(x, y)| at(f64::from(x), f64::from(y)));
        let polygon = Polygon::new(corners.to_vec());
        for (place, inside) in [
            (at(1.0, 1.0), true),
            (at(3.0, 1.0), true),
            (at(2.0, 0.5), true),
            (at(2.0, 2.0), false),
            (at(0.2, 3.0), true),
            (at(5.0, 1.0), false),
            (at(-1.0, 0.5), false),
            (at(2.0, -0.1), false),
        ] {
            assert_eq!(polygon.distance(place).is_some(), inside, "{place:?}");
        }
        let Shape::Circle { radius, .. } = polygon.circle() else {
            panic!("a circle");
        };
        assert!(
            corners
                .iter()
                .all(|c| between(polygon.centre, *c) <= radius)
        );
    }
}
