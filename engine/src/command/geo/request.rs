//! The words of GEORADIUS, GEOSEARCH and their kin.

use super::{metres_of, point_of};
use crate::command::args::{self, Cursor};
use crate::command::spec::Args;
use crate::error::{ReplyError, shown};
use crate::structs::geohash::{Point, Polygon, Shape};
use crate::value::Zset;

/// Which command it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `GEORADIUS key lon lat radius unit`.
    Radius { may_store: bool },
    /// `GEORADIUSBYMEMBER key member radius unit`.
    RadiusByMember { may_store: bool },
    /// `GEOSEARCH key`.
    Search,
    /// `GEOSEARCHSTORE destination source`.
    SearchStore,
}

impl Form {
    /// Index of the key that is searched.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
    fn may_store(self) -> bool {
        match self {
            Form::Radius { may_store } | Form::RadiusByMember { may_store } => may_store,
            _ => false,
        }
    }
}

/// The order of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// What is replied besides the members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct With {
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) coordinates: bool,
}

impl With {
    /// How many parts a result has besides its member.
    pub(super) fn parts(self) -> usize {
        usize::from(self.distance) + usize::from(self.hash) + usize::from(self.coordinates)
    }
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) centre: Point,
    pub(super) shape: Shape,
    /// Only places inside are wanted; the shape then is a circle around it.
    pub(super) polygon: Option<Polygon>,
    pub(super) with: With,
    /// Only ever given with a limit or a word of the request.
    pub(super) order: Option<Order>,
    /// Number of results at most.
    pub(super) limit: Option<usize>,
    /// The first results that turn up will do.
    pub(super) any: bool,
    /// Where the results go instead of the reply.
    pub(super) store: Option<&'a [u8]>,
    /// Distances are stored as scores.
    pub(super) store_distances: bool,
}

/// What the options have said so far.
#[derive(Default)]
struct Options<'a> {
    centre: Option<Point>,
    from_member: bool,
    shape: Option<Shape>,
    polygon: Option<Polygon>,
    with: With,
    order: Option<Order>,
    limit: Option<usize>,
    any: bool,
    store: Option<&'a [u8]>,
    store_distances: bool,
}

const ORIGIN: Point = Point {
    longitude: 0.0,
    latitude: 0.0,
};
const NOTHING: Shape = Shape::Circle {
    radius: 0.0,
    metres: 1.0,
};

impl<'a> Request<'a> {
    /// Reads the words. `zset` is what is searched, if there is such a key: without one, members
    /// are not looked for.
    ///
    /// # Errors
    /// Those of Redis, in its order.
    pub(super) fn parse(
        form: Form,
        args: Args<'a>,
        zset: Option<&Zset>,
    ) -> Result<Request<'a>, ReplyError> {
        let mut options = Options::default();
        let first = match form {
            Form::Radius { .. } => {
                options.centre = Some(point_of(args[2], args[3])?);
                options.shape = Some(circle(args[4], args[5])?);
                6
            }
            Form::RadiusByMember { .. } => {
                if let Some(zset) = zset {
                    options.centre = Some(place_of(zset, args[2])?);
                    options.shape = Some(circle(args[3], args[4])?);
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                options.store = Some(args[1]);
                3
            }
        };
        options.read(form, Cursor::new(args, first), zset)?;
        options.check(form, args[0])?;
        // The nearest few can only be told by sorting.
        let order = match options.order {
            None if options.limit.is_some() && !options.any => Some(Order::Ascending),
            order => order,
        };
        Ok(Request {
            centre: options.centre.unwrap_or(ORIGIN),
            shape: options.shape.unwrap_or(NOTHING),
            polygon: options.polygon,
            with: options.with,
            order,
            limit: options.limit,
            any: options.any,
            store: options.store,
            store_distances: options.store_distances,
        })
    }
}

impl<'a> Options<'a> {
    fn read(
        &mut self,
        form: Form,
        mut words: Cursor<'a>,
        zset: Option<&Zset>,
    ) -> Result<(), ReplyError> {
        while let Some(word) = words.next() {
            let more = words.remaining();
            let is = |option| args::is(word, option);
            if is("withdist") {
                self.with.distance = true;
            } else if is("withhash") {
                self.with.hash = true;
            } else if is("withcoord") {
                self.with.coordinates = true;
            } else if is("any") {
                self.any = true;
            } else if is("asc") {
                self.order = Some(Order::Ascending);
            } else if is("desc") {
                self.order = Some(Order::Descending);
            } else if is("count") && more >= 1 {
                let count = args::int(words.required()?)?;
                if count <= 0 {
                    return Err(ReplyError::err("COUNT must be > 0"));
                }
                self.limit = Some(usize::try_from(count).unwrap_or(usize::MAX));
            } else if (is("store") || is("storedist")) && more >= 1 && form.may_store() {
                self.store = words.next();
                self.store_distances = is("storedist");
            } else if is("storedist") && form == Form::SearchStore {
                self.store_distances = true;
            } else if form.is_search() {
                self.read_search(word, &mut words, zset)?;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(())
    }

    /// The words that GEOSEARCH gives its centre and shape with.
    fn read_search(
        &mut self,
        word: &[u8],
        words: &mut Cursor<'a>,
        zset: Option<&Zset>,
    ) -> Result<(), ReplyError> {
        let more = words.remaining();
        let is = |option| args::is(word, option);
        if self.polygon.is_some() {
            return Err(ReplyError::SYNTAX);
        }
        let is_circle = matches!(self.shape, Some(Shape::Circle { .. }));
        let is_box = matches!(self.shape, Some(Shape::Box { .. }));
        let from_point = self.centre.is_some() && !self.from_member;
        if is("frommember") && more >= 1 && !from_point {
            let member = words.required()?;
            self.centre = Some(match zset {
                Some(zset) => place_of(zset, member)?,
                None => ORIGIN,
            });
            self.from_member = true;
        } else if is("fromlonlat") && more >= 2 && !self.from_member {
            self.centre = Some(point_of(words.required()?, words.required()?)?);
        } else if is("byradius") && more >= 2 && !is_box {
            self.shape = Some(circle(words.required()?, words.required()?)?);
        } else if is("bybox") && more >= 3 && !is_circle {
            let (width, height) = (words.required()?, words.required()?);
            self.shape = Some(rectangle(width, height, words.required()?)?);
        } else if is("bypolygon") && more >= 1 && self.shape.is_none() && self.centre.is_none() {
            let polygon = polygon(words)?;
            self.centre = Some(polygon.centre);
            self.shape = Some(polygon.circle());
            self.polygon = Some(polygon);
        } else {
            return Err(ReplyError::SYNTAX);
        }
        Ok(())
    }

    /// What may not go together.
    fn check(&self, form: Form, name: &[u8]) -> Result<(), ReplyError> {
        if self.store.is_some() && self.with != With::default() {
            let what = match form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(ReplyError::err(format_args!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if form.is_search() && self.centre.is_none() {
            return Err(ReplyError::err(format_args!(
                "exactly one of FROMMEMBER or FROMLONLAT can be specified for {}",
                shown(name)
            )));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(ReplyError::err(format_args!(
                "exactly one of BYRADIUS and BYBOX can be specified for {}",
                shown(name)
            )));
        }
        if self.any && self.limit.is_none() {
            return Err(ReplyError::err("the ANY argument requires COUNT argument"));
        }
        Ok(())
    }
}

fn place_of(zset: &Zset, member: &[u8]) -> Result<Point, ReplyError> {
    zset.score(member)
        .map(Point::of_score)
        .ok_or_else(|| ReplyError::err("could not decode requested zset member"))
}

fn number(word: &[u8], message: &str) -> Result<f64, ReplyError> {
    args::float(word).map_err(|_| ReplyError::err(message))
}

fn circle(radius: &[u8], unit: &[u8]) -> Result<Shape, ReplyError> {
    let radius = number(radius, "need numeric radius")?;
    if radius < 0.0 {
        return Err(ReplyError::err("radius cannot be negative"));
    }
    let metres = metres_of(unit)?;
    Ok(Shape::Circle { radius, metres })
}

/// `num-vertices lon lat [lon lat ...]`.
fn polygon(words: &mut Cursor<'_>) -> Result<Polygon, ReplyError> {
    let number = args::int(words.required()?)?;
    if number < 3 {
        return Err(ReplyError::err("a polygon must have at least 3 vertices"));
    }
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    if number > words.remaining() / 2 {
        return Err(ReplyError::SYNTAX);
    }
    let mut corners = Vec::with_capacity(number);
    for _ in 0..number {
        corners.push(point_of(words.required()?, words.required()?)?);
    }
    Ok(Polygon::new(corners))
}

fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<Shape, ReplyError> {
    let width = number(width, "need numeric width")?;
    let height = number(height, "need numeric height")?;
    if height < 0.0 || width < 0.0 {
        return Err(ReplyError::err("height or width cannot be negative"));
    }
    let metres = metres_of(unit)?;
    Ok(Shape::Box {
        width,
        height,
        metres,
    })
}
