//! XTRIM: removing the oldest entries.

use super::trim;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::keyspace::NotifyClass;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xtrim",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Removes the oldest entries of a stream.",
    complexity: "O(N), N being the entries removed; whole nodes go at once, so the constant is \
            small.",
    arity: -4,
    flags: Flags::WRITE,
    acl: Acl::STREAM,
    keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec {
            args: &[
                ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "MAXLEN",
                            ..ArgSpec::new("maxlen", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "MINID",
                            since: "6.2.0",
                            ..ArgSpec::new("minid", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("strategy", ArgType::OneOf)
                },
                ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "=",
                            ..ArgSpec::new("equal", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "~",
                            ..ArgSpec::new("approximately", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("operator", ArgType::OneOf)
                },
                ArgSpec::new("threshold", ArgType::String),
                ArgSpec {
                    token: "LIMIT",
                    since: "6.2.0",
                    optional: true,
                    ..ArgSpec::new("count", ArgType::Integer)
                },
            ],
            ..ArgSpec::new("trim", ArgType::Block)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "New option `LIMIT`; trimming by `MINID`.")],
    handler: xtrim,
    ..CommandSpec::BLANK
}];

fn xtrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = trim::parse(ctx, args, false)?;
    let key = args[1];
    let Some(stream) = ctx.ks.stream_mut(key)? else {
        ctx.out.int(0);
        return Ok(());
    };
    let removed = options.trim.map_or(0, |trim| stream.trim(&trim));
    if removed > 0 {
        if let Some(rewrite) = trim::rewritten(&options, stream) {
            let mut words = args.to_vec();
            rewrite.apply(&mut words);
            ctx.propagate(&words);
        }
        ctx.ks.notify(NotifyClass::STREAM, "xtrim", key);
        ctx.ks.modified(key);
        ctx.ks.dirty += removed;
    }
    ctx.out.int(i64::try_from(removed).unwrap_or(i64::MAX));
    Ok(())
}
