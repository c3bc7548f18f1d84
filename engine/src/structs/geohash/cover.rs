//! Which cells a search has to look into: the one of its centre and those around it, of a size
//! that makes these nine enough. Redis's choice is kept with its imprecisions, because it shows:
//! in the order of unsorted results, and in what is missed near the poles.

use super::distance::{EARTH_RADIUS, degrees, radians};
use super::{Area, Cell, MAX_STEP, Point, Span};

/// Half the length of the equator on the Mercator map, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// What is searched, around a centre. Lengths are in `metres`, the unit of the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A circle.
    Circle {
        /// Its radius.
        radius: f64,
        /// Metres in a unit.
        metres: f64,
    },
    /// A rectangle along the axes.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
        /// Metres in a unit.
        metres: f64,
    },
}

impl Shape {
    /// Metres in a unit.
    pub fn metres(self) -> f64 {
        match self {
            Shape::Circle { metres, .. } | Shape::Box { metres, .. } => metres,
        }
    }

    /// Half the width, half the height, and the distance from the centre to the farthest point.
    fn extent(self) -> (f64, f64, f64) {
        match self {
            Shape::Circle { radius, metres } => {
                let reach = radius * metres;
                (reach, reach, reach)
            }
            Shape::Box {
                width,
                height,
                metres,
            } => {
                let (x, y) = (width / 2.0, height / 2.0);
                (metres * x, metres * y, (x * x + y * y).sqrt() * metres)
            }
        }
    }

    /// The distance of a point from the centre, if it is inside.
    pub fn distance(self, centre: Point, point: Point) -> Option<f64> {
        match self {
            Shape::Circle { radius, metres } => {
                let distance = super::between(centre, point);
                // A distance that is no number is not too far.
                let beyond = distance > radius * metres;
                (!beyond).then_some(distance)
            }
            Shape::Box {
                width,
                height,
                metres,
            } => super::within_box(width * metres, height * metres, centre, point),
        }
    }
}

/// A box around the shape. Its width is that at the edge farther from the equator.
fn bounds(shape: Shape, centre: Point) -> Area {
    let (width, height, _) = shape.extent();
    let north = degrees(height / EARTH_RADIUS);
    let edge = match centre.latitude < 0.0 {
        true => centre.latitude - north,
        false => centre.latitude + north,
    };
    let east = degrees(width / EARTH_RADIUS / radians(edge).cos());
    Area {
        longitudes: Span {
            min: centre.longitude - east,
            max: centre.longitude + east,
        },
        latitudes: Span {
            min: centre.latitude - north,
            max: centre.latitude + north,
        },
    }
}

/// The step at which a cell is about as large as the shape.
fn estimated_step(mut reach: f64, latitude: f64) -> u32 {
    if reach == 0.0 {
        return MAX_STEP;
    }
    let mut step: i32 = -1;
    while reach < MERCATOR_MAX {
        reach *= 2.0;
        step += 1;
    }
    // Cells get narrow towards the poles.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, MAX_STEP as i32).cast_unsigned()
}

/// The cells to look into, in order. A cell may come twice, but not twice in a row behind the
/// first.
pub fn cover(shape: Shape, centre: Point) -> impl Iterator<Item = Cell> {
    let bounds = bounds(shape, centre);
    let (_, _, reach) = shape.extent();
    let mut step = estimated_step(reach, centre.latitude);
    let mut cell = Cell::of(centre, step);
    let latitudes = |north| cell.moved(0, north).area().latitudes;
    let longitudes = |east| cell.moved(east, 0).area().longitudes;
    let too_small = latitudes(1).max < bounds.latitudes.max
        || latitudes(-1).min > bounds.latitudes.min
        || longitudes(1).max < bounds.longitudes.max
        || longitudes(-1).min > bounds.longitudes.min;
    if too_small && step > 1 {
        step -= 1;
        cell = Cell::of(centre, step);
    }
    // Neighbours on sides that the shape does not reach are left out.
    let area = cell.area();
    let may_skip = step >= 2;
    let skip_south = may_skip && area.latitudes.min < bounds.latitudes.min;
    let skip_north = may_skip && area.latitudes.max > bounds.latitudes.max;
    let skip_west = may_skip && area.longitudes.min < bounds.longitudes.min;
    let skip_east = may_skip && area.longitudes.max > bounds.longitudes.max;
    let mut previous = None;
    [
        (0, 0),
        (0, 1),
        (0, -1),
        (1, 0),
        (-1, 0),
        (1, 1),
        (-1, 1),
        (1, -1),
        (-1, -1),
    ]
    .into_iter()
    .filter(move |(east, north)| {
        let skipped = match east {
            1 => skip_east,
            -1 => skip_west,
            _ => false,
        } || match north {
            1 => skip_north,
            -1 => skip_south,
            _ => false,
        };
        !skipped
    })
    .enumerate()
    .filter_map(move |(at, (east, north))| {
        let next = cell.moved(east, north);
        if previous == Some(next) {
            return None;
        }
        // The centre itself is not remembered.
        previous = (at > 0).then_some(next);
        Some(next)
    })
}
