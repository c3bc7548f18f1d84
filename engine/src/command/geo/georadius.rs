//! GEORADIUS and GEORADIUSBYMEMBER, and their variants that never store: the older commands that
//! GEOSEARCH replaced.

use super::request::Form;
use super::search;
use super::words::{COUNT, ORDER, UNIT, WITHCOORD, WITHDIST, WITHHASH};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeyRef,
    KeySpec,
};

/// The same where `ANY` came later.
const COUNT_SINCE_ANY: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            token: "COUNT",
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "ANY",
            since: "6.2.0",
            optional: true,
            ..ArgSpec::new("any", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("count-block", ArgType::Block)
};

/// Where the result goes.
const STORE: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            token: "STORE",
            key_spec: 1,
            display: "key",
            ..ArgSpec::new("storekey", ArgType::Key)
        },
        ArgSpec {
            token: "STOREDIST",
            key_spec: 2,
            display: "key",
            ..ArgSpec::new("storedistkey", ArgType::Key)
        },
    ],
    ..ArgSpec::new("store", ArgType::OneOf)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "georadius",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Finds the places within a distance of a point, and may store them.",
        complexity: "O(N+log(M)), N being the places in the box around the circle and M the size of \
        the index.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::GEO,
        keys: &[
            KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS)),
            KeySpec::keyword(
                "STORE",
                6,
                FindKeys::Range(0, 1, 0),
                KeyFlags::OW.or(KeyFlags::UPDATE),
            ),
            KeySpec::keyword(
                "STOREDIST",
                6,
                FindKeys::Range(0, 1, 0),
                KeyFlags::OW.or(KeyFlags::UPDATE),
            ),
        ],
        get_keys: Some(georadius_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("longitude", ArgType::Double),
            ArgSpec::new("latitude", ArgType::Double),
            ArgSpec::new("radius", ArgType::Double),
            UNIT,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT_SINCE_ANY,
            ORDER,
            STORE,
        ],
        history: &[
            ("6.2.0", "`COUNT` takes `ANY`."),
            ("7.0.0", "Units may be in upper case."),
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        handler: georadius,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "georadius_ro",
        group: Group::Geo,
        since: "3.2.10",
        summary: "Finds the places within a distance of a point, never storing.",
        complexity: "O(N+log(M)), N being the places in the box around the circle and M the size of \
        the index.",
        arity: -6,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("longitude", ArgType::Double),
            ArgSpec::new("latitude", ArgType::Double),
            ArgSpec::new("radius", ArgType::Double),
            UNIT,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT_SINCE_ANY,
            ORDER,
        ],
        history: &[
            ("6.2.0", "`COUNT` takes `ANY`."),
            ("7.0.0", "Units may be in upper case."),
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
        handler: georadius_ro,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "georadiusbymember",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Finds the places within a distance of another place, and may store them.",
        complexity: "O(N+log(M)), N being the places in the box around the circle and M the size of \
        the index.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::GEO,
        keys: &[
            KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS)),
            KeySpec::keyword(
                "STORE",
                5,
                FindKeys::Range(0, 1, 0),
                KeyFlags::OW.or(KeyFlags::UPDATE),
            ),
            KeySpec::keyword(
                "STOREDIST",
                5,
                FindKeys::Range(0, 1, 0),
                KeyFlags::OW.or(KeyFlags::UPDATE),
            ),
        ],
        get_keys: Some(georadius_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
            ArgSpec::new("radius", ArgType::Double),
            UNIT,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT,
            ORDER,
            STORE,
        ],
        history: &[
            ("6.2.0", "`COUNT` takes `ANY`."),
            ("7.0.0", "Units may be in upper case."),
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        handler: georadiusbymember,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "georadiusbymember_ro",
        group: Group::Geo,
        since: "3.2.10",
        summary: "Finds the places within a distance of another place, never storing.",
        complexity: "O(N+log(M)), N being the places in the box around the circle and M the size of \
        the index.",
        arity: -5,
        flags: Flags::READONLY,
        acl: Acl::GEO,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("member", ArgType::String),
            ArgSpec::new("radius", ArgType::Double),
            UNIT,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT,
            ORDER,
        ],
        history: &[
            ("6.2.0", "`COUNT` takes `ANY`."),
            ("7.0.0", "Units may be in upper case."),
        ],
        deprecated_since: "6.2.0",
        replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        handler: georadiusbymember_ro,
        ..CommandSpec::BLANK
    },
];

/// The searched key and the last destination.
fn georadius_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    args.get(1)?;
    let mut keys = vec![(1, KeyFlags::RO.or(KeyFlags::ACCESS))];
    let mut at = 5;
    while let Some(word) = args.get(at) {
        if (args::is(word, "store") || args::is(word, "storedist")) && at + 1 < args.len() {
            at += 1;
            keys.truncate(1);
            keys.push((at, KeyFlags::OW.or(KeyFlags::UPDATE)));
        }
        at += 1;
    }
    Some(keys)
}

fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::Radius { may_store: true })
}

fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::Radius { may_store: false })
}

fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::RadiusByMember { may_store: true })
}

fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    search::run(ctx, args, Form::RadiusByMember { may_store: false })
}
