//! GEOADD: ZADD with scores made of coordinates; that is also what is logged.

use super::point_of;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::sorted_set;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "geoadd",
    group: Group::Geo,
    since: "3.2.0",
    summary: "Puts places, given by longitude and latitude, into a geo index.",
    complexity: "O(log(N)) for each place, N being the size of the index.",
    arity: -5,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    acl: Acl::GEO,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            since: "6.2.0",
            ..ArgSpec::ABSENT_OR_PRESENT
        },
        ArgSpec {
            token: "CH",
            since: "6.2.0",
            optional: true,
            ..ArgSpec::new("change", ArgType::PureToken)
        },
        ArgSpec {
            multiple: true,
            args: &[
                ArgSpec::new("longitude", ArgType::Double),
                ArgSpec::new("latitude", ArgType::Double),
                ArgSpec::new("member", ArgType::String),
            ],
            ..ArgSpec::new("data", ArgType::Block)
        },
    ],
    history: &[("6.2.0", "New options `CH`, `NX` and `XX`.")],
    handler: geoadd,
    ..CommandSpec::BLANK
}];

fn geoadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (mut nx, mut xx, mut first) = (false, false, 2);
    while let Some(word) = args.get(first) {
        match () {
            () if args::is(word, "nx") => nx = true,
            () if args::is(word, "xx") => xx = true,
            () if args::is(word, "ch") => {}
            () => break,
        }
        first += 1;
    }
    let (options, places) = args.split_at(first);
    if !places.len().is_multiple_of(3) || nx && xx {
        return Err(ReplyError::SYNTAX);
    }
    let scores = places
        .chunks_exact(3)
        .map(|place| Ok(point_of(place[0], place[1])?.score().to_string()))
        .collect::<Result<Vec<String>, ReplyError>>()?;
    let mut words: Vec<&[u8]> = vec![b"zadd"];
    words.extend(&options[1..]);
    for (score, place) in scores.iter().zip(places.chunks_exact(3)) {
        words.extend([score.as_bytes(), place[2]]);
    }
    sorted_set::zadd(ctx, &words)?;
    ctx.propagate(&words);
    Ok(())
}
