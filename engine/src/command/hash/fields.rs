//! HGETEX, HSETEX and HGETDEL: reading or writing fields, and their expiry, in one step.
//!
//! Options and replies follow Valkey 9, which has those of Redis 8 and `NX`/`XX` on the key.
//! The log gets what older commands and HPEXPIREAT say.

use crate::command::args::{self, Cursor};
use crate::command::collection::bulk_element;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::value::Hash;

use super::expire::{
    FIELDS, changed, fields_only, propagate_expiry, propagate_removal, split_fields, time_at,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetex",
        group: Group::Hash,
        since: "8.0.0",
        summary: "Reads fields of a hash and sets or removes their expiry.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "EX",
                        ..ArgSpec::new("seconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "PX",
                        ..ArgSpec::new("milliseconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "EXAT",
                        ..ArgSpec::new("unix-time-seconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "PXAT",
                        ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "PERSIST",
                        ..ArgSpec::new("persist", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("expiration", ArgType::OneOf)
            },
            FIELDS,
        ],
        handler: hgetex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hsetex",
        group: Group::Hash,
        since: "8.0.0",
        summary: "Writes fields of a hash with an expiry, under conditions.",
        complexity: "O(N) for N fields given.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::UPDATE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "FNX",
                        ..ArgSpec::new("fnx", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "FXX",
                        ..ArgSpec::new("fxx", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("condition", ArgType::OneOf)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "EX",
                        ..ArgSpec::new("seconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "PX",
                        ..ArgSpec::new("milliseconds", ArgType::Integer)
                    },
                    ArgSpec {
                        token: "EXAT",
                        ..ArgSpec::new("unix-time-seconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "PXAT",
                        ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
                    },
                    ArgSpec {
                        token: "KEEPTTL",
                        ..ArgSpec::new("keepttl", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("expiration", ArgType::OneOf)
            },
            ArgSpec {
                token: "FIELDS",
                args: &[
                    ArgSpec::new("numfields", ArgType::Integer),
                    ArgSpec {
                        multiple: true,
                        args: &[
                            ArgSpec::new("field", ArgType::String),
                            ArgSpec::new("value", ArgType::String),
                        ],
                        ..ArgSpec::new("data", ArgType::Block)
                    },
                ],
                ..ArgSpec::new("fields", ArgType::Block)
            },
        ],
        handler: hsetex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "hgetdel",
        group: Group::Hash,
        since: "8.0.0",
        summary: "Reads fields of a hash and removes them.",
        complexity: "O(N) for N fields given.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::HASH,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            FIELDS,
        ],
        handler: hgetdel,
        ..CommandSpec::BLANK
    },
];

/// What is to become of the expiry of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expiry {
    /// Nothing was said.
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// At a time.
    At(i64),
}

/// Takes a word on the expiry; false if it is none.
fn take_expiry(
    ctx: &Ctx<'_>,
    word: &[u8],
    words: &mut Cursor<'_>,
    expiry: &mut Expiry,
) -> Result<bool, ReplyError> {
    let now_ms = ctx.ks.now_ms;
    let (unit_ms, base_ms) = match word {
        word if args::is(word, "EX") => (1000, now_ms),
        word if args::is(word, "PX") => (1, now_ms),
        word if args::is(word, "EXAT") => (1000, 0),
        word if args::is(word, "PXAT") => (1, 0),
        _ => return Ok(false),
    };
    if *expiry != Expiry::Unsaid {
        return Err(ReplyError::SYNTAX);
    }
    *expiry = Expiry::At(time_at(ctx, words.required()?, unit_ms, base_ms)?);
    Ok(true)
}

fn hgetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let (options, fields) = split_fields(args, 2, 1)?;
    let mut expiry = Expiry::Unsaid;
    let mut words = Cursor::new(options, 0);
    while let Some(word) = words.next() {
        if args::is(word, "PERSIST") && expiry == Expiry::Unsaid {
            expiry = Expiry::Persist;
        } else if !take_expiry(ctx, word, &mut words, &mut expiry)? {
            return Err(ReplyError::SYNTAX);
        }
    }
    reply_values(ctx, key, fields)?;
    if expiry == Expiry::Unsaid {
        return Ok(());
    }
    let due_ms = ctx.ks.due_ms;
    let Some(hash) = ctx.ks.hash_mut(key)? else {
        return Ok(());
    };
    let mut done: Vec<&[u8]> = Vec::new();
    for &field in fields {
        let change = match expiry {
            Expiry::At(at) if at <= due_ms => hash.remove(field),
            Expiry::At(at) => hash.set_expiry(field, at),
            _ => hash.persist(field),
        };
        if change {
            done.push(field);
        }
    }
    if done.is_empty() {
        return Ok(());
    }
    let event = match expiry {
        Expiry::At(at) if at <= due_ms => {
            propagate_removal(ctx, key, &done);
            "hexpired"
        }
        Expiry::At(at) => {
            propagate_expiry(ctx, key, at, &done);
            "hexpire"
        }
        _ => {
            let mut count = itoa::Buffer::new();
            let mut words = vec![b"HPERSIST", key, b"FIELDS"];
            words.push(count.format(done.len()).as_bytes());
            words.extend(&done);
            ctx.propagate(&words);
            "hpersist"
        }
    };
    changed(ctx, key, &[event], done.len());
    Ok(())
}

/// Replies with the values of these fields, null for those that are not there.
fn reply_values(ctx: &mut Ctx<'_>, key: &[u8], fields: Args<'_>) -> CmdResult {
    let hash = ctx.ks.hash(key)?;
    ctx.out.array(fields.len());
    for field in fields {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => bulk_element(ctx.out, value),
            None => ctx.out.null(),
        }
    }
    Ok(())
}

fn hgetdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, fields) = (args[1], fields_only(args)?);
    reply_values(ctx, key, fields)?;
    let Some(hash) = ctx.ks.hash_mut(key)? else {
        return Ok(());
    };
    let done: Vec<&[u8]> = fields
        .iter()
        .copied()
        .filter(|field| hash.remove(field))
        .collect();
    if !done.is_empty() {
        propagate_removal(ctx, key, &done);
        changed(ctx, key, &["hdel"], done.len());
    }
    Ok(())
}

/// Options of HSETEX.
struct Setting {
    expiry: Expiry,
    /// Whether the key has to be there (`XX`) or must not be (`NX`).
    key: Option<bool>,
    /// Whether all fields have to be there (`FXX`) or none (`FNX`).
    fields: Option<bool>,
}

impl Setting {
    fn parse(ctx: &Ctx<'_>, options: Args<'_>) -> Result<Setting, ReplyError> {
        let mut setting = Setting {
            expiry: Expiry::Unsaid,
            key: None,
            fields: None,
        };
        let mut words = Cursor::new(options, 0);
        while let Some(word) = words.next() {
            let (condition, wanted) = match word {
                word if args::is(word, "NX") => (&mut setting.key, false),
                word if args::is(word, "XX") => (&mut setting.key, true),
                word if args::is(word, "FNX") => (&mut setting.fields, false),
                word if args::is(word, "FXX") => (&mut setting.fields, true),
                word if args::is(word, "KEEPTTL") && setting.expiry == Expiry::Unsaid => {
                    setting.expiry = Expiry::Keep;
                    continue;
                }
                word => {
                    if !take_expiry(ctx, word, &mut words, &mut setting.expiry)? {
                        return Err(ReplyError::SYNTAX);
                    }
                    continue;
                }
            };
            if condition.replace(wanted).is_some_and(|was| was != wanted) {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(setting)
    }
}

fn hsetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let (options, data) = split_fields(args, 2, 2)?;
    let setting = Setting::parse(ctx, options)?;
    let (pairs, _) = data.as_chunks::<2>();
    let present: Option<&Hash> = ctx.ks.hash_mut(key)?.map(|hash| &*hash);
    let has = |field: &[u8]| present.is_some_and(|hash| hash.contains(field));
    let refused = setting
        .key
        .is_some_and(|wanted| present.is_some() != wanted)
        || setting
            .fields
            .is_some_and(|wanted| pairs.iter().any(|[field, _]| has(field) != wanted));
    if refused {
        ctx.out.int(0);
        return Ok(());
    }
    ctx.out.int(1);
    match setting.expiry {
        Expiry::At(at) if at <= ctx.ks.due_ms => set_past(ctx, key, pairs),
        expiry => set_lasting(ctx, key, data, expiry),
    }
}

/// Fields set to expire in the past are gone at once.
fn set_past(ctx: &mut Ctx<'_>, key: &[u8], pairs: &[[&[u8]; 2]]) -> CmdResult {
    let hash = ctx.ks.hash_or_create(key)?;
    let done: Vec<&[u8]> = pairs
        .iter()
        .map(|[field, _]| *field)
        .filter(|field| hash.remove(field))
        .collect();
    propagate_removal(ctx, key, &done);
    changed(ctx, key, &["hset", "hexpire", "hexpired"], done.len());
    Ok(())
}

fn set_lasting(ctx: &mut Ctx<'_>, key: &[u8], data: Args<'_>, expiry: Expiry) -> CmdResult {
    let limits = ctx.engine().settings.hash_limits();
    let (pairs, _) = data.as_chunks::<2>();
    let hash = ctx.ks.hash_or_create(key)?;
    hash.prepare(data.iter().copied(), &limits);
    // Fields by the time at which they expire now.
    let mut times: Vec<(i64, Vec<&[u8]>)> = Vec::new();
    for [field, value] in pairs {
        match expiry {
            Expiry::Keep => {
                hash.set_value(field, value, &limits);
            }
            Expiry::At(at) => {
                hash.set_value(field, value, &limits);
                hash.set_expiry(field, at);
            }
            Expiry::Unsaid | Expiry::Persist => {
                hash.set(field, value, &limits);
            }
        }
        if let Some(at) = hash.expiry(field) {
            match times.last_mut() {
                Some((last, fields)) if *last == at => fields.push(field),
                _ => times.push((at, vec![field])),
            }
        }
    }
    let mut words: Vec<&[u8]> = vec![b"HSET", key];
    words.extend(data);
    ctx.propagate(&words);
    for (at, fields) in &times {
        propagate_expiry(ctx, key, *at, fields);
    }
    let events: &[&'static str] = match expiry {
        Expiry::At(_) => &["hset", "hexpire"],
        _ => &["hset"],
    };
    changed(ctx, key, events, pairs.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn hgetex_reads_and_sets() {
        let mut c = Client::with_events();
        c.run("HSET h a 1 b 2");
        assert_eq!(c.run("HGETEX h FIELDS 2 a x"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(c.run("HGETEX none EX 5 FIELDS 1 a"), "*1\r\n$-1\r\n");
        c.events();
        assert_eq!(c.run("HGETEX h EX 5 FIELDS 1 a"), "*1\r\n$1\r\n1\r\n");
        assert_eq!(c.run("HTTL h FIELDS 1 a"), "*1\r\n:5\r\n");
        c.run("HGETEX h PERSIST FIELDS 2 a b");
        assert_eq!(c.run("HTTL h FIELDS 1 a"), "*1\r\n:-1\r\n");
        assert_eq!(
            c.run("HGETEX h PXAT 1 FIELDS 2 a b"),
            "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
        );
        assert_eq!(c.run("EXISTS h"), ":0\r\n");
        assert_eq!(
            c.events(),
            [
                "hexpire h",
                "hpersist h",
                "hexpired h",
                "del h",
                "keymiss h"
            ]
        );
        for (line, error) in [
            ("HGETEX h EX 5 PX 5 FIELDS 1 a", "syntax error"),
            ("HGETEX h KEEPTTL FIELDS 1 a", "syntax error"),
            ("HGETEX h EX FIELDS 1 a", "syntax error"),
            (
                "HGETEX h EX -1 FIELDS 1 a",
                "invalid expire time in 'hgetex' command",
            ),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
    }

    #[test]
    fn hgetdel_reads_and_removes() {
        let mut c = Client::with_events();
        c.run("HSET h a 1 b 2");
        c.events();
        assert_eq!(c.run("HGETDEL h FIELDS 2 a x"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(c.run("HGETDEL h FIELDS 1 a"), "*1\r\n$-1\r\n");
        assert_eq!(c.run("HGETDEL h FIELDS 1 b"), "*1\r\n$1\r\n2\r\n");
        assert_eq!(c.events(), ["hdel h", "hdel h", "del h"]);
        assert_eq!(c.run("HGETDEL none FIELDS 1 b"), "*1\r\n$-1\r\n");
        c.run("SADD s x");
        assert!(c.run("HGETDEL s FIELDS 1 b").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn hsetex_conditions_and_expiry() {
        let mut c = Client::with_events();
        assert_eq!(c.run("HSETEX h XX FIELDS 1 a 1"), ":0\r\n");
        assert_eq!(c.run("HSETEX h FXX FIELDS 1 a 1"), ":0\r\n");
        assert_eq!(c.run("EXISTS h"), ":0\r\n");
        c.events();
        assert_eq!(c.run("HSETEX h NX FNX EX 10 FIELDS 2 a 1 b 2"), ":1\r\n");
        assert_eq!(c.events(), ["new h", "hset h", "hexpire h"]);
        assert_eq!(c.run("HSETEX h NX FIELDS 1 c 1"), ":0\r\n");
        assert_eq!(c.run("HSETEX h FNX FIELDS 2 c 1 a 1"), ":0\r\n");
        assert_eq!(c.run("HSETEX h FXX FIELDS 2 c 1 a 1"), ":0\r\n");
        assert_eq!(c.run("HSETEX h FXX KEEPTTL FIELDS 1 a 9"), ":1\r\n");
        assert_eq!(c.run("HSETEX h FIELDS 1 b 8"), ":1\r\n");
        assert_eq!(c.run("HTTL h FIELDS 2 a b"), "*2\r\n:10\r\n:-1\r\n");
        assert_eq!(c.run("HMGET h a b"), "*2\r\n$1\r\n9\r\n$1\r\n8\r\n");
        assert_eq!(c.run("HSETEX h PX 0 FIELDS 3 a 1 b 1 z 1"), ":1\r\n");
        assert_eq!(c.run("EXISTS h"), ":0\r\n");
        assert_eq!(c.run("HSETEX h PXAT 5 FIELDS 1 a 1"), ":1\r\n");
        assert_eq!(c.run("EXISTS h"), ":0\r\n");
        for (line, error) in [
            ("HSETEX h NX XX FIELDS 1 a 1", "syntax error"),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "syntax error"),
            ("HSETEX h KEEPTTL EX 1 FIELDS 1 a 1", "syntax error"),
            ("HSETEX h PERSIST FIELDS 1 a 1", "syntax error"),
            (
                "HSETEX h FIELDS 2 a 1 b",
                "numfields should be greater than 0 and match the provided number of fields",
            ),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
    }
}
