//! Times at which fields of a hash expire: HEXPIRE and its kin, HPERSIST, HTTL and its kin.
//!
//! Replies and errors follow Valkey 9; Redis 7.4 has the same commands with other error texts.
//! The log gets absolute times, and HDEL for what a time in the past removes at once.

use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::generic::expire::{CONDITION, Conditions};
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::value::hash::MAX_EXPIRE_MS;

/// Which fields.
pub(super) const FIELDS: ArgSpec = ArgSpec {
    token: "FIELDS",
    args: &[
        ArgSpec::new("numfields", ArgType::Integer),
        ArgSpec {
            multiple: true,
            ..ArgSpec::new("field", ArgType::String)
        },
    ],
    ..ArgSpec::new("fields", ArgType::Block)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hexpire",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Makes fields of a hash expire after some seconds.",
        complexity: "O(N) for N fields given.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("seconds", ArgType::Integer),
            CONDITION,
            FIELDS,
        ],
        handler: hexpire,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hpexpire",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Makes fields of a hash expire after some milliseconds.",
        complexity: "O(N) for N fields given.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("milliseconds", ArgType::Integer),
            CONDITION,
            FIELDS,
        ],
        handler: hpexpire,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hexpireat",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Makes fields of a hash expire at a Unix time in seconds.",
        complexity: "O(N) for N fields given.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("unix-time-seconds", ArgType::UnixTime),
            CONDITION,
            FIELDS,
        ],
        handler: hexpireat,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hpexpireat",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Makes fields of a hash expire at a Unix time in milliseconds.",
        complexity: "O(N) for N fields given.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime),
            CONDITION,
            FIELDS,
        ],
        handler: hpexpireat,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hpersist",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Makes fields of a hash expire no more.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        handler: hpersist,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "httl",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells in how many seconds fields of a hash expire.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        tips: &["nondeterministic_output"],
        handler: httl,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hpttl",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells in how many milliseconds fields of a hash expire.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        tips: &["nondeterministic_output"],
        handler: hpttl,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hexpiretime",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells the Unix time in seconds at which fields of a hash expire.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        handler: hexpiretime,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hpexpiretime",
        group: Group::Hash,
        since: "7.4.0",
        summary: "Tells the Unix time in milliseconds at which fields of a hash expire.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        handler: hpexpiretime,
        ..CommandSpec::BLANK
    },
];

/// What is said of a field that is not there.
const NO_FIELD: i64 = -2;
/// What is said of a field that does not expire.
const NO_EXPIRY: i64 = -1;

/// The words before `FIELDS`, and the `step`-fold number of words behind it that it announces;
/// looked for from word `from` on.
///
/// # Errors
/// The number is no integer, not positive, or not that of the words; there is no `FIELDS`.
pub(super) fn split_fields(
    args: Args<'_>,
    from: usize,
    step: usize,
) -> Result<(Args<'_>, Args<'_>), ReplyError> {
    let mismatch = || {
        ReplyError::err(
            "numfields should be greater than 0 and match the provided number of fields",
        )
    };
    let words = args.get(from..).unwrap_or_default();
    let at = words.iter().position(|word| args::is(word, "FIELDS"));
    let (before, behind) = words.split_at(at.ok_or_else(mismatch)?);
    let [_, number, fields @ ..] = behind else {
        return Err(mismatch());
    };
    let number = usize::try_from(args::int(number)?).unwrap_or(0);
    match number.checked_mul(step) {
        Some(words) if words > 0 && words == fields.len() => Ok((before, fields)),
        _ => Err(mismatch()),
    }
}

/// Unix milliseconds of a time given in units of so many milliseconds after `base_ms`.
///
/// # Errors
/// No integer; negative or too late.
pub(super) fn time_at(
    ctx: &Ctx<'_>,
    word: &[u8],
    unit_ms: i64,
    base_ms: i64,
) -> Result<i64, ReplyError> {
    args::int(word)?
        .checked_mul(unit_ms)
        .filter(|ms| *ms >= 0)
        .and_then(|ms| ms.checked_add(base_ms))
        .filter(|at| *at <= MAX_EXPIRE_MS)
        .ok_or_else(|| ReplyError::invalid_expire(ctx.name()))
}

/// Logs that these fields expire at a time.
pub(super) fn propagate_expiry(ctx: &mut Ctx<'_>, key: &[u8], at_ms: i64, fields: &[&[u8]]) {
    if ctx.engine().log.is_active() {
        let (mut at, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut words = vec![b"HPEXPIREAT", key, at.format(at_ms).as_bytes(), b"FIELDS"];
        words.push(count.format(fields.len()).as_bytes());
        words.extend(fields);
        ctx.propagate(&words);
    }
}

/// Logs that these fields are gone.
pub(super) fn propagate_removal(ctx: &mut Ctx<'_>, key: &[u8], fields: &[&[u8]]) {
    let mut words: Vec<&[u8]> = vec![b"HDEL", key];
    words.extend(fields);
    ctx.propagate(&words);
}

/// What follows when fields were changed: events in this order, and the end of the key with
/// its last field.
pub(super) fn changed(ctx: &mut Ctx<'_>, key: &[u8], events: &[&'static str], changes: usize) {
    let ks = &mut ctx.ks;
    let empty = ks.glance(key).is_some_and(
        |found| matches!(found.value, Some(crate::value::Value::Hash(hash)) if hash.is_empty()),
    );
    if empty {
        ks.remove(key);
    } else {
        ks.note_field_times(key);
    }
    ks.modified(key);
    for event in events {
        ks.notify(NotifyClass::HASH, event, key);
    }
    if empty {
        ks.notify(NotifyClass::GENERIC, "del", key);
    }
    ks.dirty += changes as u64;
}

fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    expire(ctx, args, 1000, now_ms)
}

fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    expire(ctx, args, 1, now_ms)
}

fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    expire(ctx, args, 1000, 0)
}

fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    expire(ctx, args, 1, 0)
}

/// Replies for each field: -2 not there, 0 condition not met, 1 set, 2 removed, the time being
/// past.
fn expire(ctx: &mut Ctx<'_>, args: Args<'_>, unit_ms: i64, base_ms: i64) -> CmdResult {
    let key = args[1];
    let (conditions, fields) = split_fields(args, 3, 1)?;
    let conditions = Conditions::parse(conditions)?;
    let at = time_at(ctx, args[2], unit_ms, base_ms)?;
    let past = at <= ctx.ks.due_ms;
    let Some(hash) = ctx.ks.hash_mut(key)? else {
        return reply_for_none(ctx, fields.len());
    };
    let mut replies = Vec::with_capacity(fields.len());
    let mut done: Vec<&[u8]> = Vec::new();
    for &field in fields {
        replies.push(if !hash.contains(field) {
            NO_FIELD
        } else if !conditions.allow(hash.expiry(field), at) {
            0
        } else {
            done.push(field);
            if past {
                hash.remove(field);
                2
            } else {
                hash.set_expiry(field, at);
                1
            }
        });
    }
    reply_ints(ctx, &replies);
    if !done.is_empty() {
        if past {
            propagate_removal(ctx, key, &done);
            changed(ctx, key, &["hexpired"], done.len());
        } else {
            propagate_expiry(ctx, key, at, &done);
            changed(ctx, key, &["hexpire"], done.len());
        }
    }
    Ok(())
}

fn reply_ints(ctx: &mut Ctx<'_>, replies: &[i64]) {
    ctx.out.array(replies.len());
    for reply in replies {
        ctx.out.int(*reply);
    }
}

fn reply_for_none(ctx: &mut Ctx<'_>, fields: usize) -> CmdResult {
    ctx.out.array(fields);
    for _ in 0..fields {
        ctx.out.int(NO_FIELD);
    }
    Ok(())
}

/// Replies for each field: -2 not there, -1 it did not expire, 1 it does no more.
fn hpersist(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, fields) = (args[1], fields_only(args)?);
    let Some(hash) = ctx.ks.hash_mut(key)? else {
        return reply_for_none(ctx, fields.len());
    };
    let mut replies = Vec::with_capacity(fields.len());
    let mut changes = 0;
    for field in fields {
        replies.push(if hash.persist(field) {
            changes += 1;
            1
        } else if hash.contains(field) {
            NO_EXPIRY
        } else {
            NO_FIELD
        });
    }
    reply_ints(ctx, &replies);
    if changes > 0 {
        changed(ctx, key, &["hpersist"], changes);
    }
    Ok(())
}

/// The fields of a request that has nothing else.
pub(super) fn fields_only(args: Args<'_>) -> Result<Args<'_>, ReplyError> {
    match split_fields(args, 2, 1)? {
        ([], fields) => Ok(fields),
        _ => Err(ReplyError::SYNTAX),
    }
}

fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    tell(ctx, args, |at| ((at - now_ms).max(0) + 500) / 1000)
}

fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let now_ms = ctx.ks.now_ms;
    tell(ctx, args, |at| (at - now_ms).max(0))
}

fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell(ctx, args, |at| (at + 500) / 1000)
}

fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell(ctx, args, |at| at)
}

/// Replies for each field: -2 not there, -1 it does not expire, else what `form` makes of the
/// time. Times are within 48 bits, so sums with them stay in range.
fn tell(ctx: &mut Ctx<'_>, args: Args<'_>, form: impl Fn(i64) -> i64) -> CmdResult {
    let fields = fields_only(args)?;
    let hash = ctx.ks.hash(args[1])?;
    ctx.out.array(fields.len());
    for field in fields {
        ctx.out.int(match hash {
            Some(hash) if hash.contains(field) => hash.expiry(field).map_or(NO_EXPIRY, &form),
            _ => NO_FIELD,
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "expire_tests.rs"]
mod tests;
