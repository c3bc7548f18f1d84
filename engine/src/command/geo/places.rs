//! GEODIST, GEOHASH and GEOPOS: looking at places that are in an index.

use super::{coordinates, distance_text, metres_of};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::structs::geohash::{self, Point};
use crate::value::Zset;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "geodist",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Computes the distance between two places of a geo index.",
        complexity: "O(1)",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member1", ArgType::String),
            ArgSpec::new("member2", ArgType::String),
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "M",
                        ..ArgSpec::new("m", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "KM",
                        ..ArgSpec::new("km", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "FT",
                        ..ArgSpec::new("ft", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MI",
                        ..ArgSpec::new("mi", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("unit", ArgType::OneOf)
            },
        ],
        handler: geodist,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "geohash",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Reads places of a geo index as geohash strings.",
        complexity: "O(1) for each place.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("member", ArgType::String)
            },
        ],
        handler: geohash,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "geopos",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Reads the longitude and latitude of places of a geo index.",
        complexity: "O(1) for each place.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("member", ArgType::String)
            },
        ],
        handler: geopos,
        ..CommandSpec::BLANK
    },
];

fn place_of(zset: Option<&Zset>, member: &[u8]) -> Option<Point> {
    Some(Point::of_score(zset?.score(member)?))
}

fn geodist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let metres = match args.get(4) {
        _ if args.len() > 5 => return Err(ReplyError::SYNTAX),
        Some(unit) => metres_of(unit)?,
        None => 1.0,
    };
    let zset = ctx.ks.zset(args[1])?;
    match (place_of(zset, args[2]), place_of(zset, args[3])) {
        (Some(a), Some(b)) => {
            let distance = geohash::between(a, b) / metres;
            ctx.out.bulk(&distance_text(distance));
        }
        _ => ctx.out.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.ks.zset(args[1])?;
    ctx.out.array(args.len() - 2);
    for member in &args[2..] {
        let text = place_of(zset, member).map(Point::geohash);
        ctx.out.bulk_opt(text.as_ref().map(|text| &text[..]));
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let zset = ctx.ks.zset(args[1])?;
    ctx.out.array(args.len() - 2);
    for member in &args[2..] {
        match place_of(zset, member) {
            Some(point) => coordinates(ctx.out, point),
            None => ctx.out.null_array(),
        }
    }
    Ok(())
}
