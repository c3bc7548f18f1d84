//! Geohashes: places on the earth as numbers that sort near places near each other.
//!
//! A [`Cell`] of `step` halves longitude and latitude `step` times each and keeps the choices as
//! bits, latitude in the even positions, longitude in the odd ones:
//!
//! ```text
//! bit  2*step-1   2*step-2  ...   1     0
//!      lon        lat             lon   lat
//! ```
//!
//! Members of a geo index have the 52 bits of their cell of step 26 as score, which a double
//! holds exactly. Scores may be any double, though, because the index is a sorted set: decoding
//! takes all of them as Redis on x86-64 does. The operations on doubles are in Redis's order,
//! since their results are part of replies.

mod cover;
mod distance;
mod polygon;

pub use cover::{Shape, cover};
pub use distance::{between, within_box};
pub use polygon::Polygon;

/// Halvings of each axis in a score.
pub const MAX_STEP: u32 = 26;
/// Bits of a score.
const SCORE_BITS: u32 = 2 * MAX_STEP;

const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = !EVEN;

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East of Greenwich, -180 to 180.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// An interval of degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Lower end.
    pub min: f64,
    /// Upper end.
    pub max: f64,
}

/// All longitudes.
pub const LONGITUDES: Span = Span {
    min: -180.0,
    max: 180.0,
};
/// The latitudes of the Mercator square, beyond which there are no scores.
pub const LATITUDES: Span = Span {
    min: -85.051_128_78,
    max: 85.051_128_78,
};
/// All latitudes, which geohash strings are defined on.
const ALL_LATITUDES: Span = Span {
    min: -90.0,
    max: 90.0,
};

impl Span {
    fn size(self) -> f64 {
        self.max - self.min
    }
    fn contains(self, value: f64) -> bool {
        value >= self.min && value <= self.max
    }
    /// How often `value` is from the lower end, in parts of `1 / 2^step`.
    fn offset(self, value: f64, step: u32) -> u32 {
        ((value - self.min) / self.size() * (1u64 << step) as f64) as u32
    }
    /// The interval of a part.
    fn part(self, offset: u32, step: u32) -> Span {
        let parts = (1u64 << step) as f64;
        let at = |offset: u32| self.min + f64::from(offset) / parts * self.size();
        Span {
            min: at(offset),
            max: at(offset.wrapping_add(1)),
        }
    }
    fn middle(self, within: Span) -> f64 {
        ((self.min + self.max) / 2.0)
            .min(within.max)
            .max(within.min)
    }
}

impl Point {
    /// Whether the point can be in a geo index.
    pub fn is_valid(self) -> bool {
        LONGITUDES.contains(self.longitude) && LATITUDES.contains(self.latitude)
    }

    /// The score of a valid point.
    pub fn score(self) -> u64 {
        Cell::of(self, MAX_STEP).first_score()
    }

    /// The point a score stands for: the middle of its cell.
    pub fn of_score(score: f64) -> Point {
        let cell = Cell {
            bits: as_u64(score),
            step: MAX_STEP,
        };
        let area = cell.area();
        Point {
            longitude: area.longitudes.middle(LONGITUDES),
            latitude: area.latitudes.middle(LATITUDES),
        }
    }

    /// The geohash string of a point: 11 characters, of which the last is always `0`, as 52 bits
    /// are enough for ten.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = interleave(
            ALL_LATITUDES.offset(self.latitude, MAX_STEP),
            LONGITUDES.offset(self.longitude, MAX_STEP),
        );
        let mut text = [ALPHABET[0]; 11];
        let mut shift = SCORE_BITS;
        for place in &mut text[..10] {
            shift -= 5;
            *place = ALPHABET[(bits >> shift & 31) as usize];
        }
        text
    }
}

/// A double as an unsigned integer, with the results of x86-64 where there is none.
pub fn as_u64(x: f64) -> u64 {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if x < TWO_63 {
        as_i64(x).cast_unsigned()
    } else {
        as_i64(x - TWO_63).cast_unsigned() ^ 1 << 63
    }
}

/// A double as an integer, with the result of x86-64 where there is none.
pub fn as_i64(x: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x) {
        x as i64
    } else {
        i64::MIN
    }
}

/// Intervals of both axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// West to east.
    pub longitudes: Span,
    /// South to north.
    pub latitudes: Span,
}

/// One of the `4^step` parts of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    step: u32,
}

impl Cell {
    /// The cell of a point; `step` is 1 to 26.
    pub fn of(point: Point, step: u32) -> Cell {
        let latitude = LATITUDES.offset(point.latitude, step);
        let longitude = LONGITUDES.offset(point.longitude, step);
        Cell {
            bits: interleave(latitude, longitude),
            step,
        }
    }

    /// The part of the map.
    fn area(self) -> Area {
        let (latitude, longitude) = separate(self.bits);
        Area {
            longitudes: LONGITUDES.part(longitude, self.step),
            latitudes: LATITUDES.part(latitude, self.step),
        }
    }

    /// The lowest score inside.
    fn first_score(self) -> u64 {
        self.bits << (SCORE_BITS - 2 * self.step)
    }

    /// The lowest score inside and the first one behind.
    pub fn scores(self) -> (u64, u64) {
        let next = Cell {
            bits: self.bits.wrapping_add(1),
            ..self
        };
        (self.first_score(), next.first_score())
    }

    /// The cell so many cells to the east and north, around the edges of the map.
    fn moved(self, east: i32, north: i32) -> Cell {
        let unused = 64 - 2 * self.step;
        let mut bits = self.bits;
        for (axis, distance) in [(ODD, east), (EVEN, north)] {
            // Ones in the other axis carry a change of this one over to its next bit.
            let (ours, theirs, carry) = (bits & axis, bits & !axis, !axis >> unused);
            let moved = match distance {
                0 => continue,
                1.. => ours.wrapping_add(carry.wrapping_add(1)),
                _ => (ours | carry).wrapping_sub(carry.wrapping_add(1)),
            };
            bits = moved & (axis >> unused) | theirs;
        }
        Cell { bits, ..self }
    }
}

/// Puts the bits of `even` into the even positions and those of `odd` into the others.
fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

/// The bits of the even and of the odd positions.
fn separate(bits: u64) -> (u32, u32) {
    (gather(bits), gather(bits >> 1))
}

/// Shifts and masks that move halves, quarters, ... apart.
const STAGES: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, EVEN),
];

fn spread(bits: u32) -> u64 {
    STAGES.iter().fold(bits.into(), |bits, (shift, mask)| {
        (bits | bits << shift) & mask
    })
}

fn gather(bits: u64) -> u32 {
    let mut bits = bits & EVEN;
    for (at, (shift, _)) in STAGES.iter().enumerate().rev() {
        let mask = match at {
            0 => u64::from(u32::MAX),
            _ => STAGES[at - 1].1,
        };
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

#[cfg(test)]
mod tests;
