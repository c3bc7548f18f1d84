//! EVAL, EVALSHA, FCALL and their `_RO` forms.

use crate::command::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeyRef,
    KeySpec, Locking,
};
use crate::script;
use basalt_formats::num;

/// The rows of the commands that run scripts and functions.
/// The keys of a script.
const KEYS: ArgSpec = ArgSpec {
    key_spec: 0,
    optional: true,
    multiple: true,
    ..ArgSpec::new("key", ArgType::Key)
};

/// Its other arguments.
const ARGS: ArgSpec = ArgSpec {
    optional: true,
    multiple: true,
    ..ArgSpec::new("arg", ArgType::String)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "eval",
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Runs a Lua script.",
        complexity: "That of the script.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::MAY_REPLICATE)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec {
            notes: "the script may do anything to its keys",
            ..KeySpec::index(
                2,
                FindKeys::Keynum(0, 1, 1),
                KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
            )
        }],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("script", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: eval,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "eval_ro",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Runs a Lua script that may not write.",
        complexity: "That of the script.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE)
            .or(Flags::READONLY),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec {
            notes: "the script may read any of its keys",
            ..KeySpec::index(
                2,
                FindKeys::Keynum(0, 1, 1),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            )
        }],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("script", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: eval_ro,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "evalsha",
        group: Group::Scripting,
        since: "2.6.0",
        summary: "Runs a cached Lua script, named by its SHA1.",
        complexity: "That of the script.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::MAY_REPLICATE)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec::index(
            2,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("sha1", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: evalsha,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "evalsha_ro",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Runs a cached Lua script, named by its SHA1, that may not write.",
        complexity: "That of the script.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE)
            .or(Flags::READONLY),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec::index(
            2,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("sha1", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: evalsha_ro,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "fcall",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Calls a function of a loaded library.",
        complexity: "That of the function.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::MAY_REPLICATE)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec {
            notes: "the function may do anything to its keys",
            ..KeySpec::index(
                2,
                FindKeys::Keynum(0, 1, 1),
                KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
            )
        }],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("function", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: fcall,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "fcall_ro",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Calls a function of a loaded library that may not write.",
        complexity: "That of the function.",
        arity: -3,
        flags: Flags::NOSCRIPT
            .or(Flags::SKIP_MONITOR)
            .or(Flags::NO_MANDATORY_KEYS)
            .or(Flags::STALE)
            .or(Flags::READONLY),
        acl: Acl::SCRIPTING,
        keys: &[KeySpec {
            notes: "the function may read any of its keys",
            ..KeySpec::index(
                2,
                FindKeys::Keynum(0, 1, 1),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            )
        }],
        get_keys: Some(script_get_keys),
        args: &[
            ArgSpec::new("function", ArgType::String),
            ArgSpec::new("numkeys", ArgType::Integer),
            KEYS,
            ARGS,
        ],
        locking: Locking::Touched,
        handler: fcall_ro,
        ..CommandSpec::BLANK
    },
];

/// The keys named by the number in front of them.
fn script_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let count = usize::try_from(num::parse_i64(args.get(2)?)?).ok()?;
    if count == 0 || count > args.len() - 3 {
        return None;
    }
    let flags = match args.first() {
        Some(name) if name.len() > 3 && name[name.len() - 3..].eq_ignore_ascii_case(b"_ro") => {
            KeyFlags::RO.or(KeyFlags::ACCESS)
        }
        _ => KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
    };
    Some((3..3 + count).map(|at| (at, flags)).collect())
}

fn eval(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::eval(ctx, args, false, false)
}

fn eval_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::eval(ctx, args, false, true)
}

fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::eval(ctx, args, true, false)
}

fn evalsha_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::eval(ctx, args, true, true)
}

fn fcall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::fcall(ctx, args, false)
}

fn fcall_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    script::fcall(ctx, args, true)
}
