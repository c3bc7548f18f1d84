//! Parts of argument trees that several commands on places have.

use crate::command::spec::{ArgSpec, ArgType};

/// `WITHCOORD`.
pub(super) const WITHCOORD: ArgSpec = ArgSpec {
    token: "WITHCOORD",
    optional: true,
    ..ArgSpec::new("withcoord", ArgType::PureToken)
};

/// `WITHDIST`.
pub(super) const WITHDIST: ArgSpec = ArgSpec {
    token: "WITHDIST",
    optional: true,
    ..ArgSpec::new("withdist", ArgType::PureToken)
};

/// `WITHHASH`.
pub(super) const WITHHASH: ArgSpec = ArgSpec {
    token: "WITHHASH",
    optional: true,
    ..ArgSpec::new("withhash", ArgType::PureToken)
};

/// The unit of a distance.
pub(super) const UNIT: ArgSpec = ArgSpec {
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
};

/// The order of the reply.
pub(super) const ORDER: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            token: "ASC",
            ..ArgSpec::new("asc", ArgType::PureToken)
        },
        ArgSpec {
            token: "DESC",
            ..ArgSpec::new("desc", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("order", ArgType::OneOf)
};

/// How many places, and whether any will do.
pub(super) const COUNT: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            token: "COUNT",
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "ANY",
            optional: true,
            ..ArgSpec::new("any", ArgType::PureToken)
        },
    ],
    ..ArgSpec::new("count-block", ArgType::Block)
};
