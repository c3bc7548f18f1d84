//! GEOSEARCH and GEOSEARCHSTORE.

use super::request::Form;
use super::search;
use super::words::{COUNT, ORDER, UNIT, WITHCOORD, WITHDIST, WITHHASH};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

/// Around which point.
const CENTER: ArgSpec = ArgSpec {
    args: &[
        ArgSpec {
            token: "FROMMEMBER",
            ..ArgSpec::new("member", ArgType::String)
        },
        ArgSpec {
            token: "FROMLONLAT",
            args: &[
                ArgSpec::new("longitude", ArgType::Double),
                ArgSpec::new("latitude", ArgType::Double),
            ],
            ..ArgSpec::new("fromlonlat", ArgType::Block)
        },
    ],
    optional: true,
    ..ArgSpec::new("from", ArgType::OneOf)
};

/// Within which shape.
const SHAPE: ArgSpec = ArgSpec {
    args: &[
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "BYRADIUS",
                    ..ArgSpec::new("radius", ArgType::Double)
                },
                UNIT,
            ],
            ..ArgSpec::new("circle", ArgType::Block)
        },
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "BYBOX",
                    ..ArgSpec::new("width", ArgType::Double)
                },
                ArgSpec::new("height", ArgType::Double),
                UNIT,
            ],
            ..ArgSpec::new("box", ArgType::Block)
        },
        ArgSpec {
            since: "9.0.0",
            args: &[
                ArgSpec {
                    token: "BYPOLYGON",
                    ..ArgSpec::new("num-vertices", ArgType::Integer)
                },
                ArgSpec {
                    multiple: true,
                    args: &[
                        ArgSpec::new("longitude", ArgType::Double),
                        ArgSpec::new("latitude", ArgType::Double),
                    ],
                    ..ArgSpec::new("vertex", ArgType::Block)
                },
            ],
            ..ArgSpec::new("polygon", ArgType::Block)
        },
    ],
    ..ArgSpec::new("by", ArgType::OneOf)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "geosearch",
        group: Group::Geo,
        since: "6.2.0",
        summary: "Finds the places inside a circle, a rectangle or a polygon.",
        complexity: "O(N+log(M)), N being the places in the grid cells around the shape and M those \
        inside it.",
        arity: -7,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            CENTER,
            SHAPE,
            ORDER,
            COUNT,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
        ],
        history: &[
            ("7.0.0", "Units may be in upper case."),
            ("9.0.0", "New option `BYPOLYGON`."),
        ],
        handler: geosearch,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "geosearchstore",
        group: Group::Geo,
        since: "6.2.0",
        summary: "Finds the places inside a circle, a rectangle or a polygon and stores them.",
        complexity: "O(N+log(M)), N being the places in the grid cells around the shape and M those \
        inside it.",
        arity: -8,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::GEO,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::one(2, KeyFlags::RO.or(KeyFlags::ACCESS)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("source", ArgType::Key)
            },
            CENTER,
            SHAPE,
            ORDER,
            COUNT,
            ArgSpec {
                token: "STOREDIST",
                optional: true,
                ..ArgSpec::new("storedist", ArgType::PureToken)
            },
        ],
        history: &[
            ("7.0.0", "Units may be in upper case."),
            ("9.0.0", "New option `BYPOLYGON`."),
        ],
        handler: geosearchstore,
        ..CommandSpec::BLANK
    },
];

fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::Search)
}

fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::SearchStore)
}
