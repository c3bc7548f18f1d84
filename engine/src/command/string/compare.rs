//! Conditions on the present string, and what goes with them: DELIFEQ, DELEX and DIGEST.
//!
//! Valkey has `SET IFEQ` and DELIFEQ; Redis 8.4 has `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` in SET and
//! DELEX. A digest is the 64-bit XXH3 of the string as 16 hexadecimal digits. Deleting is logged
//! as DEL, which every server reads.

use twox_hash::XxHash3_64;

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeyRef, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "delifeq",
        group: Group::String,
        since: "9.0.0",
        summary: "Deletes a key, if it holds this very string.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RM.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("value", ArgType::String),
        ],
        handler: delifeq,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "delex",
        group: Group::String,
        since: "8.4.0",
        summary: "Deletes a key, if its string passes a comparison.",
        complexity: "O(1), or O(N) with a digest, N being the length of the string.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW
                .or(KeyFlags::DELETE)
                .or(KeyFlags::VARIABLE_FLAGS),
        )],
        get_keys: Some(delex_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "IFEQ",
                        ..ArgSpec::new("ifeq-value", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFNE",
                        ..ArgSpec::new("ifne-value", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFDEQ",
                        ..ArgSpec::new("ifdeq-digest", ArgType::String)
                    },
                    ArgSpec {
                        token: "IFDNE",
                        ..ArgSpec::new("ifdne-digest", ArgType::String)
                    },
                ],
                ..ArgSpec::new("condition", ArgType::OneOf)
            },
        ],
        handler: delex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "digest",
        group: Group::String,
        since: "8.4.0",
        summary: "Gives the XXH3 digest of a string in hexadecimal.",
        complexity: "O(N), N being the length of the string.",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::STRING,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        }],
        handler: digest,
        ..CommandSpec::BLANK
    },
];

/// What the present string is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison<'a> {
    /// `IFEQ`: it is this one.
    Is(&'a [u8]),
    /// `IFNE`: it is another one, or there is none.
    IsNot(&'a [u8]),
    /// `IFDEQ`: its digest is this.
    DigestIs(u64),
    /// `IFDNE`: its digest is not this, or there is none.
    DigestIsNot(u64),
}

impl<'a> Comparison<'a> {
    /// The comparison that begins with `word`; `None` if the word is none of its kinds.
    ///
    /// # Errors
    /// `syntax error` without a value; a digest of another form.
    pub fn parse(word: &[u8], words: &mut Cursor<'a>) -> Result<Option<Self>, ReplyError> {
        Ok(Some(match word {
            word if args::is(word, "IFEQ") => Comparison::Is(words.required()?),
            word if args::is(word, "IFNE") => Comparison::IsNot(words.required()?),
            word if args::is(word, "IFDEQ") => Comparison::DigestIs(parse_digest(words)?),
            word if args::is(word, "IFDNE") => Comparison::DigestIsNot(parse_digest(words)?),
            _ => return Ok(None),
        }))
    }

    /// Whether it holds for the string of a key, or for a missing key.
    pub fn holds(&self, present: Option<&[u8]>) -> bool {
        match (self, present) {
            (Comparison::Is(value), Some(present)) => present == *value,
            (Comparison::IsNot(value), Some(present)) => present != *value,
            (Comparison::DigestIs(digest), Some(present)) => digest_of(present) == *digest,
            (Comparison::DigestIsNot(digest), Some(present)) => digest_of(present) != *digest,
            (Comparison::Is(_) | Comparison::DigestIs(_), None) => false,
            (Comparison::IsNot(_) | Comparison::DigestIsNot(_), None) => true,
        }
    }
}

fn digest_of(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

fn parse_digest(words: &mut Cursor<'_>) -> Result<u64, ReplyError> {
    let word = words.required()?;
    let digits = word.len() == 16 && word.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(word)
        .ok()
        .filter(|_| digits)
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| ReplyError::err("must be exactly 16 hexadecimal characters"))
}

fn delex_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let flags = if args.len() > 2 {
        KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)
    } else {
        KeyFlags::RM.or(KeyFlags::DELETE)
    };
    Some(vec![(1, flags)])
}

/// Deletes a key that is there and says how many went.
fn delete(ctx: &mut Ctx<'_>, key: &[u8]) {
    ctx.ks.remove(key);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::GENERIC, "del", key);
    ctx.ks.dirty += 1;
    ctx.propagate(&[b"DEL", key]);
    ctx.out.int(1);
}

fn delifeq(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.ks.string_as(args[1], Look::WRITE)? {
        Some(found) if found.bytes == args[2] => delete(ctx, args[1]),
        _ => ctx.out.int(0),
    }
    Ok(())
}

fn delex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let comparison = match args.len() {
        2 => None,
        4 => {
            let mut words = Cursor::new(args, 3);
            let parsed = Comparison::parse(args[2], &mut words)?;
            Some(parsed.ok_or_else(|| {
                ReplyError::err("Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
            })?)
        }
        _ => return Err(ReplyError::wrong_arity(ctx.name())),
    };
    let Some(found) = ctx.ks.look(args[1], Look::WRITE) else {
        ctx.out.int(0);
        return Ok(());
    };
    if let Some(comparison) = comparison {
        if !found.header.kind.is_string() {
            return Err(ReplyError::err(
                "Key should be of string type if conditions are specified",
            ));
        }
        if !comparison.holds(Some(found.bytes)) {
            ctx.out.int(0);
            return Ok(());
        }
    }
    delete(ctx, args[1]);
    Ok(())
}

fn digest(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match ctx.ks.string(args[1])?.map(digest_of) {
        Some(digest) => ctx.out.bulk(format!("{digest:016x}").as_bytes()),
        None => ctx.out.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// The digest that the documentation gives for `Hello world`.
    const HELLO: &str = "b6acb9d84a38ff74";

    fn hello() -> Client {
        let mut c = Client::new();
        c.run_words(&[b"SET", b"k", b"Hello world"]);
        c
    }

    #[test]
    fn digest_is_the_documented_one() {
        let mut c = hello();
        assert_eq!(c.run("DIGEST k"), format!("$16\r\n{HELLO}\r\n"));
        assert_eq!(c.run("DIGEST none"), "$-1\r\n");
        c.run("SADD s x");
        assert!(c.run("DIGEST s").starts_with("-WRONGTYPE "));
    }

    #[test]
    fn delifeq_compares_the_whole_string() {
        let mut c = Client::with_events();
        let log = c.record_log();
        c.run("SET k token");
        assert_eq!(c.run("DELIFEQ k toke"), ":0\r\n");
        assert_eq!(c.run("DELIFEQ k token"), ":1\r\n");
        assert_eq!(c.run("DELIFEQ k token"), ":0\r\n");
        c.run("SADD s token");
        assert!(c.run("DELIFEQ s token").starts_with("-WRONGTYPE "));
        assert_eq!(log.take(), ["SET k token", "DEL k", "SADD s token"]);
        let events = c.events();
        assert_eq!(events.iter().filter(|e| *e == "del k").count(), 1);
    }

    #[test]
    fn delex_with_each_condition() {
        for (line, deleted) in [
            ("DELEX k", 1),
            ("DELEX k IFEQ Hello", 0),
            ("DELEX k ifne Hello", 1),
            ("DELEX k IFDEQ b6acb9d84a38ff74", 1),
            ("DELEX k IFDEQ B6ACB9D84A38FF74", 1),
            ("DELEX k IFDEQ 0000000000000000", 0),
            ("DELEX k IFDNE b6acb9d84a38ff74", 0),
            ("DELEX k IFDNE 0000000000000000", 1),
        ] {
            let mut c = hello();
            assert_eq!(c.run(line), format!(":{deleted}\r\n"), "{line}");
            assert_eq!(c.run("EXISTS k"), format!(":{}\r\n", 1 - deleted), "{line}");
        }
    }

    #[test]
    fn delex_refuses() {
        let mut c = hello();
        c.run("SADD s x");
        for (line, error) in [
            (
                "DELEX s IFEQ x",
                "Key should be of string type if conditions are specified",
            ),
            (
                "DELEX k IFEQ",
                "wrong number of arguments for 'delex' command",
            ),
            (
                "DELEX k IFEQ a b",
                "wrong number of arguments for 'delex' command",
            ),
            (
                "DELEX k NX a",
                "Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
            ),
            (
                "DELEX k IFDEQ 12",
                "must be exactly 16 hexadecimal characters",
            ),
            (
                "DELEX k IFDNE +123456789abcdef",
                "must be exactly 16 hexadecimal characters",
            ),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert_eq!(c.run("DELEX none IFNE x"), ":0\r\n");
        assert_eq!(c.run("DELEX s"), ":1\r\n");
    }

    #[test]
    fn set_with_each_condition() {
        let mut c = Client::new();
        assert_eq!(c.run("SET k a IFDEQ b6acb9d84a38ff74"), "$-1\r\n");
        assert_eq!(c.run("SET k a IFNE a"), "+OK\r\n");
        assert_eq!(c.run("SET k b IFNE a"), "$-1\r\n");
        assert_eq!(c.run("SET k b IFNE x GET"), "$1\r\na\r\n");
        c.run_words(&[b"SET", b"k", b"Hello world"]);
        assert_eq!(c.run("SET k c IFDNE b6acb9d84a38ff74"), "$-1\r\n");
        assert_eq!(c.run("SET k c IFDEQ b6acb9d84a38ff74 EX 9"), "+OK\r\n");
        assert_eq!(c.run("GET k"), "$1\r\nc\r\n");
        assert_eq!(c.run("SET new n IFDNE 0000000000000000"), "+OK\r\n");
        assert_eq!(c.run("SET k c IFEQ a IFNE b"), "-ERR syntax error\r\n");
        assert_eq!(c.run("SET k c NX IFNE b"), "-ERR syntax error\r\n");
    }
}
